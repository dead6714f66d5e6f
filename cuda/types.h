/*
 * types: what the host code (C) and the kernels (CUDA C++) both see: the
 * 16-bit element types, and dropout as a kernel takes it.
 */
#ifndef CB_CUDA_TYPES_H
#define CB_CUDA_TYPES_H

#include <stdint.h>

/* Raw bits: arithmetic is in float, by the conversions of dev.h only. */
struct cb_bf16 { uint16_t v; };		/* bfloat16 */
struct cb_f16 { uint16_t v; };		/* IEEE binary16 */

/*
 * struct cb_drop of lib/engine/engine.h, by value: element i of the output is
 * dropped where draw first + i is below limit, else multiplied by scale.
 * limit 0: no dropout, and scale is 1.  See drop_limit() in
 * lib/engine/host.h.
 */
struct cb_mask {
	uint32_t seed[2];		/* low word, high word */
	uint32_t purpose, epoch, seq;
	uint32_t first;			/* wraps, as draws do */
	uint32_t limit;
	float	 scale;
};

#endif
