/*
 * Restore points, the log and args.json: what was saved comes back; damage, a
 * full disk and a killed writer lose nothing.  With the argument small-disk: in a
 * file system of 96 KiB.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "train/train.h"

#define N 5000

static struct cb_param table[] = {
	{ "cnn.feature.backbone.stem.conv1.weight", 1, { 10 }, N + 6, 10,
	    false, false },
	{ "cnn.grid_encoder.0.weight", 2, { 2, 3 }, 0, 6, true, false },
	{ "transformer.bert.pooler.dense.weight", 1, { N }, 6, N, true, false },
};
static float w[N + 16], m[N + 6], v[N + 6];
static json_t *who;

static void
fill(int64_t step)
{
	int i;

	for (i = 0; i < N + 16; i++)
		w[i] = (float)step + 0.25f * (float)i;
	for (i = 0; i < N + 6; i++) {
		m[i] = -(float)step - (float)i;
		v[i] = 1 / (float)(step + i + 1);
	}
}

static struct cb_restore
point(int64_t step)
{
	struct cb_restore r = { table, CB_LEN(table), w, m, v, step, 2 * step,
	    who, NULL };

	return r;
}

static int
save(int64_t step)
{
	struct cb_restore r = point(step);

	fill(step);
	return cb_restore_save("run", &r);
}

/* Does a load give this step, whole?  step 0: any, but consistent. */
static bool
loads(int64_t step)
{
	static float a[N + 16], b[N + 6], c[N + 6];
	struct cb_restore r = point(0);
	bool same;

	memset(w, 0, sizeof(w));
	memset(m, 0, sizeof(m));
	memset(v, 0, sizeof(v));
	if (cb_restore_load("run", &r) != 1)
		return false;
	json_decref(r.state);
	memcpy(a, w, sizeof(a));
	memcpy(b, m, sizeof(b));
	memcpy(c, v, sizeof(c));
	fill(r.step);
	same = memcmp(a, w, sizeof(a)) == 0 && memcmp(b, m, sizeof(b)) == 0 &&
	    memcmp(c, v, sizeof(c)) == 0;
	return same && r.batches == 2 * r.step &&
	    (step == 0 || r.step == step);
}

static void
poke(const char *path, long at, char with)
{
	FILE *fp = fopen(path, "r+");

	fseek(fp, at, SEEK_SET);
	fputc(with, fp);
	fclose(fp);
}

static int64_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (int64_t)st.st_size;
}

static void
turns(void)
{
	struct cb_restore r = point(1);
	int64_t whole;

	ok(cb_restore_load("run", &r) == 0, "no restore point yet");
	r.state = json_pack("{s:i}", "best", 7);
	fill(1);
	ok(cb_restore_save("run", &r) == 0, "the first one");
	json_decref(r.state);
	r.state = NULL;
	ok(cb_restore_load("run", &r) == 1 && r.step == 1 && r.batches == 2 &&
	    json_integer_value(json_object_get(r.state, "best")) == 7,
	    "comes back with the state");
	json_decref(r.state);
	ok(loads(1), "and all values");
	ok(save(2) == 0 && loads(2), "the second is the newest");
	ok(size_of("run/restore.0.safetensors") > 0 &&
	    size_of("run/restore.1.safetensors") > 0, "beside the first");
	ok(save(3) == 0 && loads(3), "the third takes the place of the first");
	poke("run/restore.0.safetensors",
	    size_of("run/restore.0.safetensors") - 100, 99);
	ok(loads(2), "one changed byte: the other one");
	ok(save(4) == 0 && loads(4), "which the next does not touch");
	whole = size_of("run/restore.1.safetensors");
	ok(truncate("run/restore.1.safetensors", whole / 2) == 0 &&
	    !loads(4), "both damaged: %s", cb_error());
	ok(save(5) == 0 && loads(5), "saving helps");
	fclose(fopen("run/restore.1.safetensors.new", "w"));
	ok(loads(5) && access("run/restore.1.safetensors.new", F_OK) != 0,
	    "what a killed writer left is swept");
}

static void
others(void)
{
	struct cb_restore r = point(0);
	json_t *other = json_deep_copy(who);

	json_object_set_new(json_object_get(other, "settings"), "seed",
	    json_integer(43));
	json_object_set_new(other, "extra", json_true());
	r.identity = other;
	ok(cb_restore_load("run", &r) < 0 &&
	    strstr(cb_error(), "settings.seed: was 42, is 43; extra: was absent,"
	    " is true") != NULL, "other settings: %s", cb_error());
	json_decref(other);
	r = point(0);
	r.nparams--;
	ok(cb_restore_load("run", &r) < 0, "fewer parameters: %s", cb_error());
	r = point(0);
	table[1].dim[0] = 3;
	table[1].dim[1] = 2;
	ok(cb_restore_load("run", &r) < 0 &&
	    strstr(cb_error(), "w/cnn.grid_encoder.0.weight is [2, 3], must be "
	    "[3, 2]") != NULL, "another shape: %s", cb_error());
	table[1].dim[0] = 2;
	table[1].dim[1] = 3;
}

static void
full_disk(void)
{
	struct rlimit small, back;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &back);
	small = back;
	small.rlim_cur = 20000;
	setrlimit(RLIMIT_FSIZE, &small);
	ok(save(6) < 0 && strstr(cb_error(), "run/restore.") == cb_error(),
	    "a full disk: %s", cb_error());
	setrlimit(RLIMIT_FSIZE, &back);
	ok(loads(5) && access("run/restore.0.safetensors.new", F_OK) != 0 &&
	    access("run/restore.1.safetensors.new", F_OK) != 0,
	    "the one before is whole, no rest stays");
}

/* A child saves one point after another and is killed somewhere in it. */
static void
killed(void)
{
	int round, fd[2], bad = 0;
	int64_t step = 10;
	pid_t child;
	char c;

	for (round = 0; round < 20; round++) {
		if (pipe(fd) < 0 || (child = fork()) < 0)
			abort();
		if (child == 0) {
			for (;; step++)
				if (save(step) < 0 ||
				    write(fd[1], ".", 1) != 1)
					_exit(1);
		}
		close(fd[1]);
		if (read(fd[0], &c, 1) != 1)
			bad++;
		usleep(200 * round);	/* another moment each time */
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(fd[0], &c, 1) == 1)
			step++;
		close(fd[0]);
		bad += !loads(0);
		step += 2;
	}
	ok(bad == 0, "killed at 20 moments, always one is whole");
}

/* ---- the log --------------------------------------------------------------------- */

static int
log_steps(int64_t from, int64_t to, int every)
{
	struct cb_step s = { .lr = { 1, 2, 3, 4, 5, 6, 7, 8 }, .examples = 4,
	    .data_s = 1, .compute_s = 3 };
	struct cb_log *l;
	int64_t i;

	if (cb_log_open(&l, "run", from, 10, every) < 0)
		return cb_complain();
	for (i = from + 1; i <= to; i++) {
		s.step = i;
		s.loss = (double)i;
		if (cb_log_step(l, &s) < 0)
			return cb_complain();
	}
	if (cb_log_sync(l) < 0)
		return cb_complain();
	return cb_log_close(l);
}

/* "step:loss" of every line. */
static char *
log_text(void)
{
	static char text[1000];
	struct cb_jsonl *r;
	json_t *o;

	text[0] = '\0';
	if (cb_jsonl_open(&r, "run/log.jsonl") < 0)
		return text;
	while (cb_jsonl_next(r, &o) == 1) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%lld:%g ", (long long)json_integer_value(
		    json_object_get(o, "step")), json_number_value(
		    json_object_get(o, "loss")));
		json_decref(o);
	}
	cb_jsonl_close(r);
	return text;
}

static void
logs(void)
{
	char *args[] = { "cb-train", "-o", "run" };
	struct cb_jsonl *r;
	struct cb_log *l;
	json_t *o, *settings = json_pack("{s:f}", "learning_rate", 0.1);
	FILE *fp;
	char *text;
	int64_t n;

	ok(log_steps(0, 3, 1) == 0 && strcmp(log_text(), "1:1 2:2 3:3 ") == 0,
	    "a line each step: %s", log_text());
	if (cb_jsonl_open(&r, "run/log.jsonl") == 0 &&
	    cb_jsonl_next(r, &o) == 1) {
		ok(json_number_value(json_object_get(o, "wait_data")) == 25 &&
		    json_number_value(json_object_get(o, "wait_compute")) ==
		    75 && json_array_size(json_object_get(o, "lr")) == 8 &&
		    json_number_value(json_object_get(o, "examples_per_s")) > 0
		    && json_object_get(o, "seconds") != NULL,
		    "with rates and waits");
		json_decref(o);
		cb_jsonl_close(r);
	}
	fp = fopen("run/log.jsonl", "a");
	fputs("{\"step\":4,\"lo", fp);
	fclose(fp);
	ok(log_steps(2, 4, 1) == 0 &&
	    strcmp(log_text(), "1:1 2:2 3:3 4:4 ") == 0,
	    "going on after step 2: each step once: %s", log_text());
	ok(log_steps(0, 10, 4) == 0 &&
	    strcmp(log_text(), "4:2.5 8:6.5 10:9.5 ") == 0,
	    "means of four steps, and the last: %s", log_text());
	ok(cb_log_open(&l, "run", 8, 10, 1) == 0 &&
	    cb_log_write(l, json_pack("{s:i, s:f}", "step", 8, "loss", 0.5)) ==
	    0 && cb_log_close(l) == 0 &&
	    strcmp(log_text(), "4:2.5 8:6.5 8:0.5 ") == 0, "a line of one's own");
	ok(cb_args_write("run", 3, args, settings, NULL) == 0 &&
	    cb_file_read(&text, &n, "run/args.json", 10000) == 0 &&
	    strstr(text, "\"learning_rate\": 0.1\n") != NULL &&
	    strstr(text, "\"-o\",") != NULL, "args.json, as people write");
	free(text);
	json_decref(settings);
}

/* In a file system that has room for one point, but not for two. */
static int
small_disk(void)
{
	plan(3);
	ok(save(1) == 0 && loads(1), "there is room for one");
	ok(save(2) < 0 && strcmp(cb_error(), "run/restore.1.safetensors: No "
	    "space left on device") == 0, "a full disk: %s", cb_error());
	ok(loads(1) && access("run/restore.1.safetensors.new", F_OK) != 0,
	    "the one before is whole, no rest stays");
	json_decref(who);
	return done();
}

int
main(int argc, char **argv)
{
	cb_program_set("restore");
	who = json_pack("{s:{s:i, s:f}, s:[s, s]}", "settings", "seed", 42,
	    "learning_rate", 0.1, "provenance", "cb-list", "x");
	if (argc == 2 && strcmp(argv[1], "small-disk") == 0)
		return small_disk();
	plan(24);
	turns();
	others();
	full_disk();
	killed();
	logs();
	json_decref(who);
	return done();
}
