/*
 * The kernels of gemm.c for AVX-512, by hand: what a compiler makes of the loop
 * in C keeps addresses in memory, or sums once it is unrolled.  Registers 0 to 27
 * are sums, two a row, 28 and 29 are of b, 30 is an element of a.  Four steps are
 * one turn of the loop; the order of a sum is that of the C.
 *
 * Each of the first turns asks for one row of the result and of what is added to
 * it: all rows at once are more lines than a core can wait for, and hold up the
 * loop.
 */
#ifndef CB_CPU_AVX512_H
#define CB_CPU_AVX512_H

#include <stddef.h>

/* X(row, its first sum, its second, step) for the first rows. */
#define FIRST_1(X, s) X(0, 0, 1, s)
#define FIRST_2(X, s) FIRST_1(X, s) X(1, 2, 3, s)
#define FIRST_3(X, s) FIRST_2(X, s) X(2, 4, 5, s)
#define FIRST_4(X, s) FIRST_3(X, s) X(3, 6, 7, s)
#define FIRST_5(X, s) FIRST_4(X, s) X(4, 8, 9, s)
#define FIRST_6(X, s) FIRST_5(X, s) X(5, 10, 11, s)
#define FIRST_7(X, s) FIRST_6(X, s) X(6, 12, 13, s)
#define FIRST_8(X, s) FIRST_7(X, s) X(7, 14, 15, s)
#define FIRST_9(X, s) FIRST_8(X, s) X(8, 16, 17, s)
#define FIRST_10(X, s) FIRST_9(X, s) X(9, 18, 19, s)
#define FIRST_11(X, s) FIRST_10(X, s) X(10, 20, 21, s)
#define FIRST_12(X, s) FIRST_11(X, s) X(11, 22, 23, s)
#define FIRST_13(X, s) FIRST_12(X, s) X(12, 24, 25, s)
#define FIRST_14(X, s) FIRST_13(X, s) X(13, 26, 27, s)

/* Where a row of a is, rows l apart; a9 is row 9. */
#define ROW_0 "(%[a])"
#define ROW_1 "(%[a],%[l])"
#define ROW_2 "(%[a],%[l],2)"
#define ROW_3 "(%[a],%[l3])"
#define ROW_4 "(%[a],%[l],4)"
#define ROW_5 "(%[a],%[l5])"
#define ROW_6 "(%[a],%[l3],2)"
#define ROW_7 "(%[a],%[l7])"
#define ROW_8 "(%[a],%[l],8)"
#define ROW_9 "(%[a9])"
#define ROW_10 "(%[a],%[l5],2)"
#define ROW_11 "(%[a9],%[l],2)"
#define ROW_12 "(%[a],%[l3],4)"
#define ROW_13 "(%[a9],%[l],4)"

/* Behind a pointer into columns, so many steps of l on. */
#define STEP_0(l, l3) ")"
#define STEP_1(l, l3) ",%[" #l "])"
#define STEP_2(l, l3) ",%[" #l "],2)"
#define STEP_3(l, l3) ",%[" #l3 "])"

#define NEXT "prefetcht1 (%[next])\n\tadd %[step], %[next]\n\t"
#define TIMES(at, x, y) \
	"vbroadcastss " at ", %%zmm30\n\t" \
	"vfmadd231ps %%zmm30, %%zmm28, %%zmm" #x "\n\t" \
	"vfmadd231ps %%zmm30, %%zmm29, %%zmm" #y "\n\t"
#define ROW_TIMES(r, x, y, s) TIMES("4*" #s ROW_##r, x, y)
#define COLUMN_TIMES(r, x, y, s) \
	TIMES("4*" #r "(%[a]" STEP_##s(l, l3), x, y)

#define STEP_OF_rows(R, s) \
	"vmovups 128*" #s "(%[b]), %%zmm28\n\t" \
	"vmovups 128*" #s "+64(%[b]), %%zmm29\n\t" \
	NEXT FIRST_##R(ROW_TIMES, s)
#define ON_OF_rows(n) \
	"add $4*" #n ", %[a]\n\tadd $4*" #n ", %[a9]\n\t" \
	"add $128*" #n ", %[b]\n\t"
#define STEP_OF_columns(R, s) \
	"vmovups (%[b]" STEP_##s(l5, l7) ", %%zmm28\n\t" \
	"vmovups 64(%[b]" STEP_##s(l5, l7) ", %%zmm29\n\t" \
	NEXT FIRST_##R(COLUMN_TIMES, s)
#define ON_OF_columns(n) \
	"lea (%[a],%[l]," #n "), %[a]\n\tlea (%[b],%[l5]," #n "), %[b]\n\t"

#define LOAD_BIAS(r, x, y, s) \
	"vmovaps %%zmm28, %%zmm" #x "\n\tvmovaps %%zmm29, %%zmm" #y "\n\t"
#define ADD_ROW(r, x, y, s) \
	"vaddps (%[a]), %%zmm" #x ", %%zmm" #x "\n\t" \
	"vaddps 64(%[a]), %%zmm" #y ", %%zmm" #y "\n\tadd %[l], %[a]\n\t"
#define POSITIVE(r, x, y, s) \
	"vmaxps %%zmm30, %%zmm" #x ", %%zmm" #x "\n\t" \
	"vmaxps %%zmm30, %%zmm" #y ", %%zmm" #y "\n\t"
#define STORE_ROW(r, x, y, s) \
	"vmovups %%zmm" #x ", (%[a])\n\t" \
	"vmovups %%zmm" #y ", 64(%[a])\n\tadd %[l], %[a]\n\t"

/* Where a pointer of the block is given: rows of it are added. */
#define ADD(R, what) \
	"mov %c[" #what "](%[p]), %[a]\n\ttest %[a], %[a]\n\tjz 7f\n\t" \
	FIRST_##R(ADD_ROW, 0) "7:\n\t"

#define TURN_OF(WAY, R) \
	STEP_OF_##WAY(R, 0) STEP_OF_##WAY(R, 1) STEP_OF_##WAY(R, 2) \
	STEP_OF_##WAY(R, 3) ON_OF_##WAY(4)

/* For the next row of the result, and of what lies `beside` it. */
#define ASK \
	"prefetchw (%[row])\n\tprefetchw 64(%[row])\n\t" \
	"prefetcht0 (%[row],%[beside])\n\t" \
	"prefetcht0 64(%[row],%[beside])\n\tadd %[ldy], %[row]\n\t"

#define KERNEL_512(R, WAY) \
	"lea (%[a],%[l],8), %[a9]\n\tadd %[l], %[a9]\n\t" \
	"mov %c[bias](%[p]), %[n]\n\t" \
	"vmovups (%[n]), %%zmm28\n\tvmovups 64(%[n]), %%zmm29\n\t" \
	FIRST_##R(LOAD_BIAS, 0) \
	"mov %[first], %[n]\n\ttest %[n], %[n]\n\tjz 2f\n" \
	"1:\n\t" ASK TURN_OF(WAY, R) "dec %[n]\n\tjnz 1b\n" \
	"2:\tmov %c[K](%[p]), %[n]\n\tshr $2, %[n]\n\tsub %[first], %[n]\n\tjz 4f\n" \
	"3:\n\t" TURN_OF(WAY, R) "dec %[n]\n\tjnz 3b\n" \
	"4:\tmov %c[K](%[p]), %[n]\n\tand $3, %[n]\n\tjz 6f\n" \
	"5:\n\t" STEP_OF_##WAY(R, 0) ON_OF_##WAY(1) "dec %[n]\n\tjnz 5b\n" \
	"6:\tmov %[ldy], %[l]\n\t" \
	ADD(R, sum) ADD(R, res) \
	"testb $1, %c[relu](%[p])\n\tjz 8f\n\t" \
	"vpxord %%zmm30, %%zmm30, %%zmm30\n\t" FIRST_##R(POSITIVE, 0) \
	"8:\tmov %c[y](%[p]), %[a]\n\t" FIRST_##R(STORE_ROW, 0) \
	"vzeroupper"

#define SUMS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
	"xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", \
	"xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", \
	"xmm23", "xmm24", "xmm25", "xmm26", "xmm27"

/* In bytes: of rows, l to l7 are 1, 3, 5 and 7 lda; of columns, l and l3 are 1 and
 * 3 lda, l5 and l7 1 and 3 ldb. */
#define RUN_512(R, WAY) do { \
	const float *a = p->a, *a9, *b = p->b, *next = p->next, *row = p->y; \
	int64_t n, first = p->K / 4 < R ? p->K / 4 : R, ldy = 4 * p->ldy; \
	int64_t beside = p->res == NULL ? 0 : (intptr_t)p->res - (intptr_t)p->y; \
\
	__asm__ volatile(KERNEL_512(R, WAY) : [a] "+&r" (a), \
	    [a9] "=&r" (a9), [b] "+&r" (b), [next] "+&r" (next), \
	    [row] "+&r" (row), [n] "=&r" (n), [l] "+&r" (l) : \
	    [l3] "r" (l3), [l5] "r" (l5), [l7] "r" (l7), \
	    [step] "r" (4 * p->step), [beside] "r" (beside), [p] "r" (p), \
	    [first] "m" (first), [ldy] "m" (ldy), \
	    [y] "i" (offsetof(struct block, y)), \
	    [sum] "i" (offsetof(struct block, sum)), \
	    [res] "i" (offsetof(struct block, res)), \
	    [bias] "i" (offsetof(struct block, bias)), \
	    [K] "i" (offsetof(struct block, K)), \
	    [relu] "i" (offsetof(struct block, relu)) : \
	    "cc", "memory", SUMS, "xmm28", "xmm29", "xmm30"); \
} while (0)

#define KERNELS_512(R, W) \
static void \
rows_##R##_##W(const struct block *p) \
{ \
	int64_t l = 4 * p->lda, l3 = 3 * l, l5 = 5 * l, l7 = 7 * l; \
\
	RUN_512(R, rows); \
} \
static void \
columns_##R##_##W(const struct block *p) \
{ \
	int64_t l = 4 * p->lda, l3 = 3 * l, l5 = 4 * p->ldb, l7 = 3 * l5; \
\
	RUN_512(R, columns); \
}

#endif
