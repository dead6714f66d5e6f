/*
 * What files of weights are made of: values out of pickles, entries out of zip
 * archives.  Private to this room.
 */
#ifndef CB_PICKLE_H
#define CB_PICKLE_H

#include "base/base.h"

/* ---- pickles: pickle.c, machine.c, rebuild.c --------------------------------- */

enum cb_value_kind {
	CB_V_NONE, CB_V_BOOL, CB_V_INT, CB_V_REAL,
	CB_V_BIG,	/* an int of more than 64 bits: s, little-endian */
	CB_V_STR, CB_V_BYTES,	/* s */
	CB_V_TUPLE, CB_V_LIST, CB_V_SET,	/* list */
	CB_V_DICT,	/* list: key, value, key, value ... */
	CB_V_GLOBAL, CB_V_STORAGE, CB_V_DTYPE, CB_V_TENSOR,
};

/* One type of numbers, as PyTorch and numpy call it, and as what we read it. */
struct cb_element {
	const char *storage, *numpy;
	int	 bytes;
	bool	 is_signed;
	enum cb_dtype to;
};

/* A row of numbers that tensors are views of.  data is NULL in a pickle and
 * filled in by whoever knows where it stands. */
struct cb_storage {
	struct cb_storage *next;
	const char *key;
	int64_t	 key_bytes;
	const struct cb_element *type;
	int64_t	 count, first;	/* elements; first one of a view */
	const uint8_t *data;
	int64_t	 bytes;
	bool	 swap;		/* big-endian */
};

/* Offset and strides in elements, not checked against the storage. */
struct cb_strided {
	const struct cb_storage *storage;	/* NULL: not built yet */
	int64_t	 offset;
	int	 rank;
	int64_t	 dim[CB_MAX_RANK], stride[CB_MAX_RANK];
};

struct cb_value {
	enum cb_value_kind kind;
	union {
		int64_t	i;
		double	d;
		struct { const uint8_t *at; int64_t n; } s;
		struct { struct cb_value **at; int n, room; } list;
		int	global;
		struct {		/* type NULL: none that we know */
			const struct cb_element *type;
			bool swap;
			const uint8_t *name;
			int64_t n;
		} dtype;
		struct cb_storage *storage;
		struct cb_strided *tensor;
	};
};

/* All values of a file: they live until clear. */
struct cb_pickle {
	const char *path;
	bool	 torch;		/* persistent ids are storages */
	struct chunk *chunks;
	struct cb_storage *storages;
	int	 nstorages;
	int64_t	 budget;	/* opcodes that may still be run */
	int64_t	 decoded;	/* bytes of strings turned into bytes */
};

void	cb_pickle_init(struct cb_pickle *p, const char *path);
void	cb_pickle_clear(struct cb_pickle *p);

/* Memory that lives as long; zeroed; NULL with CB_ENOMEM recorded. */
void	*cb_pickle_alloc(struct cb_pickle *p, int64_t bytes);

/*
 * Reads one pickle of protocol 2 to 5 at the start of data, which is borrowed:
 * strings point into it.  *used: its length.
 */
int	cb_pickle_load(struct cb_value **out, struct cb_pickle *p,
	    const uint8_t *data, int64_t n, int64_t *used);

/* The value of a key of a dict, NULL where there is none. */
struct cb_value *cb_value_get(const struct cb_value *dict, const char *key);
bool	cb_value_is(const struct cb_value *v, const char *text);

/* ---- zip archives: zip.c --------------------------------------------------- */

struct cb_zip_entry {
	const char *name;	/* not ended by a NUL */
	int	 name_bytes;
	int	 method;	/* 0: stored */
	const uint8_t *data;
	int64_t	 bytes;
};

/* Sorted by name; yours to free.  Everything is checked to be in the file. */
int	cb_zip_open(struct cb_zip_entry **out, int *n, const uint8_t *data,
	    int64_t bytes, const char *path);
const struct cb_zip_entry *cb_zip_find(const struct cb_zip_entry *e, int n,
	    const char *name, int64_t name_bytes);

#endif
