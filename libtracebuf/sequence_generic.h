/* SPDX-License-Identifier: MIT */
/* Where there are no restartable sequences of ours: nothing can be committed by one. */

int tb_sequence_commit(struct tracebuf_producer *producer, uint32_t cpu, const struct tb_commit *commit,
		       const struct tb_copy *copies, size_t nr)
{
	(void) producer;
	(void) cpu;
	(void) commit;
	(void) copies;
	(void) nr;
	return -EAGAIN;
}

int tb_sequence_staged(const struct tracebuf_enable *enable, const void *payload, size_t size)
{
	(void) enable;
	(void) payload;
	(void) size;
	return 0;
}

int tb_sequence_with_context(const struct tracebuf_enable *enable, struct tb_ring *const *entry, uint32_t cpu,
			     uint32_t context, const void *payload, size_t size)
{
	(void) enable;
	(void) entry;
	(void) cpu;
	(void) context;
	(void) payload;
	(void) size;
	return 0;
}

int32_t tb_sequence_cpu(void)
{
	return -1;
}

void tb_sequence_forget(void)
{
}
