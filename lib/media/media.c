/* A medium of either kind behind one door: video.c or a decoded picture. */
#include <stdlib.h>
#include <string.h>

#include "media/private.h"

struct cb_media {
	struct input in;
	struct cb_media_info info;
	struct video *video;	/* NULL: a picture */
	struct cb_frame *still;
	bool	 given;		/* the picture was handed out by next() */
	char	*damage;
};

void
cb_frame_free(struct cb_frame *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	cb_array_clear(&f->rgb);
	free(f);
}

static int
open_jpeg(struct cb_media *m, const char *name,
    const struct cb_media_limits *limits)
{
	struct cb_media_info *i = &m->info;
	const uint8_t *data;
	void *owned;
	int o, rc;

	if ((m->still = calloc(1, sizeof(*m->still))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", name);
	m->still->refs = 1;
	if (input_bytes(&m->in, &data, &owned, name) < 0)
		return -1;
	rc = jpeg_decode(&m->still->rgb, &o, &m->damage, data, &m->in,
	    limits->max_pixels);
	free(owned);
	if (rc < 0 || (limits->upright &&
	    image_turn(&m->still->rgb, o) < 0))
		return cb_fail_at("%s", name);
	strcpy(i->format, "jpeg");
	strcpy(i->codec, "jpeg");
	return 0;
}

/* A picture is decoded at once: whether it can be is then known early. */
static int
open_other(struct cb_media *m, const char *name,
    const struct cb_media_limits *limits)
{
	int rc;

	if (video_open(&m->video, &m->in, name, limits, &m->info) < 0)
		return -1;
	if (!m->info.image)
		return 0;
	if (video_damage(m->video) != NULL)	/* the picture may be whole */
		m->damage = cb_strf("%s", video_damage(m->video));
	rc = video_next(m->video, &m->still);
	if (rc <= 0 || (m->damage == NULL && video_damage(m->video) != NULL)) {
		if (rc >= 0)
			cb_fail(CB_EFORMAT, "%s: %s", name,
			    video_damage(m->video) != NULL ?
			    video_damage(m->video) : "holds no picture");
		return -1;
	}
	video_close(m->video);
	m->video = NULL;
	free(m->info.pts);
	m->info.pts = NULL;
	return 0;
}

int
cb_media_open(struct cb_media **out, const struct cb_source *src,
    const struct cb_media_limits *limits)
{
	struct cb_media_limits all = { 0 };
	uint8_t magic[3];
	struct cb_media *m;
	int rc;

	if (limits != NULL)
		all = *limits;
	if (all.max_pixels <= 0)
		all.max_pixels = CB_MAX_PIXELS;
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return cb_fail(CB_ENOMEM, "%s", src->name);
	m->in.fd = -1;
	if (input_open(&m->in, src, all.timeout_s) < 0)
		goto bad;
	if (input_peek(&m->in, magic, 3) == 3 &&
	    memcmp(magic, "\xff\xd8\xff", 3) == 0)
		rc = open_jpeg(m, src->name, &all);
	else
		rc = open_other(m, src->name, &all);
	if (rc < 0)
		goto bad;
	if (m->still != NULL) {
		m->info.image = true;
		m->info.h = (int)m->still->rgb.dim[0];
		m->info.w = (int)m->still->rgb.dim[1];
		m->info.frames = 1;
		m->still->index = 0;
		m->still->pts_s = 0;
	}
	*out = m;
	return 0;
bad:
	cb_media_close(m);
	return -1;
}

void
cb_media_close(struct cb_media *m)
{
	if (m == NULL)
		return;
	video_close(m->video);
	cb_frame_free(m->still);
	input_close(&m->in);
	free(m->info.pts);
	free(m->damage);
	free(m);
}

const struct cb_media_info *
cb_media_info(const struct cb_media *m)
{
	return &m->info;
}

int
cb_media_next(struct cb_media *m, struct cb_frame **out)
{
	if (m->video != NULL)
		return video_next(m->video, out);
	if (m->given)
		return 0;
	m->given = true;
	m->still->refs++;
	*out = m->still;
	return 1;
}

void
cb_media_rewind(struct cb_media *m)
{
	m->given = false;
	if (m->video != NULL)
		video_rewind(m->video);
}

int
cb_media_fetch(struct cb_media *m, const int64_t *want, int n,
    struct cb_frame **out, int *exact)
{
	int i;

	if (m->video != NULL)
		return video_fetch(m->video, want, n, out, exact);
	for (i = 0; i < n; i++) {
		m->still->refs++;
		out[i] = m->still;
	}
	*exact = n;
	return 0;
}

const char *
cb_media_damage(const struct cb_media *m)
{
	return m->video != NULL ? video_damage(m->video) : m->damage;
}

int64_t
cb_media_fed(const struct cb_media *m)
{
	return m->video != NULL ? video_fed(m->video) : 0;
}
