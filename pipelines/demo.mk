# The whole thing on data that it makes itself: short videos of coloured
# shapes, a small model trained from scratch, held-out questions answered.
#
#	make demo
#	make -f pipelines/demo.mk OUT=build/demo
#	make -f pipelines/demo.mk help
include $(dir $(lastword $(MAKEFILE_LIST)))common.mk

.ONESHELL:
CONFIG ?= $(HERE)/pipelines/demo.json
OUT ?= build/demo
VIDEOS ?= 3000
HELD_OUT ?= 200
TRAIN_FLAGS ?=
ASK ?= what colour is the circle?

DATA := $(OUT)/data
EPOCHS := $(shell jq -r '.num_train_epochs | ceil' $(CONFIG))
BATCH := $(call get,train_batch_size,32)
LEN := $(call get,max_txt_len,20)
SEED := $(call get,seed,42)
SHIFT := $(call get,augment_shift,0)
BRIGHTNESS := $(call get,augment_brightness,0)
FRAMES := $(call get,num_frm,3)
FPS := $(call get,fps,1)
# How long a step took goes beside what it made.
clock = echo $$SECONDS >$(OUT)/seconds.$1

.DEFAULT_GOAL := all
.PHONY: all help
all: $(OUT)/metrics.json $(OUT)/asked.json
	@jq -r '"held-out questions   \(.questions)",
	    "accuracy             \(.accuracy * 1000 | round / 1000)",
	    "chance               \(.chance * 1000 | round / 1000)",
	    (.types | to_entries[] | "  \(.key | . + " " * (18 - length)) \(
	    .value.accuracy * 1000 | round / 1000), chance \(.value.chance *
	    1000 | round / 1000)"),
	    "seconds              \(.seconds) (data \(.data_seconds), training \(
	    .train_seconds), scoring \(.score_seconds))"' $(OUT)/metrics.json
	@echo
	@cat $(OUT)/asked.txt
	@cat $(OUT)/asked.json
	@echo
	@echo 'Ask another:  other files are in $(DATA)/videos, what they show in'
	@echo '              $(DATA)/scenes.jsonl'
	@echo 'Look inside:  cb-list $(DATA)/val.jsonl | cb-sample -n 2 | cb-decode | cb-dump'
	@echo 'See it learn: jq -c "[.step, .loss]" $(OUT)/run/log.jsonl'
	@echo 'Train again:  make -f pipelines/demo.mk OUT=another CONFIG=your.json'

help:
	@echo 'make -f pipelines/demo.mk [OUT=dir] [CONFIG=file.json] [VIDEOS=n]'
	@echo '    [HELD_OUT=n] [ASK=question] [TRAIN_FLAGS=...]'
	@echo
	@echo 'Makes VIDEOS short videos, and HELD_OUT others of shapes, colours, places'
	@echo 'and backgrounds that are not together in any of the first; trains the'
	@echo 'small model of CONFIG on questions about the first; answers questions'
	@echo 'about the others, and one about one of them.'
	@echo
	@echo 'OUT receives data/ run/ predictions.jsonl asked.json metrics.json'
	@echo 'Killed, the same command goes on where it was.'

# train.jsonl is the last file that cb-shapes writes.
$(DATA)/train.jsonl:
	rm -rf $(DATA)
	mkdir -p $(OUT)
	SECONDS=0
	cb-shapes -o $(DATA) -n $(VIDEOS) -v $(HELD_OUT) -s $(SEED)
	$(call clock,data)

# The checkpoints' names carry their step; this file says that training ended.
$(OUT)/trained: $(DATA)/train.jsonl $(CONFIG)
	SECONDS=0
	cb-list -e $(EPOCHS) -s $(SEED) $(DATA)/train.jsonl |
	cb-sample -n $(call get,train_n_clips,1) -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-tokenize -L $(LEN) |
	cb-batch -b $(BATCH) --shift $(SHIFT) --brightness $(BRIGHTNESS) |
	cb-train -c $(CONFIG) -o $(OUT)/run $(TRAIN_FLAGS) $(enough)
	$(call clock,train)
	touch $@

$(OUT)/predictions.jsonl: $(OUT)/trained
	SECONDS=0
	cb-list --split eval $(DATA)/val.jsonl |
	cb-sample -n $(call get,inference_n_clips,2) -f $(FRAMES) -r $(FPS) |
	cb-decode |
	cb-score -m $(OUT)/run >$@
	$(call clock,score)

# Chance: each question is given the answer that is most frequent in training
# for its type.
$(OUT)/chance.jsonl: $(DATA)/train.jsonl
	jq -cn --slurpfile train $< '($$train | group_by(.answer_type) |
	    map({(.[0].answer_type): (group_by(.answer) |
	    max_by(length)[0].answer)}) | add) as $$most | inputs |
	    {question_id, answer: $$most[.answer_type]}' $(DATA)/val.jsonl >$@

$(OUT)/accuracy.json: $(OUT)/predictions.jsonl
	cb-eval $(DATA)/val.jsonl $< >$@
$(OUT)/chance.json: $(OUT)/chance.jsonl
	cb-eval $(DATA)/val.jsonl $< >$@

$(OUT)/metrics.json: $(OUT)/accuracy.json $(OUT)/chance.json
	jq -n --slurpfile a $(OUT)/accuracy.json --slurpfile c $(OUT)/chance.json \
	    --slurpfile log $(OUT)/run/log.jsonl \
	    --argjson data $$(cat $(OUT)/seconds.data) \
	    --argjson train $$(cat $(OUT)/seconds.train) \
	    --argjson score $$(cat $(OUT)/seconds.score) \
	    '$$a[0] as $$a | $$c[0] as $$c | {accuracy: $$a.overall_acc,
	    chance: $$c.overall_acc, seconds: ($$data + $$train + $$score),
	    data_seconds: $$data, train_seconds: $$train,
	    score_seconds: $$score, steps: $$log[-1].step,
	    questions: $$a.questions, types: ($$a.ratios | keys |
	    map(sub("_ratio$$"; "") | {(.): {accuracy: $$a[. + "_acc"],
	    chance: $$c[. + "_acc"]}}) | add)}' >$@

# One question about one held-out video, as a person asks it.
$(OUT)/asked.json: $(OUT)/trained
	clip=$$(jq -rn '[inputs | select(.split == "val" and
	    any(.shapes[]; .shape == "circle"))] | sort_by(-(.shapes | length),
	    (.file | endswith(".mp4") | not)) | .[0].file' $(DATA)/scenes.jsonl)
	{ echo "cb-decode $(DATA)/$$clip |"
	echo '    cb-sample -n 2 |'
	echo '    cb-score -m $(OUT)/run --text "$(ASK)"'; } >$(OUT)/asked.txt
	cb-decode $(DATA)/$$clip | cb-sample -n 2 |
	    cb-score -m $(OUT)/run --text "$(ASK)" >$@
