# Text-to-video retrieval: each caption of training stands before mismatched ones,
# and in the end every text is scored with every video.
TASK := retrieval
PAIRS := all
LINES := clip_name, caption
TRAIN_LIST = -n $(call get,itm_neg_size,1)
include $(dir $(lastword $(MAKEFILE_LIST)))videos.mk
