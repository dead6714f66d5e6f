/* Looking at a medium before a long run needs it. */
#include <stdlib.h>
#include <string.h>

#include "media/media.h"

#define LOOKS 8		/* frames decoded of a video */

/* Some frames from the first to the last, as a plan would fetch them. */
static int
check_some(struct cb_media *m, const char *name)
{
	int64_t frames = cb_media_info(m)->frames, want[LOOKS];
	struct cb_frame *out[LOOKS];
	int i, n = 0, exact;

	for (i = 0; i < LOOKS; i++) {
		want[n] = i * (frames - 1) / (LOOKS - 1);
		n += n == 0 || want[n] > want[n - 1];
	}
	if (cb_media_fetch(m, want, n, out, &exact) < 0)
		return -1;
	for (i = 0; i < n; i++)
		cb_frame_free(out[i]);
	if (!cb_picker_enough(exact, n))
		return cb_fail(CB_EFORMAT, "%s: only %d of %d frames looked "
		    "for could be decoded", name, exact, n);
	return 0;
}

static int
check_all(struct cb_media *m, const char *name)
{
	int64_t n = 0, of = cb_media_info(m)->frames;
	struct cb_frame *f;
	int rc;

	for (; (rc = cb_media_next(m, &f)) > 0; n++)
		cb_frame_free(f);
	if (rc == 0 && 2 * n < of)
		return cb_fail(CB_EFORMAT, "%s: only %lld of %lld frames could "
		    "be decoded", name, (long long)n, (long long)of);
	return rc;
}

int
cb_media_check(struct cb_media_info *info, const struct cb_source *src,
    const struct cb_media_limits *limits, bool whole)
{
	struct cb_media *m;
	int rc;

	memset(info, 0, sizeof(*info));
	if (src->path == NULL && src->bytes == 0)
		return cb_fail(CB_EFORMAT, "%s: is empty", src->name);
	if (cb_media_open(&m, src, limits) < 0)
		return -1;
	*info = *cb_media_info(m);
	info->pts = NULL;
	rc = whole ? check_all(m, src->name) : check_some(m, src->name);
	if (rc == 0 && cb_media_damage(m) != NULL) {
		cb_fail(CB_EFORMAT, "%s: %s", src->name, cb_media_damage(m));
		rc = 1;
	}
	cb_media_close(m);
	return rc;
}
