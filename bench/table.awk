# SPDX-License-Identifier: MIT
#
# The table of bench/run from its samples ("name value" lines). Each row compares a subject with a reference by their
# medians; "best" is the smallest sample of a cost and the largest of a rate. A row whose subject has no sample is left
# out; one whose reference has none stands without ratio. The bar "no more than LTTng's" has 5 % for the clock's noise.

function insert(name, value,   i) {
	for (i = ++count[name]; i > 1 && sample[name, i - 1] > value; i--)
		sample[name, i] = sample[name, i - 1]
	sample[name, i] = value
}

function median(name,   n) {
	n = count[name]
	if (n % 2)
		return sample[name, (n + 1) / 2]
	return (sample[name, n / 2] + sample[name, n / 2 + 1]) / 2
}

function best(name, rate) {
	return sample[name, rate ? count[name] : 1]
}

function figure(value) {
	return sprintf(value < 10 ? "%.3f" : value < 1000 ? "%.1f" : "%.0f", value)
}

# bar: "<= 1.2" or ">= 8" of the ratio printed (cost: subject / reference, or reversed where the bar says "cheaper");
# "" where the row only reports.
function row(what, subject, unit, rate, reference, label, bar, reversed,   ratio, verdict, parts, cycles) {
	if (!count[subject])
		return
	cycles = count[subject ".cycles"] ? figure(median(subject ".cycles")) : "-"
	if (!count[reference]) {
		printf form, what, figure(best(subject, rate)), figure(median(subject)), unit, cycles, label, "-", "-", \
			bar, "-"
		return
	}
	ratio = median(subject) / median(reference)
	if (reversed)
		ratio = 1 / ratio
	split(bar, parts, " ")
	verdict = bar == "" ? "" : (parts[1] == "<=" ? ratio <= parts[2] : ratio >= parts[2]) ? "yes" : "NO"
	printf form, what, figure(best(subject, rate)), figure(median(subject)), unit, cycles, label, \
		figure(median(reference)), sprintf("%.2f", ratio), bar, verdict
}

# A bar on the figure itself.
function absolute(what, subject, unit, rate, bar,   parts, value) {
	if (!count[subject])
		return
	value = median(subject)
	split(bar, parts, " ")
	printf form, what, figure(best(subject, rate)), figure(value), unit, "-", "-", "-", "-", bar " " unit, \
		(parts[1] == "<=" ? value <= parts[2] : value >= parts[2]) ? "yes" : "NO"
}

{ insert($1, $2 + 0) }

END {
	form = "%-34s %9s %9s %-8s %7s  %-18s %9s %7s  %-14s %s\n"
	printf form, "what", "best", "median", "unit", "cycles", "reference", "median", "ratio", "bar", "met"
	split("1 " cpus, threads, " ")
	for (i = 1; i <= (cpus > 1 ? 2 : 1); i++) {
		t = threads[i]
		suffix = t == 1 ? ", 1 thread" : ", " t " threads"
		row("clock read" suffix, "tb.counter." t, "ns", 0, "tb.empty." t, "empty loop", "")
		row("two longs" suffix, "tb.two_longs." t, "ns", 0, "tb.counter." t, "clock read", "<= 1.2")
		row("two longs" suffix, "tb.two_longs." t, "ns", 0, "lt.two_longs." t, "LTTng / this", ">= 8", 1)
		row("  with the thread id" suffix, "vtid.two_longs." t, "ns", 0, "tb.counter." t, "clock read", "")
		row("4-byte payload" suffix, "tb.one_int." t, "ns", 0, "tb.counter." t, "clock read", "<= 1.25")
		row("4-byte payload" suffix, "tb.one_int." t, "ns", 0, "lt.one_int." t, "LTTng / this", "", 1)
		row("20-character string" suffix, "tb.one_string." t, "ns", 0, "tb.counter." t, "clock read", "<= 1.6")
		row("20-character string" suffix, "tb.one_string." t, "ns", 0, "lt.one_string." t, "LTTng / this", "", 1)
		row("disabled" suffix, "tb.disabled." t, "ns", 0, "lt.disabled." t, "LTTng disabled", "<= 1")
		row("disabled" suffix, "tb.disabled." t, "ns", 0, "tb.empty." t, "empty loop", "")
	}
	absolute("two longs on disk", "size.bytes", "bytes", 0, "<= 20.1")
	row("to disk, block, 64-byte payload", "disk.tb", "MB/s", 1, "disk.dd", "dd oflag=direct", ">= 0.8")
	row("  the same, payload only", "disk.tb.payload", "MB/s", 1, "disk.lt.payload", "LTTng blocking", ">= 3")
	row("daemon CPU for 1 GB", "cpu.tb", "s", 0, "cpu.lt", "lttng-consumerd", "<= 0.25")
	row("life of a linked program", "start.idle_linked", "us", 0, "start.idle_plain", "not linked", "<= 1.3")
	row("  with LTTng-UST", "start.lttng_idle", "us", 0, "start.idle_plain", "not linked", "")
	row("malloc + free, helper", "tb.pair.1", "ns", 0, "bare.pair.1", "bare", "")
	row("malloc + free, helper", "tb.pair.1", "ns", 0, "lt.pair.1", "LTTng / this", "", 1)
	for (i = split("4k 64k 1m", sizes, " "); i > 0; i--) {
		what = "kept region, 64 MB, " sizes[i] " sub-buf."
		row(what, "kept." sizes[i], "ms", 0, "kept.copy", "copy", "")
		absolute(what, "kept." sizes[i], "ms", 0, "<= 50")
	}
	absolute("tracebuf view", "view.tb", "M ev/s", 1, ">= 5")
	row("tracebuf view", "view.tb", "M ev/s", 1, "view.bt", "babeltrace2", "")
	absolute("recover: scan, raw, 1 GiB", "scan.raw", "GB/s", 1, ">= 2")
	row("recover: scan, raw, 1 GiB", "scan.raw", "GB/s", 1, "scan.dd", "dd bs=1M", "")
	absolute("recover: scan, ELF, 1 GiB", "scan.elf", "GB/s", 1, ">= 2")
	row("recover: pages of a zlib dump", "dump.zlib", "MB/s", 1, "pages.zlib", "libkdumpfile", ">= 1")
	row("recover: pages of an lzo dump", "dump.lzo", "MB/s", 1, "pages.lzo", "libkdumpfile", ">= 1")
	row("recover: pages of a zstd dump", "dump.zstd", "MB/s", 1, "pages.zstd", "libkdumpfile", ">= 1")
	absolute("recover: 1 GB of ring to tmpfs", "ring.s", "s", 0, "<= 2")
	absolute("  its peak memory / (64 MiB + 1 %)", "ring.memory", "x", 0, "<= 1")
	absolute("  memory of a scan, raw", "recover.raw.mib", "MiB", 0, "<= 64")
	absolute("  memory of a scan, zlib", "recover.zlib.mib", "MiB", 0, "<= 64")
}
