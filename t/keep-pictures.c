/*
 * keep-pictures N [M] <stream: says that N pictures are kept at once and keeps
 * the last M of them (else N), freeing one or the other of these at random; the
 * last ones when the reader is closed already.  Prints how many came, a sum of
 * their pixels, and how many lay where the reader says that they may stay.
 * Status 3: one did not stay as it was.
 */
#include <stdlib.h>
#include <unistd.h>

#include "stream/stream.h"

struct kept {
	struct cb_msg *m;
	uint64_t sum;
};

/* FNV-1a */
static uint64_t
sum_of(const struct cb_array *a)
{
	const uint8_t *p = a->data;
	uint64_t sum = 14695981039346656037u;
	int64_t i;

	for (i = 0; i < cb_array_bytes(a); i++)
		sum = (sum ^ p[i]) * 1099511628211u;
	return sum;
}

static void
let_go(struct kept *k)
{
	struct cb_array a;

	if (cb_map_array(&k->m->root, "picture", &a) < 0 ||
	    sum_of(&a) != k->sum)
		exit(3);
	cb_msg_free(k->m);
}

/* Does it lie in the memory of the link? */
static bool
stays(const struct cb_reader *r, const struct cb_array *a)
{
	int64_t bytes;
	char *p = cb_reader_memory(r, &bytes);

	return p != NULL && (char *)a->data >= p && (char *)a->data +
	    cb_array_bytes(a) <= p + bytes;
}

int
main(int argc, char **argv)
{
	int most = atoi(argv[argc - 1]), n = 0, i, stayed = 0, all = 0, rc;
	struct kept *k = calloc((size_t)most + 1, sizeof(*k));
	struct cb_rng rng = { 5, 1, 0, 0 };
	struct cb_reader *r;
	uint64_t sum = 0;
	struct cb_array a;
	struct cb_msg *m;

	if (cb_reader_open(&r, STDIN_FILENO, "stdin") < 0)
		return cb_complain();
	cb_reader_keep(r, atoi(argv[1]));
	while ((rc = cb_reader_next(r, &m)) > 0) {
		if (cb_msg_kind(m) != CB_MSG_PICTURE) {
			cb_msg_free(m);
			continue;
		}
		if (cb_map_array(&m->root, "picture", &a) < 0)
			return cb_complain();
		k[n++] = (struct kept){ m, sum_of(&a) };
		sum = sum * 31 + k[n - 1].sum;
		stayed += stays(r, &a);
		if (n <= most)
			continue;
		i = (int)(cb_rng_u32(&rng, (uint32_t)all++) % (uint32_t)n);
		let_go(&k[i]);
		k[i] = k[--n];
	}
	if (rc < 0)
		return cb_complain();
	cb_reader_close(r);
	all += n;
	while (n > 0)
		let_go(&k[--n]);
	free(k);
	printf("%d %llx %d\n", all, (unsigned long long)sum, stayed);
	return 0;
}
