# A task of your own: questions about your videos, and a small model that learns to
# answer them from nothing, on a CPU; see the tutorial in clipbert(7).
#
#	make -f pipelines/own.mk DATA=my
#	make -f pipelines/own.mk help
NAME := own
TITLE := Questions about videos of your own: open-ended, with options, or numbers.
LINES := video_id, question, answer
include $(dir $(lastword $(MAKEFILE_LIST)))videos.mk
