#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The tracebuf command as a user meets it: exit codes, one line for each mistake and nothing changed by it, what record
# hands on and leaves behind, and every control verb against a daemon, in text and JSON. Prints a line for each case
# and the sum, as the other test programs do. Needs TB_BUILD; works in a directory of its own.
set -u

tracebuf=$TB_BUILD/tracebuf
hello=$TB_BUILD/examples/hello
passed=0 failed=0 skipped=0 daemon=

tmpfs=${TB_TMPFS:-/dev/shm}
work=$(mktemp -d "$tmpfs/tracebuf-command-XXXXXX") || exit 77
mkdir -m 700 "$work/xdg"
export XDG_RUNTIME_DIR="$work/xdg" TRACEBUF_RUNDIR="$work/run"
cd "$work" || exit 1

cleanup() {
	[ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; } 2>/dev/null
	cd / && rm -rf "$work"
}
trap cleanup EXIT

ok() {
	passed=$((passed + 1))
	printf 'ok %s\n' "$1"
}

not_ok() {
	failed=$((failed + 1))
	printf 'not ok %s\n' "$1"
	sed 's/^/# /' "$work/stdout" "$work/stderr"
}

skip() {
	skipped=$((skipped + 1))
	printf 'skip %s: %s\n' "$1" "$2"
}

# expect NAME CODE COMMAND...: its exit code; stdout and stderr are kept.
expect() {
	name=$1 code=$2
	shift 2
	"$@" >"$work/stdout" 2>"$work/stderr" </dev/null
	got=$?
	[ "$got" -eq "$code" ] && return 0
	not_ok "$name: exit code $got, not $code"
	return 1
}

# The same, and the mistake is told in one line that begins as all do and contains a word.
expect_line() {
	word=$1
	shift
	expect "$@" || return
	if [ "$(wc -l <"$work/stderr")" -eq 1 ] && grep -q "^tracebuf: .*$word" "$work/stderr" && ! [ -s "$work/stdout" ]; then
		ok "$1"
	else
		not_ok "$1: one line with '$word' on stderr"
	fi
}

check() {
	name=$1
	shift
	if "$@" >>"$work/stdout" 2>>"$work/stderr"; then ok "$name"; else not_ok "$name"; fi
}

is_empty() {
	[ -z "$(ls -A "$1")" ]
}

is_json() {
	python3 -c 'import json, sys; [json.loads(line) for line in open(sys.argv[1])] or sys.exit(1)' "$1"
}

# await FILE: up to ten seconds.
await() {
	tries=200
	while [ ! -e "$1" ] && [ "$tries" -gt 0 ]; do
		sleep 0.05
		tries=$((tries - 1))
	done
}

total() {
	awk '$1 == "total" { print $2, $3, $4 }' "$work/stderr"
}

test_usage() {
	expect_line 'verb' 'no verb' 1 "$tracebuf"
	expect_line 'frobnicate' 'unknown verb' 2 "$tracebuf" frobnicate
	expect_line 'bogus' 'unknown option' 2 "$tracebuf" create --bogus
	expect_line 'argument' 'missing argument' 2 "$tracebuf" create -o
	expect_line 'too many' 'one argument too many' 2 "$tracebuf" start one two
	expect_line 'not a size' 'a size that is none' 1 "$tracebuf" enable-channel c --subbuf-size 4Q
	expect_line 'too large' 'a size beyond 64 bits' 1 "$tracebuf" enable-channel c --subbuf-size 99999999999G
	expect_line 'not a number' 'a count that is none' 1 "$tracebuf" enable-channel c --num-subbuf four
	expect_line 'newline' 'a newline in a name' 1 "$tracebuf" create 'two
lines'
	expect_line 'disable-event: which events' 'no pattern' 1 "$tracebuf" disable-event
	expect_line 'no daemon' 'no daemon' 1 "$tracebuf" list
	# shellcheck disable=SC2016 # for the inner shell
	expect_line 'cannot be written' 'help to a full disk' 1 sh -c '"$0" --help >/dev/full' "$tracebuf"
	expect_line 'near/here.*absolute' 'a run directory that is relative' 1 env TRACEBUF_RUNDIR=near/here "$tracebuf" list
	for verb in $("$tracebuf" --list-commands); do
		expect "$verb --help" 0 "$tracebuf" "$verb" --help && check "$verb --help" grep -q "tracebuf $verb" stdout
		expect "$verb --list-options" 0 "$tracebuf" "$verb" --list-options &&
			check "$verb --list-options" grep -q '^--help$' stdout
	done
}

test_foreign_rundir() {
	if [ "$(id -u)" -ne 0 ]; then
		skip 'a run directory of someone else' 'only root can make one'
		return
	fi
	mkdir -m 700 "$work/foreign"
	chown 65534 "$work/foreign"
	expect_line 'another user' 'a run directory of someone else' 1 env TRACEBUF_RUNDIR="$work/foreign" "$tracebuf" list
}

# What is refused before anything runs: the command would have left a file.
test_record_refuses() {
	mkdir full && touch full/file
	expect_line 'not empty' 'record: a directory that is not empty' 1 "$tracebuf" record -o full -- touch ran
	expect_line 'no such helper' 'record: no such helper' 1 "$tracebuf" record --with nothing -- touch ran
	expect_line 'neither' 'record: a clock that is none' 1 "$tracebuf" record --clock sundial -- touch ran
	expect_line 'no such command' 'record: no such command' 127 "$tracebuf" record -o t1 -- no-such-command
	expect_line 'ermission' 'record: not executable' 126 "$tracebuf" record -o t1 -- /etc/passwd
	expect_line 'did not start' 'record: a daemon that fails' 3 env TRACEBUF_DAEMON=/bin/false \
		"$tracebuf" record -o t1 -- touch ran
	expect_line 'did not start' 'record: a daemon that is missing' 3 env TRACEBUF_DAEMON=/no/daemon \
		"$tracebuf" record -o t1 -- touch ran
	expect_line 'power of two' 'record: a size that is no power of two' 1 \
		"$tracebuf" record -o t1 --subbuf-size 5000 -- touch ran
	expect_line 'sometimes' 'record: a mode that is none' 1 "$tracebuf" record -o t2 --mode sometimes -- touch ran
	mkdir empty
	expect_line 'power of two' 'record: refused with a directory that was there' 1 \
		"$tracebuf" record -o empty --subbuf-size 5000 -- touch ran
	check 'record: no directory is left' test ! -e t1 -a ! -e t2
	check 'record: the directory stays and is empty' is_empty empty
	check 'record: the command was never run' test ! -e ran
	check 'record: no run directory is left' is_empty "$XDG_RUNTIME_DIR"
}

test_record_status() {
	expect 'record: exit status' 5 "$tracebuf" record -o s1 -- sh -c 'exit 5' && ok 'record: exit status'
	# shellcheck disable=SC2016
	expect 'record: killed by a signal' 137 "$tracebuf" record -o s2 -- sh -c 'kill -9 $$' &&
		ok 'record: killed by a signal'
	"$tracebuf" record -o s3 -- sh -c 'trap "exit 7" TERM; touch ready; while :; do sleep 0.1; done' 2>stderr >stdout &
	pid=$!
	await ready
	kill -TERM "$pid"
	wait "$pid"
	check 'record: a signal is handed on' test $? -eq 7
	# As ^C does: to the whole group.
	setsid -w "$tracebuf" record -o s4 -- sh -c 'sleep 0.2; kill -TERM 0; sleep 5' >stdout 2>stderr </dev/null
	got=$?
	check 'record: a signal for the group ends the command' test "$got" -eq 143
	check 'record: the accounts are shown all the same' test -n "$(total)"
	check 'record: no run directory is left behind' is_empty "$XDG_RUNTIME_DIR"
}

test_record_events() {
	expect 'record: accounts' 0 "$tracebuf" record -o e1 -- "$hello" && check 'record: accounts' test "$(total)" = '9 0 0'
	expect 'view' 0 "$tracebuf" view e1 && check 'view: a line for each event' test "$(wc -l <stdout)" -eq 9
	expect 'view --json' 0 "$tracebuf" view --json e1 && check 'view --json' is_json stdout
	mkdir -p odd/metadata
	expect_line 'odd/metadata: Is a directory' 'view: a directory for metadata' 1 "$tracebuf" view odd
	expect_line 'not a time' 'view: a day that is none' 1 "$tracebuf" view --from 2026-02-30T00:00:00 e1
	expect_line 'event.*empty' 'view: an empty pattern' 1 "$tracebuf" view -e '' e1
	expect_line 'process.*empty' 'view: an empty process' 1 "$tracebuf" view -p '' e1
	expect_line 'sysroot.*no-such' 'view: no such directory' 1 "$tracebuf" view --sysroot /no-such e1
	expect_line 'debug-dir.*no directory' 'view: a file for a directory' 1 "$tracebuf" view --debug-dir /etc/passwd e1
	for i in 0 1 2 3 4 5 6 7 8 9; do
		mkdir -p "tracebuf-true-$(date -d "$i seconds" +%Y%m%d-%H%M%S)/file"
	done
	expect 'record: twice in a second' 0 "$tracebuf" record true && ok 'record: twice in a second'
	rm -rf tracebuf-true-*
	expect 'record: -e' 0 "$tracebuf" record -o e2 -e 'nobody:*' -- "$hello" && check 'record: -e' test "$(total)" = '0 0 0'
	expect 'record: overwrite' 0 "$tracebuf" record -o e3 --mode overwrite --context none -- "$hello" &&
		check 'record: overwrite' test "$(total)" = '9 0 0'
	expect 'record: block' 0 "$tracebuf" record -o e4 --mode block --context procname -- "$hello" &&
		check 'record: block' test "$(total)" = '9 0 0'
	expect 'record: --json' 0 "$tracebuf" record --json -o e5 -- "$hello" && check 'record: --json' is_json stderr
	for clock in monotonic counter; do
		expect "record: $clock" 0 "$tracebuf" record --clock $clock -o "e8$clock" -- "$hello" &&
			check "record: $clock" test "$(total)" = '9 0 0'
	done
	expect 'record: forks and execs' 0 "$tracebuf" record -o e6 -- sh -c "$hello; ($hello & wait); $hello" &&
		check 'record: forks and execs' test "$(total)" = '27 0 0'
	if [ -n "${TB_SANITIZED-}" ]; then
		skip 'record: libc helper' 'a library with a sanitizer cannot be preloaded'
	else
		expect 'record: libc helper' 0 "$tracebuf" record --with libc -o e7 -- ls / &&
			expect 'record: libc helper' 0 "$tracebuf" view -e 'lttng_ust_libc:malloc' e7 &&
			check 'record: libc helper' test -s stdout
	fi
	for trace in e[1-9]*; do
		expect "babeltrace2 $trace" 0 babeltrace2 "$trace" && check "babeltrace2 $trace: no warning" test ! -s stderr
	done
}

# Whoever kills record loses nothing: its daemon saves the trace by itself.
test_record_killed() {
	"$tracebuf" record -o k1 -- sh -c "$hello >finished.new; mv finished.new finished; sleep 3" >stdout 2>stderr &
	pid=$!
	await finished
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10; do
		sleep 0.3
		"$tracebuf" view k1 >stdout 2>/dev/null
		[ "$(wc -l <stdout)" -lt 9 ] || break
	done
	check 'record killed: the trace is complete' test "$(wc -l <stdout)" -eq 9
}

start_daemon() {
	"$TB_BUILD/tracebufd" >daemon.log 2>&1 &
	daemon=$!
	await "$TRACEBUF_RUNDIR/socket"
	test -e "$TRACEBUF_RUNDIR/socket"
}

test_control() {
	expect 'create' 0 "$tracebuf" create one -o c1 && ok create
	expect_line one 'create: the same name again' 1 "$tracebuf" create one -o c2
	check 'create: nothing was made' test ! -e c2
	expect_line 'power of two' 'enable-channel: no power of two' 1 "$tracebuf" enable-channel c --subbuf-size 5000
	expect_line 'nosuch' 'enable-channel: no such trace' 1 "$tracebuf" enable-channel -s nosuch c
	expect 'enable-channel' 0 "$tracebuf" enable-channel -u c --overwrite --subbuf-size 64K --num-subbuf 8 &&
		ok enable-channel
	expect_line 'nosuch' 'enable-event: no such channel' 1 "$tracebuf" enable-event -c nosuch 'a:*'
	expect 'enable-event' 0 "$tracebuf" enable-event -u -a -c c && ok enable-event
	expect 'disable-event' 0 "$tracebuf" disable-event -c c other:event,another:event && ok disable-event
	expect 'start' 0 "$tracebuf" start && ok start
	expect_line active 'start: again' 1 "$tracebuf" start
	expect 'hello' 0 "$hello"
	for verb in status list rotate version; do
		expect "$verb" 0 "$tracebuf" "$verb" && ok "$verb"
	done
	check 'version: of both' test "$(grep -c '^tracebufd\? [0-9]' stdout)" -eq 2
	expect 'stop' 0 "$tracebuf" stop && ok stop
	for verb in start status list stop rotate version; do
		expect "$verb --json" 0 "$tracebuf" "$verb" --json && check "$verb --json" is_json stdout
	done
	expect 'destroy' 0 "$tracebuf" destroy && ok destroy
	expect_line trace 'destroy: there is none' 1 "$tracebuf" destroy
	check 'destroy: the trace stays' test -e c1
}

test_control_snapshot() {
	{
		"$tracebuf" create --snapshot snap -o c3 && "$tracebuf" enable-channel --overwrite c &&
			"$tracebuf" enable-event -c c 'shop:*' && "$tracebuf" start
	} >stdout 2>stderr
	"$hello" >/dev/null
	expect 'snapshot' 0 "$tracebuf" snapshot record -o c4 && expect 'snapshot: view' 0 "$tracebuf" view c4 &&
		check 'snapshot' test "$(wc -l <stdout)" -eq 9
	expect 'snapshot: destroy' 0 "$tracebuf" destroy snap --json && check 'destroy --json' is_json stdout
}

test_seventeenth() {
	for i in 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16; do
		"$tracebuf" create "t$i" -o "many$i" >stdout 2>stderr || break
	done
	check '16 traces' test "$i" = 16 -a ! -s stderr
	expect_line 16 'the 17th trace' 1 "$tracebuf" create t17 -o many17
	expect_line trace 'which of 16?' 1 "$tracebuf" start
}

test_usage
test_foreign_rundir
test_record_refuses
test_record_status
test_record_events
test_record_killed
if start_daemon; then
	test_control
	test_control_snapshot
	test_seventeenth
else
	cp daemon.log stdout
	not_ok 'the daemon starts'
fi
printf '# command: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
