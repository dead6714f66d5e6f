/* Fuzz target of media: opening, listing, fetching and JPEG, from memory. */
#include "media/media.h"
#include "fuzz.h"

static void
fetch(struct cb_media *m)
{
	struct cb_plan plan = { .strategy = CB_SAMPLE_CLIPS, .clips = 2,
	    .frames = 2, .fps = 2 };
	struct cb_frame *out[4];
	struct cb_cut cut;
	int i, exact;

	if (cb_plan_resolve(&cut, &plan, cb_media_info(m)) < 0)
		return;
	if (cb_media_fetch(m, cut.want, cut.nwant, out, &exact) == 0) {
		for (i = 0; i < cut.nwant; i++) {
			fuzz_got += out[i]->rgb.dim[2] == 3;
			cb_frame_free(out[i]);
		}
	}
	cb_cut_clear(&cut);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct cb_media_limits limits = { .max_pixels = 1 << 18,
	    .timeout_s = 10, .upright = true };
	struct cb_source src = { .name = "fuzz", .data = data,
	    .bytes = (int64_t)n };
	struct cb_media *m;
	struct cb_frame *f;

	if (cb_media_open(&m, &src, &limits) < 0)
		return 0;
	fetch(m);
	if (cb_media_next(m, &f) > 0)
		cb_frame_free(f);
	cb_media_close(m);
	return 0;
}

/* Files are named on the command line. */
void
fuzz_seeds(void)
{
}
