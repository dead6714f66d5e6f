/*
 * base: what every other room stands on: errors, messages, options, arrays,
 * random numbers, threads, JSON and files.  Knows nothing of video, text or
 * models.
 */
#ifndef CB_BASE_H
#define CB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#define CB_VERSION "0.1"
#define CB_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define CB_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- errors: error.c ------------------------------------------------- */

enum cb_code {
	CB_OK,
	CB_ENOMEM,	/* memory could not be had */
	CB_EIO,		/* the system refused: open, read, write, sync */
	CB_EFORMAT,	/* what came from outside is not what it should be */
	CB_ELIMIT,	/* larger than the cap that guards memory */
	CB_EUSAGE,	/* a setting or option that cannot be */
	CB_EMISSING,	/* something named does not exist */
};

/*
 * Records why, for this thread, and returns -1, so that a failing function can
 * say `return cb_fail(...)`.  CB_ENOMEM and CB_EIO append strerror(errno).  The
 * message is a sentence fragment without program name or full stop.
 */
int	cb_fail(enum cb_code code, const char *fmt, ...) CB_PRINTF(2, 3);

/* Puts "where: " before the recorded message; always returns -1. */
int	cb_fail_at(const char *fmt, ...) CB_PRINTF(1, 2);

/* The recorded message of this thread, valid until its next cb_fail(). */
const char *cb_error(void);
enum cb_code cb_error_code(void);

/* Names the program in messages; called once by cb_options(). */
void	cb_program_set(const char *name);
const char *cb_program(void);

/* "program: message\n" on stderr in one write. */
void	cb_warn(const char *fmt, ...) CB_PRINTF(1, 2);

/* cb_warn(cb_error()), then the status for main() to return: 1. */
int	cb_complain(void);

/* Is told of a fault that ends nothing, by whoever looks a whole input over:
 * of what kind, in one word, and what, as a message.  Both borrowed. */
typedef void cb_found_fn(void *arg, const char *kind, const char *what);

/* ---- options: options.c ---------------------------------------------- */

enum cb_opt_kind {
	CB_OPT_FLAG,	/* bool *, set to true */
	CB_OPT_INT,	/* int64_t * */
	CB_OPT_REAL,	/* double * */
	CB_OPT_STR,	/* const char **, points into argv */
	CB_OPT_LIST,	/* struct cb_strs *, appended to; point into argv */
};

struct cb_strs {
	const char **at;
	int	 n;
};

/*
 * One row an option; the table ends with a row whose name is NULL.  It is the
 * single source of parsing and of -h.  `letter` is 0 for a long-only option.
 */
struct cb_opt {
	int	 letter;
	const char *name;
	enum cb_opt_kind kind;
	void	*to;
	const char *arg;	/* name of the argument in -h, NULL for a flag */
	const char *help;	/* one line, the default in [brackets] */
	double	 min, max;	/* allowed range of INT and REAL; both 0: any */
};

/*
 * Parses argv.  Adds -h/--help (usage on stdout, exits 0) and -V/--version;
 * a wrong call prints one line and the usage on stderr and exits 2.  Also
 * restores the default action of SIGPIPE and sets the name used in messages.
 * synopsis: the arguments, as in "[-n clips] [file ...]".  Returns the index
 * of the first operand.
 */
int	cb_options(int argc, char **argv, const struct cb_opt *table,
	    const char *synopsis);

/* Which of two words an option was given: 0 the first, 1 the second; anything
 * else is a wrong call. */
int	cb_choice(const char *option, const char *value, const char *first,
	    const char *second);

/* Prints a message and the short usage, exits 2. */
void	cb_usage(const char *fmt, ...) CB_PRINTF(1, 2)
	    __attribute__((noreturn));

/* ---- arrays: array.c -------------------------------------------------- */

enum cb_dtype {
	CB_U8, CB_I32, CB_I64, CB_F32, CB_F64, CB_F16, CB_BF16, CB_NDTYPE
};

#define CB_MAX_RANK 6

/* A dense row-major array in host memory; data is 64-byte aligned. */
struct cb_array {
	enum cb_dtype type;
	int	 rank;			/* 0: a scalar */
	int64_t	 dim[CB_MAX_RANK];	/* outermost first */
	void	*data;
};

size_t	cb_dtype_size(enum cb_dtype type);
const char *cb_dtype_name(enum cb_dtype type);	/* as safetensors: "F32" */
int	cb_dtype_parse(enum cb_dtype *out, const char *name);

/* Allocates data (zeroed, 64-byte aligned); yours to clear. */
int	cb_array_init(struct cb_array *a, enum cb_dtype type, int rank,
	    const int64_t *dim);
void	cb_array_clear(struct cb_array *a);
int64_t	cb_array_count(const struct cb_array *a);	/* elements */
int64_t	cb_array_bytes(const struct cb_array *a);
/* Every element of any type as f32 (F64 and I64 are rounded). */
void	cb_array_to_f32(float *to, const struct cb_array *from);
/* "[2, 3]" into text. */
const char *cb_shape_text(char text[128], int rank, const int64_t *dim);

/* Product of non-negative n[0..k-1] and unit into *out; CB_ELIMIT over max. */
int	cb_size_mul(int64_t *out, int64_t unit, int k, const int64_t *n,
	    int64_t max);

/* Memory aligned to 64 bytes, zeroed; free() frees it.  NULL: none left. */
void	*cb_alloc(int64_t bytes);

/* ---- random numbers: rng.c -------------------------------------------- */

/*
 * Randomness is a pure function of (seed, purpose, epoch, seq, i): Philox4x32-10
 * (Random123) with key = seed and counter = (i/4, seq, epoch, purpose).  No state.
 */
enum cb_purpose {
	CB_RNG_SHUFFLE = 1,	/* order of groups in an epoch */
	CB_RNG_SAMPLE,		/* where a random clip starts */
	CB_RNG_MASK,		/* masked language modelling */
	CB_RNG_NEGATIVE,	/* mismatched texts */
	CB_RNG_FILL,		/* repeats that fill up a chunk of examples */
	CB_RNG_AUGMENT,		/* shifts, brightness */
	CB_RNG_INIT,		/* initial weights */
	CB_RNG_PIXELS,		/* grid cells kept */
	CB_RNG_DEMO,		/* the data set of the demo */
	CB_RNG_DROPOUT = 1000,	/* + number of the operation in the model */
};

struct cb_rng {
	uint64_t seed;
	uint32_t purpose, epoch, seq;
};

void	 cb_rng_block(const struct cb_rng *r, uint32_t block, uint32_t out[4]);
uint32_t cb_rng_u32(const struct cb_rng *r, uint32_t i);
double	 cb_rng_real(const struct cb_rng *r, uint32_t i);   /* [0,1), 53 bits */
double	 cb_rng_normal(const struct cb_rng *r, uint32_t i); /* mean 0, var 1 */
uint32_t cb_rng_below(const struct cb_rng *r, uint32_t i, uint32_t n); /* [0,n) */

/* Fisher-Yates with draws 0..n-2 of r. */
void	 cb_rng_shuffle(const struct cb_rng *r, int64_t *items, int64_t n);

/* ---- threads: pool.c --------------------------------------------------- */

struct cb_pool;

/* task: 0 .. ntasks-1; thread: 0 .. nthreads-1, the caller being 0. */
typedef void cb_pool_fn(void *arg, int task, int thread);

/* nthreads 0: one a core. */
int	cb_pool_new(struct cb_pool **out, int nthreads);
void	cb_pool_free(struct cb_pool *p);
int	cb_pool_threads(const struct cb_pool *p);

/*
 * Runs all tasks and returns when they are done.  Which thread takes which task
 * is not fixed, so a result must depend on the task only.  Not reentrant.
 */
void	cb_pool_run(struct cb_pool *p, cb_pool_fn *fn, void *arg, int ntasks);

/* ---- threads in a row: line.c ------------------------------------------ */

/*
 * Items go in one after the other, each is worked on by one of n threads, and
 * they come out in the same order, one at a time.
 */
struct cb_line;
struct cb_line_ops {
	void	(*work)(void *arg, void *item);	/* on any thread */
	/* Gets the item handed over, always on one thread; not 0 stops all. */
	int	(*out)(void *arg, void *item);
	/* Frees an item that came behind, worked on or not. */
	void	(*drop)(void *item);
};

/* nthreads 1: no thread is made and cb_line_put() does all. */
int	cb_line_new(struct cb_line **out, int nthreads,
	    const struct cb_line_ops *ops, void *arg);
/*
 * item is handed over.  Waits while 2 * nthreads items are inside.  Gives what
 * out() gave when it stopped the line, with its cb_error(), else 0.
 */
int	cb_line_put(struct cb_line *l, void *item);
/* Waits until all have come out, and frees; gives the same. */
int	cb_line_end(struct cb_line *l);

/* ---- JSON: json.c ------------------------------------------------------ */

/* Reads a whole file, "-" for stdin; yours to json_decref(). */
int	cb_json_load(json_t **out, const char *path);

/* Lines of JSON objects; blank lines are passed over. */
struct cb_jsonl;
int	cb_jsonl_open(struct cb_jsonl **out, const char *path);
/* 1: *out is an object, yours to decref; 0: end; -1: message has path:line. */
int	cb_jsonl_next(struct cb_jsonl *r, json_t **out);
int64_t	cb_jsonl_line(const struct cb_jsonl *r);	/* of the last object */
void	cb_jsonl_close(struct cb_jsonl *r);

/* Compact, keys in insertion order; yours to free.  NULL: out of memory. */
char	*cb_json_text(const json_t *v);

/* The same with the flags of json_dumps(), and numbers in 15 digits where
 * that gives the same value back: 0.1, not 0.10000000000000001. */
char	*cb_json_exact(const json_t *v, size_t flags);

/* ---- files: file.c ----------------------------------------------------- */

/* Whole file with a NUL behind it; yours to free.  Over max: CB_ELIMIT. */
int	cb_file_read(char **out, int64_t *bytes, const char *path, int64_t max);

/* Maps a whole regular file, read-only; an empty one is NULL. */
int	cb_file_map(void **out, int64_t *bytes, const char *path);
void	cb_file_unmap(void *map, int64_t bytes);

/*
 * A file that appears whole or not at all: written beside its place, synced,
 * renamed by cb_file_commit().  Use fp to write.  cb_file_discard() removes it;
 * both free f.
 */
struct cb_file {
	FILE	*fp;
	char	*path, *temp;
};
int	cb_file_create(struct cb_file **out, const char *path);
int	cb_file_commit(struct cb_file *f);
void	cb_file_discard(struct cb_file *f);

/* mkdir -p */
int	cb_mkdirs(const char *path);

/* read()/write() until all is done, EINTR and short counts included.
 * cb_read_full: bytes read, less than n only at the end of the file; -1. */
int64_t	cb_read_full(int fd, void *to, int64_t n, const char *name);
int	cb_write_full(int fd, const void *from, int64_t n, const char *name);

/* snprintf into fresh memory, yours to free; aborts when there is none. */
char	*cb_strf(const char *fmt, ...) CB_PRINTF(1, 2);

/* Hex SHA-256 of memory. */
void	cb_sha256(char out[65], const void *data, int64_t bytes);

/* ---- time and progress: progress.c ------------------------------------- */

double	cb_now(void);		/* monotonic seconds */

/*
 * A line that rewrites itself on a terminal, at most five times a second; does
 * nothing where stderr is not a terminal or stdout is a pipe, whose reader then
 * has the line.  cb_progress_end() wipes it.
 */
void	cb_progress(const char *fmt, ...) CB_PRINTF(1, 2);
void	cb_progress_end(void);

#endif
