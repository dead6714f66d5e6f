/* The memory of an engine, where that is the memory of the host: pictures are
 * there already. */
#include <stdlib.h>
#include <string.h>

#include "host.h"

void *
host_given(void *p, int64_t bytes)
{
	if (p == NULL)
		cb_fail(CB_ENOMEM, "%lld bytes", (long long)bytes);
	return p;
}

void
host_release(struct cb_engine *e, void *p)
{
	(void)e;
	free(p);
}

void
host_put(struct cb_engine *e, void *to, const void *from, int64_t bytes)
{
	(void)e;
	if (bytes > 0)
		memcpy(to, from, bytes);
}

void
host_put_elem(struct cb_engine *e, struct cb_elem *to, const float *from,
    int64_t n)
{
	host_put(e, to, from, n * (int64_t)sizeof(float));
}

void
host_get_elem(struct cb_engine *e, float *to, const struct cb_elem *from,
    int64_t n)
{
	host_put(e, to, from, n * (int64_t)sizeof(float));
}

void
host_pictures(struct cb_engine *e, const struct cb_array *pictures, int P)
{
	(void)e;
	(void)pictures;
	(void)P;
}

void
host_pin(struct cb_engine *e, void *host, int64_t bytes)
{
	(void)e;
	(void)host;
	(void)bytes;
}

void
host_unpin(struct cb_engine *e, void *host)
{
	(void)e;
	(void)host;
}

void
host_zero(struct cb_engine *e, void *p, int64_t bytes)
{
	(void)e;
	if (bytes > 0)
		memset(p, 0, bytes);
}
