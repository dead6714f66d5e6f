/*
 * Both ways to run a kernel, from its source and from its PTX, are held to the
 * figures of the PTX ISA ("Matrix Fragments for mma.m16n8k16 with floating point
 * type", "ldmatrix"), typed here cell by cell: which lane holds an element, and
 * as which of its own, a the first.
 */
#include <stdio.h>

#include "case.h"

cudaError_t launch_fragments(bool, float *, const uint32_t *, const uint32_t *,
    cudaStream_t);
cudaError_t launch_matrices(bool, uint32_t *, const uint16_t *, cudaStream_t);

static const char *const a_figure[16] = {
	"0a 0b 1a 1b 2a 2b 3a 3b 0e 0f 1e 1f 2e 2f 3e 3f",
	"4a 4b 5a 5b 6a 6b 7a 7b 4e 4f 5e 5f 6e 6f 7e 7f",
	"8a 8b 9a 9b 10a 10b 11a 11b 8e 8f 9e 9f 10e 10f 11e 11f",
	"12a 12b 13a 13b 14a 14b 15a 15b 12e 12f 13e 13f 14e 14f 15e 15f",
	"16a 16b 17a 17b 18a 18b 19a 19b 16e 16f 17e 17f 18e 18f 19e 19f",
	"20a 20b 21a 21b 22a 22b 23a 23b 20e 20f 21e 21f 22e 22f 23e 23f",
	"24a 24b 25a 25b 26a 26b 27a 27b 24e 24f 25e 25f 26e 26f 27e 27f",
	"28a 28b 29a 29b 30a 30b 31a 31b 28e 28f 29e 29f 30e 30f 31e 31f",
	"0c 0d 1c 1d 2c 2d 3c 3d 0g 0h 1g 1h 2g 2h 3g 3h",
	"4c 4d 5c 5d 6c 6d 7c 7d 4g 4h 5g 5h 6g 6h 7g 7h",
	"8c 8d 9c 9d 10c 10d 11c 11d 8g 8h 9g 9h 10g 10h 11g 11h",
	"12c 12d 13c 13d 14c 14d 15c 15d 12g 12h 13g 13h 14g 14h 15g 15h",
	"16c 16d 17c 17d 18c 18d 19c 19d 16g 16h 17g 17h 18g 18h 19g 19h",
	"20c 20d 21c 21d 22c 22d 23c 23d 20g 20h 21g 21h 22g 22h 23g 23h",
	"24c 24d 25c 25d 26c 26d 27c 27d 24g 24h 25g 25h 26g 26h 27g 27h",
	"28c 28d 29c 29d 30c 30d 31c 31d 28g 28h 29g 29h 30g 30h 31g 31h"
};
static const char *const b_figure[16] = {
	"0a 4a 8a 12a 16a 20a 24a 28a",
	"0b 4b 8b 12b 16b 20b 24b 28b",
	"1a 5a 9a 13a 17a 21a 25a 29a",
	"1b 5b 9b 13b 17b 21b 25b 29b",
	"2a 6a 10a 14a 18a 22a 26a 30a",
	"2b 6b 10b 14b 18b 22b 26b 30b",
	"3a 7a 11a 15a 19a 23a 27a 31a",
	"3b 7b 11b 15b 19b 23b 27b 31b",
	"0c 4c 8c 12c 16c 20c 24c 28c",
	"0d 4d 8d 12d 16d 20d 24d 28d",
	"1c 5c 9c 13c 17c 21c 25c 29c",
	"1d 5d 9d 13d 17d 21d 25d 29d",
	"2c 6c 10c 14c 18c 22c 26c 30c",
	"2d 6d 10d 14d 18d 22d 26d 30d",
	"3c 7c 11c 15c 19c 23c 27c 31c",
	"3d 7d 11d 15d 19d 23d 27d 31d"
};
static const char *const c_figure[16] = {
	"0a 0b 1a 1b 2a 2b 3a 3b",
	"4a 4b 5a 5b 6a 6b 7a 7b",
	"8a 8b 9a 9b 10a 10b 11a 11b",
	"12a 12b 13a 13b 14a 14b 15a 15b",
	"16a 16b 17a 17b 18a 18b 19a 19b",
	"20a 20b 21a 21b 22a 22b 23a 23b",
	"24a 24b 25a 25b 26a 26b 27a 27b",
	"28a 28b 29a 29b 30a 30b 31a 31b",
	"0c 0d 1c 1d 2c 2d 3c 3d",
	"4c 4d 5c 5d 6c 6d 7c 7d",
	"8c 8d 9c 9d 10c 10d 11c 11d",
	"12c 12d 13c 13d 14c 14d 15c 15d",
	"16c 16d 17c 17d 18c 18d 19c 19d",
	"20c 20d 21c 21d 22c 22d 23c 23d",
	"24c 24d 25c 25d 26c 26d 27c 27d",
	"28c 28d 29c 29d 30c 30d 31c 31d"
};

struct Place { int lane, element; };

static Place
place(const char *const *figure, int row, int col)
{
	const char *s = figure[row];
	Place p = { -1, -1 };
	char c = 0;

	for (int i = 0; i <= col; i++) {
		sscanf(s, "%d%c", &p.lane, &c);
		s += strcspn(s, " ");
		s += *s == ' ';
	}
	p.element = c - 'a';
	return p;
}

/* Small whole numbers in either type: exact, and so are their sums. */
static uint16_t
bits(int v, bool bf16)
{
	static const uint16_t whole[2][5] = {
		{ 0, 0x3c00, 0x4000, 0x4200, 0x4400 },
		{ 0, 0x3f80, 0x4000, 0x4040, 0x4080 } };

	return (uint16_t)(whole[bf16][v < 0 ? -v : v] | (v < 0 ? 0x8000 : 0));
}

static bool
fragments(bool bf16)
{
	std::vector<uint16_t> a(32 * 8), b(32 * 4);
	std::vector<float> want(32 * 4);
	int m[16][16], n[16][8], sum;
	float *c = empty<float>(32 * 4);
	Place p;

	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 16; j++) {
			m[i][j] = (i * 7 + j * 3) % 9 - 4;
			p = place(a_figure, i, j);
			a[(size_t)(8 * p.lane + p.element)] =
			    bits(m[i][j], bf16);
		}
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 8; j++) {
			n[i][j] = (i * 5 + j * 11) % 7 - 3;
			p = place(b_figure, i, j);
			b[(size_t)(4 * p.lane + p.element)] =
			    bits(n[i][j], bf16);
		}
	for (int i = 0; i < 16; i++)
		for (int j = 0; j < 8; j++) {
			sum = 0;
			for (int k = 0; k < 16; k++)
				sum += m[i][k] * n[k][j];
			p = place(c_figure, i, j);
			want[(size_t)(4 * p.lane + p.element)] = (float)sum;
		}
	must(launch_fragments(bf16, c, (const uint32_t *)device(a),
	    (const uint32_t *)device(b), NULL));
	return host(c, 32 * 4) == want;
}

/* The figure of ldmatrix is the upper half of that of c. */
static bool
matrices(bool turned)
{
	std::vector<uint16_t> m(32 * 8), want(32 * 8);
	uint32_t *r = empty<uint32_t>(32 * 4);
	Place p;

	for (size_t i = 0; i < m.size(); i++)
		m[i] = (uint16_t)(1000 + i);
	for (int k = 0; k < 4; k++)
		for (int i = 0; i < 8; i++)
			for (int j = 0; j < 8; j++) {
				p = place(c_figure, turned ? j : i, turned ?
				    i : j);
				want[(size_t)(8 * p.lane + 2 * k +
				    p.element)] = m[(size_t)(64 * k + 8 * i +
				    j)];
			}
	must(launch_matrices(turned, r, device(m), NULL));
	std::vector<uint32_t> got = host(r, 32 * 4);
	return memcmp(got.data(), want.data(), 512) == 0;
}

bool
fragments_case(int)
{
	return fragments(true) && fragments(false);
}

bool
matrices_case(int)
{
	return matrices(false) && matrices(true);
}
