/*
 * Pictures to grid: ResNet in detectron2's MSRA form (the stride sits in the
 * first 1x1 of a stage) with frozen batch norm, then the grid encoder.
 *
 *	stem	7x7/2 - norm - ReLU - max pool 3x3/2
 *	res2-5	bottlenecks: 1x1 - 3x3 - 1x1 + shortcut
 *	grid	3x3 - max pool 2x2 - ReLU
 *
 * Of a stage the next one reads but every second pixel of every second row, so
 * its last block makes no others: the stride is in its 3x3 and in its shortcut,
 * which gives the same numbers.
 *
 * What does not train keeps nothing: the pictures pass through the frozen part
 * (all of it, when scoring) a few at a time, and only its end is stored.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define BN_EPS 1e-5f
#define CHUNK 8			/* pictures at a time where nothing is kept ... */
#define NEAR 2			/* ... in a host's caches, in the first stages */

/* ---- one convolution -------------------------------------------------------- */

static int
conv_build(struct cb_model *m, struct conv *c, const char *name, int H, int O,
    int C, int k, int stride)
{
	struct cb_engine *e = m->e;

	c->g = (struct cb_conv){ .H = H, .W = H, .C = C, .O = O, .k = k,
	    .stride = stride, .pad = k / 2,
	    .blank = c == &m->cnn.stem ? e->blank : 0 };
	c->w = find(m, "%s.weight", name);
	c->norm = find(m, "%s.norm.weight", name);
	c->trainable = m->params[c->w].trainable;
	if (e->conv_new(e, &c->plan, &c->g) < 0)
		return cb_fail_at("%s", name);
	if (c->norm < 0)
		return 0;
	c->scale = e->alloc(e, O * sizeof(float));
	c->shift = e->alloc(e, O * sizeof(float));
	return c->scale == NULL || c->shift == NULL ? -1 : 0;
}

static void
conv_clear(struct cb_model *m, struct conv *c)
{
	if (c->plan != NULL)
		m->e->conv_free(m->e, c->plan);
	if (c->scale != NULL)
		m->e->release(m->e, c->scale);
	if (c->shift != NULL)
		m->e->release(m->e, c->shift);
}

/* The norm's four constants as one scale and one shift. */
static void
conv_fold(struct cb_model *m, struct conv *c)
{
	int O = c->g.O, i;
	float *t = malloc(6 * O * sizeof(*t));	/* w b mean var scale shift */

	if (t == NULL)
		abort();
	for (i = 0; i < 4; i++)
		cb_model_get(m, c->norm + i, t + i * O);
	for (i = 0; i < O; i++) {
		t[4 * O + i] = t[i] / sqrtf(t[3 * O + i] + BN_EPS);
		t[5 * O + i] = t[O + i] - t[2 * O + i] * t[4 * O + i];
	}
	m->e->put(m->e, c->scale, t + 4 * O, O * sizeof(*t));
	m->e->put(m->e, c->shift, t + 5 * O, O * sizeof(*t));
	free(t);
}

static void
conv_pack(struct cb_model *m, struct conv *c, bool all)
{
	if (c->plan == NULL || (!all && !c->trainable))
		return;
	if (all && c->norm >= 0)
		conv_fold(m, c);
	/* gradients pass through everything behind the first trained weight */
	m->e->conv_pack(m->e, c->plan, param(m, c->w), c->scale, c->shift,
	    c->trainable && !m->scoring);
}

static int64_t
conv_in(const struct conv *c)
{
	return (int64_t)c->g.H * c->g.W * (c->g.C + c->g.blank);
}

static int64_t
conv_out(const struct conv *c)
{
	int side = (c->g.H + 2 * c->g.pad - c->g.k) / c->g.stride + 1;

	return (int64_t)side * side * c->g.O;
}

/* Norm statistics from the data that arrive: see cb_model_calibrate(). */
static void
conv_calibrate(struct cb_model *m, struct conv *c, const struct cb_elem *x,
    int P)
{
	struct cb_engine *e = m->e;
	struct mark mark = arena_mark(&m->arena);
	struct cb_elem *y = take(m, P * conv_out(c));

	e->conv_pack(e, c->plan, param(m, c->w), NULL, NULL, false);
	e->conv_fwd(e, c->plan, y, x, NULL, false, P);
	e->moments(e, param(m, c->norm + 2), param(m, c->norm + 3), y,
	    P * conv_out(c) / c->g.O, c->g.O);
	arena_release(&m->arena, mark);
	conv_pack(m, c, true);
}

static void
conv_forward(struct cb_model *m, struct conv *c, struct cb_elem *y,
    const struct cb_elem *x, const struct cb_elem *res, bool relu, int P)
{
	if (m->calibrating && c->norm >= 0)
		conv_calibrate(m, c, x, P);
	m->e->conv_fwd(m->e, c->plan, y, x, res, relu, P);
}

static void
conv_backward(struct cb_model *m, struct conv *c, struct cb_elem *dx, bool add,
    const struct cb_elem *dy, const struct cb_elem *x, int P)
{
	m->e->conv_bwd(m->e, c->plan, dx, add, grad(m, c->w), dy, x, P);
}

/* ---- building ---------------------------------------------------------------- */

/* last: of a stage that another follows. */
static int
block_build(struct cb_model *m, struct bottleneck *b, int stage, int i,
    bool last, int H, int C, int mid, int O)
{
	int stride = last ? 2 : 1;
	char name[128], part[160];

	snprintf(name, sizeof(name), "cnn.feature.backbone.res%d.%d.", stage,
	    i);
	b->H = b->W = H;
	b->C = C;
	b->OH = b->OW = (H - 1) / stride + 1;
	b->O = O;
	b->shortcut.w = -1;
	if (C != O) {
		snprintf(part, sizeof(part), "%sshortcut", name);
		if (conv_build(m, &b->shortcut, part, H, O, C, 1, stride) < 0)
			return -1;
	} else if (last) {
		b->thin = (struct cb_pool2d){ H, H, C, 1, stride, 0, false };
	}
	snprintf(part, sizeof(part), "%sconv1", name);
	if (conv_build(m, &b->conv1, part, H, mid, C, 1, 1) < 0)
		return -1;
	snprintf(part, sizeof(part), "%sconv2", name);
	if (conv_build(m, &b->conv2, part, H, mid, mid, 3, stride) < 0)
		return -1;
	snprintf(part, sizeof(part), "%sconv3", name);
	b->trainable = b->conv1.trainable;
	return conv_build(m, &b->conv3, part, b->OH, O, mid, 1, 1);
}

/* Is what reaches a block what its result is added to? */
static bool
is_identity(const struct bottleneck *b)
{
	return b->shortcut.w < 0 && b->thin.k == 0;
}

int
cnn_build(struct cb_model *m)
{
	const struct cb_model_config *c = &m->c;
	struct cnn *n = &m->cnn;
	int H = (c->image - 1) / 2 + 1, C = c->stem, stage, i, all = 0;
	bool last;

	for (i = 0; i < CB_STAGES; i++)
		all += c->blocks[i];
	if ((n->blocks = calloc(all, sizeof(*n->blocks))) == NULL)
		return cb_fail(CB_ENOMEM, "model");
	if (conv_build(m, &n->stem, "cnn.feature.backbone.stem.conv1",
	    c->image, c->stem, 3, 7, 2) < 0)
		return -1;
	n->stem_trains = n->stem.trainable;
	n->stem_pool = (struct cb_pool2d){ H, H, C, 3, 2, 1, false };
	H = (H - 1) / 2 + 1;
	for (stage = 2; stage < 2 + CB_STAGES; stage++) {
		for (i = 0; i < c->blocks[stage - 2]; i++) {
			struct bottleneck *b = &n->blocks[n->nblocks++];

			last = i + 1 == c->blocks[stage - 2] &&
			    stage + 1 < 2 + CB_STAGES;
			if (block_build(m, b, stage, i, last, H, C,
			    c->width << (stage - 2),
			    c->res2 << (stage - 2)) < 0)
				return -1;
			H = b->OH;
			C = b->O;
			n->frozen += !b->trainable;
		}
	}
	n->grid_pool = (struct cb_pool2d){ H, H, c->hidden, 2, 2, 0, true };
	n->h = H / 2;
	if (n->h < 1)
		return cb_fail(CB_EUSAGE, "images of %d pixels are too small",
		    c->image);
	return conv_build(m, &n->grid, "cnn.grid_encoder.0", H, c->hidden, C,
	    3, 1);
}

void
cnn_clear(struct cb_model *m)
{
	struct cnn *n = &m->cnn;
	int i;

	for (i = 0; i < n->nblocks; i++) {
		conv_clear(m, &n->blocks[i].conv1);
		conv_clear(m, &n->blocks[i].conv2);
		conv_clear(m, &n->blocks[i].conv3);
		conv_clear(m, &n->blocks[i].shortcut);
	}
	free(n->blocks);
	conv_clear(m, &n->stem);
	conv_clear(m, &n->grid);
}

void
cnn_pack(struct cb_model *m, bool all)
{
	struct cnn *n = &m->cnn;
	int i;

	conv_pack(m, &n->stem, all);
	for (i = 0; i < n->nblocks; i++) {
		conv_pack(m, &n->blocks[i].conv1, all);
		conv_pack(m, &n->blocks[i].conv2, all);
		conv_pack(m, &n->blocks[i].conv3, all);
		conv_pack(m, &n->blocks[i].shortcut, all);
	}
	conv_pack(m, &n->grid, all);
}

/* ---- forward ------------------------------------------------------------------ */

static int64_t
block_out(const struct bottleneck *b)
{
	return (int64_t)b->OH * b->OW * b->O;
}

/* Keeps x, a, b and y for the backward pass where keep.  spare: room for what
 * the shortcut makes, but on the host, where y is; NULL: none. */
static void
block_forward(struct cb_model *m, struct bottleneck *b, struct cb_elem *y,
    struct cb_elem *x, struct cb_elem *spare, int P, bool keep)
{
	struct mark mark = arena_mark(&m->arena), temp;
	struct cb_elem *a = take(m, P * conv_out(&b->conv1));
	struct cb_elem *c = take(m, P * conv_out(&b->conv2)), *r = x;

	temp = arena_mark(&m->arena);
	conv_forward(m, &b->conv1, a, x, NULL, true, P);
	conv_forward(m, &b->conv2, c, a, NULL, true, P);
	if (!is_identity(b))
		r = m->e->on_host ? y : spare != NULL ? spare :
		    take(m, P * block_out(b));
	if (b->shortcut.w >= 0)
		conv_forward(m, &b->shortcut, r, x, NULL, false, P);
	else if (r != x)
		m->e->pool_fwd(m->e, r, x, &b->thin, P);
	conv_forward(m, &b->conv3, y, c, r, true, P);
	arena_release(&m->arena, keep ? temp : mark);
	b->x = x;
	b->a = a;
	b->b = c;
	b->y = y;
}

static void
tap_stem(struct cb_model *m, const struct cb_elem *x, int P)
{
	const struct cb_pool2d *g = &m->cnn.stem_pool;
	int64_t dim[] = { P, (g->H - 1) / 2 + 1, (g->W - 1) / 2 + 1, g->C };

	tap(m, x, 4, dim, "stem");
}

static void
tap_stage(struct cb_model *m, int i, const struct cb_elem *y, int P)
{
	const struct bottleneck *b = &m->cnn.blocks[i];
	int64_t dim[] = { P, b->OH, b->OW, b->O };
	int stage = 0, last = -1;

	do
		last += m->c.blocks[stage++];
	while (last < i);
	if (last == i)
		tap(m, y, 4, dim, "res%d", stage + 1);
}

/* What reaches block i: [H,W,C] of one picture. */
static int64_t
block_in(const struct cnn *n, int i)
{
	const struct bottleneck *b = &n->blocks[i];

	return i < n->nblocks ? (int64_t)b->H * b->W * b->C :
	    block_out(&n->blocks[n->nblocks - 1]);
}

/* Which of two buffers block i writes where x is in number `at`, -1 in neither.
 * On the host identity shortcuts are added to where they are. */
static int
goes_to(const struct cb_model *m, int i, int at)
{
	return m->e->on_host && is_identity(&m->cnn.blocks[i]) ? at :
	    at == 0 ? 1 : 0;
}

/*
 * Elements of a picture in each of the two buffers of pass(), where x is in
 * number `at`.  But for the host either may be the spare of the widest.
 */
static void
rooms(const struct cb_model *m, int64_t room[2], int i, int end, int at)
{
	const struct cnn *n = &m->cnn;
	int64_t most = 0;

	room[0] = room[1] = 0;
	if (at >= 0)
		room[at] = block_in(n, i);
	for (; i < end; i++) {
		at = goes_to(m, i, at);
		if (block_in(n, i + 1) > most)
			most = block_in(n, i + 1);
		if (at >= 0 && i + 1 < end && block_in(n, i + 1) > room[at])
			room[at] = block_in(n, i + 1);
	}
	if (!m->e->on_host)
		room[0] = room[1] = most > room[0] ? most : room[0];
}

/* Blocks [i, end) with nothing kept, between two buffers; the last one gives
 * `out`.  x may be two[0], or neither. */
static void
pass(struct cb_model *m, struct cb_elem *out, struct cb_elem *x,
    struct cb_elem *const two[2], int i, int end, int P)
{
	struct cb_elem *y, *spare;
	int at = x == two[0] ? 0 : -1, to;

	for (; i < end; i++, x = y, at = to) {
		to = goes_to(m, i, at);
		y = i + 1 == end ? out : to < 0 ? x : two[to];
		spare = at >= 0 ? NULL : two[y == two[0]];
		block_forward(m, &m->cnn.blocks[i], y, x, spare, P, false);
		tap_stage(m, i, y, P);
	}
}

/* Pictures to what reaches block `upto`, with nothing kept. */
static void
begin(struct cb_model *m, struct cb_elem *out, struct cb_elem *const two[2],
    const struct cb_array *pictures, int P, int upto)
{
	struct cnn *n = &m->cnn;
	struct cb_engine *e = m->e;
	struct mark mark = arena_mark(&m->arena), temp;
	struct cb_elem *z = upto == 0 ? out : take(m, P * block_in(n, 0)), *x;

	temp = arena_mark(&m->arena);
	x = take(m, P * conv_in(&n->stem));
	e->prepare(e, x, pictures, P, m->c.image, m->c.mean, m->c.std);
	conv_forward(m, &n->stem, two[0], x, NULL, true, P);
	arena_release(&m->arena, temp);
	e->pool_fwd(e, z, two[0], &n->stem_pool, P);
	tap_stem(m, z, P);
	pass(m, out, z, two, 0, upto, P);
	arena_release(&m->arena, mark);
}

/*
 * Stem and blocks [0, upto) with nothing kept, into out [P, ...].  Pictures go
 * through the first stages, which are wide, NEAR at a time, and through the
 * later ones, which have many weights, CHUNK at a time.
 */
static void
forward_through(struct cb_model *m, struct cb_elem *out,
    const struct cb_array *pictures, int P, int upto)
{
	struct cnn *n = &m->cnn;
	int wide = m->c.blocks[0] + m->c.blocks[1], at, i, p;
	/* statistics want all pictures, and taps whole layers */
	bool whole = m->calibrating || m->tap != NULL;
	int chunk = whole || P < CHUNK ? P : CHUNK, few;
	int64_t most[2], later[2];
	struct mark mark = arena_mark(&m->arena), near;
	struct cb_elem *two[2], *far[2], *x;

	wide = wide < upto ? wide : upto;
	few = whole || !m->e->on_host || chunk < NEAR ? chunk : NEAR;
	rooms(m, most, 0, wide, -1);
	if (conv_out(&n->stem) > most[0])
		most[0] = conv_out(&n->stem);
	rooms(m, later, wide, upto, 0);
	far[0] = wide < upto ? take(m, chunk * later[0]) : NULL;
	near = arena_mark(&m->arena);
	for (at = 0; at < P; at += chunk) {
		chunk = P - at < chunk ? P - at : chunk;
		x = wide == upto ? elem_at(m, out, at * block_in(n, upto)) :
		    far[0];
		two[0] = take(m, few * most[0]);
		two[1] = take(m, few * most[1]);
		for (i = 0; i < chunk; i += p) {
			p = chunk - i < few ? chunk - i : few;
			begin(m, elem_at(m, x, i * block_in(n, wide)), two,
			    pictures + at + i, p, wide);
		}
		arena_release(&m->arena, near);
		far[1] = wide < upto ? take(m, chunk * later[1]) : NULL;
		pass(m, elem_at(m, out, at * block_in(n, upto)), x, far, wide,
		    upto, chunk);
		arena_release(&m->arena, near);
	}
	arena_release(&m->arena, mark);
}

/* The same with everything kept, where the stem trains. */
static struct cb_elem *
stem_forward(struct cb_model *m, const struct cb_array *pictures, int P)
{
	struct cnn *n = &m->cnn;
	struct cb_engine *e = m->e;

	n->input = take(m, P * conv_in(&n->stem));
	n->stem_y = take(m, P * conv_out(&n->stem));
	n->pool_y = take(m, P * block_in(n, 0));
	e->prepare(e, n->input, pictures, P, m->c.image, m->c.mean, m->c.std);
	conv_forward(m, &n->stem, n->stem_y, n->input, NULL, true, P);
	e->pool_fwd(e, n->pool_y, n->stem_y, &n->stem_pool, P);
	tap_stem(m, n->pool_y, P);
	return n->pool_y;
}

struct cb_elem *
cnn_forward(struct cb_model *m, const struct cb_array *pictures, int P)
{
	struct cnn *n = &m->cnn;
	struct cb_engine *e = m->e;
	bool keep_stem = m->training && n->stem_trains;
	int first = keep_stem ? 0 : m->training ? n->frozen : n->nblocks, i;
	int64_t dim[] = { P, n->h, n->h, m->c.hidden };
	struct cb_elem *x, *y;

	n->P = P;
	n->grid_y = take(m, P * (int64_t)n->h * n->h * m->c.hidden);
	n->dgrid = m->training ?
	    take(m, P * (int64_t)n->h * n->h * m->c.hidden) : NULL;
	if (keep_stem) {
		x = stem_forward(m, pictures, P);
	} else {
		x = take(m, P * block_in(n, first));
		forward_through(m, x, pictures, P, first);
	}
	for (i = first; i < n->nblocks; i++) {
		y = take(m, P * block_out(&n->blocks[i]));
		block_forward(m, &n->blocks[i], y, x, NULL, P, true);
		tap_stage(m, i, y, P);
		x = y;
	}
	n->grid_x = x;
	n->grid_conv = take(m, P * conv_out(&n->grid));
	conv_forward(m, &n->grid, n->grid_conv, x, NULL, false, P);
	e->pool_fwd(e, n->grid_y, n->grid_conv, &n->grid_pool, P);
	tap(m, n->grid_y, 4, dim, "grid");
	n->behind = arena_mark(&m->arena);
	return n->grid_y;
}

/* ---- backward ------------------------------------------------------------------ */

/* dx = d where the shortcut read x, 0 elsewhere. */
static void
thin_backward(struct cb_model *m, struct bottleneck *b, struct cb_elem *dx,
    const struct cb_elem *d, int P)
{
	struct mark mark = arena_mark(&m->arena);
	struct cb_elem *r = take(m, P * block_out(b));

	m->e->pool_fwd(m->e, r, b->x, &b->thin, P);
	m->e->pool_bwd(m->e, dx, d, b->x, r, &b->thin, P);
	arena_release(&m->arena, mark);
}

/*
 * d [P, out] is the gradient of y, changed in place; dx NULL: not wanted.  Where
 * the shortcut is the identity, d becomes the gradient of x.
 */
static struct cb_elem *
block_backward(struct cb_model *m, struct bottleneck *b, struct cb_elem *dx,
    struct cb_elem *d, int P)
{
	struct cb_engine *e = m->e;
	struct mark mark = arena_mark(&m->arena);
	int64_t na = P * conv_out(&b->conv1), nb = P * conv_out(&b->conv2);
	struct cb_elem *da = take(m, na), *db = take(m, nb);

	e->act_bwd(e, d, d, b->y, CB_ACT_RELU, P * block_out(b));
	conv_backward(m, &b->conv3, db, false, d, b->b, P);
	e->act_bwd(e, db, db, b->b, CB_ACT_RELU, nb);
	conv_backward(m, &b->conv2, da, false, db, b->a, P);
	e->act_bwd(e, da, da, b->a, CB_ACT_RELU, na);
	if (b->shortcut.w >= 0) {
		conv_backward(m, &b->conv1, dx, false, da, b->x, P);
		conv_backward(m, &b->shortcut, dx, true, d, b->x, P);
	} else if (!is_identity(b)) {
		if (dx != NULL)
			thin_backward(m, b, dx, d, P);
		conv_backward(m, &b->conv1, dx, true, da, b->x, P);
	} else {
		conv_backward(m, &b->conv1, dx != NULL ? d : NULL, true, da,
		    b->x, P);
		dx = d;
	}
	arena_release(&m->arena, mark);
	return dx;
}

/* Is the gradient of what reaches block i wanted? */
static bool
passes(const struct cnn *n, int i)
{
	return i > n->frozen || n->stem_trains;
}

/*
 * Elements of a picture in each of two buffers for gradients, between which
 * they go where a shortcut is no identity.
 */
static void
flight(const struct cnn *n, int64_t most[2])
{
	int i, k = 0;

	most[0] = block_in(n, n->nblocks);
	most[1] = 0;
	for (i = n->nblocks - 1; i >= 0 && passes(n, i); i--) {
		if (is_identity(&n->blocks[i]))
			continue;
		k = 1 - k;
		if (block_in(n, i) > most[k])
			most[k] = block_in(n, i);
	}
}

void
cnn_backward(struct cb_model *m)
{
	struct cnn *n = &m->cnn;
	struct cb_engine *e = m->e;
	struct mark inner;
	int P = n->P, first = n->stem_trains ? 0 : n->frozen, i;
	bool more = n->stem_trains || first < n->nblocks;
	struct cb_elem *two[2], *d, *dx;
	int64_t most[2];

	arena_release(&m->arena, n->behind);
	flight(n, most);
	two[0] = more ? take(m, P * most[0]) : NULL;
	two[1] = more ? take(m, P * most[1]) : NULL;
	inner = arena_mark(&m->arena);
	d = take(m, P * conv_out(&n->grid));
	e->pool_bwd(e, d, n->dgrid, n->grid_conv, n->grid_y, &n->grid_pool, P);
	conv_backward(m, &n->grid, two[0], false, d, n->grid_x, P);
	arena_release(&m->arena, inner);
	d = two[0];
	for (i = n->nblocks - 1; i >= first; i--) {
		dx = passes(n, i) ? (d == two[0] ? two[1] : two[0]) : NULL;
		d = block_backward(m, &n->blocks[i], dx, d, P);
	}
	if (n->stem_trains) {
		dx = take(m, P * conv_out(&n->stem));
		e->pool_bwd(e, dx, d, n->stem_y, n->pool_y, &n->stem_pool, P);
		e->act_bwd(e, dx, dx, n->stem_y, CB_ACT_RELU,
		    P * conv_out(&n->stem));
		conv_backward(m, &n->stem, NULL, false, dx, n->input, P);
	}
	arena_release(&m->arena, n->behind);
}

/* What a training run keeps of one picture, gradients in flight included. */
int64_t
cnn_bytes(const struct cb_model *m)
{
	const struct cnn *n = &m->cnn;
	int first = n->stem_trains ? 0 : n->frozen, i;
	int64_t all = block_in(n, first) + 3 * conv_out(&n->grid), inner = 0;
	int64_t most[2];

	flight(n, most);
	if (n->stem_trains)
		all += 3 * (int64_t)m->c.image * m->c.image +
		    2 * conv_out(&n->stem);
	for (i = first; i < n->nblocks; i++) {
		const struct bottleneck *b = &n->blocks[i];
		int64_t two = conv_out(&b->conv1) + conv_out(&b->conv2);

		all += two + block_out(b);
		inner = two > inner ? two : inner;
	}
	return (all + most[0] + most[1] + inner) * (int64_t)m->e->elem_size;
}
