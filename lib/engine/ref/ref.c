/*
 * The table of the plain C twins, and their memory, which is host memory.  They
 * run where they are called, so there is nothing to wait for.
 */
#include <stdlib.h>

#include "ref.h"

static void
ref_free(struct cb_engine *e)
{
	free(e);
}

static void *
ref_alloc(struct cb_engine *e, int64_t bytes)
{
	(void)e;
	return host_given(cb_alloc(bytes), bytes);
}

static int
ref_sync(struct cb_engine *e)
{
	(void)e;
	return 0;
}

static const struct cb_engine table = {
	.name = "ref", .elem_size = sizeof(float), .on_host = true,
	.loss_scale = 1,
	.free = ref_free, .alloc = ref_alloc, .release = host_release,
	.put = host_put, .get = host_put, .put_elem = host_put_elem,
	.get_elem = host_get_elem, .zero = host_zero, .sync = ref_sync,
	.expect = host_pictures, .forget = host_pictures,
	.pin = host_pin, .unpin = host_unpin,
	.prepare = ref_prepare,
	.conv_new = ref_conv_new, .conv_free = ref_conv_free,
	.conv_pack = ref_conv_pack, .conv_fwd = ref_conv_fwd,
	.conv_bwd = ref_conv_bwd,
	.pool_fwd = ref_pool_fwd, .pool_bwd = ref_pool_bwd,
	.moments = ref_moments,
	.embed_text_fwd = ref_embed_text_fwd,
	.embed_text_bwd = ref_embed_text_bwd,
	.embed_grid_fwd = ref_embed_grid_fwd,
	.embed_grid_bwd = ref_embed_grid_bwd,
	.rows_fwd = ref_rows_fwd, .rows_bwd = ref_rows_bwd,
	.norm_fwd = ref_norm_fwd, .norm_bwd = ref_norm_bwd,
	.batchnorm_fwd = ref_batchnorm_fwd,
	.batchnorm_bwd = ref_batchnorm_bwd,
	.linear_new = ref_linear_new, .linear_free = ref_linear_free,
	.linear_pack = ref_linear_pack, .linear_fwd = ref_linear_fwd,
	.linear_bwd = ref_linear_bwd,
	.act_bwd = ref_act_bwd, .add = ref_add,
	.attention_fwd = ref_attention_fwd,
	.attention_bwd = ref_attention_bwd,
	.pool_scores = ref_pool_scores, .loss = ref_loss,
	.sumsq = ref_sumsq, .adamw = ref_adamw,
};

int
cb_ref_open(struct cb_engine **out)
{
	if ((*out = malloc(sizeof(table))) == NULL)
		return cb_fail(CB_ENOMEM, "engine");
	**out = table;
	return 0;
}
