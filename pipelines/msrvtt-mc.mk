# MSRVTT multiple choice: which of five captions is of a video, asked of a model
# that was trained for retrieval.  There is nothing to train.
#
#	make -f pipelines/msrvtt-mc.mk DATA=dir MODEL=build/msrvtt-ret/run
#	make -f pipelines/msrvtt-mc.mk help
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

MODEL ?= build/msrvtt-ret/run
OUT ?= build/msrvtt-mc
CLIPS ?= 16
.DEFAULT_GOAL := all
.PHONY: all help
all: $(OUT)/metrics.json
	@jq -r 'to_entries[] | select(.value | type == "number") | "\(.key) \(.value)"' $<

define HELP
make -f pipelines/msrvtt-mc.mk DATA=dir [MODEL=run] [OUT=dir] [CLIPS=n]

DATA holds   test.jsonl       lines of qid, clip_name, options, answer (an index)
             videos/          clip_name.mp4 ..., or videos.lmdb, which cb-pack
                              makes of it
MODEL        what pipelines/msrvtt-ret.mk has trained
CLIPS        of a video: 16, as in the paper
OUT receives predictions.jsonl metrics.json
endef
help:
	@:$(info $(HELP))

ifneq ($(MAKECMDGOALS),help)
ifeq ($(DATA),)
$(error DATA is not given: make -f $(firstword $(MAKEFILE_LIST)) help tells how to lay it out)
endif
VIDEOS := $(firstword $(wildcard $(DATA)/videos.lmdb) $(DATA)/videos)
$(call need,$(DATA)/test.jsonl,the captions to choose among)
$(call need,$(VIDEOS),the folder of videos)
$(call need,$(MODEL),a retrieval model)
FRAMES := $(shell jq -r '.settings | "-f \(.num_frm // 2) -r \(.fps // 2)"' \
    $(MODEL)/args.json)
endif

$(OUT)/checked: $(DATA)/test.jsonl
	mkdir -p $(OUT)
	$(call named,$(VIDEOS),-t caption_mc $<)

$(OUT)/predictions.jsonl: $(DATA)/test.jsonl $(wildcard $(MODEL)/ckpt/*) \
    $(OUT)/checked
	cb-list --split eval -t caption_mc -m $(VIDEOS) $(DATA)/test.jsonl | \
	cb-sample -n $(CLIPS) $(FRAMES) | \
	cb-decode | \
	cb-score -m $(MODEL) >$@

$(OUT)/metrics.json: $(OUT)/predictions.jsonl
	cb-eval -t caption_mc $(DATA)/test.jsonl $< >$@
