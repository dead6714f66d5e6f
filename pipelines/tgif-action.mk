# TGIF-QA, action: what is done so many times, of five options.
#
#	make -f pipelines/tgif-action.mk DATA=dir
#	make -f pipelines/tgif-action.mk help
NAME := tgif-action
TITLE := TGIF-QA, action: what is done so many times, of five options.
TASK := mc_qa
LINES := gif_name, question, options, answer (an index)
include $(dir $(lastword $(MAKEFILE_LIST)))videos.mk
