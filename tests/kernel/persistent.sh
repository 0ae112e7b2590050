#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Persistent traces as users meet them, for tests/kernel/run: what is refused and how, what status says, that a daemon
# which takes over knows, that the region's pages come back. Without a region (module parameter) only the refusals.
# What a reboot leaves is tested by tests/kernel/crash.
# shellcheck source=tests/kernel/daemon_test.sh
. "$(dirname "$0")/daemon_test.sh"
rundir=/run/tracebuf output=/dev/shm/output

start_daemon() {
	"$TB_BUILD/tracebufd" 2>>/tmp/complaints &
	await_daemon "$tracebuf"
	daemon=$(cat "$rundir/lock")
}

# refused WORDS ARGUMENT...: by one line in which these words are.
refused() {
	words=$1
	shift
	said=$("$tracebuf" "$@" 2>&1)
	check "refused: $* ($words)" "$? $(printf '%s\n' "$said" | grep -c "$words") $(printf '%s\n' "$said" | wc -l)" '1 1 1'
}

region_pages() {
	"$tracebuf" status --json | grep -o '"region_pages":[0-9]*' | cut -d : -f 2
}

recorded() {
	"$tracebuf" status kept | sed -n 's/^  total: \([0-9]*\) recorded, 0 discarded, 0 overwritten.*/\1/p'
}

without_region() {
	start_daemon
	refused 'there is no region' create --persistent kept -o "$output/kept"
	refused 'no previous boot: nothing of it is kept' recover --previous-boot -o "$output/previous"
	check 'nothing is left of it' "$(ls "$output")" ''
	check 'a trace in ordinary memory' "$("$tracebuf" create kept -o "$output/kept" --json >/dev/null; echo $?)" 0
	check 'it is not persistent' "$("$tracebuf" list --json | grep -o '"persistent":[a-z]*')" '"persistent":false'
	"$tracebuf" destroy kept >/dev/null
}

# A user's own daemon, which has no capability in the initial user namespace.
as_user() {
	mkdir -p /dev/shm/user
	chown user /dev/shm/user
	busybox su user -c "cd /dev/shm/user && set -f && env XDG_RUNTIME_DIR=/dev/shm/user $*" 2>&1
}

with_region() {
	start_daemon
	before=$(region_pages)
	check 'created' "$("$tracebuf" create --persistent kept -o "$output/kept" >/dev/null; echo $?)" 0
	refused 'another trace (kept) has the region' create --persistent other -o "$output/other"
	refused "this boot's half of the region is" enable-channel huge --subbuf-size 64M --num-subbuf 4
	"$tracebuf" enable-event '*' && "$tracebuf" start
	check 'status' "$("$tracebuf" status | grep -c '^Trace kept: active, persistent, written to')" 1
	check 'status of the home' "$("$tracebuf" status | grep -c '^  region: [0-9]* pages in use of [0-9]*$')" 1
	check 'its sub-buffers carry sums' "$("$tracebuf" list kept | grep -c ' 4 sub-buffers of 65536 bytes')" 1
	"$hello" >/dev/null
	kill -KILL "$daemon"
	"$hello" >/dev/null
	start_daemon
	check 'a daemon that takes over' "$("$tracebuf" list --json | grep -o '"persistent":[a-z]*') $(recorded)" \
		'"persistent":true 18'
	mkfifo /dev/shm/fifo
	LD_PRELOAD=$TB_BUILD/.libs/libtracebuf-libc.so /bin/bash -c 'read -r word </dev/shm/fifo' &
	traced=$!
	for _ in $(seq 150); do
		[ "$(region_pages)" -le "$before" ] || break
		sleep 0.2
	done
	check 'pages of the region are in use' "$([ "$(region_pages)" -gt "$before" ]; echo $?)" 0
	echo end >/dev/shm/fifo
	wait $traced
	check 'destroyed' "$("$tracebuf" destroy kept >/dev/null; echo $?)" 0
	for _ in $(seq 150); do
		[ "$(region_pages)" -gt "$before" ] || break
		sleep 0.2
	done
	check 'and has given them back' "$(region_pages)" "$before"
	check 'babeltrace2' "$(babeltrace2 "$output/kept" 2>&1 | grep -c 'shop:order_paid')" 18
	check 'the region is free again' "$("$tracebuf" create --persistent --snapshot again -o "$output/again" >/dev/null
		echo $?)" 0
	"$tracebuf" destroy again >/dev/null
	busybox su user -c "XDG_RUNTIME_DIR=/dev/shm/user exec $TB_BUILD/tracebufd" 2>>/tmp/complaints &
	await_daemon as_user "$tracebuf"
	check 'refused: a user' "$(as_user "$tracebuf" create --persistent | grep -c 'needs a daemon that has CAP_SYS_ADMIN')" 1
	kill "$(cat /dev/shm/user/tracebuf/lock)"
}

: >/tmp/complaints
mkdir -p "$output" /dev/shm/user
chown user /dev/shm/user
if grep -q '^region' /sys/kernel/debug/tracebuf/status; then
	with_region
else
	without_region
fi
kill "$daemon"
wait
check 'complaints' "$(grep '^tracebufd: ' /tmp/complaints)" ''
rm -rf "$output" /dev/shm/user /dev/shm/fifo
end persistent
