#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tracebufd in the kernel home, for tests/kernel/run: reached by debugfs and by the device, as root and as a user without
# privilege. Each case makes processes come and go while the daemon cannot hear of them, with queues that hold next to
# nothing: what is known by listing alone must be all the same.
# shellcheck source=tests/kernel/daemon_test.sh
. "$(dirname "$0")/daemon_test.sh"
nr=12

# as USER COMMAND...: in the environment that the user's processes have, with the run directory of $session.
session=user
as() {
	user=$1
	shift
	case $user in
	root) env -u TRACEBUF_RUNDIR "$@" ;;
	*) busybox su "$user" -c "set -f; exec env -u TRACEBUF_RUNDIR XDG_RUNTIME_DIR=/dev/shm/$session $*" ;;
	esac
}

start_daemon() {
	as "$1" "$TB_BUILD/tracebufd" 2>>/tmp/complaints &
	await_daemon as "$1" "$tracebuf"
	daemon=$(cat "$rundir/lock")
}

run_many() {
	for _ in $(seq "$nr"); do
		as "$user" "$hello" >/dev/null
	done
}

recorded() {
	as "$user" "$tracebuf" status | sed -n 's/^  total: \([0-9]*\) recorded, 0 discarded, 0 overwritten.*/\1/p'
}

# Looked at where no daemon looks.
traces_in_kernel() {
	mkdir -p /root/debugfs
	mount -t debugfs debugfs /root/debugfs
	grep -c '^trace:' /root/debugfs/tracebuf/status
	umount /root/debugfs
}

# record USER WAY
record() {
	user=$1 way=$2 output=/dev/shm/output name="$1 by $2" rundir=/run/tracebuf
	[ "$user" = root ] || rundir=/dev/shm/$user/tracebuf
	mkdir -p "$output" "/dev/shm/$user"
	chown "$user" "$output" "/dev/shm/$user"
	: >/tmp/complaints
	start_daemon "$user"
	as "$user" "$tracebuf" create t -o "$output/t" >/dev/null
	as "$user" "$tracebuf" enable-channel c --subbuf-size 4K --num-subbuf 2
	as "$user" "$tracebuf" enable-event -c c '*'
	as "$user" "$tracebuf" start
	check "$name: the home" "$(as "$user" "$tracebuf" status | sed -n '1p; s/^  rings are/rings are/p' | tr '\n' ' ')" \
		"home: kernel (/dev/tracebuf) rings are reached by $way "
	kill -STOP "$daemon"
	run_many
	kill -CONT "$daemon"
	check "$name: the daemon was stopped" "$(recorded)" $((nr * 9))
	kill -KILL "$daemon"
	run_many
	start_daemon "$user"
	check "$name: there was no daemon" "$(recorded)" $((nr * 18))
	check "$name: destroyed" "$(as "$user" "$tracebuf" destroy t | sed -n 's/^  total: \([0-9]*\) .*/\1/p')" $((nr * 18))
	check "$name: babeltrace2" "$(babeltrace2 "$output/t" 2>&1 | grep -c 'shop:order_paid')" $((nr * 18))
	check "$name: processes described" "$(wc -l <"$output/t/.processes")" $((nr * 2))
	as "$user" "$tracebuf" create left -o "$output/left" >/dev/null
	kill -KILL "$daemon"
	rm -r "$rundir/rings"
	start_daemon "$user"
	check "$name: a trace that nobody knows" "$(traces_in_kernel)" 0
	kill "$daemon"
	wait
	check "$name: complaints" "$(grep "^tracebufd: " /tmp/complaints)" ""
	rm -rf "$output" "/dev/shm/$user"
}

# The daemon is killed, and one with another home comes in between: it must not touch what it cannot reach.
change_home() {
	user=root output=/dev/shm/output rundir=/run/tracebuf
	mkdir -p "$output"
	: >/tmp/complaints
	start_daemon root
	as root "$tracebuf" create t -o "$output/t" >/dev/null
	as root "$tracebuf" enable-event '*'
	as root "$tracebuf" start
	run_many
	kill -KILL "$daemon"
	as root "$TB_BUILD/tracebufd" --home tmpfs 2>>/tmp/complaints &
	await_daemon as root "$tracebuf"
	check 'another home: left alone' "$(as root "$tracebuf" status)" "home: tmpfs ($rundir)"
	check 'another home: said' "$(grep -c 'trace t is not in the tmpfs home' /tmp/complaints)" 1
	kill "$(cat "$rundir/lock")"
	run_many
	start_daemon root
	check 'another home: nothing lost' "$(recorded)" $((nr * 18))
	kill "$daemon"
	wait
	rm -rf "$output"
}

# Two sessions of one user, each with a run directory of its own, and a daemon in it: neither touches what is the other's.
two_sessions() {
	user=user output=/dev/shm/output rundir=/dev/shm/user/tracebuf
	mkdir -p "$output" /dev/shm/user /dev/shm/second
	chown user "$output" /dev/shm/user /dev/shm/second
	: >/tmp/complaints
	start_daemon user
	first=$daemon
	as user "$tracebuf" create t -o "$output/t" >/dev/null
	as user "$tracebuf" enable-event '*'
	as user "$tracebuf" start
	run_many
	session=second rundir=/dev/shm/second/tracebuf
	start_daemon user
	session=user
	run_many
	check 'two sessions: nothing lost' "$(recorded)" $((nr * 18))
	check 'two sessions: said' "$(grep -c "another tracebufd (pid $first) .* are left alone" /tmp/complaints)" 1
	kill -KILL "$first"
	kill "$daemon"
	wait
	rm -r /dev/shm/user/tracebuf
	session=second
	start_daemon user
	check 'two sessions: the first one is dead' "$(traces_in_kernel)" 0
	kill "$daemon"
	wait
	session=user
	rm -rf "$output" /dev/shm/user /dev/shm/second
}

old_events=$(cat /proc/sys/fs/inotify/max_queued_events) old_rmem=$(cat /proc/sys/net/core/rmem_max)
echo 16 >/proc/sys/fs/inotify/max_queued_events
echo 2304 >/proc/sys/net/core/rmem_max
record root debugfs
change_home
record user device
two_sessions
umount /sys/kernel/debug
record root device
mount -t debugfs debugfs /sys/kernel/debug
echo "$old_events" >/proc/sys/fs/inotify/max_queued_events
echo "$old_rmem" >/proc/sys/net/core/rmem_max
end daemon
