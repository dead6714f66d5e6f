# TGIF-QA, how often something happens: a number, from annotations and GIFs to its
# mean squared error.
#
#	make -f pipelines/tgif-count.mk DATA=dir CONFIG=pipelines/tgif-count.json
#	make -f pipelines/tgif-count.mk help
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

CONFIG ?= $(HERE)/pipelines/tgif-count.json
OUT ?= build/tgif-count
TRAIN_FLAGS ?=
.DEFAULT_GOAL := all
.PHONY: all help
all: $(OUT)/metrics.json
	@jq -r 'to_entries[] | select(.value | type == "number") | "\(.key) \(.value)"' $<

help:
	@echo 'make -f pipelines/tgif-count.mk DATA=dir [CONFIG=file.json] [OUT=dir]'
	@echo '    [TRAIN_FLAGS=...]'
	@echo
	@echo 'DATA holds   train.jsonl val.jsonl   lines of gif_name, question, answer: a'
	@echo '                                     number from 1 to 10'
	@echo '             videos/                 gif_name.gif ..., or videos.lmdb, which'
	@echo '                                     cb-pack makes of it'
	@echo '             vocab.txt               optional, else made of train.jsonl'
	@echo 'CONFIG       ClipBERT settings: tgif-count.json has those of its other tasks'
	@echo '             of TGIF-QA; it begins with a pretrained model and its vocabulary:'
	@echo '               TRAIN_FLAGS="-s e2e_weights_path=build/pretrain/run/ckpt/..."'
	@echo 'OUT receives vocab.txt run/ predictions.jsonl metrics.json: mse, and'
	@echo '             constant_mse, that of the best one answer for all'
	@echo
	@echo 'Killed, the same command goes on where it was.'

ifneq ($(MAKECMDGOALS),help)
ifeq ($(DATA),)
$(error DATA is not given: make -f pipelines/tgif-count.mk help tells how to lay it out)
endif
VIDEOS := $(firstword $(wildcard $(DATA)/videos.lmdb) $(DATA)/videos)
$(call need,$(CONFIG),settings)
$(call need,$(DATA)/train.jsonl,the questions to learn from)
$(call need,$(DATA)/val.jsonl,the questions to be tested on)
$(call need,$(VIDEOS),the folder of videos)

LEN := $(call get,max_txt_len,20)
GROUP := $(call get,max_n_example_per_group,2)
EPOCHS := $(shell jq -r '.num_train_epochs // 10 | ceil' $(CONFIG))
SEED := $(call get,seed,42)
CLIPS = -f $(call get,num_frm,3) -r $(call get,fps,1)
SHIFT := $(call get,augment_shift,0)
BRIGHTNESS := $(call get,augment_brightness,0)
HELD_OUT = cb-list --split eval -t count -m $(VIDEOS) \
    --vocab $(OUT)/vocab.txt $(DATA)/val.jsonl | \
    cb-sample -n $(call get,inference_n_clips,1) $(CLIPS) | \
    cb-decode | cb-tokenize -L $(LEN)
endif

$(OUT):
	mkdir -p $@

$(OUT)/vocab.txt: $(DATA)/train.jsonl | $(OUT)
	if [ -e $(DATA)/vocab.txt ]; then cp $(DATA)/vocab.txt $@; \
	else cb-vocab -o $@ $(DATA)/train.jsonl; fi

# The head normalises over a batch, so that none must be of one row only:
# --drop-last.  The file says that training ended.
$(OUT)/trained: $(DATA)/train.jsonl $(CONFIG) $(OUT)/vocab.txt
	cb-list -t count -e $(EPOCHS) -s $(SEED) -g $(GROUP) -m $(VIDEOS) \
	    --vocab $(OUT)/vocab.txt $(DATA)/train.jsonl | \
	cb-sample -n $(call get,train_n_clips,1) $(CLIPS) | \
	cb-decode | \
	cb-tokenize -L $(LEN) | \
	cb-batch -b $(call get,train_batch_size,32) --drop-last \
	    --shift $(SHIFT) --brightness $(BRIGHTNESS) | \
	cb-train -c $(CONFIG) -o $(OUT)/run --val '$(HELD_OUT)' $(TRAIN_FLAGS) \
	    $(enough)
	touch $@

$(OUT)/predictions.jsonl: $(OUT)/trained $(DATA)/val.jsonl
	$(HELD_OUT) | \
	cb-batch -b $(call get,val_batch_size,32) | \
	cb-score -m $(OUT)/run >$@

$(OUT)/metrics.json: $(OUT)/predictions.jsonl
	cb-eval -t count $(DATA)/val.jsonl $< >$@
