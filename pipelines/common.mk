# What every pipeline begins with: a shell in which a filter that fails fails
# the make, programs of this checkout first on PATH, no half-made files.
SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
HERE := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
BIN ?= $(HERE)/build/bin
ifeq ($(wildcard $(BIN)/cb-list)$(shell command -v cb-list)$(filter help,$\
$(MAKECMDGOALS)),)
$(error there are no programs in $(BIN): make in $(HERE) builds them)
endif
export PATH := $(BIN):$(PATH)

# Behind a pipeline whose last program may have enough before the stream ends
# (cb-train --steps): the others are then ended by SIGPIPE, 128 + 13.  A program
# that failed is seen all the same, since the last of the statuses counts.
enough = || [ $$? -eq 141 ]

# $(call get,key,default): a value of the settings in CONFIG.
get = $(shell jq -r '.$1 // $2' $(CONFIG))

# $(call named,places,annotations): fails where a line is wrong or no place has a
# medium that is named, before a run of days and not behind it.
named = cb-check -n $(patsubst %,--allow %,extra repeated text answer) \
    $(1:%=-m %) $2 >$@ || { cat $@; exit 1; }

# $(call need,file,what it is): stops with a message where it is not there.
need = $(if $(wildcard $1),,$(error $1 is missing: $2; see make -f $(firstword $(MAKEFILE_LIST)) help))
