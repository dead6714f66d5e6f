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
all: $(OUT)/metrics.json $(if $(wildcard $(DATA)/test.jsonl),$(OUT)/submission.json)
	@jq -r 'to_entries[] | select(.value | type == "number") | "\(.key) \(.value)"' $<

define HELP
make -f pipelines/vqa.mk DATA=dir [CONFIG=file.json] [OUT=dir] [TRAIN_FLAGS=...]

DATA holds   train.jsonl val.jsonl   lines of image_id, question_id, question,
                                     labels {answer: score}, answer_type; the
                                     paper trains on the questions of train and
                                     val together
             vg.jsonl                optional: more to learn from, such as those
                                     of Visual Genome about the same pictures
             test.jsonl              optional: the same without labels, for the
                                     server that knows them
             ans2label.json          {answer: label}, of the paper 3129
             images/                 image_id.jpg ..., or images.lmdb, which
                                     cb-pack makes of it
             vocab.txt               optional, else made of the questions
CONFIG       ClipBERT settings: vqa.json is the paper's model, vqa-small.json
             one that trains from scratch on a CPU
OUT receives images.lmdb vocab.txt run/ predictions.jsonl metrics.json, and
             where there is test.jsonl submission.json

Killed, the same command goes on where it was.
endef
help:
	@:$(info $(HELP))

ifneq ($(MAKECMDGOALS),help)
ifeq ($(DATA),)
$(error DATA is not given: make -f pipelines/vqa.mk help tells how to lay it out)
endif
$(call need,$(CONFIG),settings)
$(call need,$(DATA)/train.jsonl,the questions to learn from)
$(call need,$(DATA)/val.jsonl,the questions to be tested on)
$(call need,$(DATA)/ans2label.json,the labels of the answers)
IMAGES := $(firstword $(wildcard $(DATA)/images.lmdb) $(OUT)/images.lmdb)
$(if $(wildcard $(DATA)/images.lmdb),,$(call need,$(DATA)/images,the folder of pictures))
QUESTIONS := $(wildcard $(DATA)/train.jsonl $(DATA)/vg.jsonl)

LEN := $(call get,max_txt_len,20)
BATCH := $(call get,train_batch_size,32)
GROUP := $(call get,max_n_example_per_group,2)
EPOCHS := $(shell jq -r '.num_train_epochs // 10 | ceil' $(CONFIG))
SEED := $(call get,seed,42)
SHIFT := $(call get,augment_shift,0)
BRIGHTNESS := $(call get,augment_brightness,0)
LABELS := --answers $(DATA)/ans2label.json --vocab $(OUT)/vocab.txt
# $(call held-out,name): those of name.jsonl.
held-out = cb-list --split eval $(LABELS) $(DATA)/$1.jsonl | \
    cb-decode -m $(IMAGES) | cb-tokenize -L $(LEN)
ANSWER = cb-batch -b $(call get,val_batch_size,32) | cb-score -m $(OUT)/run
endif

$(OUT):
	mkdir -p $@

$(OUT)/images.lmdb: $(DATA)/images | $(OUT)
	cb-pack $@ $(DATA)/images

$(OUT)/checked: $(QUESTIONS) $(wildcard $(DATA)/val.jsonl $(DATA)/test.jsonl) \
    $(IMAGES) | $(OUT)
	$(call named,$(IMAGES),--split eval $(filter %.jsonl,$^))

$(OUT)/vocab.txt: $(QUESTIONS) $(OUT)/checked
	if [ -e $(DATA)/vocab.txt ]; then cp $(DATA)/vocab.txt $@; \
	else cb-vocab -o $@ $(QUESTIONS); fi

# The checkpoints' names carry their step; this file says that training ended.
$(OUT)/trained: $(QUESTIONS) $(CONFIG) $(IMAGES) $(OUT)/vocab.txt
	cb-list -e $(EPOCHS) -s $(SEED) -g $(GROUP) $(LABELS) $(QUESTIONS) | \
	cb-decode -m $(IMAGES) | \
	cb-tokenize -L $(LEN) | \
	cb-batch -b $(BATCH) --shift $(SHIFT) --brightness $(BRIGHTNESS) | \
	cb-train -c $(CONFIG) -o $(OUT)/run --val '$(call held-out,val)' \
	    $(TRAIN_FLAGS) $(enough)
	touch $@

$(OUT)/predictions.jsonl: $(OUT)/trained $(DATA)/val.jsonl
	$(call held-out,val) | $(ANSWER) >$@

$(OUT)/metrics.json: $(OUT)/predictions.jsonl
	cb-eval $(DATA)/val.jsonl $< >$@

# What the VQA server takes.
$(OUT)/submission.json: $(OUT)/trained $(DATA)/test.jsonl
	$(call held-out,test) | $(ANSWER) | jq -sc 'map({question_id, answer})' >$@
