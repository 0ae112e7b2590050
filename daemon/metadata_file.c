/* SPDX-License-Identifier: MIT */
/*
 * The metadata of a trace being recorded: its stream classes, and the file that tells readers of them.
 *
 * Invariant: a class is in the file before a packet that needs it. The file grows by whole classes, and is replaced by
 * rename when the clock is known better, so that it can be read at any time. A stream_id stands for one text: a process
 * whose descriptions say something else under an id that is taken is refused.
 */
#define _GNU_SOURCE
#include "metadata_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libtracebuf/stream_id.h"
#include "reader/metadata.h"
#include "reader/statedump_stream.h"
#include "reader/tsdl.h"
#include "statedump.h"

static void free_class(struct tb_class *class)
{
	if (!class)
		return;
	tb_events_free(&class->class.events);
	tb_descriptions_put(class->checked);
	free(class->text);
	free(class);
}

void tb_classes_free(struct tb_recording *recording)
{
	struct tb_class *class, *next;

	cds_list_for_each_entry_safe(class, next, &recording->classes, list) {
		cds_list_del(&class->list);
		free_class(class);
	}
}

static int render(struct tb_class *class)
{
	FILE *out = open_memstream(&class->text, &class->text_size);
	int ret, closed;

	if (!out)
		return -ENOMEM;
	ret = tb_metadata_write_class(out, &class->class);
	closed = tb_text_close(out, &class->text);
	return ret ? ret : closed;
}

static int make_class(const struct tb_descriptions *descriptions, uint64_t stream_id, uint32_t context, uint32_t nr,
		      struct tb_class **ret_class)
{
	struct tb_class *class = calloc(1, sizeof(*class));
	size_t size = 0;
	int ret;

	if (!class)
		return -ENOMEM;
	class->class.id = stream_id;
	class->class.context = context;
	ret = tb_descriptions_size(descriptions->bytes, descriptions->size, nr, &size);
	if (!ret && tb_stream_id(context, descriptions->bytes, size) != stream_id)
		ret = -EBADMSG;
	if (!ret)
		ret = tb_descriptions_parse(descriptions->bytes, size, nr, &class->class.events);
	if (!ret)
		ret = render(class);
	if (ret)
		free_class(class);
	else
		*ret_class = class;
	return ret;
}

static struct tb_class *find_class(struct tb_recording *recording, uint64_t stream_id)
{
	struct tb_class *class;

	cds_list_for_each_entry(class, &recording->classes, list)
		if (class->class.id == stream_id)
			return class;
	return NULL;
}

int tb_class_add_statedump(struct tb_recording *recording)
{
	struct tb_class *class;
	int ret;

	if (find_class(recording, tb_statedump_stream_id()))
		return 0;
	class = calloc(1, sizeof(*class));
	if (!class)
		return -ENOMEM;
	ret = tb_statedump_stream_class(&class->class);
	if (!ret)
		ret = render(class);
	if (ret) {
		free_class(class);
		return ret;
	}
	cds_list_add_tail(&class->list, &recording->classes);
	recording->metadata_due = true;
	return 0;
}

static void remember(struct tb_class *class, struct tb_descriptions *descriptions, uint32_t nr)
{
	descriptions->refs++;
	tb_descriptions_put(class->checked);
	class->checked = descriptions;
	class->checked_nr = nr;
}

int tb_class_get(struct tb_recording *recording, struct tb_process *process, uint64_t stream_id, uint32_t context,
		 uint32_t nr_descriptions, struct tb_class **ret_class)
{
	struct tb_class *known = find_class(recording, stream_id), *class;
	int ret = 0;

	if (!process->descriptions || process->descriptions->nr < nr_descriptions)
		ret = tb_process_refresh(process);
	if (tb_is_passing(ret))
		return ret;
	if (!process->descriptions || process->descriptions->nr < nr_descriptions)
		return -EBADMSG;
	if (known && known->checked == process->descriptions && known->checked_nr == nr_descriptions) {
		*ret_class = known;
		return 0;
	}
	ret = make_class(process->descriptions, stream_id, context, nr_descriptions, &class);
	if (ret)
		return ret;
	if (!known) {
		cds_list_add_tail(&class->list, &recording->classes);
		recording->metadata_due = true;
		known = class;
	} else {
		ret = known->text_size == class->text_size && !memcmp(known->text, class->text, class->text_size) ?
		      0 : -EBADMSG;
		free_class(class);
	}
	if (ret)
		return ret;
	remember(known, process->descriptions, nr_descriptions);
	*ret_class = known;
	return 0;
}

static void fill_info(const struct tb_recording *recording, struct tb_trace_info *info)
{
	const struct tb_clock *clock = &recording->daemon->clock;
	uint64_t frequency = clock->frequency;

	memset(info, 0, sizeof(*info));
	if (clock->kind == TRACEBUF_CLOCK_TSC) {
		struct tb_clock_sample now = tb_clock_sample(clock);

		frequency = tb_clock_frequency(&recording->start, &now, clock->frequency);
	}
	memcpy(info->uuid, recording->slot.uuid, sizeof(info->uuid));
	tb_uuid_parse(clock->boot_id, info->boot_id);
	tb_trace_info_set_clock(info, frequency, recording->start.ticks, recording->start.realtime_ns);
	info->creation_s = recording->start.realtime_ns / 1000000000ull;
	snprintf(info->name, sizeof(info->name), "%s", recording->slot.name);
	gethostname(info->hostname, sizeof(info->hostname) - 1);
	snprintf(info->product, sizeof(info->product), "tracebuf %s", PACKAGE_VERSION);
}

/* The whole text: for free(). */
static int whole_text(const struct tb_recording *recording, char **ret_text, size_t *ret_size)
{
	bool fill_gaps = tb_statedump_is_published(recording);
	const struct tb_class *class;
	struct tb_trace_info info;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int ret, closed;

	if (!out)
		return -ENOMEM;
	fill_info(recording, &info);
	ret = tb_metadata_write_header(out, &info);
	cds_list_for_each_entry(class, &recording->classes, list) {
		fwrite(class->text, 1, class->text_size, out);
		if (!ret && fill_gaps)
			ret = tb_metadata_write_gaps(out, &class->class);
	}
	closed = tb_text_close(out, &text);
	if (!ret)
		ret = closed;
	if (ret) {
		free(text);
		return ret;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
}

int tb_metadata_replace(struct tb_recording *recording, int dir)
{
	char *text;
	size_t size;
	int ret = whole_text(recording, &text, &size);

	if (ret)
		return ret;
	ret = tb_file_replace(dir, "metadata", text, size, recording->sync);
	free(text);
	if (!ret && dir == recording->output_fd)
		recording->metadata_due = false;
	return ret;
}

int tb_metadata_flush(struct tb_recording *recording)
{
	return recording->metadata_due ? tb_metadata_replace(recording, recording->output_fd) : 0;
}

static int adopt_class(struct tb_recording *recording, struct tb_stream_class *parsed)
{
	struct tb_class *class = calloc(1, sizeof(*class));
	int ret;

	if (!class)
		return -ENOMEM;
	class->class = *parsed;
	memset(&parsed->events, 0, sizeof(parsed->events));
	ret = render(class);
	if (ret)
		free_class(class);
	else
		cds_list_add_tail(&class->list, &recording->classes);
	return ret;
}

int tb_metadata_adopt(struct tb_recording *recording)
{
	struct tb_metadata *metadata;
	char message[256], *text;
	size_t size;
	int ret = tb_file_read(recording->output_fd, "metadata", TB_METADATA_MAX_SIZE, &text, &size);

	if (ret)
		return ret;
	ret = tb_tsdl_parse(text, size, &metadata, message, sizeof(message));
	free(text);
	if (ret)
		return ret;
	for (size_t i = 0; i < metadata->nr_stream_classes && !ret; i++)
		ret = adopt_class(recording, metadata->stream_class[i]);
	tb_metadata_free(metadata);
	return ret;
}
