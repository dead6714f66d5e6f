/*
 * Fibers: one stack a thread of the block, kept for the next.  A switch saves
 * what the System V ABI says that a call preserves; AddressSanitizer is told of
 * each.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <vector>

#include "device.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#ifndef __x86_64__
#error "the simulated device switches fibers on x86-64 only"
#endif

namespace cbsim {

#ifdef __SANITIZE_ADDRESS__
static const size_t stack_bytes = 256 << 10, guard = 4096;
#else
static const size_t stack_bytes = 64 << 10, guard = 4096;
#endif

struct Fiber {
	char	*stack;
	void	*sp;
};

static std::vector<Fiber *> spare;
static Fiber host;			/* its stack is the caller's */
static size_t host_bytes;

extern "C" void cbsim_switch(void **save, void *to)
    __attribute__((visibility("hidden")));
asm(".text\n"
    ".globl cbsim_switch\n"
    ".hidden cbsim_switch\n"
    ".type cbsim_switch, @function\n"
    "cbsim_switch:\n"
    "	push %rbp\n"
    "	push %rbx\n"
    "	push %r12\n"
    "	push %r13\n"
    "	push %r14\n"
    "	push %r15\n"
    "	mov %rsp, (%rdi)\n"
    "	mov %rsi, %rsp\n"
    "	pop %r15\n"
    "	pop %r14\n"
    "	pop %r13\n"
    "	pop %r12\n"
    "	pop %rbx\n"
    "	pop %rbp\n"
    "	ret\n");

void
fiber_enter(void)
{
	static thread_local bool known;
	static thread_local void *stack;
	static thread_local size_t bytes;
	pthread_attr_t a;

	if (!known) {
		pthread_getattr_np(pthread_self(), &a);
		pthread_attr_getstack(&a, &stack, &bytes);
		pthread_attr_destroy(&a);
		known = true;
	}
	host.stack = (char *)stack;
	host_bytes = bytes;
}

static void (*begin)(void);

/* Where a new stack begins: it never returns. */
static void
first(void)
{
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
	begin();
	abort();
}

Fiber *
fiber_new(void (*start)(void))
{
	Fiber *f;
	void **top;

	begin = start;
	if (spare.empty()) {
		void *p = mmap(NULL, guard + stack_bytes, PROT_READ |
		    PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
		if (p == MAP_FAILED)
			fault("no memory for the stack of a thread");
		mprotect(p, guard, PROT_NONE);
		f = new Fiber();
		f->stack = (char *)p + guard;
	} else {
		f = spare.back();
		spare.pop_back();
	}
#ifdef __SANITIZE_ADDRESS__
	__asan_unpoison_memory_region(f->stack, stack_bytes);
#endif
	top = (void **)(f->stack + stack_bytes - 64);
	*--top = NULL;			/* as if first() had been called */
	*--top = (void *)first;
	for (int i = 0; i < 6; i++)
		*--top = NULL;
	f->sp = top;
	return f;
}

void
fiber_go(Fiber *from, Fiber *to, bool over)
{
	from = from == NULL ? &host : from;
	to = to == NULL ? &host : to;
	if (over)
		spare.push_back(from);
#ifdef __SANITIZE_ADDRESS__
	void *fake = NULL;

	__sanitizer_start_switch_fiber(over ? NULL : &fake, to->stack,
	    to == &host ? host_bytes : stack_bytes);
	cbsim_switch(&from->sp, to->sp);
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#else
	cbsim_switch(&from->sp, to->sp);
#endif
}

} /* namespace cbsim */
