/* SPDX-License-Identifier: MIT */
/*
 * Where memory lies on machines with several nodes: a copy of a ring's sub-buffer is made in memory of the node of the
 * ring's CPU, where its pages were first touched. A preference only: a node that is full is no error.
 *
 * Invariant: kept_size is what the lists of kept memory hold, and stays below TB_PLACEMENT_KEPT_SIZE. A kept piece is
 * given to a request of at least half its size only, so that small requests do not wear large memory.
 */
#include "placement.h"
#include <numa.h>
#include <numaif.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STAGING_ALIGN 4096ul

static int numa_nr_nodes(void *data)
{
	(void) data;
	return numa_available() < 0 ? 1 : numa_max_node() + 1;
}

static int numa_node(void *data, int cpu)
{
	(void) data;
	return numa_available() < 0 ? 0 : numa_node_of_cpu(cpu);
}

static int numa_prefer(void *data, void *memory, size_t size, int node)
{
	struct bitmask *nodes;
	int ret;

	(void) data;
	if (numa_available() < 0)
		return 0;
	nodes = numa_allocate_nodemask();
	if (!nodes)
		return -1;
	numa_bitmask_setbit(nodes, node);
	ret = mbind(memory, size, MPOL_PREFERRED, nodes->maskp, nodes->size + 1, 0);
	numa_free_nodemask(nodes);
	return ret;
}

const struct tb_topology tb_topology_numa = {
	.nr_nodes = numa_nr_nodes,
	.node_of_cpu = numa_node,
	.prefer = numa_prefer,
};

void tb_placement_init(struct tb_placement *placement, const struct tb_topology *topology)
{
	memset(placement, 0, sizeof(*placement));
	placement->topology = topology;
}

static void release(struct tb_staging *staging)
{
	munmap(staging->data, staging->size);
	free(staging);
}

void tb_placement_destroy(struct tb_placement *placement)
{
	for (int node = 0; node < TB_PLACEMENT_NODES; node++) {
		struct tb_staging *staging;

		while ((staging = placement->kept[node])) {
			placement->kept[node] = staging->next;
			release(staging);
		}
	}
	placement->kept_size = 0;
}

int tb_placement_node(const struct tb_placement *placement, uint32_t cpu)
{
	const struct tb_topology *topology = placement->topology;
	int nr_nodes = topology->nr_nodes(topology->data), node;

	if (nr_nodes <= 1 || cpu > INT32_MAX)
		return 0;
	node = topology->node_of_cpu(topology->data, cpu);
	return node >= 0 && node < nr_nodes && node < TB_PLACEMENT_NODES ? node : 0;
}

static struct tb_staging *take_kept(struct tb_placement *placement, int node, size_t size)
{
	for (struct tb_staging **at = &placement->kept[node]; *at; at = &(*at)->next) {
		struct tb_staging *staging = *at;

		if (staging->size < size || staging->size / 2 > size)
			continue;
		*at = staging->next;
		placement->kept_size -= staging->size;
		return staging;
	}
	return NULL;
}

struct tb_staging *tb_staging_get(struct tb_placement *placement, uint32_t cpu, size_t size)
{
	const struct tb_topology *topology = placement->topology;
	int node = tb_placement_node(placement, cpu);
	struct tb_staging *staging;

	size = (size + STAGING_ALIGN - 1) & ~(STAGING_ALIGN - 1);
	staging = take_kept(placement, node, size);
	if (staging)
		return staging;
	staging = calloc(1, sizeof(*staging));
	if (!staging)
		return NULL;
	staging->size = size;
	staging->node = node;
	staging->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (staging->data == MAP_FAILED) {
		free(staging);
		return NULL;
	}
	if (topology->nr_nodes(topology->data) > 1)
		topology->prefer(topology->data, staging->data, size, node);
	return staging;
}

void tb_staging_put(struct tb_placement *placement, struct tb_staging *staging)
{
	if (!staging)
		return;
	if (placement->kept_size + staging->size > TB_PLACEMENT_KEPT_SIZE) {
		release(staging);
		return;
	}
	staging->next = placement->kept[staging->node];
	placement->kept[staging->node] = staging;
	placement->kept_size += staging->size;
}
