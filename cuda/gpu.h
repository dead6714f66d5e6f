/*
 * gpu: the engine as its own files see it.  Entries of struct cb_engine are
 * gpu_NAME(); most of them are a launch of the kernel cu_NAME() or a call of a
 * library (libs.h).
 *
 *	engine.c	the table; opening, errors
 *	mem.c		device memory, kept for the next who asks; scratch
 *	graph.c		what is asked for between two sync() becomes one graph
 *	move.c		between host and device, by way of pinned memory
 *	pictures.c	uploads on a stream of their own, preparation
 *	conv.c linear.c	plans: weights in the type of the elements, padded
 *	ops.c		all that is one kernel
 *	optim.c		sums of squares and AdamW over many segments at once
 *	pack.c		weights as elements, by AdamW itself where it can
 *
 * One stream computes.  What a later operation writes may be what an earlier
 * one still reads: the stream keeps their order, and so released memory is
 * given out again at once.
 */
#ifndef CB_CUDA_GPU_H
#define CB_CUDA_GPU_H

#include "cache.h"
#include "engine/engine.h"
#include "kernels.h"
#include "libs.h"

/* ---- parts of the engine ------------------------------------------------- */

struct block {
	void	*p;
	int64_t	 bytes;
	bool	 spare;		/* released: to be given out again */
};

/* Memory that is made anew when more of it is wanted. */
struct buffer {
	void	*p;
	int64_t	 bytes;
};

/* Pinned memory, taken from its beginning on between two waits. */
struct stage {
	char	*p;
	int64_t	 bytes, used;
};

/* An executable graph, for what has these operations and as many nodes. */
struct exec {
	cudaGraphExec_t exec;
	uint64_t names;
	size_t	 nodes;
	int64_t	 used;		/* when, by graphs.clock */
};

enum { GPU_GRAPHS = 16 };

struct graphs {
	bool	 wanted;
	bool	 capturing, plain;	/* since the last wait; see graph.c */
	bool	 pending;		/* something was asked for */
	uint64_t names;			/* hash of the operations captured */
	struct exec at[GPU_GRAPHS];
	int	 n;
	int64_t	 clock;
	struct cache met;		/* sizes that libraries have run with */
};

/* A picture of the host, and where it lies in the memories of its set. */
struct picture {
	const void *data;
	int64_t	 bytes, at;
	bool	 pinned;		/* it can go from where it is */
};

/* Pictures that an expect() named. */
struct set {
	struct picture *at;
	int	 n, room;
	int	 users;			/* expect() without forget(); 0: free */
	struct buffer host, device;	/* places are alike in both; host: of
					 * pictures that are not pinned */
	bool	 sent;			/* copied, with `here` behind it */
	bool	 wanted;		/* since the last wait, by prepare() */
	bool	 ordered;		/* what is launched comes behind `here` */
	cudaEvent_t here;
};

/* Pinned memory of the host that is not the engine's. */
struct span {
	char	*p;
	int64_t	 bytes;
};

struct pictures {
	cudaStream_t stream;		/* of the copies */
	struct span *spans;
	int	 nspans;
	struct set *sets;
	int	 n;
	struct cu_picture *table;	/* of one prepare() */
	int	 room;
};

/*
 * Parameters as libraries take them, in elements: of a linear map; of a
 * convolution [O,C,k,k], that become [Op,k,k,Cp] times a scale [O]; or a bias,
 * with what it is in elements and a copy of a scale beside it (cu_bias()).
 */
enum pack_kind { PACK_LINEAR, PACK_CONV, PACK_BIAS };

struct pack {
	enum pack_kind kind;
	const float *x;		/* the parameters; of a bias: NULL: zeros */
	void	*y;		/* elements */
	float	*wide, *kept;	/* of a bias */
	const float *scale;	/* NULL: none */
	int	 O, Op, C, Cp, k;	/* of a linear map [O,C] alone */
};

enum { GPU_SEGMENTS = 64, GPU_PACKS = 512,
	GPU_PIECES = GPU_SEGMENTS + 2 * GPU_PACKS };

struct optim {
	double	*sums, *host;		/* device, pinned: [GPU_SEGMENTS] */
	double	*to[GPU_SEGMENTS];
	int	 nsums;
	/* adamw() called so far in a row, to be one kernel */
	float	*w, *m, *v;
	const float *g;
	struct cb_adamw a;
	struct cu_segment at[GPU_SEGMENTS];
	int	 n;
	/* gpu_pack() called so far behind these */
	struct pack packs[GPU_PACKS];
	int	 npacks;
	struct cu_segment *pieces;	/* device: [GPU_PIECES] */
	struct cu_segment host_pieces[GPU_PIECES];
};

struct gpu {
	struct cb_engine e;		/* first: an engine is a gpu */
	enum cu_type type;
	cudaStream_t stream;
	struct cu_lt *lt;
	struct cu_dnn *dnn;

	/* the first error since sync() last told of one */
	enum cb_code code;
	char	 error[512];

	struct block *blocks;		/* all of cudaMalloc() */
	int	 nblocks;
	struct buffer scratch, space;
	struct stage stage;
	struct graphs graphs;
	struct pictures pictures;
	struct optim optim;
	float	*scale;			/* device: loss_scale as it was put */
	float	 scale_is;
};

static inline struct gpu *
gpu_of(struct cb_engine *e)
{
	return (struct gpu *)e;
}

/* ---- engine.c: errors ---------------------------------------------------- */

/* Keeps the first: what sync() will say.  call may go on behind its name. */
bool	gpu_good(struct gpu *g, int status, const char *call);
/* Of a call of libs.h: 0, or -1 with cb_error(). */
bool	gpu_lib(struct gpu *g, int rc);
void	gpu_fail(struct gpu *g, enum cb_code code, const char *fmt, ...)
	    CB_PRINTF(3, 4);

/* A call that returns a cudaError_t; is whether it was good. */
#define CU(g, call) gpu_good(g, call, #call)

struct cb_mask gpu_mask(const struct cb_drop *d);

/* ---- mem.c --------------------------------------------------------------- */

void	*gpu_alloc(struct cb_engine *e, int64_t bytes);
void	gpu_release(struct cb_engine *e, void *p);
/* As gpu_alloc(), not zeroed, for the engine's own use: errors are kept for
 * sync(). */
void	*gpu_take(struct gpu *g, int64_t bytes);
/*
 * At least so many bytes; what was there before is lost, and operations asked
 * for earlier may go on using it.  NULL: none, which is kept for sync().
 * gpu_scratch(): of one operation, that is valid until the next asks for it.
 */
void	*gpu_scratch(struct gpu *g, int64_t bytes);
/* What a library may use besides. */
struct cu_work gpu_work(struct gpu *g, size_t bytes);
void	gpu_mem_free(struct gpu *g);

/* So many bytes off *p, which goes on at a multiple of 256; NULL stays. */
static inline void *
gpu_cut(char **p, int64_t bytes)
{
	void *at = *p;

	if (at != NULL)
		*p += (bytes + 255) / 256 * 256;
	return at;
}

/* What to ask gpu_scratch() for, for one such cut. */
static inline int64_t
gpu_piece(int64_t bytes)
{
	return (bytes + 255) / 256 * 256;
}

/* ---- graph.c ------------------------------------------------------------- */

/* The stream for the next operation, which follows at once: memory for it is
 * had before.  name: of the operation. */
cudaStream_t gpu_begin(struct gpu *g, const char *name);

/* An operation by a library with some sizes. */
struct sizes {
	int32_t	 op, n[9];
};

/* The same for it, since it may not be captured before it has run once. */
cudaStream_t gpu_begin_lib(struct gpu *g, const char *name,
	    const struct sizes *s);

/* Until all that was asked for is done. */
void	gpu_wait(struct gpu *g);
int	gpu_sync(struct cb_engine *e);
void	gpu_graphs_free(struct gpu *g);

/* ---- move.c -------------------------------------------------------------- */

/* n pinned bytes, the caller's until the next wait, which this may be.  NULL:
 * none, which is kept for sync(). */
void	*gpu_stage(struct gpu *g, struct stage *s, int64_t n, int64_t most);
void	gpu_put(struct cb_engine *e, void *to, const void *host, int64_t n);
void	gpu_get(struct cb_engine *e, void *host, const void *from, int64_t n);
void	gpu_put_elem(struct cb_engine *e, struct cb_elem *to,
	    const float *host, int64_t n);
void	gpu_get_elem(struct cb_engine *e, float *host,
	    const struct cb_elem *from, int64_t n);
void	gpu_zero(struct cb_engine *e, void *p, int64_t bytes);
/*
 * What is a part of something else may begin anywhere (the scores of one clip);
 * kernels want multiples of 16 bytes.  x itself where it does; else a copy of it
 * at *p of the scratch, which has room for gpu_spare(x, bytes).
 */
void	*gpu_aligned(struct gpu *g, char **p, const void *x, int64_t bytes);

static inline int64_t
gpu_spare(const void *x, int64_t bytes)
{
	return (uintptr_t)x % 16 == 0 ? 0 : gpu_piece(bytes);
}

/* ---- pictures.c ---------------------------------------------------------- */

int	gpu_pictures_open(struct gpu *g);
void	gpu_pictures_free(struct gpu *g);
/* What is expected goes on its way. */
void	gpu_pictures_send(struct gpu *g);
/* What is launched next comes behind the copies that it wants. */
void	gpu_pictures_order(struct gpu *g);
/* Nothing runs that reads pictures. */
void	gpu_pictures_idle(struct gpu *g);
void	gpu_expect(struct cb_engine *e, const struct cb_array *pictures, int P);
void	gpu_forget(struct cb_engine *e, const struct cb_array *pictures, int P);
void	gpu_pin(struct cb_engine *e, void *host, int64_t bytes);
void	gpu_unpin(struct cb_engine *e, void *host);
void	gpu_prepare(struct cb_engine *e, struct cb_elem *x,
	    const struct cb_array *pictures, int P, int S,
	    const float mean[3], const float std[3]);

/* ---- conv.c, linear.c ---------------------------------------------------- */

int	gpu_conv_new(struct cb_engine *e, struct cb_conv_plan **out,
	    const struct cb_conv *g);
void	gpu_conv_free(struct cb_engine *e, struct cb_conv_plan *c);
void	gpu_conv_pack(struct cb_engine *e, struct cb_conv_plan *c,
	    const float *w, const float *scale, const float *shift,
	    bool backward);
void	gpu_conv_fwd(struct cb_engine *e, struct cb_conv_plan *c,
	    struct cb_elem *y, const struct cb_elem *x,
	    const struct cb_elem *res, bool relu, int P);
void	gpu_conv_bwd(struct cb_engine *e, struct cb_conv_plan *c,
	    struct cb_elem *dx, bool add, float *dw, const struct cb_elem *dy,
	    const struct cb_elem *x, int P);
int	gpu_linear_new(struct cb_engine *e, struct cb_linear_plan **out, int I,
	    int O);
void	gpu_linear_free(struct cb_engine *e, struct cb_linear_plan *l);
void	gpu_linear_pack(struct cb_engine *e, struct cb_linear_plan *l,
	    const float *w, const float *bias, bool backward);
void	gpu_linear_fwd(struct cb_engine *e, struct cb_linear_plan *l,
	    struct cb_elem *y, struct cb_elem *z, const struct cb_elem *x,
	    enum cb_act act, int T);
void	gpu_linear_bwd(struct cb_engine *e, struct cb_linear_plan *l,
	    struct cb_elem *dx, bool add, float *dw, float *dbias,
	    const struct cb_elem *dz, const struct cb_elem *x, int T);

/* ---- ops.c --------------------------------------------------------------- */

/* The entries of struct cb_engine that are one kernel. */
void	gpu_ops(struct cb_engine *e);

/* ---- optim.c ------------------------------------------------------------- */

/* Elements between two places, which need not be of one array. */
static inline int64_t
gpu_apart(const float *a, const float *b)
{
	return (int64_t)((intptr_t)a - (intptr_t)b) / (int64_t)sizeof(*a);
}

int	gpu_optim_open(struct gpu *g);
void	gpu_optim_free(struct gpu *g);
/* AdamW of the segments collected so far, before anything else happens. */
void	gpu_optim_step(struct gpu *g);
/* Sums on their way to the host; and there, after the wait. */
void	gpu_optim_fetch(struct gpu *g);
void	gpu_optim_deliver(struct gpu *g);
void	gpu_sumsq(struct cb_engine *e, double *host, const float *g,
	    int64_t n);
void	gpu_adamw(struct cb_engine *e, float *w, float *m, float *v,
	    const float *g, int64_t n, const struct cb_adamw *a);

/* ---- pack.c -------------------------------------------------------------- */

/* At once, or with the AdamW that is still to come. */
void	gpu_pack(struct gpu *g, const struct pack *p);
/*
 * The segments at[n] of w cut into pieces [GPU_PIECES], each with its place in
 * the copies that packs [npacks] want; what becomes a piece leaves packs.  *npacks:
 * what is left there, in order.  Is the number of pieces.
 */
int	gpu_pack_pieces(struct cu_segment *pieces, struct pack *packs,
	    int *npacks, const struct cu_segment *at, int n, const float *w);
/* What the kernels of cast.cu make of it. */
void	gpu_pack_now(struct gpu *g, const struct pack *p);

#endif
