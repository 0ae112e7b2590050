/* SPDX-License-Identifier: MIT */
/*
 * A trace directory as one sequence of events in the order of time.
 *
 * Invariant: streams stand in a binary heap under a time that no event of theirs which is still to come is before: the
 * time of the event at which a stream stands, or the begin of the packet in front of which it stands. So a packet's
 * bytes are not read before its time has come, and 5,000 short streams cost a packet head each.
 *
 * Directories below have metadata of their own or share that of the directory above (snapshots, rotations, recovered
 * memory). Where their clocks differ, the order is that of UNIX time; else of ticks.
 */
#define _GNU_SOURCE
#include "trace.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "stream_file.h"
#include "tsdl.h"

/* Directories below the trace's own: "archives/<rotation>/crash" is the deepest that there is reason for. */
enum { MAX_DEPTH = 3 };

/* Is a directory worth a look? Below one that is no trace: "snapshot-1" and "archives/<rotation>", no more. */
static bool is_near(bool in_trace, const char *path, unsigned int depth)
{
	const char *name = strrchr(path, '/');

	return in_trace ? depth < MAX_DEPTH : !depth || (depth == 1 && name && !strcmp(name, "/archives"));
}

/* Memory for pieces of packets, all streams together; and how much one stream reads at a time. */
#define PIECES_SIZE (64u << 20)
#define MIN_PIECE_SIZE (16u << 10)
#define MAX_PIECE_SIZE (256u << 10)

struct entry {
	uint64_t key;
	size_t stream;			/* index */
};

struct tb_trace {
	struct tb_trace_options options;
	struct tb_metadata **metadata;
	size_t nr_metadata;
	struct tb_stream_file **stream;	/* those that are wanted */
	size_t nr_streams;
	struct tb_stream_file **sorted;	/* room for as many, for the accounts */
	struct entry *heap;
	size_t nr_heap;
	bool clocks_differ;
	bool must_advance;		/* the event of heap[0] was given out */
	bool filters_time;
	int64_t begin_ns, from_ns, to_ns;
	unsigned int nr_damaged;	/* files and directories that could not be used at all */
	struct tb_trace_event current;
	char *message;			/* of tb_trace_open() */
	size_t message_size;
};

__attribute__((format(printf, 2, 3)))
static void damaged(struct tb_trace *trace, const char *format, ...)
{
	char message[4096 + 256];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	trace->nr_damaged++;
	if (trace->options.report)
		trace->options.report(trace->options.data, message);
}

/* Makes room for one more than nr pointers; a table's room is the next power of two. The table, NULL if -ENOMEM. */
static void *grow(void *table, size_t nr)
{
	if (nr & (nr - 1))
		return table;
	return realloc(table, (nr ? nr * 2 : 1) * sizeof(void *));
}

static int append_metadata(struct tb_trace *trace, struct tb_metadata *metadata)
{
	struct tb_metadata **table = grow(trace->metadata, trace->nr_metadata);

	if (!table)
		return -ENOMEM;
	trace->metadata = table;
	table[trace->nr_metadata++] = metadata;
	return 0;
}

static int append_stream(struct tb_trace *trace, struct tb_stream_file *stream)
{
	struct tb_stream_file **table = grow(trace->stream, trace->nr_streams);

	if (!table)
		return -ENOMEM;
	trace->stream = table;
	table[trace->nr_streams++] = stream;
	return 0;
}

/* Reads all of path. 0, -errno; free() it. */
static int read_file(const char *path, char **ret_text, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t size = 0;
	struct stat st;
	char *text = NULL;
	ssize_t got = 1;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	else if (st.st_size > TB_METADATA_MAX_SIZE)
		err = -EFBIG;
	else if (!(text = malloc(st.st_size + 1)))
		err = -ENOMEM;
	while (!err && size < (size_t) st.st_size && got) {
		got = read(fd, text + size, st.st_size - size);
		if (got < 0 && errno != EINTR)
			err = -errno;
		size += got > 0 ? got : 0;
	}
	close(fd);
	if (err) {
		free(text);
		return err;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
}

static bool clocks_differ(const struct tb_trace_info *a, const struct tb_trace_info *b)
{
	return a->clock_frequency != b->clock_frequency || a->clock_offset_s != b->clock_offset_s ||
	       a->clock_offset != b->clock_offset;
}

/* The metadata of directory path. 0, -ENOENT (it has none), -EBADMSG and another with trace->message. */
static int load_metadata(struct tb_trace *trace, const char *path, const struct tb_metadata **ret_metadata)
{
	static const char begin[] = "/* CTF 1.8";
	char *file, *text = NULL, message[256];
	struct tb_metadata *metadata = NULL;
	size_t size = 0;
	int err;

	if (asprintf(&file, "%s/metadata", path) < 0)
		return -ENOMEM;
	err = read_file(file, &text, &size);
	if (err && err != -ENOENT && err != -ENOMEM)
		snprintf(trace->message, trace->message_size, "%s: %s", file, strerror(-err));
	if (!err && (size < sizeof(begin) || memcmp(text, begin, sizeof(begin) - 1))) {
		err = -EBADMSG;
		snprintf(trace->message, trace->message_size, "%s: not the metadata of a CTF 1.8 trace", file);
	} else if (!err) {
		err = tb_tsdl_parse(text, size, &metadata, message, sizeof(message));
		if (err)
			snprintf(trace->message, trace->message_size, "%s: %s", file, message);
	}
	free(text);
	free(file);
	if (!err)
		err = append_metadata(trace, metadata);
	if (err) {
		tb_metadata_free(metadata);
		return err;
	}
	trace->clocks_differ |= clocks_differ(&metadata->info, &trace->metadata[0]->info);
	*ret_metadata = metadata;
	return 0;
}

static void free_stream(struct tb_stream_file *stream)
{
	if (stream)
		tb_stream_file_close(stream);
	free(stream);
}

static bool is_wanted(const struct tb_trace *trace, const struct tracebuf_packet *head)
{
	char procname[TRACEBUF_PROCNAME_SIZE + 1] = "";

	if (!trace->options.want_process)
		return true;
	memcpy(procname, head->procname, TRACEBUF_PROCNAME_SIZE);
	return trace->options.want_process(trace->options.data, head->pid, procname);
}

/* Takes a stream that stands in front of its first packet, and owns it on success. 0, -ENOMEM, -ENOENT: not wanted. */
static int add_stream(struct tb_trace *trace, struct tb_stream_file *stream)
{
	int64_t begin_ns = tb_trace_info_ns(&stream->metadata->info, stream->head.timestamp_begin);

	if (!trace->begin_ns || begin_ns < trace->begin_ns)
		trace->begin_ns = begin_ns;
	return is_wanted(trace, &stream->head) ? append_stream(trace, stream) : -ENOENT;
}

/* Takes a file of the trace. 0, -ENOMEM; anything else is reported. */
static int add_file(struct tb_trace *trace, const struct tb_metadata *metadata, const char *path)
{
	struct tb_stream_file *stream = calloc(1, sizeof(*stream));
	int err, found = -ENOMEM;

	if (stream && (stream->path = strdup(path))) {
		stream->metadata = metadata;
		stream->report = trace->options.report;
		stream->report_data = trace->options.data;
		found = tb_stream_file_open(stream);
	}
	err = found > 0 ? add_stream(trace, stream) : found;
	if (found > 0 && !err)
		return 0;
	if (found < 0 && found != -ENOMEM)
		damaged(trace, "%s: %s", path, strerror(-found));
	if (stream)
		trace->nr_damaged += stream->nr_damaged;
	free_stream(stream);
	return err == -ENOMEM ? -ENOMEM : 0;
}

/* A link to what lies below this directory is found there: `recover --merge` makes them for other readers. */
static bool leads_below(const char *path)
{
	char target[2];

	return readlink(path, target, sizeof(target)) == sizeof(target) && target[0] != '/' && memcmp(target, "..", 2);
}

static int is_no_metadata(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && strcmp(entry->d_name, "metadata") && strcmp(entry->d_name, "index");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_directory(const char *path, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return !lstat(path, &st) && S_ISDIR(st.st_mode);
}

static int add_directory(struct tb_trace *trace, const struct tb_metadata *above, const char *path, unsigned int depth);

/* Takes what path/entry is. 0, -ENOMEM. */
static int add_entry(struct tb_trace *trace, const struct tb_metadata *metadata, const char *path,
		     const struct dirent *entry, unsigned int depth)
{
	int err = 0;
	char *full;

	if (asprintf(&full, "%s/%s", path, entry->d_name) < 0)
		return -ENOMEM;
	if (is_directory(full, entry))
		err = is_near(metadata, path, depth) ? add_directory(trace, metadata, full, depth + 1) : 0;
	else if (metadata && !leads_below(full))
		err = add_file(trace, metadata, full);
	free(full);
	return err;
}

/* Takes all streams of directory path and below. 0, -ENOMEM, and if depth is 0 what tb_trace_open() returns. */
static int add_directory(struct tb_trace *trace, const struct tb_metadata *above, const char *path, unsigned int depth)
{
	const struct tb_metadata *metadata = above;
	struct dirent **entry;
	int nr, err = load_metadata(trace, path, &metadata);

	if (err && err != -ENOENT) {
		if (!depth || err == -ENOMEM)
			return err;
		damaged(trace, "%s", trace->message);
		return 0;
	}
	nr = scandir(path, &entry, is_no_metadata, by_name);
	if (nr < 0) {
		err = -errno;
		snprintf(trace->message, trace->message_size, "%s: %s", path, strerror(errno));
		if (!depth || err == -ENOMEM)
			return err;
		damaged(trace, "%s", trace->message);
		return 0;
	}
	err = 0;
	for (int i = 0; i < nr; i++) {
		if (!err)
			err = add_entry(trace, metadata, path, entry[i], depth);
		free(entry[i]);
	}
	free(entry);
	return err;
}

/* The time before which nothing comes from stream any more. */
static uint64_t key_of(const struct tb_trace *trace, const struct tb_stream_file *stream)
{
	uint64_t time = stream->has_event ? stream->event.time : stream->head.timestamp_begin;

	if (!trace->clocks_differ)
		return time;
	return (uint64_t) tb_trace_info_ns(&stream->metadata->info, time) + (1ull << 63);
}

static bool is_before(const struct entry *a, const struct entry *b)
{
	return a->key < b->key || (a->key == b->key && a->stream < b->stream);
}

/* Moves heap[at] down to where it belongs. */
static void sift_down(struct tb_trace *trace, size_t at)
{
	struct entry *heap = trace->heap, moving = heap[at];
	size_t below;

	while ((below = 2 * at + 1) < trace->nr_heap) {
		if (below + 1 < trace->nr_heap && is_before(&heap[below + 1], &heap[below]))
			below++;
		if (!is_before(&heap[below], &moving))
			break;
		heap[at] = heap[below];
		at = below;
	}
	heap[at] = moving;
}

static int make_heap(struct tb_trace *trace)
{
	size_t piece_size = trace->nr_streams ? PIECES_SIZE / trace->nr_streams : 0;

	trace->heap = calloc(trace->nr_streams + 1, sizeof(*trace->heap));
	trace->sorted = calloc(trace->nr_streams + 1, sizeof(*trace->sorted));
	if (!trace->heap || !trace->sorted)
		return -ENOMEM;
	if (piece_size < MIN_PIECE_SIZE)
		piece_size = MIN_PIECE_SIZE;
	if (piece_size > MAX_PIECE_SIZE)
		piece_size = MAX_PIECE_SIZE;
	trace->nr_heap = trace->nr_streams;
	for (size_t i = 0; i < trace->nr_streams; i++) {
		trace->stream[i]->piece_size = piece_size;
		trace->heap[i] = (struct entry) { key_of(trace, trace->stream[i]), i };
	}
	for (size_t i = trace->nr_streams / 2; i-- > 0;)
		sift_down(trace, i);
	return 0;
}

int tb_trace_open(const char *path, const struct tb_trace_options *options, struct tb_trace **ret_trace, char *message,
		  size_t message_size)
{
	struct tb_trace *trace = calloc(1, sizeof(*trace));
	int err = -ENOMEM;

	snprintf(message, message_size, "%s: out of memory", path);
	if (!trace)
		return -ENOMEM;
	trace->options = *options;
	tb_trace_set_range(trace, INT64_MIN, INT64_MAX);
	trace->message = message;
	trace->message_size = message_size;
	err = add_directory(trace, NULL, path, 0);
	if (!err && !trace->nr_metadata) {
		err = -ENODATA;
		snprintf(message, message_size, "%s: not a trace: there is no metadata", path);
	}
	if (!err)
		err = make_heap(trace);
	if (err) {
		tb_trace_close(trace);
		return err;
	}
	trace->message = NULL;
	*ret_trace = trace;
	return 0;
}

void tb_trace_close(struct tb_trace *trace)
{
	if (!trace)
		return;
	for (size_t i = 0; i < trace->nr_streams; i++)
		free_stream(trace->stream[i]);
	for (size_t i = 0; i < trace->nr_metadata; i++)
		tb_metadata_free(trace->metadata[i]);
	free(trace->stream);
	free(trace->metadata);
	free(trace->sorted);
	free(trace->heap);
	free(trace);
}

void tb_trace_set_range(struct tb_trace *trace, int64_t from_ns, int64_t to_ns)
{
	trace->from_ns = from_ns;
	trace->to_ns = to_ns;
	trace->filters_time = from_ns != INT64_MIN || to_ns != INT64_MAX;
}

/* The first stream goes on by an event, or leaps over a packet that ends too early. 0, -ENOMEM. */
static int advance(struct tb_trace *trace)
{
	struct tb_stream_file *stream = trace->stream[trace->heap[0].stream];
	int more;

	if (!stream->has_event && trace->filters_time &&
	    tb_trace_info_ns(&stream->metadata->info, stream->head.timestamp_end) < trace->from_ns)
		more = tb_stream_file_next_packet(stream);
	else
		more = tb_stream_file_next(stream);
	if (more < 0)
		return more;
	if (more)
		trace->heap[0].key = key_of(trace, stream);
	else
		trace->heap[0] = trace->heap[--trace->nr_heap];
	sift_down(trace, 0);
	trace->must_advance = false;
	return 0;
}

/* Is the event at which stream stands too early (-1), wanted (0), too late (1)? */
static int compare_time(const struct tb_trace *trace, const struct tb_stream_file *stream)
{
	int64_t ns;

	if (!trace->filters_time)
		return 0;
	ns = tb_trace_info_ns(&stream->metadata->info, stream->event.time);
	return ns < trace->from_ns ? -1 : ns > trace->to_ns;
}

static void set_current(struct tb_trace *trace, const struct tb_stream_file *stream)
{
	struct tb_trace_event *current = &trace->current;

	current->event = stream->event;
	current->context = stream->class->context;
	current->packet = &stream->head;
	current->info = &stream->metadata->info;
	current->stream = trace->heap[0].stream;
}

int tb_trace_next(struct tb_trace *trace, const struct tb_trace_event **ret_event)
{
	while (trace->nr_heap) {
		const struct tb_stream_file *stream = trace->stream[trace->heap[0].stream];
		int err, compared = 0;

		if (!trace->must_advance && stream->has_event) {
			compared = compare_time(trace, stream);
			if (compared > 0)
				return 0;
		}
		if (!trace->must_advance && stream->has_event && !compared) {
			set_current(trace, stream);
			trace->must_advance = true;
			*ret_event = &trace->current;
			return 1;
		}
		err = advance(trace);
		if (err)
			return err;
	}
	return 0;
}

static int by_instance(const void *a, const void *b)
{
	const struct tb_stream_file *const *x = a, *const *y = b;
	int order = memcmp((*x)->metadata->info.uuid, (*y)->metadata->info.uuid, 16);

	if (order)
		return order;
	return ((*x)->head.stream_instance_id > (*y)->head.stream_instance_id) -
	       ((*x)->head.stream_instance_id < (*y)->head.stream_instance_id);
}

/* What the files of one ring tell together. */
struct ring_totals {
	uint64_t first, end;		/* numbers of its events */
	uint64_t nr_events, nr_missing, nr_discarded;
};

/* A ring counts on over rotations and snapshots: the largest count of all its files is the right one. */
static void add_file_totals(struct ring_totals *ring, const struct tb_stream_file *stream)
{
	if (stream->first_event_seq < ring->first)
		ring->first = stream->first_event_seq;
	if (stream->next_event_seq > ring->end)
		ring->end = stream->next_event_seq;
	ring->nr_events += stream->nr_events;
	ring->nr_missing += stream->nr_missing;
	if (stream->head.events_discarded > ring->nr_discarded)
		ring->nr_discarded = stream->head.events_discarded;
}

/* What one file lacks between its packets, another may have: what was on disk and what was recovered from memory. */
static uint64_t missing_of(const struct ring_totals *ring)
{
	uint64_t span = ring->end > ring->first ? ring->end - ring->first : 0;
	uint64_t nowhere = span > ring->nr_events ? span - ring->nr_events : 0;

	return nowhere < ring->nr_missing ? nowhere : ring->nr_missing;
}

static void sum_rings(const struct tb_trace *trace, struct tb_trace_totals *totals)
{
	struct tb_stream_file **sorted = trace->sorted;

	memcpy(sorted, trace->stream, trace->nr_streams * sizeof(*sorted));
	qsort(sorted, trace->nr_streams, sizeof(*sorted), by_instance);
	for (size_t i = 0; i < trace->nr_streams;) {
		struct ring_totals ring = { .first = UINT64_MAX };
		size_t begin = i;

		for (; i < trace->nr_streams && !by_instance(&sorted[begin], &sorted[i]); i++)
			add_file_totals(&ring, sorted[i]);
		totals->nr_discarded += ring.nr_discarded;
		totals->nr_missing += missing_of(&ring);
	}
}

void tb_trace_totals(const struct tb_trace *trace, struct tb_trace_totals *ret_totals)
{
	memset(ret_totals, 0, sizeof(*ret_totals));
	ret_totals->nr_streams = trace->nr_streams;
	ret_totals->nr_damaged = trace->nr_damaged;
	for (size_t i = 0; i < trace->nr_streams; i++)
		ret_totals->nr_damaged += trace->stream[i]->nr_damaged;
	if (trace->nr_streams)
		sum_rings(trace, ret_totals);
}

const char *tb_trace_stream_path(const struct tb_trace *trace, size_t stream)
{
	return trace->stream[stream]->path;
}

int64_t tb_trace_begin_ns(const struct tb_trace *trace)
{
	return trace->begin_ns;
}
