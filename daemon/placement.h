/* SPDX-License-Identifier: MIT */
#ifndef TB_PLACEMENT_H
#define TB_PLACEMENT_H

#include <stddef.h>
#include <stdint.h>

/* What is asked of the machine: replaced in tests. */
struct tb_topology {
	int (*nr_nodes)(void *data);
	int (*node_of_cpu)(void *data, int cpu);		/* negative: unknown */
	int (*prefer)(void *data, void *memory, size_t size, int node);
	void *data;
};

#define TB_PLACEMENT_NODES 64
/* Staging memory that is kept for the next user, in all. */
#define TB_PLACEMENT_KEPT_SIZE (32ul << 20)

struct tb_staging {
	size_t size;
	int node;
	struct tb_staging *next;
	char *data;				/* page-aligned */
};

/* Staging memory by node: what a sub-buffer is copied to when it cannot be written from where it lies. */
struct tb_placement {
	const struct tb_topology *topology;
	struct tb_staging *kept[TB_PLACEMENT_NODES];
	size_t kept_size;
};

/* The machine as libnuma knows it; one node where there is no NUMA. */
extern const struct tb_topology tb_topology_numa;

void tb_placement_init(struct tb_placement *placement, const struct tb_topology *topology);
void tb_placement_destroy(struct tb_placement *placement);

/* The node of a CPU: 0 ... TB_PLACEMENT_NODES - 1, 0 where that is not known. Any cpu number. */
int tb_placement_node(const struct tb_placement *placement, uint32_t cpu);

/* At least size bytes near cpu, contents undefined; NULL: no memory. */
struct tb_staging *tb_staging_get(struct tb_placement *placement, uint32_t cpu, size_t size);
void tb_staging_put(struct tb_placement *placement, struct tb_staging *staging);

#endif
