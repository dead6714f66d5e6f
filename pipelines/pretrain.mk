# Pretraining on pictures and their captions, of several data sets at once: masked
# words, and whether text and picture belong together.
#
#	make -f pipelines/pretrain.mk DATA=dir CONFIG=pipelines/pretrain.json
#	make -f pipelines/pretrain.mk help
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

.ONESHELL:
CONFIG ?= $(HERE)/pipelines/pretrain.json
OUT ?= build/pretrain
SETS ?= coco vg
TRAIN_FLAGS ?=
.DEFAULT_GOAL := all
.PHONY: all help
all: $(OUT)/metrics.json
	@jq -r 'to_entries[] | .key as $$set | .value | to_entries[] |
	    select(.value | type == "number") | "\($$set) \(.key) \(.value)"' $<

help:
	@echo 'make -f pipelines/pretrain.mk DATA=dir [SETS="coco vg"] [CONFIG=file.json]'
	@echo '    [OUT=dir] [TRAIN_FLAGS=...]'
	@echo
	@echo 'DATA holds   a folder for each of SETS with'
	@echo '               train.jsonl val.jsonl   lines of coco_id (or vg_id, image_id)'
	@echo '                                       and caption'
	@echo '               images/                 coco_id.jpg ..., or images.lmdb, which'
	@echo '                                       cb-pack makes of it'
	@echo '             vocab.txt                 optional, else made of the captions'
	@echo 'CONFIG       ClipBERT settings: pretrain.json is the published model, which'
	@echo '             begins with BERT, its vocabulary, and a ResNet:'
	@echo '               TRAIN_FLAGS="-s bert_weights_path=bert.safetensors'
	@echo '                   -s detectron2_weights_path=grid_feat_R-50.pth"'
	@echo 'OUT receives vocab.txt run/ SET.told.jsonl metrics.json'
	@echo
	@echo 'The sets are mixed in proportion to their sizes.  Killed, the same command'
	@echo 'goes on where it was.  Other tasks begin with the weights in run/ckpt by the'
	@echo 'setting e2e_weights_path, and need the same vocab.txt.'

ifneq ($(MAKECMDGOALS),help)
ifeq ($(DATA),)
$(error DATA is not given: make -f pipelines/pretrain.mk help tells how to lay it out)
endif
# $(call pictures,set): its LMDB, else its folder.
pictures = $(firstword $(wildcard $(DATA)/$1/images.lmdb) $(DATA)/$1/images)
TRAIN := $(SETS:%=$(DATA)/%/train.jsonl)
$(call need,$(CONFIG),settings)
$(foreach s,$(SETS),\
    $(call need,$(DATA)/$s/train.jsonl,the captions to learn from)\
    $(call need,$(DATA)/$s/val.jsonl,the captions to be tested on)\
    $(call need,$(call pictures,$s),the folder of pictures))

LEN := $(call get,max_txt_len,20)
BATCH := $(call get,train_batch_size,32)
GROUP := $(call get,max_n_example_per_group,2)
MISMATCH := $(call get,itm_neg_prob,0.5)
EPOCHS := $(shell jq -r '.num_train_epochs // 10 | ceil' $(CONFIG))
SEED := $(call get,seed,42)
SHIFT := $(call get,augment_shift,0)
BRIGHTNESS := $(call get,augment_brightness,0)
# $(call held-out,set...): their captions, masked and mismatched as in training.
held-out = cb-list --split eval -s $(SEED) --mismatch $(MISMATCH) -t captions \
    --vocab $(OUT)/vocab.txt $(foreach s,$1,-m $(call pictures,$s)) \
    $(1:%=$(DATA)/%/val.jsonl) | cb-decode | cb-tokenize -L $(LEN)
endif

$(OUT):
	mkdir -p $@

$(OUT)/checked: $(TRAIN) $(SETS:%=$(DATA)/%/val.jsonl) | $(OUT)
	$(call named,$(foreach s,$(SETS),$(call pictures,$s)),-t captions $^)

$(OUT)/vocab.txt: $(TRAIN) $(OUT)/checked
	if [ -e $(DATA)/vocab.txt ]; then cp $(DATA)/vocab.txt $@; \
	else cb-vocab -o $@ $(TRAIN); fi

# The checkpoints' names carry their step; this file says that training ended.
$(OUT)/trained: $(TRAIN) $(CONFIG) $(OUT)/vocab.txt
	cb-list -e $(EPOCHS) -s $(SEED) -g $(GROUP) --mismatch $(MISMATCH) \
	    --vocab $(OUT)/vocab.txt $(foreach s,$(SETS),-m $(call pictures,$s)) \
	    -t captions $(TRAIN) | \
	cb-decode | \
	cb-tokenize -L $(LEN) | \
	cb-batch -b $(BATCH) --shift $(SHIFT) --brightness $(BRIGHTNESS) | \
	cb-train -c $(CONFIG) -o $(OUT)/run \
	    --val '$(call held-out,$(SETS))' $(TRAIN_FLAGS) $(enough)
	touch $@

$(OUT)/%.told.jsonl: $(OUT)/trained $(DATA)/%/val.jsonl
	$(call held-out,$*) | \
	cb-batch -b $(call get,val_batch_size,32) | \
	cb-score -m $(OUT)/run >$@

$(OUT)/%.metrics.json: $(OUT)/%.told.jsonl
	cb-eval -t captions $(DATA)/$*/val.jsonl $< >$@

$(OUT)/metrics.json: $(SETS:%=$(OUT)/%.metrics.json)
	jq -n '[inputs | {(input_filename | sub(".*/"; "") |
	    sub("[.]metrics[.]json$$"; "")): .}] | add' $^ >$@
