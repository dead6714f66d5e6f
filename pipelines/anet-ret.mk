# ActivityNet Captions: find a video by all of its captions, joined to a paragraph.
#
#	make -f pipelines/anet-ret.mk DATA=dir
#	make -f pipelines/anet-ret.mk help
NAME := anet-ret
TITLE := ActivityNet Captions: find a video by all of its captions, joined to a paragraph.
include $(dir $(lastword $(MAKEFILE_LIST)))retrieval.mk
