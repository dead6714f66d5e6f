# TGIF-QA, FrameQA: open-ended questions about GIFs.
#
#	make -f pipelines/tgif-frameqa.mk DATA=dir
#	make -f pipelines/tgif-frameqa.mk help
NAME := tgif-frameqa
TITLE := TGIF-QA, FrameQA: open-ended questions about GIFs.
TASK := open_qa
LINES := gif_name, question, answer, answer_type
include $(dir $(lastword $(MAKEFILE_LIST)))videos.mk
