/* cb-train: batches, or groups, in; a trained model out.  cb-train(1) */
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "task/settings.h"
#include "task/task.h"
#include "train/train.h"

static const char *config, *device = "auto", *precision = "", *run = "run";
static struct cb_strs sets;
static int64_t threads, memory_mb = -1, steps, restore_every;
static int64_t init_stats = -1, clip_memory;
static int64_t checkpoint_every, log_every = 10;
static const char *on_error = "skip", *validate;

static const struct cb_opt options[] = {
	{ 'o', "output", CB_OPT_STR, &run, "DIR", "run directory [run]", 0, 0 },
	{ 'c', "config", CB_OPT_STR, &config, "FILE",
	    "settings, JSON [a small model]", 0, 0 },
	{ 's', "set", CB_OPT_LIST, &sets, "KEY=VALUE",
	    "one setting over those of the file", 0, 0 },
	{ 'j', "threads", CB_OPT_INT, &threads, "N",
	    "threads that compute [one a core]", 0, 1024 },
	{ 0, "device", CB_OPT_STR, &device, "NAME",
	    "cpu, cuda, ref or auto [auto]", 0, 0 },
	{ 0, "precision", CB_OPT_STR, &precision, "NAME",
	    "of cuda: bf16, fp16, tf32 or fp32 [bf16]", 0, 0 },
	{ 0, "memory", CB_OPT_INT, &memory_mb, "MIB",
	    "activations kept at once, 0: any [512; cuda 4096]", 0, 1e9 },
	{ 0, "clip-memory", CB_OPT_INT, &clip_memory, "N",
	    "clips of a video run at once, 0: all [0]", 0, 1e6 },
	{ 0, "steps", CB_OPT_INT, &steps, "N",
	    "optimiser steps [to the end of the stream]", 1, 1e12 },
	{ 0, "init-stats", CB_OPT_INT, &init_stats, "N",
	    "set the norms from the first N pictures [init_stats]", 0, 1e6 },
	{ 0, "restore-every", CB_OPT_INT, &restore_every, "N",
	    "steps between restore points [save_steps_ratio]", 1, 1e12 },
	{ 0, "checkpoint-every", CB_OPT_INT, &checkpoint_every, "N",
	    "steps between checkpoints [at the end]", 1, 1e12 },
	{ 0, "log-every", CB_OPT_INT, &log_every, "N",
	    "steps between lines of log.jsonl [10]", 1, 1e12 },
	{ 0, "val", CB_OPT_STR, &validate, "COMMAND",
	    "yields the stream to validate on [no validation]", 0, 0 },
	{ 0, "on-error", CB_OPT_STR, &on_error, "WHAT",
	    "bad media: skip or stop [skip]", 0, 0 },
	{ 0 }
};

static int
read_settings(struct cb_settings *s)
{
	int i, rc = 0;

	if ((config != NULL ? cb_settings_load(s, config) :
	    cb_settings_init(s)) < 0)
		return -1;
	for (i = 0; i < sets.n && rc == 0; i++)
		rc = cb_settings_set(s, sets.at[i]);
	if (rc == 0)
		rc = cb_settings_check(s);
	if (rc < 0)
		cb_settings_clear(s);
	return rc;
}

static int
train(struct cb_settings *s, struct cb_run_options *o)
{
	struct cb_feed_options f = { .groups = s->train_batch_size,
	    .stop = cb_choice("--on-error", on_error, "skip", "stop"),
	    .need_labels = true, .max_len = s->max_txt_len,
	    .keep = CB_AHEAD,
	    .mask = s->task[0] == '\0' || cb_task_pretrains(s->task) };
	struct cb_feed *feed;
	int64_t done, lost;
	int rc;

	if (cb_feed_open(&feed, STDIN_FILENO, "stdin", &f) < 0)
		return cb_complain();
	rc = cb_train_run(feed, s, o, &done);
	lost = cb_feed_skipped(feed);
	if (rc < 0)
		cb_complain();
	if (lost > 0)
		cb_warn("%lld media were skipped", (long long)lost);
	cb_feed_close(feed);
	return rc < 0 || lost > 0;
}

int
main(int argc, char **argv)
{
	struct cb_run_options o;
	struct cb_settings s;
	char *engine;
	int rc;

	if (cb_options(argc, argv, options, "[-o dir] [-c settings.json] "
	    "[-s key=value] ... <stream") != argc)
		cb_usage("%s: the stream comes on standard input", argv[optind]);
	engine = cb_strf("%s:%s", device, precision);
	o = (struct cb_run_options){ .run = run, .input = STDIN_FILENO,
	    .engine = engine,
	    .threads = (int)threads, .memory = memory_mb * (1 << 20),
	    .clip_memory = (int)clip_memory, .steps = steps,
	    .init_stats = init_stats, .restore_every = restore_every,
	    .validate = validate, .checkpoint_every = checkpoint_every,
	    .log_every = log_every,
	    .argc = argc, .argv = argv };
	if (read_settings(&s) < 0) {
		free(engine);
		free(sets.at);
		return cb_complain();
	}
	if (init_stats < 0)
		o.init_stats = s.init_stats;
	rc = train(&s, &o);
	cb_settings_clear(&s);
	free(engine);
	free(sets.at);
	return rc;
}
