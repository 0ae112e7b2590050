/* SPDX-License-Identifier: MIT */
/*
 * The restartable sequence of x86-64: ring, clock, header, context, payload and commit.
 *
 * Invariant: until the last instruction nothing that was stored is valid, since position has not passed it; that
 * instruction stores position and the event count together (one aligned 16-byte store, a single instruction, so that
 * neither a signal nor SIGKILL nor a migration can come between them). An interrupted sequence continues at the abort
 * label with nothing done. The ring's address is loaded inside, so that a ring may be unmapped once it is out of the
 * table and membarrier(PRIVATE_EXPEDITED_RSEQ) has restarted whoever was inside.
 * ABI of rseq(2): the signature before the abort label, the descriptor in __rseq_cs.
 *
 * The event header and the 8 bytes behind it are stored whole whatever their size is; what follows overwrites the
 * excess, and TRACEBUF_SUBBUF_SLACK keeps the last excess inside the sub-buffer.
 */
#ifndef TRACEBUF_ARCH_X86_64_H
#define TRACEBUF_ARCH_X86_64_H

#include <sys/rseq.h>

/* Label 3 describes the sequence between 1 and 2, whose abort handler is 4. Clobbers rax. */
#define TRACEBUF__RSEQ_BEGIN \
	".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n" \
	"3:\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t" \
	".pushsection __rseq_cs_ptr_array, \"aw\"\n\t.quad 3b\n\t.popsection\n\t" \
	"leaq 3b(%%rip), %%rax\n\tmovq %%rax, %%fs:8(%[rseq])\n" \
	"1:\tcmpl %[cpu], %%fs:4(%[rseq])\n\tjne %l[out]\n\t"

/* Leaves no pointer to the descriptor behind: the object that holds it may be unloaded. */
#define TRACEBUF__RSEQ_END \
	"2:\n\tmovq $0, %%fs:8(%[rseq])\n\t.pushsection __rseq_failure, \"ax\"\n\t" \
	".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n" \
	"4:\tjmp %l[out]\n\t.popsection\n\t"

/* From the table entry to r8, the producer. Goes out if there is no ring. */
#define TRACEBUF__RSEQ_RING \
	"movq (%[entry]), %%r8\n\ttestq %%r8, %%r8\n\tjz %l[out]\n\t"

/*
 * From the producer to the place of the payload: r9 prefix bytes, rcx position, rdx where the header goes less DATA;
 * header and prefix are stored. Goes out if the time needs the full form.
 */
#define TRACEBUF__RSEQ_HEADER \
	"movq %c[context](%%r8), %%r9\n\taddq %[prefix_size], %%r9\n\t" \
	"movq (%%r8), %%rcx\n\t" \
	"rdtsc\n\tshlq $32, %%rdx\n\torq %%rdx, %%rax\n\t" \
	"movq %%rax, %%rdx\n\tsubq %c[window](%%r8), %%rdx\n\tshrq %[window_bits], %%rdx\n\tjnz %l[out]\n\t" \
	"movq %c[mask](%%r8), %%rdx\n\tandq %%rcx, %%rdx\n\taddq %%r8, %%rdx\n\t"

/* With rcx the position behind the event: goes out if that passes the limit, else stores header and prefix. */
#define TRACEBUF__RSEQ_STORE_HEADER \
	"cmpq %c[limit](%%r8), %%rcx\n\tja %l[out]\n\t" \
	"shll $5, %%eax\n\torl %[id], %%eax\n\tmovl %%eax, %c[data](%%rdx)\n\t" \
	"movq %[prefix], %c[data] + 4(%%rdx)\n\taddq %%r9, %%rdx\n\t"

/* rcx the new position: counts the event and commits it. */
#define TRACEBUF__RSEQ_COMMIT \
	"movl %%ecx, %%eax\n\tshlq $32, %%rax\n\tmovl 8(%%r8), %%edx\n\tleaq 1(%%rax, %%rdx), %%rax\n\t" \
	"movq %%rcx, %%xmm0\n\tmovq %%rax, %%xmm1\n\tpunpcklqdq %%xmm1, %%xmm0\n\t" \
	"movdqa %%xmm0, (%%r8)\n"

#define TRACEBUF__RSEQ_OPERANDS \
	[rseq] "r"(rseq), [cpu] "r"(cpu), [entry] "r"(entry), [id] "rm"(enable->header_id), [prefix] "r"(prefix), \
	[prefix_size] "r"((uint64_t) enable->prefix_size), [data] "i"(TRACEBUF__DATA), \
	[window_bits] "i"(TRACEBUF_WINDOW_BITS), [window] "i"(offsetof(struct tracebuf_producer, window)), \
	[limit] "i"(offsetof(struct tracebuf_producer, limit)), \
	[mask] "i"(offsetof(struct tracebuf_producer, mask)), \
	[context] "i"(offsetof(struct tracebuf_producer, context_size))

#define TRACEBUF__RSEQ_CLOBBERS "rax", "rcx", "rdx", "r8", "r9", "xmm0", "xmm1", "memory", "cc"

/* The CPU that this thread runs on, by its rseq area; in range even where rseq is not registered. */
static inline uint32_t tracebuf__rseq_cpu(ptrdiff_t rseq)
{
	uint32_t cpu;

	__asm__ volatile("movl %%fs:(%1), %0" : "=r"(cpu) : "r"(rseq));
	return cpu;
}

/* Returns 1 if the event is committed, 0 if it must take the slow path. size is a compile-time constant. */
static inline __attribute__((always_inline)) int
tracebuf__commit_short(const struct tracebuf_enable *enable, const uint64_t *words, const size_t size)
{
	const uint32_t tid = tracebuf__tid;
	ptrdiff_t rseq;
	struct tracebuf_producer **entry;
	uint64_t prefix;
	uint32_t cpu;

	if (__builtin_expect(!tid || !__builtin_constant_p(size), 0))
		return 0;
	rseq = __rseq_offset;
	cpu = tracebuf__rseq_cpu(rseq);
	entry = &tracebuf__rings[(size_t) cpu * TRACEBUF_NR_RING_SETS + tracebuf__load(&enable->ring)];
	prefix = (uint64_t) tid * enable->prefix_factor + enable->prefix_id;
	__asm__ goto volatile(
		TRACEBUF__RSEQ_BEGIN
		TRACEBUF__RSEQ_RING
		TRACEBUF__RSEQ_HEADER
		"leaq %c[size] + 4(%%rcx, %%r9), %%rcx\n\t"
		TRACEBUF__RSEQ_STORE_HEADER
		".Ltracebuf_word%= = 0\n\t"
		".rept (%c[size] + 7) / 8\n\t"
		"movq .Ltracebuf_word%=(%[words]), %%rax\n\tmovq %%rax, %c[data] + 4 + .Ltracebuf_word%=(%%rdx)\n\t"
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

#endif /* TRACEBUF_ARCH_X86_64_H */
