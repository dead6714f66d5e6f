# DiDeMo: find a video by all of its captions, joined to a paragraph.
#
#	make -f pipelines/didemo-ret.mk DATA=dir
#	make -f pipelines/didemo-ret.mk help
NAME := didemo-ret
TITLE := DiDeMo: find a video by all of its captions, joined to a paragraph.
include $(dir $(lastword $(MAKEFILE_LIST)))retrieval.mk
