/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The layout of every page that tracebuf's sides share: traced process, daemon, kernel module, recovery.
 *
 * Four kinds of file (tmpfs home) or mapping (kernel home) exist, each beginning with a superblock:
 *   control   one per run directory: what is recorded. Daemon (or kernel) writes, processes read.
 *   process   one per traced process: its event descriptions and its enable records.
 *   ring      one per process x channel x CPU: sub-buffers, each of which is a CTF 1.8 packet.
 *   region    kernel home only, the first page of a half of memory that outlives a reboot. Nobody maps it.
 *
 * All words are little-endian and naturally aligned, reserved words are zero, and there are no pointers. Above each
 * group of words stands who writes it (W), who reads it (R) and how it is ordered. Nobody may trust a word that
 * another side writes: copy it once, check the copy, use the copy.
 */
#ifndef TRACEBUF_ABI_H
#define TRACEBUF_ABI_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/ioctl.h>
#include <linux/stddef.h>
#include <linux/types.h>
#define TRACEBUF__ASSERT(cond) static_assert(cond)
#else
#include <linux/ioctl.h>
#include <linux/types.h>
#include <stddef.h>
#ifdef __cplusplus
#define TRACEBUF__ASSERT(cond) static_assert(cond, #cond)
#else
#define TRACEBUF__ASSERT(cond) _Static_assert(cond, #cond)
#endif
#endif
#define TRACEBUF__LAYOUT(type, field, offset) TRACEBUF__ASSERT(offsetof(struct type, field) == (offset))
#define TRACEBUF__SIZE(type, size) TRACEBUF__ASSERT(sizeof(struct type) == (size))

#define TRACEBUF_ABI_VERSION 1

/* Traces that can be active at one time: a bit each in an enable word. */
#define TRACEBUF_NR_SLOTS 16
/* Channels of one trace. Numbers 0 to 14; ring set "slot 0, channel 15" exists nowhere (see TRACEBUF_RING_SEVERAL). */
#define TRACEBUF_NR_CHANNELS 15
/* A ring set is the rings of one channel, one per CPU: slot * 16 + channel. */
#define TRACEBUF_RING_SET(slot, channel) ((slot) * 16 + (channel))
#define TRACEBUF_NR_RING_SETS 256
/* Stands where the event goes to several ring sets, or where it must take the slow path: no ring is ever there. */
#define TRACEBUF_RING_SEVERAL 15

#define TRACEBUF_NAME_SIZE 64		/* of a trace or a channel, with the NUL */
#define TRACEBUF_PROCNAME_SIZE 16	/* of a process, with the NUL: the kernel's TASK_COMM_LEN */

/* ------------------------------------------------------------------------------------------------------------------
 * Superblock: what recovery looks for at the start of a page.
 */

/* The magic bytes, each stored XORed with TRACEBUF_MAGIC_MASK in code, so that only real superblocks contain them. */
#define TRACEBUF_MAGIC_MASK 0x5a
#define TRACEBUF_MAGIC_MASKED \
	{ 0x2e, 0x28, 0x3b, 0x39, 0x3f, 0x38, 0x2f, 0x3c, 0x8b, 0x1d, 0xe6, 0x47, 0x9a, 0x70, 0xc3, 0x5e }

enum tracebuf_kind {
	TRACEBUF_KIND_CONTROL = 1,
	TRACEBUF_KIND_PROCESS = 2,
	TRACEBUF_KIND_RING = 3,
	TRACEBUF_KIND_REGION = 4,
};

/* W: whoever makes the file, once, before it is published by rename. R: all. */
struct tracebuf_superblock {
	__u8 magic[16];
	__u32 abi_version;
	__u32 kind;			/* enum tracebuf_kind */
	__u32 header_size;		/* bytes of the immutable header, superblock included, that header_crc covers */
	__u32 header_crc;		/* CRC32C over them with this word 0 */
	__u64 total_size;		/* bytes of the whole file */
	__u64 physical_address;		/* of this page; 0 in a tmpfs home */
	__u64 page_list;		/* physical address of the root of the page list; 0 in a tmpfs home */
	__u32 page_size;		/* of the kernel that owns the pages */
	__u32 page_list_levels;		/* 0 in a tmpfs home */
};
TRACEBUF__SIZE(tracebuf_superblock, 64);
TRACEBUF__LAYOUT(tracebuf_superblock, header_crc, 28);

/*
 * Page list: where the pages of a file in the kernel home are, a tree. A node is one page of page_size / 8 __u64, each
 * the physical address of a page, or 0 for none. On the last level these are the file's pages in the order of their
 * offsets, on the levels above nodes. W: the kernel, a word as its page is there. R: recovery. No process maps nodes.
 */
#define TRACEBUF_MAX_PAGE_LIST_LEVELS 4

/*
 * Which boot's kernel made a file. Boots that take the same region one after another are a series; so of what a dump holds
 * it can be told what a boot before the last one left. Neither clocks nor boot ids say that: a clock may begin anew.
 */
struct tracebuf_boot {
	__u64 series;			/* random; 0: a kernel without a region, or a tmpfs home */
	__u64 number;			/* in the series: as tracebuf_region.number */
};
TRACEBUF__SIZE(tracebuf_boot, 16);

/* ------------------------------------------------------------------------------------------------------------------
 * Control: the file "control" of a run directory.
 */

enum tracebuf_clock {
	TRACEBUF_CLOCK_TSC = 1,		/* TSC or CNTVCT, raw */
	TRACEBUF_CLOCK_MONOTONIC = 2,	/* nanoseconds */
	TRACEBUF_CLOCK_COUNTER = 3,	/* the word in the file "counter", one step an event: order without time */
};

enum tracebuf_mode {
	TRACEBUF_MODE_DISCARD = 0,
	TRACEBUF_MODE_OVERWRITE = 1,
	TRACEBUF_MODE_BLOCK = 2,
};

/* Bits of tracebuf_channel.context: fields of CTF's stream event context, in this order. */
enum tracebuf_context {
	TRACEBUF_CONTEXT_VTID = 1,	/* s32 _vtid */
	TRACEBUF_CONTEXT_VPID = 2,	/* s32 _vpid */
	TRACEBUF_CONTEXT_IP = 4,	/* u64 _ip, hexadecimal */
	TRACEBUF_CONTEXT_PROCNAME = 8,	/* u8 _procname[17]: the thread's name */
};
#define TRACEBUF_CONTEXT_PROCNAME_SIZE 17
#define TRACEBUF_CONTEXT_MAX_SIZE (4 + 4 + 8 + TRACEBUF_CONTEXT_PROCNAME_SIZE)

struct tracebuf_channel {
	char name[TRACEBUF_NAME_SIZE];
	__u32 mode;			/* enum tracebuf_mode */
	__u32 context;			/* enum tracebuf_context bits */
	__u64 subbuf_size;		/* bytes, a power of two, TRACEBUF_MIN_SUBBUF_SIZE ... TRACEBUF_MAX_SUBBUF_SIZE */
	__u32 nr_subbufs;		/* a power of two, 2 ... TRACEBUF_MAX_SUBBUFS */
	__u32 block_timeout_ms;		/* block mode: longest wait for room; 0 is for ever */
	__u64 reserved[4];
};
TRACEBUF__SIZE(tracebuf_channel, 120);

#define TRACEBUF_MIN_SUBBUF_SIZE 4096ull
#define TRACEBUF_MAX_SUBBUF_SIZE (1ull << 30)
#define TRACEBUF_MAX_SUBBUFS 4096
#define TRACEBUF_MAX_RING_SIZE (1ull << 34)

/*
 * A trace. Slots are reused, generations never: a ring whose generation is not its slot's belongs to a trace that is
 * gone. A slot stays disabled for longer than TRACEBUF_WINDOW_BITS of the clock before it is reused: see
 * tracebuf_producer.window.
 */
struct tracebuf_slot {
	__u64 generation;		/* 0: no trace here; else its number, never used twice in a run directory */
	__u8 uuid[16];			/* the CTF trace's */
	char name[TRACEBUF_NAME_SIZE];
	__u32 active;			/* 1: started; rules count only then */
	__u32 nr_channels;
	__u32 rules_size;		/* bytes used of this slot's rules */
	__u32 reserved;
	struct tracebuf_channel channel[TRACEBUF_NR_CHANNELS];
	__u64 reserved2[19];
};
TRACEBUF__SIZE(tracebuf_slot, 2056);

/*
 * W: daemon, all under the seqlock (sequence odd while it writes). R: processes map it
 * read-only, and use what they copied only if sequence was even and unchanged.
 */
struct tracebuf_control {
	struct tracebuf_superblock sb;
	__u32 sequence;
	__u32 clock;			/* enum tracebuf_clock, of every trace */
	__u64 rules_generation;		/* grows with each change of anything below */
	__u64 clock_frequency;		/* ticks per second, as known at the daemon's start */
	__u32 rseq_works;		/* 1: the daemon proved that this kernel aborts restartable sequences */
	__s32 daemon_pid;
	__u64 clock_ticks;		/* the clock at clock_realtime_ns */
	__u64 clock_realtime_ns;	/* UNIX time */
	__u8 boot_id[16];		/* of the kernel that runs */
	__u64 reserved[16];
	struct tracebuf_slot slot[TRACEBUF_NR_SLOTS];
};
TRACEBUF__LAYOUT(tracebuf_control, sequence, 64);
TRACEBUF__LAYOUT(tracebuf_control, slot, 256);

/* Rules of slot s lie at TRACEBUF_RULES_OFFSET + s * TRACEBUF_RULES_SIZE, rules_size bytes of them are valid. */
#define TRACEBUF_RULES_OFFSET 65536
#define TRACEBUF_RULES_SIZE 65536
#define TRACEBUF_CONTROL_SIZE (TRACEBUF_RULES_OFFSET + TRACEBUF_NR_SLOTS * TRACEBUF_RULES_SIZE)

/* For one event and one channel, the last rule whose pattern matches "provider:event" decides; none: not recorded. */
struct tracebuf_rule {
	__u16 size;			/* of this record with its pattern and NUL, a multiple of 8 */
	__u8 channel;
	__u8 enable;			/* 1 records, 0 does not */
	char pattern[4];		/* NUL-terminated, goes on past the struct; '*' any run, '?' any one byte, '\\' quotes */
};
TRACEBUF__SIZE(tracebuf_rule, 8);

/* ------------------------------------------------------------------------------------------------------------------
 * Process: files "procs/<pid>-<incarnation>".
 */

enum tracebuf_field_type {
	TRACEBUF_FIELD_INTEGER = 1,	/* size 1, 2, 4 or 8 */
	TRACEBUF_FIELD_FLOAT = 2,	/* size 4 or 8 */
	TRACEBUF_FIELD_STRING = 3,	/* bytes up to and with a NUL; size 0 */
	TRACEBUF_FIELD_SEQUENCE = 4,	/* u32 length in elements, then as many integers of size */
};
enum tracebuf_field_flags {
	TRACEBUF_FIELD_SIGNED = 1,
	TRACEBUF_FIELD_HEX = 2,		/* readers show it in base 16 */
};

struct tracebuf_field {
	__u8 type;			/* enum tracebuf_field_type */
	__u8 size;			/* bytes of the integer, of the float, of one element */
	__u8 flags;			/* enum tracebuf_field_flags */
	__u8 name_size;			/* with the NUL */
};
TRACEBUF__SIZE(tracebuf_field, 4);

/*
 * Description of one event: this struct, nr_fields tracebuf_field, then the names, each NUL-terminated:
 * "provider:event" (name_size bytes with the NUL), then each field's. Records follow one another from
 * TRACEBUF_DESCRIPTIONS_OFFSET on, 8-byte aligned. W: the process or the kernel, appends only. R: daemon, recovery.
 */
struct tracebuf_description {
	__u32 size;			/* of the whole record, a multiple of 8 */
	__u32 crc;			/* CRC32C over size bytes with this word 0 */
	__u32 id;			/* tmpfs home: 0, 1, 2 ... in a process; kernel home: the same for all processes */
	__u16 nr_fields;
	__u16 name_size;
	__u8 loglevel;			/* as LTTng-UST's, 0 EMERG ... 14 DEBUG; 13 unless told */
	__u8 reserved[7];
};
TRACEBUF__SIZE(tracebuf_description, 24);

#define TRACEBUF_MAX_FIELDS 64
#define TRACEBUF_MAX_EVENTS 16384	/* of one process */
#define TRACEBUF_MAX_EVENT_ID 65536	/* ids are below this */
#define TRACEBUF_MAX_DESCRIPTION_SIZE 32768

/*
 * What is recorded of one event, at one place in the program (one cache line). A process maps the page that holds it
 * read-only over the page that its code tests. W: the process, once, before it publishes the page; from then on only
 * the daemon, and only enabled, ring and channels, each by one store. R: the process, relaxed; a late answer is one
 * that could have been given a moment ago.
 */
struct tracebuf_enable {
	__u16 enabled;			/* a bit for each slot */
	__u16 ring;			/* the only ring set that records it, else TRACEBUF_RING_SEVERAL */
	__u32 header_id;		/* what the event header's 5 id bits hold: id, or TRACEBUF_ID_WIDE */
	__u32 id;
	__u16 prefix_id;		/* id if header_id is TRACEBUF_ID_WIDE, else 0 */
	__u16 prefix_size;		/* bytes of it: 2 or 0 */
	__u32 prefix_factor;		/* 1 << (8 * prefix_size): moves the context behind it */
	__u32 used;			/* 1: this record belongs to an event */
	__u32 index;			/* of the event's description in the process file, 0, 1, 2 ... */
	__u32 reserved;
	__u16 channels[TRACEBUF_NR_SLOTS];	/* per slot, a bit for each channel that records it */
};
TRACEBUF__SIZE(tracebuf_enable, 64);
TRACEBUF__LAYOUT(tracebuf_enable, channels, 32);

/* Offsets in a process file: multiples of every page size that Linux has. */
#define TRACEBUF_PROCESS_ACCOUNT_OFFSET 65536
#define TRACEBUF_DESCRIPTIONS_OFFSET 131072
#define TRACEBUF_DESCRIPTIONS_SIZE (8u << 20)
#define TRACEBUF_ENABLE_OFFSET (TRACEBUF_DESCRIPTIONS_OFFSET + TRACEBUF_DESCRIPTIONS_SIZE)
#define TRACEBUF_ENABLE_SIZE (8u << 20)
#define TRACEBUF_STATEDUMP_OFFSET (TRACEBUF_ENABLE_OFFSET + TRACEBUF_ENABLE_SIZE)
#define TRACEBUF_STATEDUMP_SIZE (2u << 20)
#define TRACEBUF_PROCESS_SIZE (TRACEBUF_STATEDUMP_OFFSET + TRACEBUF_STATEDUMP_SIZE)

enum tracebuf_writer {
	TRACEBUF_WRITER_RSEQ = 1,
	TRACEBUF_WRITER_FALLBACK = 2,
};

struct tracebuf_process {
	/* W: the process, once, before publication (these are what header_crc covers). R: all. */
	struct tracebuf_superblock sb;
	__s32 pid;			/* as the process sees itself */
	__s32 parent_pid;
	__u64 incarnation;		/* CLOCK_BOOTTIME ns at registration: tells execs and reused pids apart */
	__u32 writer;			/* enum tracebuf_writer */
	__u32 uid;
	__u64 realtime_ns;		/* CLOCK_REALTIME at registration */
	char procname[TRACEBUF_PROCNAME_SIZE];
	char executable[256];		/* path, cut if longer */
	__u64 domain;			/* kernel home: 0 default, else as a stream id over its text, context 0 */
	struct tracebuf_boot boot;
	__u64 reserved[8];
	/* W: the process or the kernel, release, after what it counts; the first two by one 8-byte store, so that a crash leaves
	   them in step. R: daemon, acquire. */
	__u32 nr_descriptions;
	__u32 descriptions_size;	/* bytes of them */
	__u32 enable_size;		/* bytes of the enable area in use, a multiple of the page size */
	__u32 reserved2;
	__u64 rules_generation;		/* control.rules_generation by which the enable records were set last; 0 none */
	__u64 reserved3[5];
};
TRACEBUF__LAYOUT(tracebuf_process, pid, 64);
TRACEBUF__LAYOUT(tracebuf_process, executable, 112);
TRACEBUF__LAYOUT(tracebuf_process, domain, 368);
TRACEBUF__LAYOUT(tracebuf_process, boot, 376);
TRACEBUF__LAYOUT(tracebuf_process, nr_descriptions, 456);
TRACEBUF__SIZE(tracebuf_process, 520);
#define TRACEBUF_PROCESS_HEADER_SIZE 456

/* The page of a process file that the process itself counts in. */
struct tracebuf_process_account {
	/* W: the process, atomic add: events that found no ring and could not make one. R: daemon, relaxed. */
	__u64 discarded;
	__u64 reserved[7];
};
TRACEBUF__SIZE(tracebuf_process_account, 64);

/* ------------------------------------------------------------------------------------------------------------------
 * Ring: files "rings/<generation>/<pid>-<incarnation>-<channel>-<cpu>-<instance>".
 */

/*
 * The words that only the ring's process writes, in a page of their own, on its hot line. position alone makes data valid:
 *   everything in the ring before position is complete, nothing at or behind it is valid.
 * position counts bytes ever committed. position / subbuf_size is the sequence number of the current sub-buffer;
 * position % subbuf_size == 0 means that it has been entered and has no packet header yet. Entering comes before the
 * first store into it, so that who copies sub-buffer s and then (load-load barrier) finds that
 * s + nr_subbufs > position / subbuf_size has a whole copy. Events never reach a sub-buffer's last TRACEBUF_SUBBUF_SLACK
 * bytes.
 */
struct tracebuf_producer {
	/* W: process, release, last of all (x86-64: position and tally by one 16-byte store). R: all, acquire. */
	__u64 position;
	/* Events in the current sub-buffer, low half; position's low half, high half: if that differs from position,
	   a section was cut off between the two stores and the count is one too high. */
	__u64 tally;
	/* Clock at the last full-form event or packet begin: while clock - window < 2^TRACEBUF_WINDOW_BITS the short
	   form is right. May lag, never lead. */
	__u64 window;
	/* Position that the fast path may not pass. May lag, never lead; 0 sends all to the slow path. */
	__u64 limit;
	__u64 mask;			/* nr_subbufs * subbuf_size - 1 */
	__u64 context_size;		/* bytes of context that the fast path writes: 0, or 4 for the thread id alone */
	__u64 reserved[2];
	/* Second line: slow path only. */
	__u64 discarded;		/* W: process, atomic add: events that found no room */
	__u64 lost_oversize;		/* of discarded: larger than a sub-buffer */
	__u64 waits;			/* W: process, atomic add: threads that wait for room (block mode) */
	__u64 populated;		/* bytes from the ring's start known to be backed by pages */
	__u64 reserved2[4];
};
TRACEBUF__SIZE(tracebuf_producer, 128);
TRACEBUF__LAYOUT(tracebuf_producer, window, 16);
TRACEBUF__LAYOUT(tracebuf_producer, limit, 24);
TRACEBUF__LAYOUT(tracebuf_producer, mask, 32);
TRACEBUF__LAYOUT(tracebuf_producer, context_size, 40);
TRACEBUF__LAYOUT(tracebuf_producer, discarded, 64);

#define TRACEBUF_WINDOW_BITS 27

/* What the consumer tells. W: daemon or kernel, release. R: process, acquire, when it enters a sub-buffer. */
struct tracebuf_consumer {
	__u64 consumed;			/* sub-buffers whose storage may be reused: sequence numbers below this */
	__u32 wake;			/* futex: grows whenever consumed does */
	__u32 reserved0;
	__u64 reserved[6];
};
TRACEBUF__SIZE(tracebuf_consumer, 64);

/* The first page of a ring: the process can only read it once it is published. */
struct tracebuf_ring {
	/* W: the process or the kernel, once, before publication (header_crc covers it). R: all. */
	struct tracebuf_superblock sb;
	__u8 uuid[16];			/* the trace's */
	__u64 generation;		/* the trace's */
	__u64 stream_id;		/* CTF stream class: see TRACEBUF_STREAM_ID_MASK */
	__u64 stream_instance_id;	/* unique in the trace */
	__u64 incarnation;		/* the process's */
	__s32 pid;
	__u32 cpu;
	__u32 slot;
	__u32 channel;
	__u32 instance;			/* 0, 1 ...: rings of the same process, channel and CPU, one after another */
	__u32 nr_descriptions;		/* the first so many descriptions of the process: their events may occur */
	__u32 clock;			/* enum tracebuf_clock */
	__u32 writer;			/* enum tracebuf_writer */
	struct tracebuf_channel config;	/* as it was when the ring was made */
	char procname[TRACEBUF_PROCNAME_SIZE];
	__u64 clock_frequency;		/* these four as in the control file */
	__u64 clock_ticks;
	__u64 clock_realtime_ns;
	__u8 boot_id[16];
	char trace_name[TRACEBUF_NAME_SIZE];
	struct tracebuf_boot boot;
	__u64 reserved[6];
	struct tracebuf_consumer consumer;
};
TRACEBUF__LAYOUT(tracebuf_ring, uuid, 64);
TRACEBUF__LAYOUT(tracebuf_ring, pid, 112);
TRACEBUF__LAYOUT(tracebuf_ring, config, 144);
TRACEBUF__LAYOUT(tracebuf_ring, procname, 264);
TRACEBUF__LAYOUT(tracebuf_ring, clock_frequency, 280);
TRACEBUF__LAYOUT(tracebuf_ring, trace_name, 320);
TRACEBUF__LAYOUT(tracebuf_ring, boot, 384);
TRACEBUF__LAYOUT(tracebuf_ring, consumer, 448);
#define TRACEBUF_RING_HEADER_SIZE 448
#define TRACEBUF_RING_CONSUMER_OFFSET 448

/* Offsets in a ring: multiples of every page size that Linux has. */
#define TRACEBUF_RING_PRODUCER_OFFSET 65536
#define TRACEBUF_RING_DATA_OFFSET 131072

/*
 * A stream class is named by what its streams may contain: FNV-1a (64 bit) over the bytes of the first
 * nr_descriptions descriptions, from a basis XORed with the channel's context bits, cut by this mask.
 */
#define TRACEBUF_STREAM_ID_BASIS 0xcbf29ce484222325ull
#define TRACEBUF_STREAM_ID_PRIME 0x100000001b3ull
#define TRACEBUF_STREAM_ID_MASK 0xffffffffffffull

/* ------------------------------------------------------------------------------------------------------------------
 * Packet: the head of each sub-buffer, CTF 1.8 packet.header and packet.context. Its end is where events begin.
 * W: the process: all when it opens the packet, the words marked (close) again when it leaves it.
 * R: readers; of the current sub-buffer, the words marked (close) mean nothing.
 */
struct tracebuf_packet {
	__u32 magic;			/* TRACEBUF_CTF_MAGIC */
	__u8 uuid[16];
	__u32 open_crc;			/* CRC32C over the packet with this word and all marked (close) 0 */
	__u64 stream_id;
	__u64 stream_instance_id;
	__u64 event_seq;		/* events recorded in this ring before this packet */
	__u64 nr_events;		/* (close) */
	__u32 close_crc;		/* (close) CRC32C over the packet with this word and open_crc 0 */
	__u32 content_sum;		/* (close) over the bytes behind the header, by content_sum.c; 0: none */
	/* packet.context */
	__u64 timestamp_begin;
	__u64 timestamp_end;		/* (close) */
	__u64 content_size;		/* (close) bits */
	__u64 packet_size;		/* bits: the sub-buffer's */
	__u64 packet_seq_num;
	__u64 events_discarded;		/* (close) since the ring was made; in an open packet: up to its begin */
	__u32 cpu_id;
	__s32 pid;
	__u8 procname[TRACEBUF_PROCNAME_SIZE];
};
TRACEBUF__SIZE(tracebuf_packet, 136);
TRACEBUF__LAYOUT(tracebuf_packet, stream_id, 24);
TRACEBUF__LAYOUT(tracebuf_packet, content_sum, 60);
TRACEBUF__LAYOUT(tracebuf_packet, timestamp_begin, 64);
TRACEBUF__LAYOUT(tracebuf_packet, cpu_id, 112);

/* Sub-buffers larger than this have no content_sum: they are not in the cache any more when they are left. */
#define TRACEBUF_MAX_SUM_SIZE (64u << 10)

#define TRACEBUF_CTF_MAGIC 0xC1FC1FC1u

/*
 * Event header, byte-packed, little-endian. First word: low 5 bits, high 27 bits.
 *   id 0 ... 29        u32 { id, time }                       4 bytes
 *   TRACEBUF_ID_WIDE   u32 { 30, time }, u16 id               6 bytes
 *   TRACEBUF_ID_FULL   u8 31, u32 id, u64 time               13 bytes
 * then the context fields that the channel has, then the payload.
 */
#define TRACEBUF_ID_WIDE 30
#define TRACEBUF_ID_FULL 31
#define TRACEBUF_EVENT_HEADER_MAX_SIZE 13
/* Bytes at a sub-buffer's end that stay unused: the fast path stores whole 8-byte words. */
#define TRACEBUF_SUBBUF_SLACK 16

/* ------------------------------------------------------------------------------------------------------------------
 * Statedump: what a process consisted of at one time, at TRACEBUF_STATEDUMP_OFFSET of the process file. W: kernel home,
 * the kernel; run directory, the process, whenever it registers events and something was loaded; sequence odd while it
 * is written. R: daemon, recovery: use a copy only if sequence was even and is unchanged, and crc is right.
 */
struct tracebuf_statedump {
	__u32 sequence;
	__u32 size;			/* bytes of the records that follow this struct */
	__u32 crc;			/* CRC32C over them */
	__u32 nr_left_out;		/* records that found no room */
	__u64 time_ns;			/* CLOCK_MONOTONIC */
	__u64 generation;		/* of the trace that asked for it; 0: none did */
	__u64 clock_ticks;		/* the traces' clock at that time; 0: not known */
	__u64 reserved[3];
};
TRACEBUF__SIZE(tracebuf_statedump, 64);
TRACEBUF__LAYOUT(tracebuf_statedump, clock_ticks, 32);

enum tracebuf_state_kind {
	TRACEBUF_STATE_EXECUTABLE = 1,	/* path only */
	TRACEBUF_STATE_THREAD = 2,	/* tid; path is the thread's name */
	/* Where a file is mapped. The kernel has a record for each memory map, a process one for each object that it has
	   loaded, from its first to its last byte. */
	TRACEBUF_STATE_MAP = 3,
};
enum tracebuf_state_flags {
	TRACEBUF_STATE_READ = 1,
	TRACEBUF_STATE_WRITE = 2,
	TRACEBUF_STATE_EXEC = 4,
	TRACEBUF_STATE_SHARED = 8,
};

/* A record, a multiple of 8 bytes; the path goes on past the struct, NUL-terminated. */
struct tracebuf_state {
	__u16 size;
	__u8 kind;			/* enum tracebuf_state_kind */
	__u8 build_id_size;		/* 0: not known */
	__u32 flags;			/* enum tracebuf_state_flags */
	__s32 tid;
	__u32 reserved;
	__u64 start, end;		/* addresses */
	__u64 offset;			/* of start in the file, bytes */
	__u8 build_id[20];
	char path[4];
};
TRACEBUF__SIZE(tracebuf_state, 64);

/* ------------------------------------------------------------------------------------------------------------------
 * Region: memory that keeps what it holds over a warm reboot, given to the kernel module at load. It is two halves of
 * equal size. The kernel that runs records into one of them, which it has cleared at load; the other keeps what an
 * earlier boot left, and nobody writes to it. What a half holds are the rings of the one persistent trace and, for each
 * process that has one of them, a copy of its process file (header, descriptions, statedump) that no process maps: pages
 * and the nodes of their page lists in any order, all within the half, found by their superblocks as in any other memory.
 * Its first page holds nothing but the following; no process maps that either.
 */
struct tracebuf_region_start {
	__u64 realtime_ns;		/* UNIX time; 0: no trace has been started */
	__u64 clock_frequency;		/* as in the rings' headers */
	__u64 clock_ticks;
	__u64 clock_realtime_ns;
	__u64 generation;
	__u8 uuid[16];
	__u8 boot_id[16];
	char trace_name[TRACEBUF_NAME_SIZE];
	__u32 clock;			/* enum tracebuf_clock */
	__u32 crc;			/* CRC32C over this struct with this word 0 */
};
TRACEBUF__SIZE(tracebuf_region_start, 144);

enum tracebuf_stop {
	TRACEBUF_STOP_TRACE = 1,	/* the trace was stopped */
	TRACEBUF_STOP_REBOOT = 2,	/* shutdown, reboot, kexec */
	TRACEBUF_STOP_PANIC = 3,
};
struct tracebuf_region_stop {
	__u64 realtime_ns;		/* UNIX time; 0: nothing has been said: the machine was reset, or the trace runs */
	__u32 reason;			/* enum tracebuf_stop */
	__u32 crc;			/* CRC32C over this struct with this word 0 */
};
TRACEBUF__SIZE(tracebuf_region_stop, 16);

struct tracebuf_region {
	/* W: the kernel, once at load, when the half has been cleared (header_crc covers it). R: all. */
	struct tracebuf_superblock sb;	/* total_size: bytes of the half; page_list 0 */
	__u64 number;			/* 1, 2 ... in the series: of two halves the larger one's is the newer */
	__u64 realtime_ns;		/* UNIX time of the load */
	char release[64];		/* of the kernel, NUL-terminated */
	__u32 nr_cpus;			/* possible ones */
	__u32 reserved;
	__u64 series;			/* as the half before says; random and not 0 if there is none, or it says 0 */
	__u64 reserved2[5];
	/* W: the kernel, each time the persistent trace starts, ends. R: recovery, if crc is right. */
	struct tracebuf_region_start start;
	struct tracebuf_region_stop stop;
};
TRACEBUF__LAYOUT(tracebuf_region, number, 64);
TRACEBUF__LAYOUT(tracebuf_region, nr_cpus, 144);
TRACEBUF__LAYOUT(tracebuf_region, series, 152);
TRACEBUF__LAYOUT(tracebuf_region, start, 200);
TRACEBUF__LAYOUT(tracebuf_region, stop, 344);
#define TRACEBUF_REGION_HEADER_SIZE 200
#define TRACEBUF_MIN_REGION_SIZE (1ull << 20)	/* of both halves */

/* ------------------------------------------------------------------------------------------------------------------
 * Device: /dev/tracebuf, made by the kernel module. Every argument is a struct that begins with its size: longer than
 * the kernel knows and not zero behind is -E2BIG, shorter is filled up with zeroes. Reserved words that are not zero
 * are -EINVAL, unknown numbers -ENOTTY. Words marked (out) are written on success only.
 *
 * An open file is fresh until REGISTER, SELF, RING, OPEN or PREVIOUS binds it, for good (-EBUSY afterwards). Mappings
 * are MAP_SHARED, of whole pages, and outlive the descriptor. Offsets are those of the files above.
 *   fresh		control file, TRACEBUF_RULES_OFFSET bytes, read-only
 *   own process	read-only but for the account page
 *   own ring		[0, TRACEBUF_RING_PRODUCER_OFFSET) read-only, the rest read-write
 *   to read		read-only; read(2) and pread(2) too
 * What may be read only is refused with PROT_WRITE (-EACCES), then and later. Pages behind
 * TRACEBUF_RING_DATA_OFFSET are allocated by the first write to them, zeroed; until then they read as zeroes.
 */
#define TRACEBUF_DEVICE "/dev/tracebuf"
#define TRACEBUF_IOC_MAGIC 0xb7

/* Fresh: this address space becomes a traced process. -EEXIST: it is one. -ENOSPC, -EMFILE: a limit. */
#define TRACEBUF_IOC_REGISTER _IO(TRACEBUF_IOC_MAGIC, 1)
struct tracebuf_ioc_register {
	__u32 size;
	__u32 writer;			/* enum tracebuf_writer */
	__u64 domain;			/* address of a text: traces of the same domain see the process; see rundir.h */
	__u32 domain_size;		/* bytes, without a NUL; at most TRACEBUF_MAX_DOMAIN_SIZE */
	__s32 pid;			/* (out) in the initial pid namespace */
	__u64 incarnation;		/* (out) */
	char procname[TRACEBUF_PROCNAME_SIZE];	/* (out) */
};
TRACEBUF__SIZE(tracebuf_ioc_register, 48);
#define TRACEBUF_MAX_DOMAIN_SIZE 128

/* Fresh: bound to the process that this address space is already. -ESRCH: it is none. No argument (0). */
#define TRACEBUF_IOC_SELF _IO(TRACEBUF_IOC_MAGIC, 2)

/*
 * Own process: adds descriptions that it does not have yet, whose id and crc are 0, and returns them with both. -EINVAL:
 * not descriptions. -ENOSPC: too many. All or none are added; -EFAULT: they may have been added, but could not be
 * returned.
 */
#define TRACEBUF_IOC_DESCRIBE _IO(TRACEBUF_IOC_MAGIC, 3)
struct tracebuf_ioc_describe {
	__u32 size;
	__u32 nr;			/* 1 ... TRACEBUF_MAX_EVENTS */
	__u64 descriptions;		/* address; written back */
	__u32 descriptions_size;	/* bytes */
	__u32 nr_descriptions;		/* (out) of the process, now */
};
TRACEBUF__SIZE(tracebuf_ioc_describe, 24);

/*
 * Own process: stores enable records at offset of the enable area. Of each only used and index are taken (used 0 clears
 * it); the kernel sets the other words by the description, and enables it as the rules say. -EINVAL: offset or size not
 * a multiple of a record's, or an index that is not described. -ENOSPC: past the area.
 */
#define TRACEBUF_IOC_ENABLE _IO(TRACEBUF_IOC_MAGIC, 4)
struct tracebuf_ioc_enable {
	__u32 size;
	__u32 records_size;		/* bytes */
	__u64 records;			/* address */
	__u32 offset;			/* bytes */
	__u32 reserved;
};
TRACEBUF__SIZE(tracebuf_ioc_enable, 24);

/*
 * Fresh: makes a ring of this process and binds the file to it. -ESRCH: not registered. -ESTALE: the slot holds no
 * trace of this generation. -EPERM: the trace does not apply to this process. -ENOSPC: a limit. -EINVAL.
 */
#define TRACEBUF_IOC_RING _IO(TRACEBUF_IOC_MAGIC, 5)
struct tracebuf_ioc_ring {
	__u32 size;
	__u32 ring_set;			/* TRACEBUF_RING_SET() */
	__u64 generation;
	__u32 cpu;
	__u32 writer;			/* enum tracebuf_writer */
	__u64 total_size;		/* (out) bytes of the ring file */
	__u32 instance;			/* (out) unique in the process: names the ring in SWITCH and WAIT */
	__u32 nr_descriptions;		/* (out) */
};
TRACEBUF__SIZE(tracebuf_ioc_ring, 40);

/* Fresh: the process has left a sub-buffer of this ring, or finds no room in it: the consumer is told. -ESRCH. */
#define TRACEBUF_IOC_SWITCH _IO(TRACEBUF_IOC_MAGIC, 6)
struct tracebuf_ioc_switch {
	__u32 size;
	__u32 instance;
};
TRACEBUF__SIZE(tracebuf_ioc_switch, 8);

/*
 * Fresh: waits until consumed + nr_subbufs > seq, timeout_ms at most (0: only looks). -ETIMEDOUT, -EINTR, -EPIPE (nobody
 * consumes), -ESRCH.
 */
#define TRACEBUF_IOC_WAIT _IO(TRACEBUF_IOC_MAGIC, 7)
struct tracebuf_ioc_wait {
	__u32 size;
	__u32 instance;
	__u64 seq;
	__u32 timeout_ms;
	__u32 reserved;
};
TRACEBUF__SIZE(tracebuf_ioc_wait, 24);

/*
 * Fresh: bound to a process file or ring, to read. The caller must own the trace (ring), be of the process's user, or
 * have CAP_SYS_ADMIN in the user namespace of either. -ENOENT: there is none; -EACCES.
 */
#define TRACEBUF_IOC_OPEN _IO(TRACEBUF_IOC_MAGIC, 8)
struct tracebuf_ioc_open {
	__u32 size;
	__u32 kind;			/* TRACEBUF_KIND_PROCESS or TRACEBUF_KIND_RING */
	__u64 generation;		/* of the trace, for a ring; else 0 */
	char name[96];			/* "<pid>-<incarnation hex>", a ring "...-<channel>-<cpu>-<instance>" */
};
TRACEBUF__SIZE(tracebuf_ioc_open, 112);

/*
 * The following are for files opened to read a ring, by OPEN or in debugfs. poll(2) says POLLIN while GET would succeed,
 * and POLLHUP once no process has the ring.
 *
 * The oldest sub-buffer that is finished and not consumed (discard, block); -EAGAIN: none is; flags are set even so.
 */
#define TRACEBUF_IOC_GET _IO(TRACEBUF_IOC_MAGIC, 9)
#define TRACEBUF_RING_IS_COMPLETE 1	/* the process that made it maps it no more */
struct tracebuf_ioc_get {
	__u32 size;
	__u32 flags;			/* (out) TRACEBUF_RING_IS_COMPLETE or 0 */
	__u64 seq;			/* (out) its sequence number */
	__u64 offset;			/* (out) bytes, in the ring file */
	__u64 position;			/* (out) the ring's */
};
TRACEBUF__SIZE(tracebuf_ioc_get, 32);

/* The storage of sub-buffers below consumed may be reused. -EINVAL: it would go back, or past position. */
#define TRACEBUF_IOC_PUT _IO(TRACEBUF_IOC_MAGIC, 10)
struct tracebuf_ioc_put {
	__u32 size;
	__u32 reserved;
	__u64 consumed;
};
TRACEBUF__SIZE(tracebuf_ioc_put, 16);

/*
 * The reader has all that it wants: the ring goes as soon as no process has it. No argument (0). A process file that was
 * opened to read takes it, too, once the process is gone (-EBUSY before): what it counted as lost has been read. The file
 * goes when no child of it maps it any more; one that counted nothing goes without.
 */
#define TRACEBUF_IOC_RELEASE _IO(TRACEBUF_IOC_MAGIC, 11)

/*
 * Fresh: bound to what an earlier boot left in the region, to read: an ELF core file with one segment, a half of it. Not
 * mapped. No argument (0). -EPERM: CAP_SYS_ADMIN in the initial user namespace is wanted; -ENXIO: there is nothing.
 */
#define TRACEBUF_IOC_PREVIOUS _IO(TRACEBUF_IOC_MAGIC, 12)

/* ------------------------------------------------------------------------------------------------------------------
 * Generic netlink: the family by which traces are controlled, in the kernel home. A trace belongs to the user who made
 * it. Who has CAP_SYS_ADMIN in its user namespace makes traces of all processes in that namespace and below; others, of
 * their own processes. Only its user, or who has CAP_SYS_ADMIN over that user's namespace, may change a trace (-EPERM).
 * What is root's, or was made with CAP_SYS_ADMIN, is its user's only if that has no fewer capabilities now; and whatever
 * it is, only in its maker's PID namespace or one above.
 */
#define TRACEBUF_GENL_NAME "tracebuf"
#define TRACEBUF_GENL_VERSION 1
#define TRACEBUF_GENL_GROUP "events"	/* multicast group of the notifications */

enum tracebuf_cmd {
	TRACEBUF_CMD_UNSPEC,
	/* NAME, UUID, CLOCK, FREQUENCY, RSEQ_WORKS; DOMAIN if not "", BOOT_ID if known, DEVICE (wanted of who has no
	   CAP_SYS_ADMIN in the initial user namespace: -EACCES), PERSISTENT if it is to be placed in the region (only with
	   that capability) -> GENERATION, SLOT, DIRECTORY. -EUSERS: all slots are taken; -EDQUOT: the user has as many as a
	   user without CAP_SYS_RESOURCE may; -EAGAIN: the free ones, or those that the user
	   may have, are in quarantine; -EBUSY: others use another clock; -ENXIO: there is no region; -EADDRINUSE: another
	   trace is placed there. */
	TRACEBUF_CMD_TRACE_CREATE,
	TRACEBUF_CMD_TRACE_ADOPT,	/* GENERATION: the caller is its daemon from now on */
	TRACEBUF_CMD_CHANNEL_SET,	/* GENERATION, CHANNEL, CHANNEL_CONFIG; the next number, or (not active) an old one */
	/* GENERATION, RULE any number of times: replaces all. -ENOSPC: more than TRACEBUF_RULES_SIZE; or, for who does not
	   have CAP_SYS_ADMIN in the initial user namespace, over 512 bytes of patterns with a '*' before their end. */
	TRACEBUF_CMD_RULES_SET,
	TRACEBUF_CMD_TRACE_START,	/* GENERATION */
	TRACEBUF_CMD_TRACE_STOP,	/* GENERATION */
	TRACEBUF_CMD_TRACE_DESTROY,	/* GENERATION: with its rings, drained or not */
	TRACEBUF_CMD_TRACE_SHOW,	/* GENERATION: all its rings have their files when this returns */
	TRACEBUF_CMD_STATEDUMP,		/* GENERATION: of all its processes, done when this returns */
	/* Dumps: one message for each that the caller may see. */
	/* GENERATION, SLOT, NAME, UUID, DIRECTORY, DOMAIN, ACTIVE, UID, NR_RINGS, NR_PAGES; PERSISTENT if it is; DAEMON */
	TRACEBUF_CMD_TRACE_GET,
	TRACEBUF_CMD_PROCESS_GET,	/* FILE_NAME, UID, DOMAIN, NR_RINGS, NR_PAGES, IS_GONE */
	TRACEBUF_CMD_RING_GET,		/* GENERATION if only one trace's -> GENERATION, FILE_NAME, NR_PAGES, IS_GONE, IS_SHOWN */
	/* -> HOME facts: CLOCK, NR_PAGES, MAX_PAGES, MAX_USER_PAGES, NR_PROCESSES, MAX_PROCESSES, NR_RINGS, DISCARDED; if
	   there is a region NR_REGION_PAGES, MAX_REGION_PAGES */
	TRACEBUF_CMD_STATUS_GET,
	/* Notifications. */
	TRACEBUF_CMD_PROCESS_NEW,	/* FILE_NAME */
	TRACEBUF_CMD_PROCESS_CHANGED,	/* FILE_NAME: it has new descriptions */
	TRACEBUF_CMD_PROCESS_GONE,	/* FILE_NAME: it writes no more; the file stays for children and its reader */
	TRACEBUF_CMD_RING_NEW,		/* GENERATION, FILE_NAME: its file has appeared */
	TRACEBUF_CMD_RING_SWITCH,	/* GENERATION, FILE_NAME */
	TRACEBUF_CMD_RING_GONE,		/* GENERATION, FILE_NAME */
	TRACEBUF_CMD_TRACE_NEW,		/* GENERATION, NAME */
	TRACEBUF_CMD_TRACE_GONE,	/* GENERATION, NAME */
	TRACEBUF_CMD_END,
};

enum tracebuf_attribute {
	TRACEBUF_A_UNSPEC,
	TRACEBUF_A_PAD,
	TRACEBUF_A_GENERATION,		/* u64 */
	TRACEBUF_A_SLOT,		/* u32 */
	TRACEBUF_A_NAME,		/* text, shorter than TRACEBUF_NAME_SIZE: letters, digits, '.', '_', '-' */
	TRACEBUF_A_UUID,		/* 16 bytes */
	TRACEBUF_A_DOMAIN,		/* text, at most TRACEBUF_MAX_DOMAIN_SIZE */
	TRACEBUF_A_DIRECTORY,		/* text: the trace's directory below debugfs/tracebuf */
	TRACEBUF_A_CLOCK,		/* u32, enum tracebuf_clock */
	TRACEBUF_A_FREQUENCY,		/* u64, ticks per second */
	TRACEBUF_A_RSEQ_WORKS,		/* u32, 0 or 1 */
	TRACEBUF_A_CHANNEL,		/* u32 */
	TRACEBUF_A_CHANNEL_CONFIG,	/* struct tracebuf_channel */
	TRACEBUF_A_RULE,		/* struct tracebuf_rule with its pattern */
	TRACEBUF_A_ACTIVE,		/* u32, 0 or 1 */
	TRACEBUF_A_UID,			/* u32, in the caller's user namespace */
	TRACEBUF_A_FILE_NAME,		/* text */
	TRACEBUF_A_IS_GONE,		/* u32, 1: the process that made it has it no more */
	TRACEBUF_A_IS_SHOWN,		/* u32, 1: it has its file in debugfs */
	TRACEBUF_A_NR_RINGS,		/* u64; the following, too */
	TRACEBUF_A_NR_PAGES,
	TRACEBUF_A_MAX_PAGES,
	TRACEBUF_A_MAX_USER_PAGES,
	TRACEBUF_A_NR_PROCESSES,
	TRACEBUF_A_MAX_PROCESSES,
	TRACEBUF_A_DISCARDED,		/* pages and processes that were refused for a limit */
	TRACEBUF_A_BOOT_ID,		/* 16 bytes: the kernel's, for the headers of rings */
	TRACEBUF_A_PERSISTENT,		/* u32, 1 */
	TRACEBUF_A_NR_REGION_PAGES,	/* u64: in use, of this boot's half */
	TRACEBUF_A_MAX_REGION_PAGES,	/* u64: of this boot's half */
	TRACEBUF_A_DEVICE,		/* u32: a descriptor of TRACEBUF_DEVICE in the sending process */
	TRACEBUF_A_DAEMON,		/* u32: pid of the trace's daemon, 0 in a PID namespace without it; if it lives */
	TRACEBUF_A_END,
};

#endif /* TRACEBUF_ABI_H */
