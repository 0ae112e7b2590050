# shellcheck shell=sh
# SPDX-License-Identifier: MIT
#
# For scripts/demo and scripts/check, which source it: where they build. Nothing is ever written to the source tree:
# it is copied to the workspace, where autogen.sh runs, and each configuration has a build directory of its own.
# Sets $source (the tree), $workspace, $copy and $jobs.
#
# Nothing that is run here may take for ever: each program gets a time that is generous, and less as $deadline nears.

tool=${0##*/}
source=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck disable=SC2034 # for who sources this
jobs=$(getconf _NPROCESSORS_ONLN)
autogen_timeout=300
# shellcheck disable=SC2034
configure_timeout=600 make_timeout=900
# Uptime in seconds that nothing may run past; empty: none. At the least a program has min_timeout.
deadline=
min_timeout=30
# Words before each command: see set_prefix in scripts/check.
prefix=

say() {
	printf '%s\n' "$tool: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# $TRACEBUF_CACHE, else the user's cache directory, else a new directory in /tmp. One workspace for each source tree.
find_workspace() {
	cache=${TRACEBUF_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/tracebuf}
	if ! mkdir -p "$cache" 2>/dev/null || ! [ -w "$cache" ]; then
		cache=$(mktemp -d /tmp/tracebuf-XXXXXX)
	fi
	workspace=$cache/$(printf '%s' "$source" | cksum | cut -d ' ' -f 1)-$tool
	copy=$workspace/source
	mkdir -p "$workspace"
}

# What a developer may have made in the tree stays there.
made_by_autogen='--exclude=./autom4te.cache --exclude=./configure --exclude=./aclocal.m4 --exclude=./Makefile.in
	--exclude=./build-aux --exclude=./m4'

# Copies the tree (times kept, so that what is built already stays so) and makes configure.
copy_source() {
	rm -rf "$workspace/source.new"
	mkdir "$workspace/source.new"
	# shellcheck disable=SC2086 # a list of words
	(cd "$source" && tar -cf - --exclude=./.git $made_by_autogen --exclude=./config.status --exclude=./Makefile .) |
		tar -xf - -C "$workspace/source.new"
	# What autogen.sh made last time goes on living where its inputs are the same.
	mkdir -p "$copy"
	(cd "$workspace/source.new" && find configure.ac autogen.sh Makefile.am ./*/Makefile.am.inc -exec cksum {} +) \
		>"$workspace/inputs.new"
	if cmp -s "$workspace/inputs" "$workspace/inputs.new"; then
		for made in configure aclocal.m4 Makefile.in build-aux m4; do
			[ ! -e "$copy/$made" ] || cp -a "$copy/$made" "$workspace/source.new/"
		done
	fi
	rm -rf "$copy"
	mv "$workspace/source.new" "$copy"
	[ -e "$copy/configure" ] || run_within "$autogen_timeout" "$workspace/autogen.log" "$copy/autogen.sh"
	mv "$workspace/inputs.new" "$workspace/inputs"
}

# run LOG COMMAND...: quiet, unless it fails.
run() {
	log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null && return 0
	tail -n 40 "$log" >&2
	say "this failed: $* (all of its output: $log)"
	return 1
}

# Seconds since the machine was started: nobody sets that clock.
uptime_s() {
	cut -d . -f 1 /proc/uptime
}

# within SECONDS COMMAND...: the exit status is the program's, or 124: it did not end in that time.
within() {
	seconds=$1
	shift
	if [ -n "$deadline" ]; then
		left=$((deadline - $(uptime_s)))
		[ "$seconds" -le "$left" ] || seconds=$left
		[ "$seconds" -ge "$min_timeout" ] || seconds=$min_timeout
	fi
	# shellcheck disable=SC2086 # words
	"$copy/scripts/within" "$seconds" $prefix "$@"
}

# run_within SECONDS LOG COMMAND...: run, with an end.
run_within() {
	given=$1 log=$2 status=0
	shift 2
	within "$given" "$@" >"$log" 2>&1 </dev/null || status=$?
	[ "$status" -ne 0 ] || return 0
	case $status in
	124 | 137) tail -n 140 "$log" >&2 ;;
	*) tail -n 40 "$log" >&2 ;;
	esac
	say "this failed (exit status $status): $* (all of its output: $log)"
	return 1
}

# configure_in DIR ARGUMENT...: configures there, if that was not done with the same arguments and configure.
configure_in() {
	dir=$1
	shift
	stamp="$(cksum <"$copy/configure") $(cksum <"$copy/Makefile.in") $*"
	if [ "$(cat "$dir/stamp" 2>/dev/null)" != "$stamp" ] || ! [ -e "$dir/Makefile" ]; then
		rm -rf "$dir"
		mkdir -p "$dir"
		(cd "$dir" && run_within "$configure_timeout" "$dir.configure.log" "$copy/configure" "$@") || return 1
		printf '%s\n' "$stamp" >"$dir/stamp"
	fi
}
