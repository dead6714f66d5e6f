# TGIF-QA, count: how often something is done, a number.
#
#	make -f pipelines/tgif-count.mk DATA=dir
#	make -f pipelines/tgif-count.mk help
NAME := tgif-count
TITLE := TGIF-QA, count: how often something is done, a number.
TASK := count
LINES := gif_name, question, answer (a number from 1 to 10)
# The head normalises over a batch, so that none must be of one row only.
TRAIN_BATCH := --drop-last
include $(dir $(lastword $(MAKEFILE_LIST)))videos.mk
