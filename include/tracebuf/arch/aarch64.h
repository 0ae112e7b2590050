/* SPDX-License-Identifier: MIT */
/*
 * The restartable sequence of aarch64: ring, clock, header, context, payload and commit.
 *
 * Invariant: until the last instruction nothing that was stored is valid, since position has not passed it; that
 * instruction is a store-release of position, so that who acquires position sees all of the event. The tally is stored
 * just before it, with the low half of the new position: if the sequence is cut off between the two, that half does
 * not fit the position and the next writer (and every reader) knows that the count is one too high.
 * The ring's address is loaded inside, so that a ring may be unmapped once it is out of the table and
 * membarrier(PRIVATE_EXPEDITED_RSEQ) has restarted whoever was inside.
 * ABI of rseq(2): the signature, a BRK instruction, before the abort label; the descriptor in __rseq_cs.
 *
 * The counter is read behind an ISB: without one, two reads may come out of order, and a ring's times must not.
 */
#ifndef TRACEBUF_ARCH_AARCH64_H
#define TRACEBUF_ARCH_AARCH64_H

#include <sys/rseq.h>

/* Label 3 describes the sequence between 1 and 2, whose abort handler is 4. Clobbers x9. */
#define TRACEBUF__RSEQ_BEGIN \
	".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n" \
	"3:\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t" \
	".pushsection __rseq_cs_ptr_array, \"aw\"\n\t.quad 3b\n\t.popsection\n\t" \
	"adrp x9, 3b\n\tadd x9, x9, :lo12:3b\n\tstr x9, [%[rseq], #8]\n" \
	"1:\tldr w9, [%[rseq], #4]\n\tcmp w9, %w[cpu]\n\tb.ne %l[out]\n\t"

/* Leaves no pointer to the descriptor behind: the object that holds it may be unloaded. */
#define TRACEBUF__RSEQ_END \
	"2:\tstr xzr, [%[rseq], #8]\n\t" \
	".pushsection __rseq_failure, \"ax\"\n\t.inst 0xd428bc00\n" \
	"4:\tb %l[out]\n\t.popsection\n\t"

/* From the table entry to x10, the producer. Goes out if there is no ring. */
#define TRACEBUF__RSEQ_RING \
	"ldr x10, [%[entry]]\n\tcbz x10, %l[out]\n\t"

/*
 * From the producer to the place of the payload: x11 position, x12 position behind the event, x14 where the payload
 * goes; header and prefix are stored. Goes out if the time needs the full form or the event passes the limit.
 */
#define TRACEBUF__RSEQ_HEADER \
	"ldr x13, [x10, %[context]]\n\tadd x13, x13, %[prefix_size]\n\t" \
	"ldr x11, [x10]\n\t" \
	"isb\n\tmrs x15, cntvct_el0\n\t" \
	"ldr x14, [x10, %[window]]\n\tsub x14, x15, x14\n\tlsr x14, x14, %[window_bits]\n\tcbnz x14, %l[out]\n\t" \
	"add x12, x11, x13\n\tadd x12, x12, %[rest_size]\n\t" \
	"ldr x14, [x10, %[limit]]\n\tcmp x12, x14\n\tb.hi %l[out]\n\t" \
	"ldr x14, [x10, %[mask]]\n\tand x14, x14, x11\n\tadd x14, x14, x10\n\tadd x14, x14, %[data]\n\t" \
	"lsl w15, w15, #5\n\torr w15, w15, %w[id]\n\tstr w15, [x14], #4\n\t" \
	"str %[prefix], [x14]\n\tadd x14, x14, x13\n\t"

/* x11 the old, x12 the new position: counts the event, takes back a count that was never committed, and commits. */
#define TRACEBUF__RSEQ_COMMIT \
	"ldr x9, [x10, #8]\n\tlsr x13, x9, #32\n\tcmp w13, w11\n\tcset w13, eq\n\tadd w9, w9, w13\n\t" \
	"orr x9, x9, x12, lsl #32\n\tstr x9, [x10, #8]\n\t" \
	"stlr x12, [x10]\n"

#define TRACEBUF__RSEQ_OPERANDS \
	[rseq] "r"(rseq), [cpu] "r"(cpu), [entry] "r"(entry), [id] "r"(enable->header_id), [prefix] "r"(prefix), \
	[prefix_size] "r"((uint64_t) enable->prefix_size), [rest_size] "r"((uint64_t) size + 4), \
	[data] "r"((uint64_t) TRACEBUF__DATA), [window_bits] "i"(TRACEBUF_WINDOW_BITS), \
	[window] "i"(offsetof(struct tracebuf_producer, window)), \
	[limit] "i"(offsetof(struct tracebuf_producer, limit)), \
	[mask] "i"(offsetof(struct tracebuf_producer, mask)), \
	[context] "i"(offsetof(struct tracebuf_producer, context_size))

#define TRACEBUF__RSEQ_CLOBBERS "x9", "x10", "x11", "x12", "x13", "x14", "x15", "memory", "cc"

/* This thread's rseq area. */
static inline char *tracebuf__rseq_area(void)
{
	return (char *) __builtin_thread_pointer() + __rseq_offset;
}

/* Returns 1 if the event is committed, 0 if it must take the slow path. size is a compile-time constant. */
static inline __attribute__((always_inline)) int
tracebuf__commit_short(const struct tracebuf_enable *enable, const uint64_t *words, const size_t size)
{
	const uint32_t tid = tracebuf__tid;
	struct tracebuf_producer **entry;
	uint64_t prefix;
	uint32_t cpu;
	char *rseq;

	if (__builtin_expect(!tid || !__builtin_constant_p(size) || size > 4096, 0))
		return 0;
	rseq = tracebuf__rseq_area();
	cpu = tracebuf__load((uint32_t *) (void *) rseq);
	entry = &tracebuf__rings[(size_t) cpu * TRACEBUF_NR_RING_SETS + tracebuf__load(&enable->ring)];
	prefix = (uint64_t) tid * enable->prefix_factor + enable->prefix_id;
	__asm__ goto volatile(
		TRACEBUF__RSEQ_BEGIN
		TRACEBUF__RSEQ_RING
		TRACEBUF__RSEQ_HEADER
		".Ltracebuf_word%= = 0\n\t"
		".rept (%c[size] + 7) / 8\n\t"
		"ldr x9, [%[words], .Ltracebuf_word%=]\n\tstr x9, [x14, .Ltracebuf_word%=]\n\t"
		".Ltracebuf_word%= = .Ltracebuf_word%= + 8\n\t.endr\n\t"
		TRACEBUF__RSEQ_COMMIT
		TRACEBUF__RSEQ_END
		:
		: TRACEBUF__RSEQ_OPERANDS, [words] "r"(words), [size] "i"(size)
		: TRACEBUF__RSEQ_CLOBBERS
		: out);
	return 1;
out:
	return 0;
}

#endif /* TRACEBUF_ARCH_AARCH64_H */
