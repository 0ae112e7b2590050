// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose a process or a trace is: what its maker was when it was made, and who else may read or control it.
 *
 * A user's number alone says enough of users without power. Root's does not: in a container it is mostly a root without
 * most capabilities, in a PID namespace of its own, and must not reach the host's or another container's. So, as for
 * ptrace(2), whoever is of the same user needs no fewer capabilities, and must be able to see the process.
 */
#include <linux/capability.h>
#include <linux/pid_namespace.h>
#include <linux/user_namespace.h>

#include "tracebuf.h"

void tb_owner_init(struct tb_owner *owner)
{
	owner->cred = get_current_cred();
	owner->pid_ns = get_pid_ns(task_active_pid_ns(current));
}

void tb_owner_exit(struct tb_owner *owner)
{
	put_cred(owner->cred);
	put_pid_ns(owner->pid_ns);
}

static bool is_user_ns_below(const struct user_namespace *user_ns, const struct user_namespace *above)
{
	for (; user_ns; user_ns = user_ns->parent)
		if (user_ns == above)
			return true;
	return false;
}

static bool is_pid_ns_below(const struct pid_namespace *pid_ns, const struct pid_namespace *above)
{
	for (; pid_ns; pid_ns = pid_ns->parent)
		if (pid_ns == above)
			return true;
	return false;
}

/* Did cred's user make user_ns, or one above it? Then it has every capability there, as security/commoncap.c has it. */
static bool has_made(const struct cred *cred, const struct user_namespace *user_ns)
{
	for (; user_ns; user_ns = user_ns->parent)
		if (user_ns->parent == cred->user_ns && uid_eq(user_ns->owner, cred->euid))
			return true;
	return false;
}

static bool has_power(const struct cred *cred)
{
	return uid_eq(cred->euid, make_kuid(cred->user_ns, 0)) || cap_raised(cred->cap_permitted, CAP_SYS_ADMIN);
}

bool tb_cred_is_as_good(const struct cred *cred, const struct cred *than)
{
	if (!uid_eq(cred->euid, than->euid))
		return false;
	return !has_power(than) || has_made(cred, than->user_ns) ||
	       (cred->user_ns == than->user_ns && cap_issubset(than->cap_permitted, cred->cap_permitted));
}

bool tb_owner_sees(const struct tb_owner *owner, const struct tb_owner *other)
{
	return tb_cred_is_as_good(owner->cred, other->cred) && is_pid_ns_below(other->pid_ns, owner->pid_ns);
}

bool tb_owner_is_above(const struct tb_owner *owner, const struct tb_owner *other)
{
	return is_user_ns_below(other->cred->user_ns, owner->cred->user_ns);
}

bool tb_may_access(const struct tb_owner *owner)
{
	return (tb_cred_is_as_good(current_cred(), owner->cred) &&
		is_pid_ns_below(owner->pid_ns, task_active_pid_ns(current))) ||
	       ns_capable_noaudit(owner->cred->user_ns, CAP_SYS_ADMIN);
}
