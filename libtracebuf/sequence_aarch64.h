/* SPDX-License-Identifier: MIT */
/*
 * The sequences of sequence.c for aarch64. Copies go by words and then bytes, texts by bytes that are looked at on
 * their way (a large copy may take longer than a time slice: the caller bounds its tries and then goes by a lock).
 */

/* Offsets in struct tb_copy and struct tb_commit, as the assembly below has them. */
_Static_assert(offsetof(struct tb_copy, to) == 0 && offsetof(struct tb_copy, from) == 8 &&
	       offsetof(struct tb_copy, size) == 16 && offsetof(struct tb_copy, is_text) == 24 &&
	       sizeof(struct tb_copy) == 32, "layout known to the assembly");
_Static_assert(offsetof(struct tb_commit, expected) == 0 && offsetof(struct tb_commit, position) == 8 &&
	       offsetof(struct tb_commit, tally) == 16, "layout known to the assembly");

int tb_sequence_commit(struct tracebuf_producer *producer, uint32_t cpu, const struct tb_commit *commit,
		       const struct tb_copy *copies, size_t nr)
{
	const char *rseq = tracebuf__rseq_area();
	int result = -EAGAIN;

	__asm__ volatile(
		".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n"
		"3:\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
		".pushsection __rseq_cs_ptr_array, \"aw\"\n\t.quad 3b\n\t.popsection\n\t"
		"adrp x9, 3b\n\tadd x9, x9, :lo12:3b\n\tstr x9, [%[rseq], #8]\n"
		"1:\tldr w9, [%[rseq], #4]\n\tcmp w9, %w[cpu]\n\tb.ne 5f\n\t"
		"ldr x9, [%[commit]]\n\tldr x10, [%[producer]]\n\tcmp x9, x10\n\tb.ne 5f\n"
		/* One copy after another. */
		"6:\tcbz %[nr], 8f\n\t"
		"ldp x10, x11, [%[copies]]\n\tldp x12, x13, [%[copies], #16]\n\tcbnz x13, 11f\n"
		"10:\tcmp x12, #8\n\tb.lo 12f\n\tldr x9, [x11], #8\n\tstr x9, [x10], #8\n\tsub x12, x12, #8\n\tb 10b\n"
		"12:\tcbz x12, 7f\n\tldrb w9, [x11], #1\n\tstrb w9, [x10], #1\n\tsub x12, x12, #1\n\tb 12b\n"
		"11:\tcbz x12, 7f\n\tldrb w9, [x11], #1\n\tcbz w9, 9f\n\tstrb w9, [x10], #1\n\tsub x12, x12, #1\n\tb 11b\n"
		"7:\tadd %[copies], %[copies], #32\n\tsub %[nr], %[nr], #1\n\tb 6b\n"
		"8:\tldp x9, x10, [%[commit], #8]\n\tstr x10, [%[producer], #8]\n\tstlr x9, [%[producer]]\n"
		"2:\tmov %w[result], #0\n\tb 5f\n"
		"9:\tmov %w[result], %[illegal]\n"
		"5:\tstr xzr, [%[rseq], #8]\n\t"
		".pushsection __rseq_failure, \"ax\"\n\t.inst 0xd428bc00\n"
		"4:\tb 5b\n\t.popsection\n\t"
		: [result] "+r"(result), [copies] "+r"(copies), [nr] "+r"(nr)
		: [rseq] "r"(rseq), [cpu] "r"(cpu), [commit] "r"(commit), [producer] "r"(producer),
		  [illegal] "i"(-EILSEQ)
		: "x9", "x10", "x11", "x12", "x13", "memory", "cc");
	return result;
}

/* Of a payload that lies in one piece, from the producer on. */
#define STAGED_FROM_PRODUCER \
	TRACEBUF__RSEQ_HEADER \
	"mov x13, #0\n" \
	"6:\tcmp x13, %[size]\n\tb.hs 7f\n\t" \
	"ldr x9, [%[payload], x13]\n\tstr x9, [x14, x13]\n\tadd x13, x13, #8\n\tb 6b\n" \
	"7:\t" \
	TRACEBUF__RSEQ_COMMIT

int tb_sequence_staged(const struct tracebuf_enable *enable, const void *payload, size_t size)
{
	const uint32_t tid = tracebuf__tid;
	struct tracebuf_producer **entry;
	uint64_t prefix;
	uint32_t cpu;
	char *rseq;

	if (!tid)
		return 0;
	rseq = tracebuf__rseq_area();
	cpu = tracebuf__load((uint32_t *) (void *) rseq);
	entry = &tracebuf__rings[(size_t) cpu * TRACEBUF_NR_RING_SETS + tracebuf__load(&enable->ring)];
	prefix = (uint64_t) tid * enable->prefix_factor + enable->prefix_id;
	__asm__ goto volatile(
		TRACEBUF__RSEQ_BEGIN
		TRACEBUF__RSEQ_RING
		STAGED_FROM_PRODUCER
		TRACEBUF__RSEQ_END
		:
		: TRACEBUF__RSEQ_OPERANDS, [payload] "r"(payload), [size] "r"(size)
		: TRACEBUF__RSEQ_CLOBBERS
		: out);
	return 1;
out:
	return 0;
}

int tb_sequence_with_context(const struct tracebuf_enable *enable, struct tb_ring *const *entry, uint32_t cpu,
			     uint32_t context, const void *payload, size_t size)
{
	const char *rseq = tracebuf__rseq_area();
	const uint64_t prefix = enable->prefix_id;

	__asm__ goto volatile(
		TRACEBUF__RSEQ_BEGIN
		"ldr x10, [%[entry]]\n\tcmp x10, %[claimed]\n\tb.ls %l[out]\n\t"
		"ldr w9, [x10, %[has]]\n\tcmp w9, %w[wanted]\n\tb.ne %l[out]\n\t"
		"ldr x10, [x10, %[producer]]\n\t"
		STAGED_FROM_PRODUCER
		TRACEBUF__RSEQ_END
		:
		: TRACEBUF__RSEQ_OPERANDS, [payload] "r"(payload), [size] "r"(size), [wanted] "r"(context),
		  [claimed] "i"(TB_RING_CLAIMED), [has] "i"(offsetof(struct tb_ring, context)),
		  [producer] "i"(offsetof(struct tb_ring, producer))
		: TRACEBUF__RSEQ_CLOBBERS
		: out);
	return 1;
out:
	return 0;
}

int32_t tb_sequence_cpu(void)
{
	return tracebuf__load((int32_t *) (void *) (tracebuf__rseq_area() + 4));
}

void tb_sequence_forget(void)
{
	tracebuf__store((uint64_t *) (void *) (tracebuf__rseq_area() + 8), 0);
}
