/*
 * The order of MPEG-4 frames in AVI files (ISO/IEC 14496-2; Xvid, DivX), from
 * the headers of pictures, as FFmpeg's decoder gives them: a B-frame at once, any
 * other when the next of that kind comes.  A picture that is not coded gives
 * none.
 *
 * "Packed" files put a B-frame behind the frame that it refers to, in one
 * packet, and make up for it by a packet with a picture that is not coded.  The
 * decoder takes one picture for each packet: what is behind it waits for the
 * next packet, which then waits itself if it has anything to decode.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/video.h"

#define NVOP_BYTES 19		/* a packet with nothing to decode is no larger */
#define REST_BYTES 7		/* nor is a rest in which nothing is looked for */

enum type { I, P, B, S };

struct vop {
	enum type type;
	bool	 coded;
	int64_t	 seconds, ticks;	/* since the picture that it counts from */
};

struct mpeg4 {
	bool	 lost;		/* not understood */
	bool	 packed;
	bool	 delays;	/* B-frames are announced */
	int	 rate, bits;	/* ticks a second, and their bits; 0: unknown */
	bool	 holds;
	struct vop held;	/* waits for the next packet */
	int	 ref;		/* packet of the last frame that is no B, or -1 */
	int	 refs;
	int64_t	 came;		/* frames so far */
	int64_t	 base, last_base, time, last_time;	/* of the last two refs */
};

/* ---- bits ---------------------------------------------------------------- */

struct bits {
	const uint8_t *p, *end;
	int	 at;
	bool	 over;		/* read beyond the end */
};

static uint32_t
get(struct bits *b, int n)
{
	uint32_t x = 0;

	for (; n > 0; n--, b->at++) {
		if (b->p + b->at / 8 >= b->end) {
			b->over = true;
			return 0;
		}
		x = x << 1 | (b->p[b->at / 8] >> (7 - b->at % 8) & 1);
	}
	return x;
}

/* Video object layer, section 6.2.3, up to what the times need. */
static bool
read_layer(struct mpeg4 *m, struct bits b)
{
	uint32_t kind;

	get(&b, 1);
	kind = get(&b, 8);
	if (get(&b, 1))
		get(&b, 7);		/* version, priority */
	if (get(&b, 4) == 15)
		get(&b, 16);		/* pixel aspect */
	if (get(&b, 1)) {
		get(&b, 2);
		m->delays = !get(&b, 1);
		if (get(&b, 1)) {
			get(&b, 32);
			get(&b, 32);
			get(&b, 15);
		}
	} else {	/* FFmpeg: simple and advanced simple have none */
		m->delays = kind != 1 && kind != 17;
	}
	if (get(&b, 2) != 0 || !get(&b, 1))
		return false;		/* not rectangular */
	m->rate = (int)get(&b, 16);
	for (m->bits = 1; m->rate > 1 << m->bits; )
		m->bits++;
	return m->rate > 0 && !b.over;
}

static bool
read_vop(const struct mpeg4 *m, struct vop *v, struct bits b)
{
	v->type = get(&b, 2);
	for (v->seconds = 0; get(&b, 1); )
		v->seconds++;
	if (!get(&b, 1))
		return false;
	v->ticks = get(&b, m->bits);
	if (!get(&b, 1))
		return false;
	v->coded = get(&b, 1);
	return !b.over && m->bits > 0;
}

/* "DivX503b1393p": the last letter says that the file is packed. */
static void
read_user(struct mpeg4 *m, const uint8_t *p, int64_t n)
{
	char text[256], last;
	int version, build, got;

	n = n < (int64_t)sizeof(text) - 1 ? n : (int64_t)sizeof(text) - 1;
	memcpy(text, p, n);
	text[n] = '\0';
	got = sscanf(text, "DivX%dBuild%d%c", &version, &build, &last);
	if (got < 2)
		got = sscanf(text, "DivX%db%d%c", &version, &build, &last);
	if (got >= 2)
		m->packed = got == 3 && last == 'p';
}

/* The next start code from *p on, which is moved behind it; -1: none. */
static int
next_code(const uint8_t **p, const uint8_t *end)
{
	for (; *p + 4 <= end; ++*p) {
		if ((*p)[0] == 0 && (*p)[1] == 0 && (*p)[2] == 1) {
			*p += 4;
			return (*p)[-1];
		}
	}
	return -1;
}

/* Pictures of a packet, the first two, and where the second begins; -1: not
 * understood. */
static int
read_packet(struct mpeg4 *m, struct vop *v, const uint8_t *p, int64_t bytes)
{
	const uint8_t *end = p + bytes;
	int code, n = 0;

	while (n < 2 && (code = next_code(&p, end)) >= 0) {
		struct bits b = { p, end, 0, false };

		if (code >= 0x20 && code < 0x30) {
			if (!read_layer(m, b))
				return -1;
		} else if (code == 0xb2) {
			read_user(m, p, end - p);
		} else if (code == 0xb6) {
			if (!read_vop(m, &v[n++], b))
				return -1;
		}
	}
	return n;
}

/* ---- what the decoder will do ------------------------------------------------ */

/*
 * Packet number `at` makes the decoder decode v.  Notes whose frame comes then.
 * A B-frame whose time is not between those of its references is not decoded;
 * such files are left alone.
 */
static void
decode(struct mpeg4 *m, struct packet *all, int at, const struct vop *v)
{
	int64_t time;

	all[at].hidden = !v->coded;
	all[at].order = m->came;
	if (v->type == B) {
		time = (m->last_base + v->seconds) * m->rate + v->ticks;
		if (!m->delays || m->refs < 2 || time <= m->last_time ||
		    time >= m->time)
			m->lost = true;
		m->came += v->coded;
		return;
	}
	m->last_base = m->base;
	m->base += v->seconds;
	m->last_time = m->time;
	m->time = m->base * m->rate + v->ticks;
	if (!v->coded)
		return;
	if (m->refs++ > 0)
		all[m->ref].order = m->came++;
	all[at].order = INT64_MAX;	/* until the next */
	m->ref = at;
}

void
mpeg4_note(struct mpeg4 *m, struct packet *all, int at, const AVPacket *pkt)
{
	const uint8_t *p = pkt->data;
	struct vop v[2], now;
	int n = pkt->size > 0 ? read_packet(m, v, p, pkt->size) : -1;
	bool held;

	if (n >= 0 && m->packed && m->holds && next_code(&p, p + pkt->size) == 0xb0)
		m->holds = false;	/* begins anew */
	held = m->holds && (m->packed || pkt->size <= NVOP_BYTES);
	if (n < 0 || (n == 0 && !held) || (n > 1 && !m->packed)) {
		m->lost = true;
		return;
	}
	now = held ? m->held : v[0];
	m->holds = false;
	decode(m, all, at, &now);
	all[at].key = all[at].key && !held && now.type == I;
	if (now.coded && m->packed && n > !held &&
	    pkt->size > REST_BYTES && v[!held].type % 2 == 0) {
		m->holds = true;
		m->held = v[!held];
	}
}

int
mpeg4_new(struct mpeg4 **out, const uint8_t *extradata, int bytes)
{
	struct vop v[2];

	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return -1;
	(*out)->lost = bytes > 0 && read_packet(*out, v, extradata, bytes) < 0;
	return 0;
}

bool
mpeg4_known(const struct mpeg4 *m)
{
	return !m->lost;
}

bool
mpeg4_packed(const struct mpeg4 *m)
{
	return m->packed;
}
