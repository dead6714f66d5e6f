/*
 * What a run tells: log.jsonl, args.json and the progress line.  A run that was
 * killed has logged steps that it will do again; they are cut off when the log
 * is opened, so each step stands in it once.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train.h"

#define FORGET 0.9	/* of the mean time of a step, for the time left */

struct cb_log {
	char *path;
	int fd;
	int64_t total;
	int every;
	double began, before_s;	/* before_s: of earlier runs, from the log */
	double last;		/* when the last step ended */
	double step_s;		/* smoothed */
	/* since the last line */
	int64_t steps, examples;
	double loss, data_s, compute_s, seconds;
	struct cb_tally tally;
};

/* ---- opening ------------------------------------------------------------------- */

/* Bytes of the log up to the last line that stays. */
static int
kept_bytes(struct cb_log *l, int64_t step, off_t *kept)
{
	FILE *fp = fopen(l->path, "re");
	char *line = NULL;
	json_t *v, *at;
	size_t room = 0;
	ssize_t n;

	*kept = 0;
	if (fp == NULL)
		return errno == ENOENT ? 0 : cb_fail(CB_EIO, "%s", l->path);
	while ((n = getline(&line, &room, fp)) > 0 && line[n - 1] == '\n') {
		v = json_loadb(line, n, 0, NULL);
		at = json_object_get(v, "step");
		if (!json_is_integer(at) || json_integer_value(at) > step) {
			json_decref(v);
			break;
		}
		if (json_is_number(json_object_get(v, "seconds")))
			l->before_s = json_number_value(
			    json_object_get(v, "seconds"));
		*kept += n;
		json_decref(v);
	}
	free(line);
	fclose(fp);
	return 0;
}

int
cb_log_open(struct cb_log **out, const char *run, int64_t step, int64_t total,
    int every)
{
	struct cb_log *l;
	off_t kept;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", run);
	l->fd = -1;
	l->path = cb_strf("%s/log.jsonl", run);
	l->total = total;
	l->every = every > 0 ? every : 1;
	if (cb_mkdirs(run) < 0 || (step > 0 && kept_bytes(l, step, &kept) < 0))
		goto fail;
	if (step <= 0)
		kept = 0;
	l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (l->fd < 0 || ftruncate(l->fd, kept) < 0) {
		cb_fail(CB_EIO, "%s", l->path);
		goto fail;
	}
	l->began = l->last = cb_now();
	*out = l;
	return 0;
fail:
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	free(l);
	return -1;
}

/* ---- lines --------------------------------------------------------------------- */

/* JSON has no NaN: null tells of it. */
static json_t *
real(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

int
cb_log_write(struct cb_log *l, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
	char *whole;
	int rc;

	json_decref(line);
	if (text == NULL)
		return cb_fail(CB_ENOMEM, "%s", l->path);
	/* One write, so that a line is there or not. */
	whole = cb_strf("%s\n", text);
	rc = cb_write_full(l->fd, whole, (int64_t)strlen(whole), l->path);
	free(whole);
	free(text);
	return rc;
}

/* Losses and accuracies of the two tasks of pretraining; null: no words. */
static void
put_tally(json_t *line, const struct cb_tally *t)
{
	double texts = (double)t->texts, words = (double)t->words;

	json_object_set_new(line, "mlm_loss",
	    real(t->mlm_loss / (double)t->positions));
	json_object_set_new(line, "itm_loss", real(t->itm_loss / texts));
	json_object_set_new(line, "mlm_acc", real((double)t->told / words));
	json_object_set_new(line, "itm_acc",
	    real((double)t->matched / texts));
}

static int
write_due(struct cb_log *l, const struct cb_step *s, double now)
{
	json_t *line = json_object(), *lr = json_array();
	double waited = l->data_s + l->compute_s;
	int i;

	for (i = 0; i < CB_GROUPS; i++)
		json_array_append_new(lr, real(s->lr[i]));
	json_object_set_new(line, "step", json_integer(s->step));
	json_object_set_new(line, "epoch", json_integer(s->epoch));
	json_object_set_new(line, "loss", real(l->loss / (double)l->steps));
	if (l->tally.texts > 0)
		put_tally(line, &l->tally);
	json_object_set_new(line, "grad_norm", real(s->grad_norm));
	if (s->loss_scale > 1)
		json_object_set_new(line, "loss_scale", real(s->loss_scale));
	json_object_set_new(line, "lr", lr);
	json_object_set_new(line, "examples", json_integer(l->examples));
	json_object_set_new(line, "examples_per_s",
	    real((double)l->examples / l->seconds));
	json_object_set_new(line, "seconds",
	    real(l->before_s + now - l->began));
	json_object_set_new(line, "wait_data",
	    real(waited > 0 ? 100 * l->data_s / waited : 0));
	json_object_set_new(line, "wait_compute",
	    real(waited > 0 ? 100 * l->compute_s / waited : 0));
	l->tally = (struct cb_tally){ 0 };
	l->steps = l->examples = 0;
	l->loss = l->data_s = l->compute_s = l->seconds = 0;
	return cb_log_write(l, line);
}

static const char *
time_text(char text[32], double s)
{
	if (s < 90)
		snprintf(text, 32, "%.0f s", s);
	else if (s < 5400)
		snprintf(text, 32, "%.0f min", s / 60);
	else
		snprintf(text, 32, "%.1f h", s / 3600);
	return text;
}

static void
show(const struct cb_log *l, const struct cb_step *s)
{
	double waited = s->data_s + s->compute_s;
	double data = waited > 0 ? 100 * s->data_s / waited : 0;
	char left[32], of[32] = "", rest[64] = "";

	if (l->total > 0) {
		snprintf(of, sizeof(of), "/%lld", (long long)l->total);
		snprintf(rest, sizeof(rest), "  %s left", time_text(left,
		    l->step_s * (double)(l->total - s->step)));
	}
	cb_progress("step %lld%s  loss %.4f  lr %.2g  %.1f examples/s%s  "
	    "waits: data %.0f%%, compute %.0f%%", (long long)s->step, of,
	    s->loss, s->lr[2], (double)s->examples / l->step_s, rest, data,
	    100 - data);
}

int
cb_log_step(struct cb_log *l, const struct cb_step *s)
{
	double now = cb_now(), took = now - l->last;

	if (took < 1e-9)
		took = 1e-9;
	l->last = now;
	l->step_s = l->step_s == 0 ? took :
	    FORGET * l->step_s + (1 - FORGET) * took;
	l->steps++;
	l->examples += s->examples;
	l->loss += s->loss;
	cb_tally_add(&l->tally, s->tally);
	l->data_s += s->data_s;
	l->compute_s += s->compute_s;
	l->seconds += took;
	show(l, s);
	if (s->step % l->every != 0 && s->step != l->total)
		return 0;
	return write_due(l, s, now);
}

int
cb_log_sync(struct cb_log *l)
{
	/* A log on a pipe or terminal cannot be synced, and need not be. */
	if (fdatasync(l->fd) < 0 && errno != EINVAL && errno != EROFS)
		return cb_fail(CB_EIO, "%s", l->path);
	return 0;
}

int
cb_log_close(struct cb_log *l)
{
	int rc = 0;

	if (l == NULL)
		return 0;
	cb_progress_end();
	if (close(l->fd) < 0)
		rc = cb_fail(CB_EIO, "%s", l->path);
	free(l->path);
	free(l);
	return rc;
}

/* ---- args.json and the like ---------------------------------------------------------- */

int
cb_run_write(const char *run, const char *name, const json_t *v)
{
	char *path = cb_strf("%s/%s", run, name);
	char *text = cb_json_exact(v, JSON_INDENT(2));
	struct cb_file *f;
	int rc = -1;

	if (text == NULL) {
		cb_fail(CB_ENOMEM, "%s", path);
		goto done;
	}
	if (cb_mkdirs(run) < 0 || cb_file_create(&f, path) < 0)
		goto done;
	if (fprintf(f->fp, "%s\n", text) < 0) {
		cb_fail(CB_EIO, "%s", path);
		cb_file_discard(f);
		goto done;
	}
	rc = cb_file_commit(f);
done:
	free(text);
	free(path);
	return rc;
}

int
cb_args_write(const char *run, int argc, char *const *argv,
    const json_t *settings, const json_t *provenance)
{
	json_t *all = json_object(), *args = json_array();
	int i, rc;

	json_object_set_new(all, "version", json_string(CB_VERSION));
	/* An argument need not be UTF-8: it is then left out as null. */
	for (i = 0; i < argc; i++)
		if (json_array_append_new(args, json_string(argv[i])) < 0)
			json_array_append_new(args, json_null());
	json_object_set_new(all, "args", args);
	json_object_set_new(all, "settings", json_deep_copy(settings));
	if (provenance != NULL)
		json_object_set_new(all, "provenance",
		    json_deep_copy(provenance));
	rc = cb_run_write(run, "args.json", all);
	json_decref(all);
	return rc;
}
