/*
 * A cubin is an ELF file of machine 190.  A kernel K is the symbol K, a
 * function; its code is .text.K, its static shared memory the size of
 * .nv.shared.K, what the compiler says of it lies in .nv.info.K and, with the
 * index of the symbol, in .nv.info.
 *
 * The encoding was found by compiling kernels that each hold one instruction
 * (t/cubin/known.cu, which the test compares with what ptxas says of it):
 * 16 bytes an instruction, opcode in bits 0-11, log2(bits / 2) of an access in
 * bits 73-75, of LDGSTS on sm_100 in bits 74-76.
 */
#include <elf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#include "cubin.h"

#define EM_CUDA_CODE 190
#define INFO_MAX_THREADS 0x05	/* attributes of .nv.info* */
#define INFO_FRAME_SIZE 0x11
#define INFO_STACK_SIZE 0x12
#define INFO_REGISTERS 0x2f
#define INFO_SIZED 4		/* format: so many bytes */
#define SASS_NOP 0x918

const char *const sass_names[SASS_KINDS] = { "HMMA", "LDSM", "BAR", "SHFL",
	"MUFU", "LDG", "STG", "LDS", "STS", "LDGSTS", "LDL", "STL" };

/* The same operation has several opcodes, by the kinds of its operands. */
static const struct { uint16_t op; uint8_t kind; } opcodes[] = {
	{ 0x23c, HMMA }, { 0x83b, LDSM }, { 0xb1d, BAR },
	{ 0x389, SHFL }, { 0x589, SHFL }, { 0x989, SHFL }, { 0xf89, SHFL },
	{ 0x308, MUFU }, { 0x908, MUFU }, { 0x981, LDG }, { 0x986, STG },
	{ 0x984, LDS }, { 0x388, STS }, { 0x988, STS }, { 0xfae, LDGSTS },
	{ 0x983, LDL }, { 0x387, STL }, { 0x987, STL },
};
/* 8 bits unsigned and signed, 16 likewise, 32, 64, 128. */
static const uint8_t widths[8] = { 3, 3, 4, 4, 5, 6, 7, 0 };

struct image {			/* a cubin within the bytes of a file */
	const char *path;
	const uint8_t *at;
	size_t	 size;
	const Elf64_Ehdr *head;
	const Elf64_Shdr *sections;
	const char *names;
	size_t	 names_size;
};

static void
count_code(struct kernel *k, const uint8_t *code, size_t size)
{
	uint64_t lo, hi;
	size_t i, j;
	int kind, shift;

	for (i = 0; i + 16 <= size; i += 16) {
		memcpy(&lo, code + i, 8);
		memcpy(&hi, code + i + 8, 8);
		k->code += (lo & 0xfff) != SASS_NOP;
		for (j = 0; j < sizeof(opcodes) / sizeof(*opcodes); j++) {
			if (opcodes[j].op != (lo & 0xfff))
				continue;
			kind = opcodes[j].kind;
			shift = kind == LDGSTS && k->arch >= 100 ? 10 : 9;
			k->count[kind][kind < LDG ? 0 :
			    widths[hi >> shift & 7]]++;
		}
	}
}

static const char *
section_name(const struct image *m, const Elf64_Shdr *s)
{
	return s->sh_name < m->names_size ? m->names + s->sh_name : "";
}

/* Whether a cubin begins at p, with tables that lie within the file. */
static bool
image_at(struct image *m, const char *path, const uint8_t *p, size_t size)
{
	const Elf64_Ehdr *h = (const void *)p;
	const Elf64_Shdr *s;
	size_t i;

	if (size < sizeof(*h) || memcmp(p, ELFMAG, SELFMAG) != 0 ||
	    h->e_machine != EM_CUDA_CODE || h->e_ident[EI_CLASS] != ELFCLASS64)
		return false;
	*m = (struct image){ .path = path, .at = p, .size = size, .head = h };
	if (h->e_shentsize != sizeof(*s) || h->e_shoff > size ||
	    h->e_shoff % 8 != 0 || h->e_shnum > (size - h->e_shoff) /
	    sizeof(*s) || h->e_shstrndx >= h->e_shnum)
		return false;
	m->sections = (const void *)(p + h->e_shoff);
	for (i = 0; i < h->e_shnum; i++) {
		s = m->sections + i;
		if (s->sh_type != SHT_NOBITS && (s->sh_offset > size ||
		    s->sh_size > size - s->sh_offset))
			return false;
	}
	s = m->sections + h->e_shstrndx;
	m->names = (const char *)p + s->sh_offset;
	m->names_size = s->sh_size;
	return s->sh_type != SHT_NOBITS && s->sh_size > 0 &&
	    m->names[s->sh_size - 1] == '\0';
}

static const Elf64_Shdr *
section(const struct image *m, const char *prefix, const char *name)
{
	const size_t n = strlen(prefix);
	const char *s;
	int i;

	for (i = 0; i < m->head->e_shnum; i++) {
		s = section_name(m, m->sections + i);
		if (strncmp(s, prefix, n) == 0 && strcmp(s + n, name) == 0)
			return m->sections + i;
	}
	return NULL;
}

/* Attributes of the kernel's own section (symbol 0), or of its symbol. */
static void
read_info(struct kernel *k, const struct image *m, const Elf64_Shdr *s,
    uint32_t symbol)
{
	const uint8_t *p = m->at + s->sh_offset, *end = p + s->sh_size;
	uint32_t v[3] = { 0 };
	uint16_t n;

	for (; end - p >= 4; p += 4 + n) {
		memcpy(&n, p + 2, 2);
		n = p[0] == INFO_SIZED ? n : 0;
		if (n > end - p - 4)
			return;
		memcpy(v, p + 4, n < 12 ? n : 12);
		if (symbol == 0 && p[1] == INFO_MAX_THREADS && n == 12)
			k->threads = (int64_t)v[0] * v[1] * v[2];
		if (symbol == 0 || n != 8 || v[0] != symbol)
			continue;
		if (p[1] == INFO_REGISTERS)
			k->regs = v[1];
		if ((p[1] == INFO_FRAME_SIZE || p[1] == INFO_STACK_SIZE) &&
		    v[1] > k->stack)
			k->stack = v[1];
	}
}

/* Index of the function of that name, 0: none. */
static uint32_t
symbol_of(const struct image *m, const char *name)
{
	const Elf64_Shdr *t = section(m, ".symtab", ""), *s;
	const Elf64_Sym *sym;
	const char *names;
	size_t i;

	if (t == NULL || t->sh_type == SHT_NOBITS || t->sh_offset % 8 != 0 ||
	    t->sh_link >= m->head->e_shnum)
		return 0;
	s = m->sections + t->sh_link;
	names = (const char *)m->at + s->sh_offset;
	if (s->sh_type == SHT_NOBITS || s->sh_size == 0 ||
	    names[s->sh_size - 1] != '\0')
		return 0;
	sym = (const void *)(m->at + t->sh_offset);
	for (i = 1; i < t->sh_size / sizeof(*sym); i++)
		if (ELF64_ST_TYPE(sym[i].st_info) == STT_FUNC &&
		    sym[i].st_name < s->sh_size &&
		    strcmp(names + sym[i].st_name, name) == 0)
			return (uint32_t)i;
	return 0;
}

/* Of the C++ library: yours to free; NULL: not mangled. */
char	*__cxa_demangle(const char *name, char *to, size_t *room, int *status);

/* _Z3sumIfLi4EEvPT_ -> sum<float,4>; yours to free, NULL: no memory. */
static char *
title_of(const char *name)
{
	char *s = __cxa_demangle(name, NULL, NULL, NULL), *from, *to;

	if (s == NULL)
		return strdup(name);
	from = to = s;
	if (strncmp(s, "void ", 5) == 0)
		from += 5;
	for (; *from != '\0' && *from != '('; from++)
		if (*from != ' ')
			*to++ = *from;
	*to = '\0';
	return s;
}

static int
read_kernel(struct kernels *all, const struct image *m, const Elf64_Shdr *text)
{
	const char *name = section_name(m, text) + strlen(".text.");
	const Elf64_Shdr *info = section(m, ".nv.info", "");
	const Elf64_Shdr *own = section(m, ".nv.info.", name);
	const Elf64_Shdr *shared = section(m, ".nv.shared.", name);
	const uint32_t symbol = symbol_of(m, name);
	struct kernel *k;

	k = realloc(all->at, (size_t)(all->n + 1) * sizeof(*k));
	if (k == NULL)
		return cb_fail(CB_ENOMEM, "%s", m->path);
	all->at = k;
	k += all->n;
	*k = (struct kernel){ .regs = -1, .threads = 1024,
	    .arch = m->head->e_flags >> 8 & 0xff };
	all->n++;
	if ((k->name = strdup(name)) == NULL ||
	    (k->title = title_of(name)) == NULL)
		return cb_fail(CB_ENOMEM, "%s", m->path);
	if (info != NULL && symbol != 0)
		read_info(k, m, info, symbol);
	if (own != NULL)
		read_info(k, m, own, 0);
	if (k->regs < 0)
		return cb_fail(CB_EFORMAT, "%s: %s: its registers are not "
		    "told", m->path, name);
	/* from sm_90 on with the 1 KB that the driver reserves */
	if (shared != NULL)
		k->shared = (int64_t)shared->sh_size - (k->arch >= 90 ? 1024 :
		    0);
	count_code(k, m->at + text->sh_offset, text->sh_size);
	k->blocks = cubin_blocks(k, (int)k->threads, 0);
	return 0;
}

static int
read_image(struct kernels *all, const struct image *m)
{
	const Elf64_Shdr *s;
	int i;

	for (i = 0; i < m->head->e_shnum; i++) {
		s = m->sections + i;
		if (strncmp(section_name(m, s), ".text.", 6) == 0 &&
		    s->sh_type == SHT_PROGBITS && read_kernel(all, m, s) < 0)
			return -1;
	}
	return 0;
}

int
cubin_read(struct kernels *all, const char *path)
{
	FILE *f = fopen(path, "rb");
	struct image m;
	uint8_t *bytes = NULL;
	int before = all->n, rc = -1;
	long size;
	size_t i;

	if (f == NULL)
		return cb_fail(CB_EIO, "%s", path);
	if (fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 ||
	    fseek(f, 0, SEEK_SET) != 0) {
		cb_fail(CB_EIO, "%s", path);
		goto done;
	}
	if ((bytes = malloc((size_t)size + 1)) == NULL) {
		cb_fail(CB_ENOMEM, "%s", path);
		goto done;
	}
	if (fread(bytes, 1, (size_t)size, f) != (size_t)size) {
		cb_fail(CB_EIO, "%s", path);
		goto done;
	}
	for (i = 0; i + sizeof(Elf64_Ehdr) <= (size_t)size; i += 8)
		if (image_at(&m, path, bytes + i, (size_t)size - i) &&
		    read_image(all, &m) < 0)
			goto done;
	if (all->n == before)
		cb_fail(CB_EFORMAT, "%s: no kernels (or compressed ones: nvcc "
		    "--no-compress)", path);
	else
		rc = 0;
done:
	free(bytes);
	fclose(f);
	return rc;
}

void
kernels_clear(struct kernels *all)
{
	int i;

	for (i = 0; i < all->n; i++) {
		free(all->at[i].name);
		free(all->at[i].title);
	}
	free(all->at);
	*all = (struct kernels){ 0 };
}
