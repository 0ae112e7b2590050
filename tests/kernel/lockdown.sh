#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tracebufd in the kernel home of a kernel that is locked down, where files of debugfs can be watched and not opened: it
# goes over to the device by itself. Nothing undoes this, so it comes last.
# shellcheck source=tests/kernel/daemon_test.sh
. "$(dirname "$0")/daemon_test.sh"
mount -t securityfs securityfs /sys/kernel/security
[ -w /sys/kernel/security/lockdown ] || { echo 'this kernel cannot be locked down'; exit 77; }
"$TB_BUILD/tracebufd" 2>/tmp/complaints &
await_daemon "$tracebuf"
"$tracebuf" create t -o /tmp/t >/dev/null
"$tracebuf" enable-event '*'
"$tracebuf" start
"$hello" >/dev/null
check 'before: by debugfs' "$("$tracebuf" status | grep -c 'by debugfs\|total: 9 recorded')" 2
echo integrity >/sys/kernel/security/lockdown
"$hello" >/dev/null
"$hello" >/dev/null
check 'locked down: by the device' "$("$tracebuf" status | grep -c 'by device\|total: 27 recorded')" 2
"$tracebuf" destroy >/dev/null
check 'locked down: said once' "$(grep -c 'cannot be used: Operation not permitted' /tmp/complaints)" 1
check 'locked down: babeltrace2' "$(babeltrace2 /tmp/t 2>&1 | grep -c shop:order_paid)" 27
"$tracebuf" create t2 -o /tmp/t2 >/dev/null
"$tracebuf" enable-event '*'
"$tracebuf" start
"$hello" >/dev/null
check 'locked down: another trace' "$("$tracebuf" destroy | grep -c 'total: 9 recorded')" 1
previous=/sys/kernel/debug/tracebuf/previous
if [ -d $previous ]; then
	check 'locked down: previous/' "$(head -c 8192 $previous/memory | wc -c) $(grep -c '^number:' $previous/info)" '8192 1'
fi
kill %1
wait
end lockdown
