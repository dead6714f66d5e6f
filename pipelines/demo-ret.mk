# Retrieval on data that it makes itself: a small model learns the words of captions,
# then which caption belongs to which video, and finds each of 64 held-out videos
# by its caption.
#
#	make -f pipelines/demo-ret.mk
#	make -f pipelines/demo-ret.mk help
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

.ONESHELL:
CONFIG ?= $(HERE)/pipelines/demo-ret.json
OUT ?= build/demo-ret
VIDEOS ?= 2000
HELD_OUT ?= 64
NEGATIVES ?= 31
# Of pretraining, without which the model takes far longer to see backgrounds.
PRE_EPOCHS ?= 12
TRAIN_FLAGS ?=

DATA := $(OUT)/data
EPOCHS := $(shell jq -r '.num_train_epochs | ceil' $(CONFIG))
SEED := $(call get,seed,42)
FRAMES := $(call get,num_frm,1)
FPS := $(call get,fps,1)

.DEFAULT_GOAL := all
.PHONY: all compare help
define SHOW
jq -r '"\(.texts) captions, \(.media) held-out videos; chance \(
    1000 / .media | round / 10) %", (to_entries[] |
    select(.key == "text2video" or .key == "video2text") |
    "\(.key)  R@1 \(.value.r1)  R@5 \(.value.r5)  R@10 \(
    .value.r10)  MedR \(.value.medianR)  MeanR \(.value.meanR)")'
endef
all: $(OUT)/metrics.json
	@$(SHOW) $<

compare: $(OUT)/alone/metrics.json $(OUT)/metrics.json
	@echo 'without pretraining, as many steps'
	$(SHOW) $<
	echo 'with pretraining'
	$(SHOW) $(word 2,$^)

help:
	@echo 'make -f pipelines/demo-ret.mk [OUT=dir] [CONFIG=file.json] [VIDEOS=n]'
	@echo '    [HELD_OUT=n] [NEGATIVES=n] [PRE_EPOCHS=n] [TRAIN_FLAGS=...] [compare]'
	@echo
	@echo 'Makes VIDEOS short videos with a caption each, pretrains the small model of'
	@echo 'CONFIG on the captions as demo-pretrain.mk does, trains it to put the right'
	@echo 'caption before NEGATIVES others, and ranks HELD_OUT other videos by their'
	@echo 'captions and the captions by their videos.'
	@echo
	@echo 'No shape of a held-out video has its colour, place and background together'
	@echo 'in any video of the training set.  Their captions differ in more than how'
	@echo 'things move, which single pictures do not show.'
	@echo
	@echo 'compare also trains a fresh model, for as many steps, in OUT/alone.'
	@echo
	@echo 'OUT receives data/ captions/ run/ scores.jsonl metrics.json'
	@echo 'Killed, the same command goes on where it was.'

# train.jsonl is the last file that cb-shapes writes.  Twice as many videos as
# asked for, since some captions are alike.
$(DATA)/train.jsonl:
	rm -rf $(DATA)
	mkdir -p $(OUT)
	cb-shapes -o $(DATA) -n $(VIDEOS) -v $$((2 * $(HELD_OUT))) -s $(SEED)

$(DATA)/held-out.jsonl: $(DATA)/train.jsonl
	jq -cn '[inputs | .still = (.caption | gsub(" (that )?moves " +
	    "(from side to side|up and down|round and round)"; ""))] |
	    unique_by(.still) | sort_by(.clip_name)[:$(HELD_OUT)][] |
	    {caption, clip_name}' $(DATA)/captions-val.jsonl >$@

PRE := $(OUT)/captions
$(PRE)/pre.trained: $(CONFIG)
$(PRE)/pre.trained $(PRE)/vocab.txt: $(DATA)/train.jsonl
	$(MAKE) -f $(HERE)/pipelines/demo-pretrain.mk OUT=$(PRE) DATA=$(DATA) \
	    CONFIG=$(CONFIG) PRE_EPOCHS=$(PRE_EPOCHS) $@

# The checkpoints' names carry their step; this file says that training ended.
# What was pretrained has its norms: they are not to be set anew.
$(OUT)/trained: $(PRE)/pre.trained
$(OUT)/trained: START = --init-stats 0 \
    -s e2e_weights_path=$$(echo $(PRE)/pre/ckpt/*.safetensors)
$(OUT)/alone/trained: START =
$(OUT)/trained $(OUT)/alone/trained: $(PRE)/vocab.txt
	cb-list -e $(EPOCHS) -s $(SEED) -n $(NEGATIVES) --vocab $< \
	    $(DATA)/captions-train.jsonl |
	cb-sample -n $(call get,train_n_clips,1) -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-tokenize -L $(call get,max_txt_len,40) |
	cb-batch -b $(call get,train_batch_size,16) \
	    --shift $(call get,augment_shift,0) \
	    --brightness $(call get,augment_brightness,0) |
	cb-train -c $(CONFIG) -o $(@D)/run $(START) $(TRAIN_FLAGS) $(enough)
	touch $@

RUNS := $(OUT) $(OUT)/alone
$(RUNS:%=%/scores.jsonl): %/scores.jsonl: %/trained $(DATA)/held-out.jsonl
	cb-list --split eval $(DATA)/held-out.jsonl |
	cb-sample -n $(call get,inference_n_clips,4) -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-score -m $*/run --pairs $(DATA)/held-out.jsonl >$@

$(RUNS:%=%/metrics.json): %/metrics.json: %/scores.jsonl
	cb-eval $(DATA)/held-out.jsonl $< >$@
