/*
 * Masked words, for a model that learns to tell them: of the tokens of a text,
 * special ones apart, each is chosen with some chance; of those that are, eight
 * in ten become [MASK], one becomes any token of the vocabulary, one stays.
 * Tokens are chosen alone, not by whole words, and any token means any, [PAD]
 * too: both as in the original.  (Devlin et al., arXiv:1810.04805, sec. 3.1.)
 */
#include <string.h>

#include "text.h"

#define SHARE 0.15	/* of captions */
#define TO_MASK 0.8
#define TO_ANY 0.9	/* behind TO_MASK; the rest stays */

int
cb_masking_init(struct cb_masking *k, struct cb_msg *header, double share,
    int64_t seed)
{
	const msgpack_object *root = &header->root;

	if (seed < 0 && cb_map_get(root, "seed") == NULL)
		seed = 0;
	else if (seed < 0 && cb_map_int(root, "seed", &seed) < 0)
		return cb_fail_at("header");
	if (share < 0)
		share = cb_obj_is(cb_map_get(root, "task"), "captions") ?
		    SHARE : 0;
	*k = (struct cb_masking){ .share = share, .seed = (uint64_t)seed };
	return 0;
}

static bool
is_special(const struct cb_vocab *v, int id)
{
	int i;

	for (i = 0; i < CB_NSPECIAL; i++)
		if (cb_vocab_special(v, (enum cb_special)i) == id)
			return true;
	return false;
}

/* Three draws a token, whether they are used or not. */
static void
mask_ids(int32_t *ids, int32_t *labels, const int32_t *mask, int64_t n,
    const struct cb_vocab *v, double share, const struct cb_rng *rng)
{
	uint32_t draws = 0;
	int64_t i;
	double u;

	for (i = 0; i < n; i++) {
		labels[i] = CB_NOT_MASKED;
		if (mask[i] == 0)
			continue;
		draws += 3;
		if (is_special(v, ids[i]) ||
		    cb_rng_real(rng, draws - 3) >= share)
			continue;
		labels[i] = ids[i];
		u = cb_rng_real(rng, draws - 2);
		if (u < TO_MASK)
			ids[i] = cb_vocab_special(v, CB_MASK);
		else if (u < TO_ANY)
			ids[i] = (int32_t)cb_rng_below(rng, draws - 1,
			    (uint32_t)cb_vocab_size(v));
	}
}

/* A number of the group that may be missing. */
static int
number(const msgpack_object *group, const char *key, uint32_t *out)
{
	int64_t n = 0;

	if (cb_map_get(group, key) != NULL && cb_map_int(group, key, &n) < 0)
		return -1;
	*out = (uint32_t)n;
	return 0;
}

static int
put_masked(struct cb_msg *m, msgpack_object *group, const struct cb_array *old,
    const struct cb_array *mask, const struct cb_vocab *v,
    const struct cb_masking *k)
{
	struct cb_rng rng = { .seed = k->seed, .purpose = CB_RNG_MASK };
	struct cb_array ids, labels;

	if (number(group, "epoch", &rng.epoch) < 0 ||
	    number(group, "seq", &rng.seq) < 0)
		return cb_fail_at("group");
	if (cb_array_init(&ids, CB_I32, 2, old->dim) < 0)
		return -1;
	if (cb_array_init(&labels, CB_I32, 2, old->dim) < 0) {
		cb_array_clear(&ids);
		return -1;
	}
	memcpy(ids.data, old->data, (size_t)cb_array_bytes(old));
	mask_ids(ids.data, labels.data, mask->data, cb_array_count(&ids), v,
	    k->share, &rng);
	cb_map_set(m, group, "ids", cb_obj_tensor_take(m, &ids));
	cb_map_set(m, group, "mlm_labels", cb_obj_tensor_take(m, &labels));
	return 0;
}

int
cb_text_mask(const struct cb_vocab *v, struct cb_msg *m,
    const struct cb_masking *k)
{
	msgpack_object *group = cb_msg_map(m, "group");
	struct cb_array ids, mask;

	if (k->share <= 0) {
		if (cb_map_get(group, "mlm_labels") != NULL)
			cb_map_set(m, group, "mlm_labels", cb_obj_nil());
		return 0;
	}
	if (cb_map_get(group, "ids") == NULL)
		return 0;		/* a group without texts */
	if (cb_vocab_special(v, CB_MASK) < 0)
		return cb_fail(CB_EFORMAT, "the vocabulary lacks [MASK], "
		    "which stands for masked words");
	if (cb_map_array(group, "ids", &ids) < 0 ||
	    cb_map_array(group, "mask", &mask) < 0)
		return cb_fail_at("group");
	if (ids.type != CB_I32 || mask.type != CB_I32 || ids.rank != 2 ||
	    mask.rank != 2 || ids.dim[0] != mask.dim[0] ||
	    ids.dim[1] != mask.dim[1])
		return cb_fail(CB_EFORMAT, "ids and mask of a group are not "
		    "i32 [n,L]");
	return put_masked(m, group, &ids, &mask, v, k);
}
