/* What fuzz targets share: seeds to damage, and input as a file. */
#ifndef FUZZ_H
#define FUZZ_H
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

struct seed {
	const void *at;
	size_t n;
};

#define SEED(s) { s, sizeof(s) - 1 }

/* Copies the seed of a round and gives its length; rng is then the round's. */
static inline size_t
seed_draw(uint8_t *to, struct cb_rng *rng, const struct seed *seeds,
    uint32_t nseeds, int64_t round)
{
	const struct seed *s;

	rng->epoch = (uint32_t)round;
	s = &seeds[cb_rng_below(rng, 0, nseeds)];
	memcpy(to, s->at, s->n);
	return s->n;
}

/* A nameless file of these bytes, at its beginning. */
static inline int
file_of(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || cb_write_full(fd, p, (int64_t)n, "fuzz") < 0)
		abort();
	lseek(fd, 0, SEEK_SET);
	return fd;
}

#endif
