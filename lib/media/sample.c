/*
 * Which frames a plan asks for: pure arithmetic on struct cb_media_info.
 *
 * cb_sample_original() is the original's sampler with all its faults, as the
 * README of the media samples states it in section 2.  The default differs
 * only in what it is given: the facts of the header are replaced where the
 * packets of the file say otherwise (repair()).  So both choose the same frames
 * wherever the original is well behaved:
 *
 *	header		frames that are really there, none that an edit list
 *			hides; a duration that the frames fill
 *	first time	positions count from the first frame, not from pts 0
 *	frame rate	one that the frames bear out
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/private.h"

static const char *const names[] = {
	"clips", "rand", "uniform", "start", "middle", "end"
};

const char *
cb_strategy_name(enum cb_strategy s)
{
	return names[s];
}

int
cb_strategy_parse(enum cb_strategy *out, const char *name)
{
	int i;

	for (i = 0; i < CB_NSTRATEGY; i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = i;
			return 0;
		}
	}
	return cb_fail(CB_EUSAGE, "%s: no such strategy (clips, rand, "
	    "uniform, start, middle, end)", name);
}

void
cb_plan_clear(struct cb_plan *p)
{
	free(p->draw);
	p->draw = NULL;
}

/* ---- the original ------------------------------------------------------- */

static void
place_clip(double *start, double *end, double size, double clip_size,
    const struct cb_clip *c)
{
	double delta = size - clip_size > 0 ? size - clip_size : 0;
	int which = c->clip, of = c->clips;

	switch (c->strategy) {
	case CB_SAMPLE_UNIFORM:
		which = 0;
		of = 1;
		break;
	case CB_SAMPLE_START:
	case CB_SAMPLE_MIDDLE:
	case CB_SAMPLE_END:
		which = (int)(c->strategy - CB_SAMPLE_START);
		of = 3;
		break;
	default:
		break;
	}
	if (c->strategy == CB_SAMPLE_RAND)
		*start = 0 + (delta - 0) * c->draw;
	else
		*start = delta * which / of;
	*end = *start + clip_size - 1;
}

/* torch.linspace in float32, clamped to the list, cut to whole numbers. */
static void
spread(int64_t *at, int n, double start, double end, int64_t count)
{
	float a = (float)start, b = (float)end, step, x;
	int i;

	step = n > 1 ? (b - a) / (float)(n - 1) : 0;
	for (i = 0; i < n; i++) {
		if (n == 1 || i < n / 2)
			x = a + step * (float)i;
		else
			x = b - step * (float)(n - 1 - i);
		if (x < 0)
			x = 0;
		if (x > (float)(count - 1))
			x = (float)(count - 1);
		at[i] = (int64_t)x;
	}
}

struct stamp {
	int64_t	 pts, index;
};

static int
by_time(const void *a, const void *b)
{
	const struct stamp *x = a, *y = b;

	if (x->pts != y->pts)
		return x->pts < y->pts ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/*
 * Frames from start to end and the first one beyond, in order of time; of
 * equal times the later frame stays.  Yours to free; NULL: no memory.
 */
static struct stamp *
window(int64_t *count, const struct cb_media_info *info, double start,
    double end)
{
	struct stamp *w = malloc(sizeof(*w) * (info->frames + 1));
	int64_t i, n = 0, m = 0;

	if (w == NULL)
		return NULL;
	for (i = 0; i < info->frames; i++) {
		if ((double)info->pts[i] < start)
			continue;
		w[n].pts = info->pts[i];
		w[n++].index = i;
		if ((double)info->pts[i] > end)
			break;
	}
	qsort(w, n, sizeof(*w), by_time);
	for (i = 0; i < n; i++) {
		if (m > 0 && w[m - 1].pts == w[i].pts)
			m--;
		w[m++] = w[i];
	}
	*count = m;
	return w;
}

int
cb_sample_original(int64_t *index, int64_t *listed, int64_t *max_pts,
    const struct cb_media_info *info, const struct cb_clip *c)
{
	double clip_size = 1 * (double)c->frames / c->fps * info->fps;
	double N = (double)info->header_frames, D, start, end, from, to;
	bool known = info->header_duration >= 0, all = !known;
	bool uniform = c->strategy == CB_SAMPLE_UNIFORM;
	struct stamp *w;
	int64_t count, i, last = 0;

	if (info->fps <= 0)
		return cb_fail(CB_EFORMAT, "no average frame rate");
	D = (double)info->header_duration;
	if (known && c->safeguard) {
		for (i = 0; i < info->frames; i++)
			last = info->pts[i] > last ? info->pts[i] : last;
		if (*max_pts > 0) {
			D = (double)*max_pts;
		} else {
			if ((double)last < 0.8 * D)
				D = (double)last;
			*max_pts = (int64_t)D;
		}
	}
	from = -INFINITY;
	to = INFINITY;
	if (known) {
		if (N == 0)
			return cb_fail(CB_EFORMAT, "division by zero");
		if (uniform)
			clip_size = N;
		place_clip(&start, &end, N, clip_size, c);
		from = trunc(start * (D / N));
		to = trunc(end * (D / N));
	}
	if ((w = window(&count, info, from, to)) == NULL)
		return cb_fail(CB_ENOMEM, "frame list");
	*listed = count;
	if (count == 0) {
		free(w);
		return cb_fail(CB_EFORMAT, "no frame in range");
	}
	if (uniform)
		clip_size = (double)count;
	if (all)
		place_clip(&start, &end, (double)count, clip_size, c);
	else {
		start = 0;
		end = clip_size - 1;
	}
	spread(index, c->frames, start, end, count);
	for (i = 0; i < c->frames; i++)
		index[i] = w[index[i]].index;
	free(w);
	return 0;
}

/* ---- the default --------------------------------------------------------- */

/*
 * The same facts, from what the packets say.  out->pts is new, yours to free.
 * A stated rate is believed within a factor of 1.5 of the rate that the times
 * of the frames give.
 */
static int
repair(struct cb_media_info *out, const struct cb_media_info *in)
{
	double unit = (double)in->tb_num / in->tb_den, rate;
	int64_t lo = INT64_MAX, hi = INT64_MIN, i;

	*out = *in;
	if ((out->pts = malloc(sizeof(*out->pts) * (in->frames + 1))) == NULL)
		return cb_fail(CB_ENOMEM, "frame list");
	for (i = 0; i < in->frames; i++) {
		lo = in->pts[i] < lo ? in->pts[i] : lo;
		hi = in->pts[i] > hi ? in->pts[i] : hi;
	}
	for (i = 0; i < in->frames; i++)
		out->pts[i] = (int64_t)((uint64_t)in->pts[i] - (uint64_t)lo);
	out->header_frames = in->frames;
	if (in->header_duration >= 0)
		out->header_duration = (int64_t)(in->duration_s / unit + 0.5);
	rate = hi > lo ? (double)(in->frames - 1) /
	    (((double)hi - (double)lo) * unit) : 0;
	if (in->fps <= 0 || (rate > 0 &&
	    (in->fps > 1.5 * rate || in->fps < rate / 1.5)))
		out->fps = rate > 0 ? rate : 1;
	return 0;
}

static int
fill_cut(struct cb_cut *out, const struct cb_plan *plan,
    const struct cb_media_info *info)
{
	struct cb_clip c = {
		.strategy = plan->strategy, .clips = plan->clips,
		.frames = plan->frames, .fps = plan->fps,
		.safeguard = plan->original &&
		    plan->strategy == CB_SAMPLE_CLIPS && plan->clips > 1,
	};
	int64_t listed, max_pts = 0;
	int k;

	for (k = 0; k < plan->clips; k++) {
		c.clip = k;
		c.draw = plan->draw != NULL ? plan->draw[k] : 0;
		if (cb_sample_original(out->index + (int64_t)k * plan->frames,
		    &listed, &max_pts, info, &c) < 0)
			return -1;
	}
	return 0;
}

static int
by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

int
cb_plan_resolve(struct cb_cut *out, const struct cb_plan *plan,
    const struct cb_media_info *info)
{
	struct cb_media_info fixed = { .pts = NULL };
	int n, i, rc = -1;

	memset(out, 0, sizeof(*out));
	out->clips = info->image ? 1 : plan->clips;
	out->frames = info->image ? 1 : plan->frames;
	n = out->clips * out->frames;
	out->index = calloc(n, sizeof(*out->index));
	out->want = calloc(n, sizeof(*out->want));
	if (out->index == NULL || out->want == NULL) {
		cb_fail(CB_ENOMEM, "plan");
		goto done;
	}
	if (info->image) {
		out->nwant = 1;
		return 0;
	}
	if (info->frames <= 0) {
		cb_fail(CB_EFORMAT, "holds no picture");
		goto done;
	}
	if (!plan->original && repair(&fixed, info) < 0)
		goto done;
	if (fill_cut(out, plan, plan->original ? info : &fixed) < 0)
		goto done;
	memcpy(out->want, out->index, sizeof(*out->want) * n);
	qsort(out->want, n, sizeof(*out->want), by_number);
	for (i = 0; i < n; i++)
		if (out->nwant == 0 ||
		    out->want[out->nwant - 1] != out->want[i])
			out->want[out->nwant++] = out->want[i];
	rc = 0;
done:
	free(fixed.pts);
	if (rc < 0)
		cb_cut_clear(out);
	return rc;
}

void
cb_cut_clear(struct cb_cut *c)
{
	free(c->index);
	free(c->want);
	memset(c, 0, sizeof(*c));
}

int
cb_cut_place(const struct cb_cut *c, int64_t index)
{
	const int64_t *p = bsearch(&index, c->want, c->nwant,
	    sizeof(*c->want), by_number);

	return p != NULL ? (int)(p - c->want) : -1;
}

/* ---- picking --------------------------------------------------------------- */

void
cb_picker_step(struct cb_picker *p, int64_t index, int *before, int *now)
{
	int first = p->next;

	while (p->next < p->n && p->want[p->next] < index)
		p->next++;
	*before = p->any ? p->next : first;
	if (p->next < p->n && p->want[p->next] == index) {
		p->next++;
		p->exact++;
	}
	*now = p->next;
	p->any = true;
}

bool
cb_picker_enough(int exact, int n)
{
	return 2 * (int64_t)exact >= n;
}
