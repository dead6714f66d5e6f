# What the tasks on videos share: from annotations and videos to a trained model,
# what it says of videos that it has not seen, and how good that is.  A task
# names, before it includes this:
#
#	NAME		of its settings and its output
#	TITLE LINES	for help: what it is, the keys of a line of annotations
#	TASK		kind of annotation, -t of cb-list(1); empty: guessed
#	TRAIN_LIST TRAIN_BATCH	more options of cb-list and cb-batch in training
#	PAIRS		not empty: retrieval, every text with every video
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

FLAVOUR ?= repo
ifeq ($(filter repo paper,$(FLAVOUR)),)
$(error FLAVOUR is repo or paper, not $(FLAVOUR))
endif
CONFIG ?= $(firstword $(wildcard $(HERE)/pipelines/$(NAME).$(FLAVOUR).json) \
    $(HERE)/pipelines/$(NAME).json)
OUT ?= build/$(NAME)
TRAIN_FLAGS ?=
.DEFAULT_GOAL := all
.PHONY: all help
all: $(OUT)/metrics.json
	@jq -r 'paths(numbers) as $$p | "\($$p | join(" ")) \(getpath($$p))"' $<

define HELP
make -f pipelines/$(NAME).mk DATA=dir [FLAVOUR=repo|paper] [CONFIG=file.json]
    [OUT=dir] [CLIPS=n] [TRAIN_FLAGS=...]

$(TITLE)

DATA holds   train.jsonl val.jsonl   lines of $(LINES)
             videos/                 a file for each, named by that id, or
                                     videos.lmdb, which cb-pack makes of them
             ans2label.json          of open answers: {answer: label}; optional,
                                     else made of train.jsonl
             vocab.txt               optional, else made of train.jsonl
CONFIG       ClipBERT settings: pipelines/$(NAME).json are those of the original
             repository, FLAVOUR=paper takes those of the paper where they differ.
             A model of this size begins with a pretrained one and its vocabulary:
               TRAIN_FLAGS="-s e2e_weights_path=build/pretrain/run/ckpt/..."
CLIPS        of a video when it is scored, else inference_n_clips of CONFIG
OUT receives checked vocab.txt run/ $(TOLD) metrics.json

All that the annotations name must be there, and be readable: cb-check(1) tells.

Killed, the same command goes on where it was.
endef
TOLD := $(if $(PAIRS),scores.jsonl,predictions.jsonl)
help:
	@:$(info $(HELP))

ifneq ($(MAKECMDGOALS),help)
ifeq ($(DATA),)
$(error DATA is not given: make -f $(firstword $(MAKEFILE_LIST)) help tells how to lay it out)
endif
VIDEOS := $(firstword $(wildcard $(DATA)/videos.lmdb) $(DATA)/videos)
$(call need,$(CONFIG),settings)
$(call need,$(DATA)/train.jsonl,the annotations to learn from)
$(call need,$(DATA)/val.jsonl,the annotations to be tested on)
$(call need,$(VIDEOS),the folder of videos)

LEN := $(call get,max_txt_len,20)
EPOCHS := $(shell jq -r '.num_train_epochs // 10 | ceil' $(CONFIG))
SEED := $(call get,seed,42)
CLIPS ?= $(call get,inference_n_clips,1)
FRAMES := -f $(call get,num_frm,3) -r $(call get,fps,1)
TASK_IS := $(TASK:%=-t %)
LIST := -m $(VIDEOS) --vocab $(OUT)/vocab.txt \
    $(patsubst %,-a %,$(wildcard $(DATA)/ans2label.json))
PIXELS := cb-sample -n $(CLIPS) $(FRAMES) | cb-decode
HELD_OUT := cb-list --split eval $(TASK_IS) $(PAIRS:%=--pairs) $(LIST) \
    $(DATA)/val.jsonl | $(PIXELS) | cb-tokenize -L $(LEN)
endif

$(OUT):
	mkdir -p $@

$(OUT)/checked: $(DATA)/train.jsonl $(DATA)/val.jsonl | $(OUT)
	$(call named,$(VIDEOS),$(TASK_IS) $^)

$(OUT)/vocab.txt: $(DATA)/train.jsonl $(OUT)/checked
	if [ -e $(DATA)/vocab.txt ]; then cp $(DATA)/vocab.txt $@; \
	else cb-vocab -o $@ $(DATA)/train.jsonl; fi

# The checkpoints' names carry their step; this file says that training ended.
$(OUT)/trained: $(DATA)/train.jsonl $(CONFIG) $(OUT)/vocab.txt
	cb-list $(TASK_IS) -e $(EPOCHS) -s $(SEED) \
	    -g $(call get,max_n_example_per_group,2) $(TRAIN_LIST) $(LIST) \
	    $(DATA)/train.jsonl | \
	cb-sample -n $(call get,train_n_clips,1) $(FRAMES) | \
	cb-decode | \
	cb-tokenize -L $(LEN) | \
	cb-batch -b $(call get,train_batch_size,32) $(TRAIN_BATCH) \
	    --shift $(call get,augment_shift,0) \
	    --brightness $(call get,augment_brightness,0) | \
	cb-train -c $(CONFIG) -o $(OUT)/run --val '$(HELD_OUT)' $(TRAIN_FLAGS) \
	    $(enough)
	touch $@

# All texts with a video at once, which is encoded once.
$(OUT)/scores.jsonl: $(OUT)/trained $(DATA)/val.jsonl
	cb-list --split eval $(TASK_IS) $(LIST) $(DATA)/val.jsonl | $(PIXELS) | \
	cb-score -m $(OUT)/run --pairs $(DATA)/val.jsonl >$@

$(OUT)/predictions.jsonl: $(OUT)/trained $(DATA)/val.jsonl
	$(HELD_OUT) | \
	cb-batch -b $(call get,val_batch_size,32) | \
	cb-score -m $(OUT)/run >$@

$(OUT)/metrics.json: $(OUT)/$(TOLD)
	cb-eval $(TASK_IS) $(DATA)/val.jsonl $< >$@
