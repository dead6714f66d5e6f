/*
 * Fuzz target of all that is read as JSON: annotations, to be used or to be
 * looked over, predictions and settings.  The first byte of an input says
 * which.
 */
#include "task/check.h"
#include "task/settings.h"
#include "task/task.h"
#include "fuzz.h"

static void
list(int fd, bool eval)
{
	struct cb_list_options o = cb_list_defaults();
	char *path = cb_strf("/dev/fd/%d", fd);
	struct cb_list *l;
	struct cb_msg *m;

	o.eval = eval;
	o.per_group = 2;
	if (cb_list_open(&l, &path, 1, &o) == 0) {
		while (cb_list_next(l, &m) > 0) {
			fuzz_got++;
			cb_msg_free(m);
		}
		cb_list_close(l);
	}
	free(path);
}

static void
hear(void *arg, const char *kind, const char *what)
{
	(void)arg;
	fuzz_got += strlen(kind) > 0 && strlen(what) > 0;
}

/* Every line, good or bad. */
static void
check(int fd)
{
	const struct cb_check_how how = { .found = hear };
	char *path = cb_strf("/dev/fd/%d", fd);
	json_t *counts = json_object(), *names = json_object();

	cb_check_annotation(counts, names, path, &how);
	fuzz_got += json_object_size(names) > 0;
	json_decref(counts);
	json_decref(names);
	free(path);
}

static const char questions[] =
    "{\"question\": \"how many?\", \"answer\": \"2\", \"video_id\": \"v\"}\n"
    "{\"question\": \"where?\", \"answer\": \"here\", \"video_id\": \"w\"}\n"
    "\n{\"question\": \"who?\", \"answer\": \"she\", \"video_id\": \"v\"}\n";
static const char captions[] =
    "{\"caption\": \"a dog\", \"clip_name\": \"v\"}\n"
    "{\"caption\": \"a cat\", \"clip_name\": \"w\"}\n";

static void
predictions(int fd, const char *annotations, size_t n, bool original)
{
	int truth = file_of(annotations, n);
	char *path = cb_strf("/dev/fd/%d", fd);
	char *of = cb_strf("/dev/fd/%d", truth);
	json_t *metrics;

	if (cb_metrics_files(&metrics, NULL, of, path, NULL, original) == 0) {
		fuzz_got++;
		json_decref(metrics);
	}
	free(of);
	free(path);
	close(truth);
}

static void
settings(int fd)
{
	char *path = cb_strf("/dev/fd/%d", fd);
	struct cb_settings s;

	if (cb_settings_load(&s, path) == 0) {
		fuzz_got += cb_settings_check(&s) == 0;
		json_decref(cb_settings_json(&s));
		cb_settings_clear(&s);
	}
	free(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int fd;

	if (n == 0)
		return 0;
	fd = file_of(data + 1, n - 1);
	switch (data[0]) {
	case 0:
	case 1:
		list(fd, data[0] == 1);
		break;
	case 2:
		predictions(fd, questions, sizeof(questions) - 1, false);
		break;
	case 3:
		predictions(fd, captions, sizeof(captions) - 1, true);
		break;
	case 4:
		settings(fd);
		break;
	default:
		check(fd);
	}
	close(fd);
	return 0;
}

static void
seed_of(const char *name, char first, const char *text)
{
	char *all = cb_strf("?%s", text);

	all[0] = first;
	fuzz_seed(name, all, strlen(text) + 1);
	free(all);
}

void
fuzz_seeds(void)
{
	seed_of("train", 0, questions);
	seed_of("eval", 1, questions);
	seed_of("captions", 0, captions);
	seed_of("scores", 0, "{\"question\": \"is it?\", \"labels\": "
	    "{\"yes\": 1, \"no\": 0.3}, \"image_id\": 9, \"question_id\": 4}");
	seed_of("options", 1, "{\"question\": \"is it?\", \"options\": "
	    "[\"a\", \"b\"], \"gif_name\": \"g\", \"answer\": \"1\"}");
	seed_of("answers", 2, "{\"question_id\": 0, \"answer\": \"2\"}\n"
	    "{\"question_id\": 2, \"answer\": \"he\"}\n");
	seed_of("pairs", 3, "{\"txt_id\": 0, \"vid_id\": \"v\", "
	    "\"score\": 0.25}\n{\"txt_id\": 1, \"vid_id\": \"v\", "
	    "\"score\": 1e-3}\n");
	seed_of("check", 5, questions);
	seed_of("check-options", 5, "{\"question\": \"is it?\", \"options\": "
	    "[\"a\", \"\"], \"gif_name\": \"g\", \"answer\": \"1\"}\n{}\n");
	seed_of("settings", 4, "{\"num_frm\": 2, \"learning_rate\": 5e-5, "
	    "\"betas\": [0.9, 0.98], \"train_datasets\": [{\"name\": "
	    "\"a\", \"txt\": \"b\", \"img\": \"c\"}], \"decay\": "
	    "\"linear\"}\n");
}
