/*
 * safetensors: named arrays in one file.  8 bytes with the length of a JSON
 * header (little-endian), the header, then the raw little-endian data without
 * gaps.  https://github.com/huggingface/safetensors; what we keep in such files
 * is described in cb-checkpoint(5).
 */
#ifndef CB_SAFETENSORS_H
#define CB_SAFETENSORS_H

#include "base.h"

/*
 * A name and its array.  In a file that was read both are borrowed from it and
 * valid until it is closed; the data is read-only and aligned to its element
 * size only (our own files: the first array to 64 bytes).
 */
struct cb_tensor {
	const char *name;
	struct cb_array array;
};

struct cb_safetensors;

/*
 * Maps a file and checks all of its header: lengths, element types, shapes,
 * offsets (in the file, no overlap, no gap), names (no duplicates).  The data
 * is not read.  Errors name the file and the tensor.
 */
int	cb_safetensors_open(struct cb_safetensors **out, const char *path);

/* The same from memory, which is borrowed until close; name: for messages. */
int	cb_safetensors_parse(struct cb_safetensors **out, const void *data,
	    int64_t bytes, const char *name);
void	cb_safetensors_close(struct cb_safetensors *f);

/* The path or name it was opened with. */
const char *cb_safetensors_name(const struct cb_safetensors *f);

/* Tensors in the order of the header. */
int	cb_safetensors_count(const struct cb_safetensors *f);
const struct cb_tensor *cb_safetensors_at(const struct cb_safetensors *f,
	    int i);

/* By name; NULL where there is none. */
const struct cb_array *cb_safetensors_find(const struct cb_safetensors *f,
	    const char *name);

/* A string of __metadata__, NULL where there is none; borrowed. */
const char *cb_safetensors_meta(const struct cb_safetensors *f,
	    const char *key);
/* All of __metadata__, an object of strings; borrowed. */
const json_t *cb_safetensors_metadata(const struct cb_safetensors *f);

/* A metadata string parsed as JSON, yours to decref.  CB_EMISSING, CB_EFORMAT */
int	cb_safetensors_meta_json(json_t **out, const struct cb_safetensors *f,
	    const char *key);

/*
 * Copies a tensor to f32 whatever its element type; rank and dim are what it
 * must have (rank -1: any).  Fails where it is missing (CB_EMISSING) or its
 * shape differs (CB_EFORMAT: both shapes are in the message).
 */
int	cb_safetensors_f32(const struct cb_safetensors *f, const char *name,
	    int rank, const int64_t *dim, float *to);

/*
 * Writes a whole file or none (cb_file).  meta: an object of strings or NULL.
 * A failure (disk full) leaves an older file of that name as it was.
 */
int	cb_safetensors_write(const char *path, const struct cb_tensor *t,
	    int n, const json_t *meta);

#endif
