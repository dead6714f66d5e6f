# Visual question answering, from annotations and photographs to accuracies:
#
#	make -f pipelines/vqa.mk DATA=dir CONFIG=pipelines/vqa.json OUT=build/vqa
#	make -f pipelines/vqa.mk help
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

CONFIG ?= $(HERE)/pipelines/vqa.json
OUT ?= build/vqa
TRAIN_FLAGS ?=
.DEFAULT_GOAL := all
.PHONY: all help
all: $(OUT)/metrics.json
	@jq -r 'to_entries[] | select(.value | type == "number") | "\(.key) \(.value)"' $<

help:
	@echo 'make -f pipelines/vqa.mk DATA=dir [CONFIG=file.json] [OUT=dir] [TRAIN_FLAGS=...]'
	@echo
	@echo 'DATA holds   train.jsonl val.jsonl   lines of image_id, question_id,'
	@echo '                      question, labels {answer: score}, answer_type'
	@echo '             ans2label.json          {answer: label}'
	@echo '             images/                 image_id.jpg ...'
	@echo '             vocab.txt               optional, else made of train.jsonl'
	@echo 'CONFIG       ClipBERT settings: vqa.json is the paper'"'"'s model,'
	@echo '             vqa-small.json one that trains from scratch on a CPU'
	@echo 'OUT receives images.lmdb vocab.txt run/ predictions.jsonl metrics.json'
	@echo
	@echo 'Killed, the same command goes on where it was.'

ifneq ($(MAKECMDGOALS),help)
ifeq ($(DATA),)
$(error DATA is not given: make -f pipelines/vqa.mk help tells how to lay it out)
endif
$(call need,$(CONFIG),settings)
$(call need,$(DATA)/train.jsonl,the questions to learn from)
$(call need,$(DATA)/val.jsonl,the questions to be tested on)
$(call need,$(DATA)/ans2label.json,the labels of the answers)
$(call need,$(DATA)/images,the folder of pictures)

LEN := $(call get,max_txt_len,20)
BATCH := $(call get,train_batch_size,32)
GROUP := $(call get,max_n_example_per_group,2)
EPOCHS := $(shell jq -r '.num_train_epochs // 10 | ceil' $(CONFIG))
SEED := $(call get,seed,42)
SHIFT := $(call get,augment_shift,0)
BRIGHTNESS := $(call get,augment_brightness,0)
LABELS = --answers $(DATA)/ans2label.json --vocab $(OUT)/vocab.txt
endif

$(OUT):
	mkdir -p $@

$(OUT)/images.lmdb: $(DATA)/images | $(OUT)
	cb-pack $@ $(DATA)/images

$(OUT)/vocab.txt: $(DATA)/train.jsonl | $(OUT)
	if [ -e $(DATA)/vocab.txt ]; then cp $(DATA)/vocab.txt $@; \
	else cb-vocab -o $@ $(DATA)/train.jsonl; fi

# The checkpoints' names carry their step; this file says that training ended.
$(OUT)/trained: $(DATA)/train.jsonl $(CONFIG) $(OUT)/images.lmdb $(OUT)/vocab.txt
	cb-list -e $(EPOCHS) -s $(SEED) -g $(GROUP) $(LABELS) $(DATA)/train.jsonl | \
	cb-decode -m $(OUT)/images.lmdb | \
	cb-tokenize -L $(LEN) | \
	cb-batch -b $(BATCH) --shift $(SHIFT) --brightness $(BRIGHTNESS) | \
	cb-train -c $(CONFIG) -o $(OUT)/run $(TRAIN_FLAGS) $(enough)
	touch $@

$(OUT)/predictions.jsonl: $(OUT)/trained $(DATA)/val.jsonl
	cb-list --split eval $(LABELS) $(DATA)/val.jsonl | \
	cb-decode -m $(OUT)/images.lmdb | \
	cb-tokenize -L $(LEN) | \
	cb-batch -b $(call get,val_batch_size,32) | \
	cb-score -m $(OUT)/run >$@

$(OUT)/metrics.json: $(OUT)/predictions.jsonl
	cb-eval $(DATA)/val.jsonl $< >$@
