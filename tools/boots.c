/* SPDX-License-Identifier: MIT */
/*
 * Telling apart what the boot that crashed left and what is still there of boots before it.
 *
 * Invariant: a boot is earlier only than one of its own series, of which a ring is there: whoever knows of no other boot
 * takes nothing for old. What is said here decides whether damage counts, never whether something is recovered: so a
 * page with a wrong number, by damage or by design, hides no event. The memory that is taken is the same whatever an
 * image holds.
 */
#include "boots.h"

void tb_boots_add_ring(struct tb_boots *boots, const struct tracebuf_boot *boot)
{
	size_t i = 0;

	if (!boot->series)
		return;
	while (i < boots->nr_series && boots->newest[i].series != boot->series)
		i++;
	if (i == TB_BOOTS_MAX_SERIES)
		return;
	if (i == boots->nr_series)
		boots->newest[boots->nr_series++] = *boot;
	else if (boots->newest[i].number < boot->number)
		boots->newest[i].number = boot->number;
}

bool tb_boots_add_damaged(struct tb_boots *boots, const struct tracebuf_boot *boot)
{
	size_t i = 0;

	while (i < boots->nr_damaged && (boots->damaged[i].boot.series != boot->series ||
					 boots->damaged[i].boot.number != boot->number))
		i++;
	if (i == TB_BOOTS_MAX_DAMAGED)
		return false;
	if (i == boots->nr_damaged)
		boots->damaged[boots->nr_damaged++].boot = *boot;
	boots->damaged[i].nr++;
	return true;
}

bool tb_boots_is_earlier(const struct tb_boots *boots, const struct tracebuf_boot *boot)
{
	for (size_t i = 0; i < boots->nr_series; i++)
		if (boots->newest[i].series == boot->series)
			return boot->number < boots->newest[i].number;
	return false;
}

size_t tb_boots_nr_damaged(const struct tb_boots *boots, bool earlier)
{
	size_t nr = 0;

	for (size_t i = 0; i < boots->nr_damaged; i++)
		if (tb_boots_is_earlier(boots, &boots->damaged[i].boot) == earlier)
			nr += boots->damaged[i].nr;
	return nr;
}
