# MSRVTT: find a video by one of its captions.
#
#	make -f pipelines/msrvtt-ret.mk DATA=dir
#	make -f pipelines/msrvtt-ret.mk help
NAME := msrvtt-ret
TITLE := MSRVTT: find a video by one of its captions.
include $(dir $(lastword $(MAKEFILE_LIST)))retrieval.mk
