/*
 * cb-shapes: a data set for trying things out: short videos of coloured shapes
 * that move, and questions about them.  cb-shapes(1)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "media/media.h"
#include "task/task.h"

struct clip {
	struct cb_demo what;
	struct cb_scene scene;
	const struct cb_film_format *format;
	char	 id[16];
	char	*file;		/* in the directory */
	int	 fps_num, fps_den, frames;
};

struct job {
	const char *dir;
	struct clip *clips;	/* training, then held out */
	int	 ntrain, n;
	uint64_t seed;
	const struct cb_film_format **formats;
	int	 nformats;
	char	**why;		/* [n] what failed */
};

static struct cb_demo_words words;

/* ---- what there will be ------------------------------------------------- */

static struct cb_rng
counter(const struct job *j, int i)
{
	return (struct cb_rng){ .seed = j->seed, .purpose = CB_RNG_DEMO,
	    .epoch = i < j->ntrain ? 1 : 5,
	    .seq = (uint32_t)(i < j->ntrain ? i : i - j->ntrain) };
}

/* Size, rate and length.  The delays of a GIF are hundredths of a second. */
static void
choose_film(struct clip *c, const struct job *j, const struct cb_rng *r)
{
	static const int sizes[][2] = { { 96, 96 }, { 112, 96 }, { 96, 112 },
	    { 128, 128 }, { 144, 128 }, { 128, 144 }, { 160, 144 },
	    { 176, 176 } };
	static const int rates[][2] = { { 10, 1 }, { 12, 1 }, { 15, 1 },
	    { 25, 2 }, { 20, 1 }, { 24, 1 }, { 30000, 1001 } };
	static const int gif_rates[][2] = { { 10, 1 }, { 25, 2 }, { 20, 1 } };
	uint32_t at = 1 << 20;	/* behind the draws of cb_scene_vary() */
	const int *size = sizes[cb_rng_below(r, at, CB_LEN(sizes))];
	const int *rate = rates[cb_rng_below(r, at + 1, CB_LEN(rates))];
	double late = cb_rng_real(r, at + 2), seconds = 1 + 2 * late * late;

	c->format = j->formats[cb_rng_below(r, at + 3,
	    (uint32_t)j->nformats)];
	if (strcmp(c->format->muxer, "gif") == 0)
		rate = gif_rates[cb_rng_below(r, at + 1, CB_LEN(gif_rates))];
	c->scene.w = size[0];
	c->scene.h = size[1];
	c->fps_num = rate[0];
	c->fps_den = rate[1];
	c->frames = (int)(seconds * rate[0] / rate[1]);
}

static void
choose(struct clip *c, const struct job *j, int i)
{
	struct cb_rng r = counter(j, i);
	int k;

	cb_demo_draw(&c->what, i >= j->ntrain, &words, &r);
	c->scene.pattern = c->what.pattern;
	c->scene.stacked = c->what.stacked;
	c->scene.n = c->what.n;
	for (k = 0; k < c->what.n; k++)
		c->scene.shapes[k] = (struct cb_shape){
		    .kind = c->what.at[k].shape,
		    .colour = c->what.at[k].colour,
		    .place = c->what.at[k].place,
		    .motion = (enum cb_motion)c->what.at[k].motion };
	choose_film(c, j, &r);
	cb_scene_vary(&c->scene, &r);
	snprintf(c->id, sizeof(c->id), "%s%05u", i < j->ntrain ? "train" :
	    "val", (unsigned)r.seq);
	c->file = cb_strf("videos/%s%s", c->id, c->format->extension);
}

/* ---- videos ------------------------------------------------------------- */

static void
shoot_one(void *arg, int i, int thread)
{
	struct job *j = arg;
	const struct clip *c = &j->clips[i];
	char *path = cb_strf("%s/%s", j->dir, c->file);

	if (cb_scene_film(path, &c->scene, c->format, c->fps_num, c->fps_den,
	    c->frames) < 0)
		j->why[i] = cb_strf("%s", cb_error());
	free(path);
	if (thread == 0)
		cb_progress("video %d of %d", i + 1, j->n);
}

static int
shoot_all(struct job *j, int threads)
{
	struct cb_pool *pool;
	int i, rc = 0;

	if ((j->why = calloc((size_t)j->n, sizeof(*j->why))) == NULL)
		return cb_fail(CB_ENOMEM, "videos");
	if (cb_pool_new(&pool, threads) < 0)
		return -1;
	cb_pool_run(pool, shoot_one, j, j->n);
	cb_progress_end();
	cb_pool_free(pool);
	for (i = 0; i < j->n; i++) {
		if (j->why[i] != NULL && rc == 0)
			rc = cb_fail(CB_EIO, "%s", j->why[i]);
		free(j->why[i]);
	}
	free(j->why);
	return rc;
}

/* ---- texts -------------------------------------------------------------- */

static int
put_line(FILE *fp, json_t *v)
{
	char *text = v != NULL ? cb_json_text(v) : NULL;
	int rc;

	json_decref(v);
	if (text == NULL)
		return cb_fail(CB_ENOMEM, "annotations");
	rc = fprintf(fp, "%s\n", text);
	free(text);
	return rc < 0 ? cb_fail(CB_EIO, "annotations") : 0;
}

static int
put_questions(const struct job *j, int i, FILE *fp, int64_t *next)
{
	const struct clip *c = &j->clips[i];
	struct cb_rng r = counter(j, i);
	json_t *list = cb_demo_questions(&c->what, &words, c->id, *next, &r);
	json_t *line;
	size_t k;
	int rc = 0;

	json_array_foreach(list, k, line)
		if (rc == 0)
			rc = put_line(fp, json_incref(line));
	*next += (int64_t)json_array_size(list);
	json_decref(list);
	return rc;
}

static int
put_caption(const struct job *j, int i, FILE *fp, int64_t *next)
{
	const struct clip *c = &j->clips[i];
	char *text = cb_demo_caption(&c->what, &words);
	json_t *v = json_pack("{s:s, s:s}", "caption", text, "clip_name",
	    c->id);

	(void)next;
	free(text);
	return put_line(fp, v);
}

static int
put_scene(const struct job *j, int i, FILE *fp, int64_t *next)
{
	const struct clip *c = &j->clips[i];
	json_t *v = cb_demo_json(&c->what, &words, c->id);

	(void)next;
	json_object_set_new(v, "file", json_string(c->file));
	json_object_set_new(v, "format", json_string(c->format->name));
	json_object_set_new(v, "size", json_pack("[i, i]", c->scene.w,
	    c->scene.h));
	json_object_set_new(v, "fps", json_real((double)c->fps_num /
	    c->fps_den));
	json_object_set_new(v, "frames", json_integer(c->frames));
	return put_line(fp, v);
}

typedef int put_fn(const struct job *, int i, FILE *, int64_t *next);

/* A jsonl about the clips from .. to-1. */
static int
write_file(const struct job *j, const char *name, int from, int to,
    put_fn *put)
{
	char *path = cb_strf("%s/%s", j->dir, name);
	struct cb_file *f;
	int64_t next = 0;
	int i, rc = cb_file_create(&f, path);

	free(path);
	if (rc < 0)
		return -1;
	for (i = from; i < to && rc == 0; i++)
		rc = put(j, i, f->fp, &next);
	if (rc == 0)
		return cb_file_commit(f);
	cb_file_discard(f);
	return -1;
}

static int
put_answers(const struct job *j, int i, FILE *fp, int64_t *next)
{
	(void)j;
	(void)i;
	(void)next;
	return put_line(fp, cb_demo_answers(&words));
}

static int
write_texts(const struct job *j)
{
	int t = j->ntrain, n = j->n;

	return write_file(j, "ans2label.json", 0, 1, put_answers) < 0 ||
	    write_file(j, "scenes.jsonl", 0, n, put_scene) < 0 ||
	    write_file(j, "captions-train.jsonl", 0, t, put_caption) < 0 ||
	    write_file(j, "captions-val.jsonl", t, n, put_caption) < 0 ||
	    write_file(j, "val.jsonl", t, n, put_questions) < 0 ||
	    write_file(j, "train.jsonl", 0, t, put_questions) < 0 ? -1 : 0;
}

/* ---- all ---------------------------------------------------------------- */

/* A folder that has videos of other settings would end as a mixture. */
static int
make_folders(const char *dir)
{
	char *videos = cb_strf("%s/videos", dir);
	int rc = cb_mkdirs(dir);

	if (rc == 0 && mkdir(videos, 0777) < 0)
		rc = errno == EEXIST ? cb_fail(CB_EUSAGE, "%s: is there "
		    "already; remove it, or name another directory", videos) :
		    cb_fail(CB_EIO, "%s", videos);
	free(videos);
	return rc;
}

static void
choose_formats(struct job *j, const struct cb_strs *names)
{
	const struct cb_film_format *f;
	int i, all = 0;

	while (cb_film_formats[all].name != NULL)
		all++;
	j->formats = calloc((size_t)(all + names->n), sizeof(*j->formats));
	if (j->formats == NULL)
		abort();
	for (i = 0; names->n == 0 && i < all; i++)
		j->formats[j->nformats++] = &cb_film_formats[i];
	for (i = 0; i < names->n; i++) {
		for (f = cb_film_formats; f->name != NULL; f++)
			if (strcmp(f->name, names->at[i]) == 0)
				break;
		if (f->name == NULL)
			cb_usage("--format %s: no such format; see cb-shapes(1)",
			    names->at[i]);
		j->formats[j->nformats++] = f;
	}
}

static int
make_set(struct job *j, int threads)
{
	int i, rc;

	if ((j->clips = calloc((size_t)j->n, sizeof(*j->clips))) == NULL)
		return cb_fail(CB_ENOMEM, "videos");
	for (i = 0; i < j->n; i++)
		choose(&j->clips[i], j, i);
	rc = make_folders(j->dir) < 0 || shoot_all(j, threads) < 0 ||
	    write_texts(j) < 0 ? -1 : 0;
	for (i = 0; i < j->n; i++)
		free(j->clips[i].file);
	free(j->clips);
	return rc;
}

int
main(int argc, char **argv)
{
	int64_t train = 2000, val = 300, seed = 0, threads = 0;
	struct cb_strs formats = { 0 };
	struct job j = { .dir = NULL };
	int rc;
	const struct cb_opt table[] = {
		{ 'o', "output", CB_OPT_STR, &j.dir, "DIR",
		    "directory to make or to fill", 0, 0 },
		{ 'n', "train", CB_OPT_INT, &train, "N",
		    "videos to learn from [2000]", 1, 99999 },
		{ 'v', "val", CB_OPT_INT, &val, "N",
		    "held-out videos [300]", 0, 99999 },
		{ 's', "seed", CB_OPT_INT, &seed, "N",
		    "another seed, other videos [0]", 0, 9e15 },
		{ 'f', "format", CB_OPT_LIST, &formats, "NAME",
		    "such as mp4/h264; repeatable [all of cb-shapes(1)]", 0, 0 },
		{ 'j', "threads", CB_OPT_INT, &threads, "N",
		    "videos made at a time [one a core]", 0, 1024 },
		{ 0 }
	};

	if (cb_options(argc, argv, table, "-o dir [options]") < argc)
		cb_usage("there is nothing to read here");
	if (j.dir == NULL)
		cb_usage("-o is missing: where to?");
	choose_formats(&j, &formats);
	words = (struct cb_demo_words){ .shapes = cb_shape_names,
	    .colours = cb_colour_names, .patterns = cb_pattern_names };
	j.ntrain = (int)train;
	j.n = (int)(train + val);
	j.seed = (uint64_t)seed;
	rc = make_set(&j, (int)threads) < 0 ? cb_complain() : 0;
	free(j.formats);
	free(formats.at);
	return rc;
}
