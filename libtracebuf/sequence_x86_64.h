/* SPDX-License-Identifier: MIT */
/*
 * The sequences of sequence.c for x86-64. Copies go by rep movsb (a large one may take longer than a time slice: the
 * caller bounds its tries and then goes by a lock), staged payloads by 8-byte words.
 */

/* Offsets in struct tb_copy, as the assembly below has them. */
_Static_assert(offsetof(struct tb_copy, to) == 0 && offsetof(struct tb_copy, from) == 8 &&
	       offsetof(struct tb_copy, size) == 16 && offsetof(struct tb_copy, is_text) == 24 &&
	       sizeof(struct tb_copy) == 32, "layout known to the assembly");

int tb_sequence_commit(struct tracebuf_producer *producer, uint32_t cpu, const struct tb_commit *commit,
		       const struct tb_copy *copies, size_t nr)
{
	const ptrdiff_t rseq = __rseq_offset;
	int result = -EAGAIN;

	__asm__ volatile(
		".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n"
		"3:\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
		".pushsection __rseq_cs_ptr_array, \"aw\"\n\t.quad 3b\n\t.popsection\n\t"
		"leaq 3b(%%rip), %%rax\n\tmovq %%rax, %%fs:8(%[rseq])\n"
		"1:\tcmpl %[cpu], %%fs:4(%[rseq])\n\tjne 5f\n\t"
		"movq (%[commit]), %%rax\n\tcmpq %%rax, (%[producer])\n\tjne 5f\n"
		/* One copy after another. */
		"6:\ttestq %[nr], %[nr]\n\tjz 8f\n\t"
		"movq (%[copies]), %%rdi\n\tmovq 8(%[copies]), %%rsi\n\tmovq 16(%[copies]), %%rcx\n\trep movsb\n\t"
		"cmpq $0, 24(%[copies])\n\tje 7f\n\t"
		"movq (%[copies]), %%rdi\n\tmovq 16(%[copies]), %%rcx\n\ttestq %%rcx, %%rcx\n\tjz 7f\n\t"
		"xorl %%eax, %%eax\n\trepne scasb\n\tje 9f\n"
		"7:\taddq $32, %[copies]\n\tdecq %[nr]\n\tjmp 6b\n"
		"8:\tmovdqu 8(%[commit]), %%xmm0\n\tmovdqa %%xmm0, (%[producer])\n"
		"2:\tmovl $0, %[result]\n\tjmp 5f\n"
		"9:\tmovl %[illegal], %[result]\n"
		"5:\tmovq $0, %%fs:8(%[rseq])\n\t"
		".pushsection __rseq_failure, \"ax\"\n\t.byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n"
		"4:\tjmp 5b\n\t.popsection\n\t"
		: [result] "+r"(result), [copies] "+r"(copies), [nr] "+r"(nr)
		: [rseq] "r"(rseq), [cpu] "r"(cpu), [commit] "r"(commit), [producer] "r"(producer),
		  [illegal] "i"(-EILSEQ)
		: "rax", "rcx", "rsi", "rdi", "xmm0", "memory", "cc");
	return result;
}

/* Of a payload that lies in one piece, from the producer on. Clobbers r10. */
#define STAGED_FROM_PRODUCER \
	TRACEBUF__RSEQ_HEADER \
	"leaq 4(%%rcx, %%r9), %%rcx\n\taddq %[size], %%rcx\n\t" \
	TRACEBUF__RSEQ_STORE_HEADER \
	"xorl %%r10d, %%r10d\n" \
	"6:\tcmpq %[size], %%r10\n\tjae 7f\n\t" \
	"movq (%[payload], %%r10), %%rax\n\tmovq %%rax, %c[data] + 4(%%rdx, %%r10)\n\t" \
	"addq $8, %%r10\n\tjmp 6b\n" \
	"7:\t" \
	TRACEBUF__RSEQ_COMMIT

int tb_sequence_staged(const struct tracebuf_enable *enable, const void *payload, size_t size)
{
	const uint32_t tid = tracebuf__tid;
	const ptrdiff_t rseq = __rseq_offset;
	struct tracebuf_producer **entry;
	uint64_t prefix;
	uint32_t cpu;

	if (!tid)
		return 0;
	cpu = tracebuf__rseq_cpu(rseq);
	entry = &tracebuf__rings[(size_t) cpu * TRACEBUF_NR_RING_SETS + tracebuf__load(&enable->ring)];
	prefix = (uint64_t) tid * enable->prefix_factor + enable->prefix_id;
	__asm__ goto volatile(
		TRACEBUF__RSEQ_BEGIN
		TRACEBUF__RSEQ_RING
		STAGED_FROM_PRODUCER
		TRACEBUF__RSEQ_END
		:
		: TRACEBUF__RSEQ_OPERANDS, [payload] "r"(payload), [size] "r"(size)
		: TRACEBUF__RSEQ_CLOBBERS, "r10"
		: out);
	return 1;
out:
	return 0;
}

int tb_sequence_with_context(const struct tracebuf_enable *enable, struct tb_ring *const *entry, uint32_t cpu,
			     uint32_t context, const void *payload, size_t size)
{
	const ptrdiff_t rseq = __rseq_offset;
	const uint64_t prefix = enable->prefix_id;

	__asm__ goto volatile(
		TRACEBUF__RSEQ_BEGIN
		"movq (%[entry]), %%r8\n\tcmpq %[claimed], %%r8\n\tjbe %l[out]\n\t"
		"movl %[wanted], %%eax\n\tcmpl %%eax, %c[has](%%r8)\n\tjne %l[out]\n\t"
		"movq %c[producer](%%r8), %%r8\n\t"
		STAGED_FROM_PRODUCER
		TRACEBUF__RSEQ_END
		:
		: TRACEBUF__RSEQ_OPERANDS, [payload] "r"(payload), [size] "r"(size), [wanted] "rm"(context),
		  [claimed] "i"(TB_RING_CLAIMED), [has] "i"(offsetof(struct tb_ring, context)),
		  [producer] "i"(offsetof(struct tb_ring, producer))
		: TRACEBUF__RSEQ_CLOBBERS, "r10"
		: out);
	return 1;
out:
	return 0;
}

int32_t tb_sequence_cpu(void)
{
	int32_t cpu;

	__asm__ volatile("movl %%fs:4(%1), %0" : "=r"(cpu) : "r"(__rseq_offset));
	return cpu;
}

void tb_sequence_forget(void)
{
	__asm__ volatile("movq $0, %%fs:8(%0)" : : "r"(__rseq_offset) : "memory");
}
