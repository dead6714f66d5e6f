# Is pretraining worth it?  On the videos that the demo makes, a model learns from
# their captions first and then for a few steps from questions; another learns
# from the questions alone, for as many steps.
#
#	make -f pipelines/demo-pretrain.mk OUT=build/demo-pretrain
#	make -f pipelines/demo-pretrain.mk help
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

.ONESHELL:
.SECONDARY:
CONFIG ?= $(HERE)/pipelines/demo.json
OUT ?= build/demo-pretrain
VIDEOS ?= 3000
HELD_OUT ?= 200
STEPS ?= 100
# Of pretraining.  A caption has some 20 words, of which five say what is to be
# seen, so more are masked than usual, and each caption stands several times
# beside its video, masked otherwise each time.  None is mismatched: in a run of
# this length the loss of the matches, far larger than that of the few words that
# have to be seen, drowns them.
PRE_EPOCHS ?= 8
PRE_TEXTS ?= 8
MASK ?= 0.3
MISMATCH ?= 0
PRE_LEN ?= 32
TRAIN_FLAGS ?=

DATA ?= $(OUT)/data
EPOCHS := $(shell jq -r '.num_train_epochs | ceil' $(CONFIG))
BATCH := $(call get,train_batch_size,32)
LEN := $(call get,max_txt_len,20)
SEED := $(call get,seed,42)
FRAMES := $(call get,num_frm,3)
FPS := $(call get,fps,1)
CLIPS := $(call get,inference_n_clips,2)
AUGMENT := --shift $(call get,augment_shift,0) --brightness $(call get,augment_brightness,0)
VOCAB = --vocab $(OUT)/vocab.txt

.DEFAULT_GOAL := all
.PHONY: all help
all: $(OUT)/compare.$(STEPS).json
	@jq -r '"questions alone, \(.steps) steps      \(.alone)",
	    "captions first, then the same \(.pretrained)",
	    "masked words told             \(.words), always the same \(.words_chance)"' $<

help:
	@echo 'make -f pipelines/demo-pretrain.mk [OUT=dir] [DATA=dir] [STEPS=n] [VIDEOS=n]'
	@echo '    [HELD_OUT=n] [PRE_EPOCHS=n] [PRE_TEXTS=n] [MASK=p] [MISMATCH=p]'
	@echo '    [CONFIG=file.json] [TRAIN_FLAGS=...]'
	@echo
	@echo 'Makes videos as the demo does, in OUT/data, or takes those of DATA (such as'
	@echo 'build/demo/data).  Pretrains the model of CONFIG on the captions; then'
	@echo 'trains it, and a fresh one, for STEPS steps on the questions, and compares'
	@echo 'what both answer about held-out videos.'
	@echo
	@echo 'OUT receives vocab.txt, pre/ alone.STEPS/ pretrained.STEPS/ (the runs), a'
	@echo '.json with the figures of each, and compare.STEPS.json.  Another number of'
	@echo 'STEPS needs no new pretraining.'
	@echo 'Killed, the same command goes on where it was.'

# train.jsonl is the last file that cb-shapes writes.
$(DATA)/train.jsonl:
	rm -rf $(DATA)
	mkdir -p $(dir $(DATA))
	cb-shapes -o $(DATA) -n $(VIDEOS) -v $(HELD_OUT) -s $(SEED)

# One vocabulary for both: a word must keep its place.
$(OUT)/vocab.txt: $(DATA)/train.jsonl
	mkdir -p $(OUT)
	cb-vocab -o $@ $(DATA)/captions-train.jsonl $(DATA)/train.jsonl

$(OUT)/pre.trained: $(OUT)/vocab.txt $(CONFIG)
	cb-list -t captions -e $(PRE_EPOCHS) -s $(SEED) -g $(PRE_TEXTS) \
	    --mismatch $(MISMATCH) $(VOCAB) $(DATA)/captions-train.jsonl |
	cb-sample -n 1 -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-tokenize -L $(PRE_LEN) -m $(MASK) |
	cb-batch -b $(BATCH) $(AUGMENT) |
	cb-train -c $(CONFIG) -s task=pretrain -s loss_type=ce \
	    -s max_txt_len=$(PRE_LEN) \
	    -o $(OUT)/pre $(TRAIN_FLAGS)
	touch $@

$(OUT)/pre.json: $(OUT)/pre.trained
	cb-list -t captions --split eval --mismatch $(MISMATCH) $(VOCAB) \
	    $(DATA)/captions-val.jsonl |
	cb-sample -n 1 -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-tokenize -L $(PRE_LEN) |
	cb-score -m $(OUT)/pre |
	cb-eval -t captions $(DATA)/captions-val.jsonl >$@

# What was pretrained has its norms: they are not to be set anew.
$(OUT)/alone.$(STEPS).trained: START =
$(OUT)/pretrained.$(STEPS).trained: START = --init-stats 0 \
    -s e2e_weights_path=$$(echo $(OUT)/pre/ckpt/*.safetensors)
$(OUT)/pretrained.$(STEPS).trained: $(OUT)/pre.trained

$(OUT)/%.trained: $(OUT)/vocab.txt $(CONFIG)
	cb-list -e $(EPOCHS) -s $(SEED) $(VOCAB) $(DATA)/train.jsonl |
	cb-sample -n $(call get,train_n_clips,1) -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-tokenize -L $(LEN) |
	cb-batch -b $(BATCH) $(AUGMENT) |
	cb-train -c $(CONFIG) -o $(OUT)/$* --steps $(STEPS) $(START) \
	    $(TRAIN_FLAGS) $(enough)
	touch $@

$(OUT)/%.json: $(OUT)/%.trained
	cb-list --split eval $(DATA)/val.jsonl |
	cb-sample -n $(CLIPS) -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-score -m $(OUT)/$* |
	cb-eval $(DATA)/val.jsonl >$@

$(OUT)/compare.$(STEPS).json: $(OUT)/alone.$(STEPS).json \
    $(OUT)/pretrained.$(STEPS).json $(OUT)/pre.json
	jq -n --argjson steps $(STEPS) --slurpfile a $< \
	    --slurpfile p $(word 2,$^) --slurpfile m $(word 3,$^) \
	    'def r: . * 1000 | round / 1000; {steps: $$steps,
	    alone: ($$a[0].overall_acc | r), pretrained: ($$p[0].overall_acc | r),
	    words: ($$m[0].mlm_acc | r),
	    words_chance: ($$m[0].most_frequent_word_acc | r)}' >$@
