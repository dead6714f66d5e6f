/* Dense arrays in host memory, and sizes from outside multiplied safely. */
#include <stdlib.h>
#include <string.h>

#include "base.h"

#define ALIGN 64

static const struct {
	const char *name;
	size_t size;
} dtypes[CB_NDTYPE] = {
	[CB_U8] = { "U8", 1 }, [CB_I32] = { "I32", 4 }, [CB_I64] = { "I64", 8 },
	[CB_F32] = { "F32", 4 }, [CB_F64] = { "F64", 8 },
	[CB_F16] = { "F16", 2 }, [CB_BF16] = { "BF16", 2 },
};

size_t
cb_dtype_size(enum cb_dtype type)
{
	return dtypes[type].size;
}

const char *
cb_dtype_name(enum cb_dtype type)
{
	return dtypes[type].name;
}

int
cb_dtype_parse(enum cb_dtype *out, const char *name)
{
	int i;

	for (i = 0; i < CB_NDTYPE; i++) {
		if (strcmp(dtypes[i].name, name) == 0) {
			*out = i;
			return 0;
		}
	}
	return cb_fail(CB_EFORMAT, "%s: not an element type", name);
}

void *
cb_alloc(int64_t bytes)
{
	int64_t whole = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	void *p;

	if (bytes < 0 || (p = aligned_alloc(ALIGN, whole > 0 ? whole : ALIGN))
	    == NULL)
		return NULL;
	return memset(p, 0, whole);
}

int
cb_size_mul(int64_t *out, int64_t unit, int k, const int64_t *n, int64_t max)
{
	int64_t all = unit;
	int i;

	for (i = 0; i < k; i++) {
		if (n[i] < 0)
			return cb_fail(CB_EFORMAT, "a size is negative");
		if (__builtin_mul_overflow(all, n[i], &all))
			return cb_fail(CB_ELIMIT, "a size overflows");
	}
	if (all > max)
		return cb_fail(CB_ELIMIT, "%lld bytes are over the cap of %lld",
		    (long long)all, (long long)max);
	*out = all;
	return 0;
}

int
cb_array_init(struct cb_array *a, enum cb_dtype type, int rank,
    const int64_t *dim)
{
	int64_t bytes;

	memset(a, 0, sizeof(*a));
	if (rank > CB_MAX_RANK)
		return cb_fail(CB_ELIMIT, "an array of %d dimensions", rank);
	if (cb_size_mul(&bytes, dtypes[type].size, rank, dim, INT64_MAX) < 0)
		return -1;
	if ((a->data = cb_alloc(bytes)) == NULL)
		return cb_fail(CB_ENOMEM, "array of %lld bytes",
		    (long long)bytes);
	a->type = type;
	a->rank = rank;
	if (rank > 0)
		memcpy(a->dim, dim, sizeof(*dim) * rank);
	return 0;
}

void
cb_array_clear(struct cb_array *a)
{
	free(a->data);
	memset(a, 0, sizeof(*a));
}

int64_t
cb_array_count(const struct cb_array *a)
{
	int64_t n = 1;
	int i;

	for (i = 0; i < a->rank; i++)
		n *= a->dim[i];
	return n;
}

int64_t
cb_array_bytes(const struct cb_array *a)
{
	return cb_array_count(a) * (int64_t)dtypes[a->type].size;
}

const char *
cb_shape_text(char text[128], int rank, const int64_t *dim)
{
	size_t at = 1;
	int i;

	strcpy(text, "[");
	for (i = 0; i < rank && at < 100; i++)
		at += snprintf(text + at, 128 - at, "%s%lld",
		    i > 0 ? ", " : "", (long long)dim[i]);
	strcat(text, "]");
	return text;
}

/* ---- element types --------------------------------------------------------- */

static float
bits_to_float(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* IEEE half: subnormals are scaled by a multiplication, which is exact. */
static float
half_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;

	if (rest >= 0x7c00)		/* infinity, NaN */
		return bits_to_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
	if (rest < 0x400)
		return (sign != 0 ? -1.0f : 1.0f) * (float)rest * 0x1p-24f;
	return bits_to_float(sign | ((rest << 13) + (112u << 23)));
}

void
cb_array_to_f32(float *to, const struct cb_array *from)
{
	int64_t n = cb_array_count(from), i;
	const void *p = from->data;

	switch (from->type) {
	case CB_U8:
		for (i = 0; i < n; i++)
			to[i] = ((const uint8_t *)p)[i];
		break;
	case CB_I32:
		for (i = 0; i < n; i++)
			to[i] = (float)((const int32_t *)p)[i];
		break;
	case CB_I64:
		for (i = 0; i < n; i++)
			to[i] = (float)((const int64_t *)p)[i];
		break;
	case CB_F32:
		if (n > 0)
			memcpy(to, p, n * sizeof(*to));
		break;
	case CB_F64:
		for (i = 0; i < n; i++)
			to[i] = (float)((const double *)p)[i];
		break;
	case CB_F16:
		for (i = 0; i < n; i++)
			to[i] = half_to_float(((const uint16_t *)p)[i]);
		break;
	case CB_BF16:
		for (i = 0; i < n; i++)
			to[i] = bits_to_float(
			    (uint32_t)((const uint16_t *)p)[i] << 16);
		break;
	case CB_NDTYPE:
		break;
	}
}
