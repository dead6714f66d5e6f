# TGIF-QA, transition: what happens before or after, of five options.
#
#	make -f pipelines/tgif-transition.mk DATA=dir
#	make -f pipelines/tgif-transition.mk help
NAME := tgif-transition
TITLE := TGIF-QA, transition: what happens before or after, of five options.
TASK := mc_qa
LINES := gif_name, question, options, answer (an index)
include $(dir $(lastword $(MAKEFILE_LIST)))videos.mk
