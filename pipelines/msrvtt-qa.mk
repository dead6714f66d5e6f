# MSRVTT-QA: open-ended questions about videos, of 1500 answers.
#
#	make -f pipelines/msrvtt-qa.mk DATA=dir
#	make -f pipelines/msrvtt-qa.mk help
NAME := msrvtt-qa
TITLE := MSRVTT-QA: open-ended questions about videos, of 1500 answers.
TASK := open_qa
LINES := video_id, question, answer, answer_type
include $(dir $(lastword $(MAKEFILE_LIST)))videos.mk
