#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the shell tests of the daemon in the kernel home begin with, read in by each: where programs are, verdicts, and
# waiting for a daemon. Without the module they are skipped.
set -u
# shellcheck disable=SC2034 # for those that read this in
tracebuf=$TB_BUILD/tracebuf hello=$TB_BUILD/examples/hello
passed=0 failed=0
cd /tmp || exit 1
[ -c /dev/tracebuf ] || { echo 'no /dev/tracebuf'; exit 77; }

# check NAME FOUND EXPECTED
check() {
	if [ "$2" = "$3" ]; then
		echo "ok $1"
		passed=$((passed + 1))
	else
		printf 'not ok %s\n# %s, expected %s\n' "$1" "$2" "$3"
		failed=$((failed + 1))
	fi
}

# await_daemon COMMAND...: until a daemon answers COMMAND, which is the tracebuf command of some user.
await_daemon() {
	for _ in $(seq 150); do
		"$@" version >/dev/null 2>&1 && break
		sleep 0.2
	done
}

# end NAME: the last line, and the exit status.
end() {
	echo "# $1: $passed passed, $failed failed, 0 skipped"
	[ "$failed" = 0 ]
}
