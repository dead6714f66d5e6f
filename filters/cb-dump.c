/* cb-dump: a stream or a checkpoint as JSON lines for people and jq. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <png.h>

#include "base/safetensors.h"
#include "stream/stream.h"

static int
print(json_t *v)
{
	int bad = json_dumpf(v, stdout, JSON_COMPACT) != 0 ||
	    putchar('\n') == EOF;

	json_decref(v);
	return bad ? cb_fail(CB_EIO, "stdout") : 0;
}

/* ---- pictures ----------------------------------------------------------- */

/* Where in the stream a picture is; names its file. */
struct place {
	const char *dir;		/* NULL: no pictures wanted */
	int64_t seq, n;			/* of the group or batch; its pictures */
	bool batch;
};

static int
write_png(const char *path, const struct cb_array *a)
{
	png_image image = { .version = PNG_IMAGE_VERSION,
	    .width = (png_uint_32)a->dim[1], .height = (png_uint_32)a->dim[0],
	    .format = PNG_FORMAT_RGB };
	struct cb_file *f;

	if (cb_file_create(&f, path) < 0)
		return -1;
	if (!png_image_write_to_stdio(&image, f->fp, 0, a->data, 0, NULL)) {
		cb_fail(CB_EIO, "%s: %s", path, image.message);
		cb_file_discard(f);
		return -1;
	}
	return cb_file_commit(f);
}

/* DIR/group-clip-index.png; in a batch DIR/batch-video-clip-place.png. */
static int
save_picture(struct place *p, const struct cb_msg *m)
{
	int64_t clip = 0, index = p->n, video = 0;
	struct cb_array a;
	char *path;
	int rc;

	if (cb_map_array(&m->root, "picture", &a) < 0)
		return -1;
	if (a.type != CB_U8 || a.rank != 3 || a.dim[2] != 3 ||
	    cb_array_count(&a) == 0 || a.dim[0] > PNG_UINT_31_MAX ||
	    a.dim[1] > PNG_UINT_31_MAX)
		return cb_fail(CB_EFORMAT, "picture %lld of %s %lld is not "
		    "u8 [H,W,3]", (long long)p->n, p->batch ? "batch" :
		    "group", (long long)p->seq);
	if (cb_map_get(&m->root, "clip") != NULL &&
	    cb_map_int(&m->root, "clip", &clip) < 0)
		return -1;
	if (cb_map_get(&m->root, "index") != NULL &&
	    cb_map_int(&m->root, "index", &index) < 0)
		return -1;
	if (p->batch && cb_map_int(&m->root, "video", &video) < 0)
		return -1;
	path = p->batch ? cb_strf("%s/b%06lld-v%03lld-c%03lld-%06lld.png",
	    p->dir, (long long)p->seq, (long long)video, (long long)clip,
	    (long long)index) : cb_strf("%s/g%06lld-c%03lld-%06lld.png",
	    p->dir, (long long)p->seq, (long long)clip, (long long)index);
	rc = write_png(path, &a);
	free(path);
	return rc;
}

static int
follow(struct place *p, const struct cb_msg *m)
{
	enum cb_msg_kind kind = cb_msg_kind(m);
	const msgpack_object *g;
	int rc = 0;

	if (kind == CB_MSG_GROUP || kind == CB_MSG_BATCH) {
		p->batch = kind == CB_MSG_BATCH;
		p->n = 0;
		g = cb_map_get(&m->root, p->batch ? "batch" : "group");
		return cb_map_int(g, "seq", &p->seq);
	}
	if (kind == CB_MSG_PICTURE) {
		rc = save_picture(p, m);
		p->n++;
	}
	return rc;
}

/* ---- the two kinds of input --------------------------------------------- */

static int
dump_stream(struct place *p, int fd, const char *name)
{
	struct cb_reader *r;
	struct cb_msg *m;
	json_t *eos;
	int rc;

	if (cb_reader_open(&r, fd, name) < 0)
		return -1;
	rc = print(cb_obj_json(&cb_reader_header(r)->root)) < 0 ? -1 : 1;
	while (rc > 0 && (rc = cb_reader_next(r, &m)) > 0) {
		if (print(cb_obj_json(&m->root)) < 0 ||
		    (p->dir != NULL && follow(p, m) < 0))
			rc = -1;
		cb_msg_free(m);
	}
	if (cb_reader_eos(r) != NULL) {
		eos = json_object();
		json_object_set_new(eos, "eos", cb_obj_json(cb_reader_eos(r)));
		if (print(eos) < 0)
			rc = -1;
	}
	cb_reader_close(r);
	return rc;
}

/* Strings of the metadata that hold JSON are shown as JSON. */
static json_t *
metadata(const struct cb_safetensors *f)
{
	json_t *out = json_object(), *v, *text;
	const char *key;

	json_object_foreach((json_t *)cb_safetensors_metadata(f), key, text) {
		const char *s = json_string_value(text);

		v = *s == '{' || *s == '[' ? json_loads(s, 0, NULL) : NULL;
		json_object_set_new(out, key, v != NULL ? v :
		    json_incref(text));
	}
	return out;
}

static int
dump_tensor(const struct cb_tensor *t)
{
	const struct cb_array *a = &t->array;
	json_t *shape = json_array();
	char hex[65];
	int i;

	for (i = 0; i < a->rank; i++)
		json_array_append_new(shape, json_integer(a->dim[i]));
	cb_sha256(hex, a->data, cb_array_bytes(a));
	return print(json_pack("{s:s, s:s, s:o, s:s}", "name", t->name,
	    "dtype", cb_dtype_name(a->type), "shape", shape, "sha256", hex));
}

static int
dump_safetensors(const char *path)
{
	struct cb_safetensors *f;
	int rc, i;

	if (cb_safetensors_open(&f, path) < 0)
		return -1;
	rc = print(json_pack("{s:s, s:o}", "safetensors", path, "metadata",
	    metadata(f)));
	for (i = 0; i < cb_safetensors_count(f) && rc == 0; i++)
		rc = dump_tensor(cb_safetensors_at(f, i));
	cb_safetensors_close(f);
	return rc;
}

/*
 * A stream begins with the msgpack map of its header; a safetensors file with a
 * length of 8 bytes, whose first may be anything, and a brace.
 */
static int
dump_file(struct place *p, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	unsigned char b[9] = { 0 };
	bool stream;

	if (fd < 0 || cb_read_full(fd, b, sizeof(b), path) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0) {
		rc = cb_fail(CB_EIO, "%s", path);
	} else {
		stream = b[8] != '{' &&
		    (b[0] >> 4 == 8 || b[0] == 0xde || b[0] == 0xdf);
		rc = stream ? dump_stream(p, fd, path) : dump_safetensors(path);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

int
main(int argc, char **argv)
{
	struct place p = { 0 };
	const struct cb_opt table[] = {
		{ 'p', "pictures", CB_OPT_STR, &p.dir, "DIR",
		    "write the pictures there as PNG", 0, 0 },
		{ 0 }
	};
	int i = cb_options(argc, argv, table,
	    "[-p dir] [stream | checkpoint.safetensors ...]"), rc = 0;

	if (p.dir != NULL && cb_mkdirs(p.dir) < 0)
		return cb_complain();
	if (i == argc)
		rc = dump_stream(&p, STDIN_FILENO, "stdin");
	for (; i < argc && rc == 0; i++)
		rc = dump_file(&p, argv[i]);
	if (rc == 0 && fflush(stdout) != 0)
		rc = cb_fail(CB_EIO, "stdout");
	if (rc < 0) {
		fflush(stdout);
		return cb_complain();
	}
	return 0;
}
