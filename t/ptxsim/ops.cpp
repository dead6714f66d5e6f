/*
 * What each opcode computes in a lane, by its name in full: PTX ISA,
 * "Instruction Set".  What a device computes approximately (ex2, lg2, rcp, rsqrt
 * and their kin) is right here to the last bit or two, so the numbers of a
 * device may differ by what the PTX ISA grants.
 */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>

#include <limits>
#include <unordered_map>

#include "ptx.h"

namespace ptx {

typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
typedef float f32;
typedef double f64;
typedef bool pred;

/* d = f(a, b, c) in each of the lanes. */
template <class D, class A, class B, class C, class F> static inline void
map(Warp &w, const Ins &i, uint32_t lanes, F f)
{
	const Row &a = w.in(i.from[0]), &b = w.in(i.from[1]);
	const Row &c = w.in(i.from[2]);
	Row &d = w.out(i.to[0]);

	if (lanes == 0xffffffffu) {
#pragma GCC ivdep
		for (int l = 0; l < 32; l++)
			set<D>(d, l, f(get<A>(a, l), get<B>(b, l),
			    get<C>(c, l)));
		return;
	}
	EACH(lanes, l)
		set<D>(d, (int)l, f(get<A>(a, (int)l), get<B>(b, (int)l),
		    get<C>(c, (int)l)));
}

/* A predicate, and where asked for its opposite. */
template <class A, class F> static inline void
compare(Warp &w, const Ins &i, uint32_t lanes, F f)
{
	const Row &a = w.in(i.from[0]), &b = w.in(i.from[1]);
	Row &d = w.out(i.to[0]), &e = w.out(i.nto > 1 ? i.to[1] : (int)SINK);

	EACH(lanes, l) {
		const bool p = f(get<A>(a, (int)l), get<A>(b, (int)l));

		set<bool>(d, (int)l, p);
		set<bool>(e, (int)l, !p);
	}
}

static uint32_t
bf16_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return f != f ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

static float
of_bf16(uint16_t h)
{
	uint32_t u = (uint32_t)h << 16;
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

/* Rounds as the mode says; volatile: computed here, not by the compiler. */
static float
fma_toward(int mode, float a_, float b_, float c_)
{
	volatile float a = a_, b = b_, c = c_, d;

	fesetround(mode);
	d = fmaf(a, b, c);
	fesetround(FE_TONEAREST);
	return d;
}

/* To an integer type, out of range to its nearest, NaN to 0 (PTX ISA, cvt). */
template <class I, class F> static I
whole(F f)
{
	const F low = (F)std::numeric_limits<I>::min();
	const F high = (F)std::numeric_limits<I>::max();

	if (f != f)
		return 0;
	return f <= low ? std::numeric_limits<I>::min() : f >= high ?
	    std::numeric_limits<I>::max() : (I)f;
}

static float
saturated(float f)
{
	return f > 0 ? f < 1 ? f : 1 : 0;	/* NaN becomes 0 */
}

/* As the arithmetic shift by more than there are bits. */
template <class T> static T
shifted(T a, uint32_t by, uint32_t bits)
{
	return (T)(a >> (by < bits ? by : bits - 1)) & (T)(by < bits ||
	    std::numeric_limits<T>::is_signed ? -1 : 0);
}

static uint32_t
permuted(uint32_t a, uint32_t b, uint32_t select)
{
	const uint64_t v = (uint64_t)b << 32 | a;
	uint32_t r = 0, byte;

	for (int i = 0; i < 4; i++) {
		byte = (uint32_t)(v >> 8 * (select >> 4 * i & 7)) & 255;
		if (select >> 4 * i & 8)
			byte = byte & 128 ? 255 : 0;
		r |= byte << 8 * i;
	}
	return r;
}

static uint32_t
reversed(uint32_t a)
{
	uint32_t r = 0;

	for (int i = 0; i < 32; i++)
		r |= (a >> i & 1) << (31 - i);
	return r;
}

static uint32_t
logic3(uint32_t a, uint32_t b, uint32_t c, uint32_t table)
{
	uint32_t r = 0;

	r |= table & 1 ? ~a & ~b & ~c : 0;
	r |= table & 2 ? ~a & ~b & c : 0;
	r |= table & 4 ? ~a & b & ~c : 0;
	r |= table & 8 ? ~a & b & c : 0;
	r |= table & 16 ? a & ~b & ~c : 0;
	r |= table & 32 ? a & ~b & c : 0;
	r |= table & 64 ? a & b & ~c : 0;
	r |= table & 128 ? a & b & c : 0;
	return r;
}

/* ---- with operands of their own kind */

static void
run_lop3(Warp &w, const Ins &i, uint32_t lanes)
{
	EACH(lanes, l)
		set<u32>(w.out(i.to[0]), (int)l, logic3(
		    get<u32>(w.in(i.from[0]), (int)l),
		    get<u32>(w.in(i.from[1]), (int)l),
		    get<u32>(w.in(i.from[2]), (int)l),
		    get<u32>(w.in(i.from[3]), (int)l)));
}

template <class T> static void
run_bfi(Warp &w, const Ins &i, uint32_t lanes)
{
	const u32 bits = 8 * sizeof(T);

	EACH(lanes, l) {
		const T a = get<T>(w.in(i.from[0]), (int)l);
		const T b = get<T>(w.in(i.from[1]), (int)l);
		const u32 at = get<u32>(w.in(i.from[2]), (int)l) & 255;
		const u32 n = get<u32>(w.in(i.from[3]), (int)l) & 255;
		const T mask = n >= bits ? ~(T)0 : ((T)1 << n) - 1;

		set<T>(w.out(i.to[0]), (int)l, at >= bits ? b : (T)((b &
		    ~(mask << at)) | (a & mask) << at));
	}
}

/* Equal parts joined into a whole, first below; or a whole taken apart. */
template <int part> static void
run_parts(Warp &w, const Ins &i, uint32_t lanes)
{
	if (i.nto == 1 && i.nfrom == 1 && lanes == 0xffffffffu) {
		w.out(i.to[0]) = w.in(i.from[0]);
		return;
	}
	EACH(lanes, l) {
		u64 v = 0;

		for (int k = 0; k < i.nfrom; k++)
			v |= i.nfrom == 1 ? get<u64>(w.in(i.from[k]), (int)l) :
			    (get<u64>(w.in(i.from[k]), (int)l) & (((u64)1 <<
			    part) - 1)) << part * k;
		for (int k = 0; k < i.nto; k++)
			set<u64>(w.out(i.to[k]), (int)l, i.nto == 1 ? v :
			    v >> part * k & (((u64)1 << part) - 1));
	}
}

/* ---- the table */

static std::unordered_map<std::string, Op> ops;

/* Names apart by blanks. */
static void
put(const char *names, Op op)
{
	std::string s(names), name;

	for (size_t at = 0, end; at < s.size(); at = end + 1) {
		end = s.find(' ', at);
		end = end == std::string::npos ? s.size() : end;
		ops[s.substr(at, end - at)] = op;
	}
}

#define OP(names, flops, D, A, B, C, expr) \
	put(names, { [](Warp &w, const Ins &i, uint32_t lanes) { \
		map<D, A, B, C>(w, i, lanes, [](A a, B b, C c) -> D { \
		    (void)a; (void)b; (void)c; return (D)(expr); }); }, \
	    NEXT, 1, flops });
#define SAME(names, T, expr) OP(names, 0, T, T, T, T, expr)
#define FLOP(names, T, n, expr) OP(names, n, T, T, T, T, expr)
#define TEST(names, T, expr) \
	put(names, { [](Warp &w, const Ins &i, uint32_t lanes) { \
		compare<T>(w, i, lanes, [](T a, T b) { \
		    return expr; }); }, NEXT, 1, 0 });

#define INTEGER(t, T, unsigned_T, wide_T, bits) \
	SAME("add." #t, T, (unsigned_T)a + (unsigned_T)b) \
	SAME("sub." #t, T, (unsigned_T)a - (unsigned_T)b) \
	SAME("mul.lo." #t, T, (wide_T)a * (wide_T)b) \
	SAME("mad.lo." #t, T, (wide_T)a * (wide_T)b + (wide_T)c) \
	SAME("mul.hi." #t, T, (wide_T)a * (wide_T)b >> bits) \
	SAME("mad.hi." #t, T, (unsigned_T)((wide_T)a * (wide_T)b >> bits) + \
	    (unsigned_T)c) \
	SAME("div." #t, T, b == 0 ? (T)-1 : (T)((wide_T)a / (wide_T)b)) \
	SAME("rem." #t, T, b == 0 ? a : (T)((wide_T)a % (wide_T)b)) \
	SAME("min." #t, T, a < b ? a : b) \
	SAME("max." #t, T, a > b ? a : b) \
	OP("shr." #t, 0, T, T, u32, u32, shifted<T>(a, b, bits)) \
	ORDER(t, T)
#define ORDER(t, T) \
	TEST("setp.eq." #t, T, a == b) TEST("setp.lt." #t, T, a < b) \
	TEST("setp.le." #t, T, a <= b) TEST("setp.gt." #t, T, a > b) \
	TEST("setp.ge." #t, T, a >= b)
#define BITS(bits, T) \
	SAME("and.b" #bits, T, a & b) SAME("or.b" #bits, T, a | b) \
	SAME("xor.b" #bits, T, a ^ b) SAME("not.b" #bits, T, ~a) \
	OP("shl.b" #bits, 0, T, T, u32, u32, b < bits ? (T)(a << b) : 0) \
	OP("shr.b" #bits, 0, T, T, u32, u32, b < bits ? (T)(a >> b) : 0) \
	OP("selp.b" #bits " selp.u" #bits " selp.s" #bits, 0, T, T, T, bool, \
	    c ? a : b) \
	SAME("mov.u" #bits " mov.s" #bits, T, a) \
	TEST("setp.eq.b" #bits, T, a == b) \
	TEST("setp.ne.b" #bits " setp.ne.u" #bits " setp.ne.s" #bits, T, \
	    a != b)
/* min and max give the number where the other is a NaN. */
#define FLOATING(t, T, fma_, sqrt_) \
	FLOP("add." #t " add.rn." #t, T, 1, a + b) \
	FLOP("sub." #t " sub.rn." #t, T, 1, a - b) \
	FLOP("mul." #t " mul.rn." #t, T, 1, a * b) \
	FLOP("fma.rn." #t, T, 2, fma_(a, b, c)) \
	FLOP("div.rn." #t, T, 1, a / b) \
	FLOP("rcp.rn." #t, T, 1, 1 / a) \
	FLOP("sqrt.rn." #t, T, 1, sqrt_(a)) \
	SAME("mov." #t, T, a) SAME("neg." #t, T, -a) \
	SAME("abs." #t, T, a < 0 || (a == 0 && signbit(a)) ? -a : a) \
	SAME("min." #t, T, a != a ? b : b != b ? a : a < b ? a : b) \
	SAME("max." #t, T, a != a ? b : b != b ? a : a > b ? a : b) \
	OP("selp." #t, 0, T, T, T, bool, c ? a : b) \
	ORDER(t, T) \
	TEST("setp.ne." #t, T, a < b || a > b) \
	TEST("setp.equ." #t, T, !(a < b || a > b)) \
	TEST("setp.neu." #t, T, !(a == b)) \
	TEST("setp.ltu." #t, T, !(a >= b)) TEST("setp.leu." #t, T, !(a > b)) \
	TEST("setp.gtu." #t, T, !(a <= b)) TEST("setp.geu." #t, T, !(a < b)) \
	TEST("setp.num." #t, T, a == a && b == b) \
	TEST("setp.nan." #t, T, a != a || b != b) \
	OP("cvt.rzi.s32." #t, 0, s32, T, T, T, whole<s32>(trunc(a))) \
	OP("cvt.rni.s32." #t, 0, s32, T, T, T, whole<s32>(rint(a))) \
	OP("cvt.rmi.s32." #t, 0, s32, T, T, T, whole<s32>(floor(a))) \
	OP("cvt.rpi.s32." #t, 0, s32, T, T, T, whole<s32>(ceil(a))) \
	OP("cvt.rzi.u32." #t, 0, u32, T, T, T, whole<u32>(trunc(a))) \
	OP("cvt.rni.u32." #t, 0, u32, T, T, T, whole<u32>(rint(a))) \
	OP("cvt.rzi.s64." #t, 0, s64, T, T, T, whole<s64>(trunc(a))) \
	OP("cvt.rzi." #t "." #t, 0, T, T, T, T, trunc(a)) \
	OP("cvt.rni." #t "." #t, 0, T, T, T, T, rint(a)) \
	OP("cvt.rmi." #t "." #t, 0, T, T, T, T, floor(a)) \
	OP("cvt.rpi." #t "." #t, 0, T, T, T, T, ceil(a)) \
	OP("cvt.rn." #t ".s32", 0, T, s32, T, T, a) \
	OP("cvt.rn." #t ".u32", 0, T, u32, T, T, a) \
	OP("cvt.rn." #t ".s64", 0, T, s64, T, T, a) \
	OP("cvt.rn." #t ".u64", 0, T, u64, T, T, a) \
	OP("cvt.rn." #t ".s16", 0, T, s16, T, T, a) \
	OP("cvt.rn." #t ".u16", 0, T, u16, T, T, a) \
	OP("cvt.rn." #t ".u8", 0, T, u8, T, T, a) \
	OP("cvt.rn." #t ".s8", 0, T, s8, T, T, a)
/* A conversion leaves a value of 64 bits, extended as its type says. */
#define TO(d, t, T) OP("cvt." #d "." #t, 0, s64, T, T, T, (d)a)
#define CONVERT(t, T) \
	TO(u8, t, T) TO(s8, t, T) TO(u16, t, T) TO(s16, t, T) TO(u32, t, T) \
	TO(s32, t, T) TO(u64, t, T) TO(s64, t, T)

static void
fill(void)
{
	INTEGER(s16, s16, u16, s32, 16)
	INTEGER(u16, u16, u16, u32, 16)
	INTEGER(s32, s32, u32, s64, 32)
	INTEGER(u32, u32, u32, u64, 32)
	INTEGER(s64, s64, u64, __int128, 64)
	INTEGER(u64, u64, u64, unsigned __int128, 64)
	BITS(16, u16)
	BITS(32, u32)
	BITS(64, u64)
	OP("mul.wide.s16", 0, s32, s16, s16, s32, (s32)a * b)
	OP("mul.wide.u16", 0, u32, u16, u16, u32, (u32)a * b)
	OP("mul.wide.s32", 0, s64, s32, s32, s64, (s64)a * b)
	OP("mul.wide.u32", 0, u64, u32, u32, u64, (u64)a * b)
	OP("mad.wide.s16", 0, s32, s16, s16, u32, (u32)((s32)a * b) + c)
	OP("mad.wide.u16", 0, u32, u16, u16, u32, (u32)a * b + c)
	OP("mad.wide.s32", 0, s64, s32, s32, u64, (u64)((s64)a * b) + c)
	OP("mad.wide.u32", 0, u64, u32, u32, u64, (u64)a * b + c)
	SAME("neg.s16", s16, -a)
	SAME("neg.s32", s32, 0u - (u32)a)
	SAME("neg.s64", s64, (u64)0 - (u64)a)
	SAME("abs.s32", s32, a < 0 ? 0u - (u32)a : (u32)a)
	SAME("abs.s64", s64, a < 0 ? (u64)0 - (u64)a : (u64)a)
	OP("popc.b32", 0, u32, u32, u32, u32, __builtin_popcount(a))
	OP("clz.b32", 0, u32, u32, u32, u32, a == 0 ? 32 : __builtin_clz(a))
	OP("bfind.shiftamt.u32", 0, u32, u32, u32, u32,
	    a == 0 ? 0xffffffff : (u32)__builtin_clz(a))
	SAME("brev.b32", u32, reversed(a))
	SAME("prmt.b32", u32, permuted(a, b, c))
	SAME("shf.l.wrap.b32", u32, ((u64)b << 32 | a) << (c & 31) >> 32)
	SAME("shf.r.wrap.b32", u32, ((u64)b << 32 | a) >> (c & 31))
	SAME("shf.l.clamp.b32", u32, c >= 32 ? (u64)a << 32 >> 32 :
	    ((u64)b << 32 | a) << c >> 32)
	SAME("shf.r.clamp.b32", u32, ((u64)b << 32 | a) >> (c < 32 ? c : 32))
	SAME("bfe.u32", u32, (b & 255) >= 32 ? 0 : (a >> (b & 255)) & (u32)(
	    (c & 255) >= 32 ? 0xffffffff : ((u64)1 << (c & 255)) - 1))
	put("lop3.b32", { run_lop3, NEXT, 1, 0 });
	put("bfi.b32", { run_bfi<u32>, NEXT, 1, 0 });
	put("bfi.b64", { run_bfi<u64>, NEXT, 1, 0 });
	put("mov.b16", { run_parts<8>, NEXT, 1, 0 });
	put("mov.b32", { run_parts<16>, NEXT, 1, 0 });
	put("mov.b64", { run_parts<32>, NEXT, 1, 0 });

	SAME("and.pred", bool, a && b)
	SAME("or.pred", bool, a || b)
	SAME("xor.pred", bool, a != b)
	SAME("not.pred", bool, !a)
	SAME("mov.pred", bool, a)

	FLOATING(f32, f32, fmaf, sqrtf)
	FLOATING(f64, f64, fma, sqrt)
	FLOP("fma.rm.f32", f32, 2, fma_toward(FE_DOWNWARD, a, b, c))
	FLOP("fma.rp.f32", f32, 2, fma_toward(FE_UPWARD, a, b, c))
	FLOP("fma.rz.f32", f32, 2, fma_toward(FE_TOWARDZERO, a, b, c))
	FLOP("add.rz.f32", f32, 1, fma_toward(FE_TOWARDZERO, a, 1, b))
	FLOP("fma.rn.sat.f32 fma.rn.f32.sat", f32, 2,
	    saturated(fmaf(a, b, c)))
	FLOP("add.sat.f32", f32, 1, saturated(a + b))
	FLOP("mul.sat.f32", f32, 1, saturated(a * b))
	SAME("cvt.sat.f32.f32", f32, saturated(a))
	SAME("copysign.f32", f32, copysignf(b, a))
	FLOP("ex2.approx.f32 ex2.approx.ftz.f32", f32, 1, exp2f(a))
	FLOP("lg2.approx.f32 lg2.approx.ftz.f32", f32, 1, log2f(a))
	FLOP("rcp.approx.f32 rcp.approx.ftz.f32", f32, 1, 1 / a)
	FLOP("rsqrt.approx.f32 rsqrt.approx.ftz.f32", f32, 1, 1 / sqrtf(a))
	FLOP("sqrt.approx.f32 sqrt.approx.ftz.f32", f32, 1, sqrtf(a))
	FLOP("div.approx.f32 div.full.f32", f32, 1, a / b)
	FLOP("tanh.approx.f32", f32, 1, tanhf(a))

	CONVERT(u8, u8)
	CONVERT(s8, s8)
	CONVERT(u16, u16)
	CONVERT(s16, s16)
	CONVERT(u32, u32)
	CONVERT(s32, s32)
	CONVERT(u64, u64)
	CONVERT(s64, s64)
	OP("cvt.f64.f32", 0, f64, f32, f32, f32, a)
	OP("cvt.rn.f32.f64", 0, f32, f64, f64, f64, a)
	OP("cvt.rn.bf16.f32", 0, u16, f32, f32, f32, bf16_of(a))
	OP("cvt.rn.f16.f32", 0, u16, f32, f32, f32, cbsim::round_f16(a))
	OP("cvt.rn.bf16x2.f32", 0, u32, f32, f32, f32,
	    bf16_of(a) << 16 | bf16_of(b))
	OP("cvt.rn.f16x2.f32", 0, u32, f32, f32, f32,
	    (u32)cbsim::round_f16(a) << 16 | cbsim::round_f16(b))
	OP("cvt.f32.f16", 0, f32, u16, u16, u16, cbsim::widen_f16(a))
	OP("cvt.f32.bf16", 0, f32, u16, u16, u16, of_bf16(a))

	/* Addresses of global memory are those of the host. */
	SAME("cvta.to.global.u64 cvta.global.u64", u64, a)
	OP("cvta.shared.u64", 0, u64, u64, u64, u64, a + SHARED * window)
	OP("cvta.to.shared.u64", 0, u64, u64, u64, u64, a - SHARED * window)
	OP("cvta.local.u64", 0, u64, u64, u64, u64, a + LOCAL * window)
	OP("cvta.to.local.u64", 0, u64, u64, u64, u64, a - LOCAL * window)

	/* Order that the run has anyhow: one warp after the other. */
	const Op nothing = { [](Warp &, const Ins &, uint32_t) {}, NEXT, 0, 0 };
	put("membar.gl membar.cta membar.sys fence.acq_rel.gpu "
	    "fence.sc.gpu fence.acq_rel.cta", nothing);
	put("bra bra.uni", { nothing.run, BRANCH, 0, 0 });
	put("ret ret.uni exit", { nothing.run, EXIT, 0, 0 });
	put("bar.sync barrier.sync barrier.sync.aligned bar.cta.sync",
	    { nothing.run, BARRIER, 0, 0 });
}

const Op *
op_find(const std::string &name)
{
	if (ops.empty())
		fill();
	auto i = ops.find(name);
	return i == ops.end() ? NULL : &i->second;
}

} /* namespace ptx */
