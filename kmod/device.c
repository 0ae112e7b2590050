// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tracebuf: what processes and readers call.
 *
 * An open file is fresh until it is bound to an object, once. Invariant: object and as_owner are set by the one who
 * moved the state from FRESH to BINDING, before it becomes BOUND (release), and never change again. Arguments are
 * copied in once, whatever their size, and answers are as long as the caller's struct.
 */
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tracebuf.h"

static ushort device_mode = 0660;
module_param(device_mode, ushort, 0444);
MODULE_PARM_DESC(device_mode, "mode of /dev/tracebuf (default 0660)");

/* PREVIOUS: bound to the region's older half, which is no object. */
enum { FRESH, BINDING, BOUND, PREVIOUS };

struct tb_file {
	int state;
	bool as_owner;			/* bound by the object's own process, not to read */
	struct tb_object *object;	/* a reference */
};

/* Copies in a size-first struct: known bytes. 0, -E2BIG, -EINVAL (shorter than its first word), -EFAULT. */
static int copy_in(void *to, size_t known, unsigned long arg)
{
	void __user *from = (void __user *)arg;
	u32 size;
	int err;

	if (get_user(size, (u32 __user *)from))
		return -EFAULT;
	if (size < sizeof(size))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(to, known, from, size);
	if (err)
		return err;
	/* It may have been changed meanwhile. */
	*(u32 *)to = size;
	return 0;
}

/* As many bytes as the caller's size says. */
static int copy_out(unsigned long arg, const void *from, size_t known)
{
	size_t size = min_t(size_t, *(const u32 *)from, known);

	return copy_to_user((void __user *)arg, from, size) ? -EFAULT : 0;
}

/* ---- Binding ---- */

/* Only one thread gets true, and must call end_binding(). */
static bool begin_binding(struct tb_file *self)
{
	return cmpxchg(&self->state, FRESH, BINDING) == FRESH;
}

/* object: NULL leaves it fresh; else with a reference, which the file now has. */
static void end_binding(struct tb_file *self, struct tb_object *object, bool as_owner)
{
	self->object = object;
	self->as_owner = as_owner;
	smp_store_release(&self->state, object ? BOUND : FRESH);
}

/* What the file is bound to, or NULL. */
static struct tb_object *bound_object(const struct tb_file *self)
{
	return smp_load_acquire(&self->state) == BOUND ? self->object : NULL;
}

static int do_register(unsigned long arg, struct tb_object **ret_object)
{
	struct tracebuf_ioc_register about;
	int err = copy_in(&about, sizeof(about), arg);

	err = err ? err : tb_process_register(&about, ret_object);
	return err ? err : copy_out(arg, &about, sizeof(about));
}

static int do_ring(unsigned long arg, struct tb_object **ret_object)
{
	struct tracebuf_ioc_ring about;
	int err = copy_in(&about, sizeof(about), arg);

	err = err ? err : tb_ring_make(&about, ret_object);
	return err ? err : copy_out(arg, &about, sizeof(about));
}

/* Under tb_lock: *ret_object is a reference. */
static int find_process(const char *name, struct tb_object **ret_object)
{
	struct tb_process *process = tb_process_find(name);

	if (!process)
		return -ENOENT;
	if (!tb_may_access(&process->owner))
		return -EACCES;
	*ret_object = tb_object_get(&process->object);
	return 0;
}

static int find_ring(u64 generation, const char *name, struct tb_object **ret_object)
{
	struct tb_trace *trace = tb_trace_find(generation);
	struct tb_ring *ring = trace ? tb_ring_find(trace, name) : NULL;

	if (!ring)
		return -ENOENT;
	if (!tb_may_access(&trace->owner) && !tb_may_access(&ring->process->owner))
		return -EACCES;
	*ret_object = tb_object_get(&ring->object);
	return 0;
}

static int do_open(unsigned long arg, struct tb_object **ret_object)
{
	struct tracebuf_ioc_open about;
	int err = copy_in(&about, sizeof(about), arg);

	if (err)
		return err;
	if (strnlen(about.name, sizeof(about.name)) == sizeof(about.name) ||
	    (about.kind != TRACEBUF_KIND_RING && (about.kind != TRACEBUF_KIND_PROCESS || about.generation)))
		return -EINVAL;
	mutex_lock(&tb_lock);
	err = about.kind == TRACEBUF_KIND_RING ? find_ring(about.generation, about.name, ret_object) :
						 find_process(about.name, ret_object);
	mutex_unlock(&tb_lock);
	return err;
}

static int do_self(unsigned long arg, struct tb_object **ret_object)
{
	return arg ? -EINVAL : tb_process_self(ret_object);
}

static int bind(struct tb_file *self, unsigned int number, unsigned long arg)
{
	struct tb_object *object = NULL;
	int err;

	if (!begin_binding(self))
		return -EBUSY;
	if (number == TRACEBUF_IOC_REGISTER)
		err = do_register(arg, &object);
	else if (number == TRACEBUF_IOC_RING)
		err = do_ring(arg, &object);
	else if (number == TRACEBUF_IOC_SELF)
		err = do_self(arg, &object);
	else
		err = do_open(arg, &object);
	if (err && object) {
		/* It was made, but the caller could not be told: as if its file had been closed at once. */
		tb_object_unbind(object);
		tb_object_put(object);
		object = NULL;
	}
	end_binding(self, object, number != TRACEBUF_IOC_OPEN);
	return err;
}

static int bind_previous(struct tb_file *self, unsigned long arg)
{
	if (arg)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (!tb_previous_is_there())
		return -ENXIO;
	return cmpxchg(&self->state, FRESH, PREVIOUS) == FRESH ? 0 : -EBUSY;
}

static bool is_previous(const struct tb_file *self)
{
	return smp_load_acquire(&self->state) == PREVIOUS;
}

/* ---- The other calls ---- */

static int do_switch(struct tb_file *self, unsigned long arg)
{
	struct tracebuf_ioc_switch about;
	int err = smp_load_acquire(&self->state) == FRESH ? copy_in(&about, sizeof(about), arg) : -EBUSY;

	return err ? err : tb_ring_switch(about.instance);
}

static int do_wait(struct tb_file *self, unsigned long arg)
{
	struct tracebuf_ioc_wait about;
	int err = smp_load_acquire(&self->state) == FRESH ? copy_in(&about, sizeof(about), arg) : -EBUSY;

	if (err)
		return err;
	return about.reserved ? -EINVAL : tb_ring_wait(&about);
}

/* The process that self is bound to, if it is the caller's own. */
static int own_process(struct tb_file *self, struct tb_process **ret_process)
{
	struct tb_object *object = bound_object(self);

	if (!object || !self->as_owner || object->type->kind != TRACEBUF_KIND_PROCESS)
		return -EINVAL;
	if (object->mm != current->mm)
		return -ESRCH;
	*ret_process = tb_process_from(object);
	return 0;
}

static int do_describe(struct tb_file *self, unsigned long arg)
{
	struct tracebuf_ioc_describe about;
	struct tb_process *process;
	int err = own_process(self, &process);

	err = err ? err : copy_in(&about, sizeof(about), arg);
	err = err ? err : tb_process_describe(process, &about);
	return err ? err : copy_out(arg, &about, sizeof(about));
}

static int do_enable(struct tb_file *self, unsigned long arg)
{
	struct tracebuf_ioc_enable about;
	struct tb_process *process;
	int err = own_process(self, &process);

	err = err ? err : copy_in(&about, sizeof(about), arg);
	if (err)
		return err;
	return about.reserved ? -EINVAL : tb_process_enable(process, &about);
}

static int do_get(struct tb_ring *ring, unsigned long arg)
{
	struct tracebuf_ioc_get about;
	int err = copy_in(&about, sizeof(about), arg), result;

	if (err)
		return err;
	result = tb_ring_get(ring, &about);
	if (result && result != -EAGAIN)
		return result;
	err = copy_out(arg, &about, sizeof(about));
	return err ? err : result;
}

static int do_put(struct tb_ring *ring, unsigned long arg)
{
	struct tracebuf_ioc_put about;
	int err = copy_in(&about, sizeof(about), arg);

	if (err)
		return err;
	return about.reserved ? -EINVAL : tb_ring_put(ring, &about);
}

static int do_release(struct tb_object *object)
{
	if (object->type->kind == TRACEBUF_KIND_RING)
		return tb_ring_release(tb_ring_of(object));
	return object->type->kind == TRACEBUF_KIND_PROCESS ? tb_process_release(tb_process_from(object)) : -EINVAL;
}

long tb_reader_ioctl(struct tb_object *object, unsigned int number, unsigned long arg)
{
	struct tb_ring *ring = object && object->type->kind == TRACEBUF_KIND_RING ? tb_ring_of(object) : NULL;

	switch (number) {
	case TRACEBUF_IOC_GET:
		return ring ? do_get(ring, arg) : -EINVAL;
	case TRACEBUF_IOC_PUT:
		return ring ? do_put(ring, arg) : -EINVAL;
	case TRACEBUF_IOC_RELEASE:
		return object && !arg ? do_release(object) : -EINVAL;
	}
	return -ENOTTY;
}

/* ---- The file ---- */

static long device_ioctl(struct file *file, unsigned int number, unsigned long arg)
{
	struct tb_file *self = file->private_data;
	struct tb_object *object;

	switch (number) {
	case TRACEBUF_IOC_REGISTER:
	case TRACEBUF_IOC_SELF:
	case TRACEBUF_IOC_RING:
	case TRACEBUF_IOC_OPEN:
		return bind(self, number, arg);
	case TRACEBUF_IOC_PREVIOUS:
		return bind_previous(self, arg);
	case TRACEBUF_IOC_DESCRIBE:
		return do_describe(self, arg);
	case TRACEBUF_IOC_ENABLE:
		return do_enable(self, arg);
	case TRACEBUF_IOC_SWITCH:
		return do_switch(self, arg);
	case TRACEBUF_IOC_WAIT:
		return do_wait(self, arg);
	}
	object = bound_object(self);
	return tb_reader_ioctl(object && !self->as_owner ? object : NULL, number, arg);
}

static int device_open(struct inode *inode, struct file *file)
{
	struct tb_file *self = kzalloc(sizeof(*self), GFP_KERNEL_ACCOUNT);

	if (!self)
		return -ENOMEM;
	file->private_data = self;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct tb_file *self = file->private_data;
	struct tb_object *object = bound_object(self);

	if (object && self->as_owner)
		tb_object_unbind(object);
	tb_object_put(object);
	kfree(self);
	return 0;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tb_file *self = file->private_data;

	switch (smp_load_acquire(&self->state)) {
	case FRESH:
		return tb_object_mmap(tb_control(), file, vma, false);
	case BOUND:
		return tb_object_mmap(self->object, file, vma, self->as_owner);
	}
	return -EBUSY;
}

static ssize_t device_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct tb_file *self = iocb->ki_filp->private_data;
	struct tb_object *object = bound_object(self);

	if (is_previous(self))
		return tb_previous_read_iter(iocb, to);
	return object && !self->as_owner ? tb_object_read_iter(object, iocb, to) : -EINVAL;
}

static loff_t device_llseek(struct file *file, loff_t offset, int whence)
{
	struct tb_object *object = bound_object(file->private_data);

	if (is_previous(file->private_data))
		return fixed_size_llseek(file, offset, whence, tb_previous_size());
	return object ? fixed_size_llseek(file, offset, whence, object->size) : -ESPIPE;
}

static __poll_t device_poll(struct file *file, poll_table *wait)
{
	struct tb_file *self = file->private_data;
	struct tb_object *object = bound_object(self);

	if (!object || self->as_owner || object->type->kind != TRACEBUF_KIND_RING)
		return EPOLLERR;
	return tb_ring_poll(tb_ring_of(object), file, wait);
}

static const struct file_operations device_operations = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = device_mmap,
	.read_iter = device_read_iter,
	.llseek = device_llseek,
	.poll = device_poll,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tracebuf",
	.fops = &device_operations,
};

bool tb_device_is_open(unsigned int fd)
{
	struct file *file = fget(fd);
	bool is_device = file && file->f_op == &device_operations;

	if (file)
		fput(file);
	return is_device;
}

int tb_device_init(void)
{
	device.mode = device_mode;
	return misc_register(&device);
}

void tb_device_exit(void)
{
	misc_deregister(&device);
}
