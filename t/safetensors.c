/* safetensors: what is written is read again, and damaged files are refused. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/safetensors.h"
#include "tap.h"

static float three[6] = { 0, -1.5f, 2, 3e-40f, INFINITY, 5 };
static int64_t longs[2] = { -7, (int64_t)1 << 40 };
static uint16_t halves[6] = { 0x3c00, 0xc000, 0x0001, 0x7c00, 0x3555,
	0x03ff };
static uint16_t brains[2] = { 0x3f80, 0xc040 };
static double doubles[1] = { 0.1 };
static uint8_t bytes[3] = { 1, 2, 255 };
static int32_t scalar = -5;

static struct cb_tensor all[] = {
	{ "three", { CB_F32, 2, { 2, 3 }, three } },
	{ "long", { CB_I64, 1, { 2 }, longs } },
	{ "half", { CB_F16, 1, { 6 }, halves } },
	{ "brain", { CB_BF16, 2, { 1, 2 }, brains } },
	{ "bytes", { CB_U8, 1, { 3 }, bytes } },
	{ "double", { CB_F64, 1, { 1 }, doubles } },	/* at an odd place */
	{ "scalar", { CB_I32, 0, { 0 }, &scalar } },
	{ "empty", { CB_F32, 2, { 0, 3 }, three } },
};

static bool
parses(const void *data, int64_t n)
{
	struct cb_safetensors *f;
	void *copy = malloc(n > 0 ? n : 1);
	int rc;

	memcpy(copy, data, n);
	rc = cb_safetensors_parse(&f, copy, n, "x.safetensors");
	if (rc == 0)
		cb_safetensors_close(f);
	free(copy);
	return rc == 0;
}

static void
round_trip(void)
{
	json_t *meta = json_pack("{s:s}", "who", "\u00e4 \"quoted\"");
	struct cb_safetensors *f = NULL;
	const struct cb_array *a;
	bool same = true;
	float x[6];
	size_t i;

	ok(cb_safetensors_write("a.st", all, CB_LEN(all), meta) == 0 &&
	    cb_safetensors_open(&f, "a.st") == 0, "written and read");
	for (i = 0; i < CB_LEN(all); i++) {
		a = cb_safetensors_find(f, all[i].name);
		same = same && a != NULL && a->type == all[i].array.type &&
		    a->rank == all[i].array.rank &&
		    memcmp(a->dim, all[i].array.dim,
		    sizeof(*a->dim) * a->rank) == 0 &&
		    memcmp(a->data, all[i].array.data, cb_array_bytes(a)) == 0 &&
		    (uintptr_t)a->data % cb_dtype_size(a->type) == 0 &&
		    strcmp(cb_safetensors_at(f, i)->name, all[i].name) == 0;
	}
	ok(same && cb_safetensors_count(f) == CB_LEN(all),
	    "every type, shape and byte comes back, aligned");
	ok(cb_safetensors_find(f, "nobody") == NULL &&
	    strcmp(cb_safetensors_meta(f, "who"), "\u00e4 \"quoted\"") == 0 &&
	    cb_safetensors_meta(f, "what") == NULL, "metadata too");
	cb_array_to_f32(x, cb_safetensors_find(f, "half"));
	ok(x[0] == 1 && x[1] == -2 && x[2] == 0x1p-24f && isinf(x[3]) &&
	    x[4] == 0.333251953125f && x[5] == 1023 * 0x1p-24f, "half precision");
	cb_array_to_f32(x, cb_safetensors_find(f, "brain"));
	ok(x[0] == 1 && x[1] == -3, "bfloat16");
	cb_array_to_f32(x, cb_safetensors_find(f, "double"));
	cb_array_to_f32(x + 1, cb_safetensors_find(f, "bytes"));
	cb_array_to_f32(x + 4, cb_safetensors_find(f, "long"));
	ok(x[0] == 0.1f && x[3] == 255 && x[4] == -7 && x[5] == 0x1p40f,
	    "doubles, bytes and whole numbers");
	ok(cb_safetensors_f32(f, "three", 2, (int64_t[]){ 2, 3 }, x) == 0 &&
	    memcmp(x, three, sizeof(three)) == 0, "the right shape");
	ok(cb_safetensors_f32(f, "three", 1, (int64_t[]){ 6 }, x) < 0 &&
	    strcmp(cb_error(), "a.st: three: shape is [2, 3], must be [6]") == 0,
	    "a wrong shape: %s", cb_error());
	ok(cb_safetensors_f32(f, "nobody", -1, NULL, x) < 0 &&
	    cb_error_code() == CB_EMISSING, "a missing one: %s", cb_error());
	cb_safetensors_close(f);
	json_decref(meta);
}

static void
cuts(void)
{
	char *text;
	int64_t n, i;
	uint64_t head;
	int taken = 0;

	if (cb_file_read(&text, &n, "a.st", 1 << 20) < 0)
		abort();
	memcpy(&head, text, 8);
	ok((8 + head) % 64 == 0, "data starts at a multiple of 64");
	for (i = 0; i < n; i++)
		taken += parses(text, i);
	ok(taken == 0 && parses(text, n), "refused wherever it is cut");
	free(text);
}

/* A file of this header and so many bytes of data. */
static bool
header_parses(const char *header, int data)
{
	char file[1024] = { 0 };
	uint64_t n = strlen(header);

	memcpy(file, &n, 8);
	memcpy(file + 8, header, n);
	return parses(file, 8 + (int64_t)n + data);
}

#define F4(a, b) "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" #a "," \
	#b "]}"
static void
damage(void)
{
	static const struct {
		const char *what, *header;
		int data;
	} bad[] = {
		{ "overlap", "{\"a\":" F4(0, 4) ",\"b\":" F4(2, 6) "}", 6 },
		{ "one place twice", "{\"a\":" F4(0, 4) ",\"b\":" F4(0, 4) "}",
		    4 },
		{ "a gap", "{\"a\":" F4(0, 4) ",\"b\":" F4(8, 12) "}", 12 },
		{ "bytes at the end", "{\"a\":" F4(0, 4) "}", 8 },
		{ "beyond the end", "{\"a\":" F4(4, 8) "}", 4 },
		{ "a negative place", "{\"a\":" F4(-4, 0) "}", 4 },
		{ "a backward place", "{\"a\":" F4(4, 0) "}", 4 },
		{ "an absurd place",
		    "{\"a\":" F4(0, 9223372036854775807) "}", 4 },
		{ "a place beyond 64 bits",
		    "{\"a\":" F4(0, 92233720368547758070) "}", 4 },
		{ "too few bytes", "{\"a\":" F4(0, 3) "}", 3 },
		{ "a shape that overflows", "{\"a\":{\"dtype\":\"F32\","
		    "\"shape\":[4294967296,4294967296],"
		    "\"data_offsets\":[0,0]}}", 0 },
		{ "a negative size", "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],"
		    "\"data_offsets\":[0,4]}}", 4 },
		{ "too many dimensions", "{\"a\":{\"dtype\":\"F32\","
		    "\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4 },
		{ "a size that is no number", "{\"a\":{\"dtype\":\"F32\","
		    "\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", 4 },
		{ "an unknown type", "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],"
		    "\"data_offsets\":[0,4]}}", 4 },
		{ "no shape", "{\"a\":{\"dtype\":\"F32\","
		    "\"data_offsets\":[0,4]}}", 4 },
		{ "no object", "[]", 0 },
		{ "no JSON", "{", 0 },
		{ "a tensor that is no object", "{\"a\":1}", 0 },
		{ "a name twice", "{\"a\":" F4(0, 4) ",\"a\":" F4(4, 8) "}",
		    8 },
		{ "metadata that is no object", "{\"__metadata__\":1}", 0 },
		{ "metadata that is no string", "{\"__metadata__\":{\"a\":1}}",
		    0 },
	};
	char huge[16] = { 0 };
	size_t i;

	ok(header_parses("{\"a\":" F4(4, 8) ",\"b\":" F4(0, 4) "}", 8),
	    "any order of tensors is taken");
	ok(header_parses("{}   ", 0), "and none at all");
	for (i = 0; i < CB_LEN(bad); i++)
		ok(!header_parses(bad[i].header, bad[i].data),
		    "refused: %s: %s", bad[i].what, cb_error());
	memset(huge, 0x7f, sizeof(huge));
	ok(!parses(huge, sizeof(huge)), "refused: %s", cb_error());
}

static void
writing(void)
{
	struct cb_tensor twice[] = { all[0], all[0] };
	struct rlimit small = { 4096, RLIM_INFINITY }, back;
	static float zeros[100000];
	struct cb_tensor big = { "big", { CB_F32, 1, { 100000 }, zeros } };
	char *before, *after;
	int64_t n, k;

	ok(cb_safetensors_write("twice.st", twice, 2, NULL) < 0 &&
	    access("twice.st", F_OK) != 0, "a name twice: %s", cb_error());
	cb_file_read(&before, &n, "a.st", 1 << 20);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &back);
	small.rlim_max = back.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	ok(cb_safetensors_write("a.st", &big, 1, NULL) < 0 &&
	    strcmp(cb_error(), "a.st: File too large") == 0,
	    "a file that cannot be written: %s", cb_error());
	setrlimit(RLIMIT_FSIZE, &back);
	cb_file_read(&after, &k, "a.st", 1 << 20);
	ok(n == k && memcmp(before, after, n) == 0 &&
	    access("a.st.new", F_OK) != 0, "leaves the old one, and no rest");
	free(before);
	free(after);
}

int
main(void)
{
	plan(39);
	round_trip();
	cuts();
	damage();
	writing();
	return done();
}
