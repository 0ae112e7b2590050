// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashes the kernel in the way that a word written to /dev/crasher says (tests/kernel/crash):
 *   timer		a NULL dereference in a timer's interrupt, at a moment within the next millisecond
 *   ipi		the same in an interrupt from another CPU
 *   triple		a triple fault: the CPU gives up, and no code of the kernel runs any more
 *   oops, hang		arms the device: the next empty word's write(2) dereferences NULL, or never returns and cannot be
 *			killed
 * An empty word (one byte, 0) does nothing as long as nothing is armed: a program writes one now and then, and so is
 * the one that crashes inside its own system call.
 */
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

static struct hrtimer timer;
static int *nowhere;
static atomic_t armed_oops, armed_hang;

static enum hrtimer_restart in_timer(struct hrtimer *unused)
{
	WRITE_ONCE(*nowhere, 1);
	return HRTIMER_NORESTART;
}

static void in_ipi(void *unused)
{
	WRITE_ONCE(*nowhere, 1);
}

static void crash_in_ipi(void)
{
	int this_cpu = get_cpu(), cpu = cpumask_any_but(cpu_online_mask, this_cpu);

	smp_call_function_single(cpu < nr_cpu_ids ? cpu : this_cpu, in_ipi, NULL, 0);
	put_cpu();
}

static void triple_fault(void)
{
#ifdef CONFIG_X86
	const struct {
		u16 size;
		u64 address;
	} __packed nothing = { };

	asm volatile("lidt %0; int3" : : "m" (nothing));
#endif
}

static void hang(void)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
}

/* Not inline, nor are the others: the console shows its name. */
static noinline void in_call(void)
{
	if (atomic_cmpxchg(&armed_oops, 1, 0) == 1)
		WRITE_ONCE(*nowhere, 1);
	if (atomic_cmpxchg(&armed_hang, 1, 0) == 1)
		hang();
}

static ssize_t crasher_write(struct file *file, const char __user *from, size_t size, loff_t *offset)
{
	char word[16] = "";

	if (size >= sizeof(word))
		return -EINVAL;
	if (copy_from_user(word, from, size))
		return -EFAULT;
	if (!word[0])
		in_call();
	else if (!strcmp(word, "timer"))
		hrtimer_start(&timer, ns_to_ktime(ktime_get_ns() % NSEC_PER_MSEC), HRTIMER_MODE_REL);
	else if (!strcmp(word, "ipi"))
		crash_in_ipi();
	else if (!strcmp(word, "triple"))
		triple_fault();
	else if (!strcmp(word, "oops"))
		atomic_set(&armed_oops, 1);
	else if (!strcmp(word, "hang"))
		atomic_set(&armed_hang, 1);
	else
		return -EINVAL;
	return size;
}

static const struct file_operations crasher_operations = {
	.owner = THIS_MODULE,
	.write = crasher_write,
};

static struct miscdevice crasher = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "crasher",
	.fops = &crasher_operations,
};

static int __init crasher_init(void)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	timer.function = in_timer;
	return misc_register(&crasher);
}

static void __exit crasher_exit(void)
{
	hrtimer_cancel(&timer);
	misc_deregister(&crasher);
}

module_init(crasher_init);
module_exit(crasher_exit);
MODULE_DESCRIPTION("crashes the kernel, for tests");
MODULE_LICENSE("GPL");
