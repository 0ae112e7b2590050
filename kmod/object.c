// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects: what processes map and read. The control file, a process file, a ring.
 *
 * Mappings are plain ones, of pages that no address space of the page cache knows (no PFN mapping), so that everything
 * that takes user pages works with them: ptrace, core dumps, O_DIRECT, io_uring. Where a page is allocated by the first
 * write, mappings show the page of zeroes until then.
 *
 * Invariants. Each mapping hangs on a file of its own, whose f_mapping is the object's inode's: whatever was mapped and
 * by which file, unmap_mapping_range() finds it; and the file's reference keeps object and module as long as it is
 * mapped. Who has just found that there is no page maps the page of zeroes under that page's lock; who makes a page
 * enters it into the list, then takes and gives back that lock, then unmaps: nobody is left with zeroes. Pages never go
 * while their object lives.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include <libtracebuf/crc32c.h>

#include "tracebuf.h"

/* More references to the page of zeroes than this are refused: its count must not overflow. */
#define MAX_ZERO_REFERENCES (INT_MAX / 2)

static struct vfsmount *mount;
static struct page *zero_page;

static int init_fs_context(struct fs_context *context)
{
	return init_pseudo(context, 0x7462756a) ? 0 : -ENOMEM;
}

/* Without an owner, whose reference the mount itself would hold: it goes with the module, and all inodes before. */
static struct file_system_type file_system = {
	.name = "tracebuf",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

int tb_objects_init(void)
{
	zero_page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!zero_page)
		return -ENOMEM;
	mount = kern_mount(&file_system);
	if (IS_ERR(mount)) {
		__free_page(zero_page);
		return PTR_ERR(mount);
	}
	return 0;
}

void tb_objects_exit(void)
{
	kern_unmount(mount);
	put_page(zero_page);
}

static void do_left_work(struct work_struct *work)
{
	struct tb_object *object = container_of(work, struct tb_object, left_work);

	object->type->left(object);
	tb_object_put(object);
}

int tb_object_init(struct tb_object *object, const struct tb_object_type *type, u64 size, struct tb_user *user,
		   int node, struct mm_struct *owner)
{
	int err;

	object->inode = alloc_anon_inode(mount->mnt_sb);
	if (IS_ERR(object->inode))
		return PTR_ERR(object->inode);
	err = tb_pages_init(&object->pages, size, user, node);
	if (err) {
		iput(object->inode);
		return err;
	}
	object->type = type;
	object->size = size;
	object->mm = owner;
	if (owner)
		mmgrab(owner);
	kref_init(&object->ref);
	mutex_init(&object->lock);
	INIT_WORK(&object->left_work, do_left_work);
	return 0;
}

struct tb_object *tb_object_get(struct tb_object *object)
{
	kref_get(&object->ref);
	return object;
}

static void release_object(struct kref *ref)
{
	struct tb_object *object = container_of(ref, struct tb_object, ref);

	object->type->free(object);
}

void tb_object_put(struct tb_object *object)
{
	if (object)
		kref_put(&object->ref, release_object);
}

void tb_object_destroy(struct tb_object *object)
{
	tb_pages_destroy(&object->pages);
	if (object->mm)
		mmdrop(object->mm);
	iput(object->inode);
	mutex_destroy(&object->lock);
}

/* Calls ->left() from the work queue; never where the caller is, which may hold mmap_lock. */
static void queue_left(struct tb_object *object)
{
	if (!object->type->left)
		return;
	tb_object_get(object);
	if (!queue_work(tb_wq, &object->left_work))
		tb_object_put(object);
}

void tb_object_unbind(struct tb_object *object)
{
	if (!atomic_read(&object->nr_own_maps))
		queue_left(object);
}

/* ---- The kernel's own access ---- */

/*
 * The page at index, made if there is none, under object->lock.
 *
 * Partner of the page of zeroes' lock: fault(). Whoever found no page before ours was entered holds that lock until the
 * page of zeroes is in its page table, where it is then unmapped.
 */
static struct page *make_page(struct tb_object *object, unsigned long index)
{
	bool made = false;
	struct page *page = tb_pages_make(&object->pages, index, &made);

	if (IS_ERR(page) || !made || !object->shows_zeroes)
		return page;
	lock_page(zero_page);
	unlock_page(zero_page);
	unmap_mapping_range(object->inode->i_mapping, (loff_t)index << PAGE_SHIFT, PAGE_SIZE, 1);
	return page;
}

/* Copies what of data belongs into the page at offset; bytes, or -errno. */
static ssize_t write_piece(struct tb_object *object, u64 offset, const void *data, size_t size)
{
	size_t in_page = offset_in_page(offset), piece = min_t(size_t, size, PAGE_SIZE - in_page);
	struct page *page;
	char *bytes;

	mutex_lock(&object->lock);
	page = make_page(object, offset >> PAGE_SHIFT);
	if (!IS_ERR(page)) {
		bytes = kmap_local_page(page);
		memcpy(bytes + in_page, data, piece);
		kunmap_local(bytes);
	}
	mutex_unlock(&object->lock);
	return IS_ERR(page) ? PTR_ERR(page) : piece;
}

int tb_object_write(struct tb_object *object, u64 offset, const void *data, size_t size)
{
	ssize_t done = 0;

	for (; size && done >= 0; cond_resched()) {
		done = write_piece(object, offset, data, size);
		if (done < 0)
			break;
		offset += done;
		data += done;
		size -= done;
	}
	return done < 0 ? done : 0;
}

/* The page at index or NULL; it stays as long as the object does. */
static struct page *find_page(struct tb_object *object, unsigned long index)
{
	struct page *page;

	mutex_lock(&object->lock);
	page = tb_pages_find(&object->pages, index);
	mutex_unlock(&object->lock);
	return page;
}

void tb_object_read(struct tb_object *object, u64 offset, void *data, size_t size)
{
	while (size) {
		size_t in_page = offset_in_page(offset), piece = min_t(size_t, size, PAGE_SIZE - in_page);
		struct page *page = find_page(object, offset >> PAGE_SHIFT);

		if (page) {
			char *bytes = kmap_local_page(page);

			memcpy(data, bytes + in_page, piece);
			kunmap_local(bytes);
		} else {
			memset(data, 0, piece);
		}
		offset += piece;
		data += piece;
		size -= piece;
		cond_resched();
	}
}

/* The word at offset, until kunmap_local(); NULL: its page does not exist. */
static void *map_word(struct tb_object *object, u64 offset)
{
	struct page *page = find_page(object, offset >> PAGE_SHIFT);

	return page ? kmap_local_page(page) + offset_in_page(offset) : NULL;
}

void tb_object_store16(struct tb_object *object, u64 offset, u16 value)
{
	u16 *word = map_word(object, offset);

	if (word) {
		WRITE_ONCE(*word, value);
		kunmap_local(word);
	}
}

void tb_object_store32(struct tb_object *object, u64 offset, u32 value)
{
	u32 *word = map_word(object, offset);

	if (word) {
		WRITE_ONCE(*word, value);
		kunmap_local(word);
	}
}

void tb_object_store64(struct tb_object *object, u64 offset, u64 value)
{
	u64 *word = map_word(object, offset);

	if (word) {
		WRITE_ONCE(*word, value);
		kunmap_local(word);
	}
}

u64 tb_object_load64(struct tb_object *object, u64 offset)
{
	u64 *word = map_word(object, offset), value = 0;

	if (word) {
		value = smp_load_acquire(word);
		kunmap_local(word);
	}
	return value;
}

void tb_object_hide(struct tb_object *object)
{
	mutex_lock(&object->lock);
	tb_pages_wipe(&object->pages);
	mutex_unlock(&object->lock);
}

int tb_object_seal(struct tb_object *object, void *header, u32 header_size)
{
	static const u8 masked[] = TRACEBUF_MAGIC_MASKED;
	struct tracebuf_superblock *sb = header;
	struct page *first;

	mutex_lock(&object->lock);
	first = make_page(object, 0);
	mutex_unlock(&object->lock);
	if (IS_ERR(first))
		return PTR_ERR(first);
	for (unsigned int i = 0; i < sizeof(masked); i++)
		sb->magic[i] = masked[i] ^ TRACEBUF_MAGIC_MASK;
	sb->abi_version = TRACEBUF_ABI_VERSION;
	sb->kind = object->type->kind;
	sb->header_size = header_size;
	sb->total_size = object->size;
	sb->physical_address = page_to_phys(first);
	sb->page_list = page_to_phys(object->pages.root);
	sb->page_size = PAGE_SIZE;
	sb->page_list_levels = object->pages.levels;
	sb->header_crc = 0;
	sb->header_crc = tb_crc32c(0, header, header_size);
	return tb_object_write(object, 0, header, header_size);
}

/* ---- Processes' access ---- */

static u64 offset_of_fault(const struct vm_fault *vmf)
{
	return (u64)vmf->pgoff << PAGE_SHIFT;
}

static vm_fault_t fault_code(int err)
{
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

/*
 * The page of zeroes, locked, to be mapped where object has no page; under object->lock.
 *
 * Partner: make_page(). A core dump leaves holes where there is nothing.
 */
static vm_fault_t fault_zeroes(struct tb_object *object, struct vm_fault *vmf)
{
	if (current->flags & PF_DUMPCORE || page_ref_count(zero_page) > MAX_ZERO_REFERENCES)
		return VM_FAULT_SIGBUS;
	lock_page(zero_page);
	get_page(zero_page);
	object->shows_zeroes = true;
	vmf->page = zero_page;
	return VM_FAULT_LOCKED;
}

static vm_fault_t fault_read(struct tb_object *object, struct vm_fault *vmf)
{
	struct page *page = tb_pages_find(&object->pages, vmf->pgoff);

	if (page) {
		get_page(page);
		vmf->page = page;
		return 0;
	}
	return object->type->is_on_demand(offset_of_fault(vmf)) ? fault_zeroes(object, vmf) : VM_FAULT_SIGBUS;
}

/* The page that someone wants to write to, made if it is one of those that the first write makes. */
static vm_fault_t fault_write(struct tb_object *object, struct vm_fault *vmf)
{
	u64 offset = offset_of_fault(vmf);
	struct page *page;

	if (!object->type->is_writable(offset))
		return VM_FAULT_SIGBUS;
	page = object->type->is_on_demand(offset) ? make_page(object, vmf->pgoff) :
						   tb_pages_find(&object->pages, vmf->pgoff);
	if (IS_ERR_OR_NULL(page))
		return fault_code(page ? PTR_ERR(page) : -EFAULT);
	get_page(page);
	vmf->page = page;
	return 0;
}

static vm_fault_t fault(struct vm_fault *vmf)
{
	struct tb_object *object = vmf->vma->vm_private_data;
	vm_fault_t result;

	mutex_lock(&object->lock);
	result = vmf->flags & FAULT_FLAG_WRITE ? fault_write(object, vmf) : fault_read(object, vmf);
	mutex_unlock(&object->lock);
	return result;
}

/* The first write through a mapping that shows vmf->page read-only. Zeroes give way to a page, which is faulted in. */
static vm_fault_t page_mkwrite(struct vm_fault *vmf)
{
	struct tb_object *object = vmf->vma->vm_private_data;
	struct page *page;

	if (!object->type->is_writable(offset_of_fault(vmf)))
		return VM_FAULT_SIGBUS;
	if (vmf->page != zero_page) {
		lock_page(vmf->page);
		return VM_FAULT_LOCKED;
	}
	mutex_lock(&object->lock);
	page = make_page(object, vmf->pgoff);
	mutex_unlock(&object->lock);
	return IS_ERR(page) ? fault_code(PTR_ERR(page)) : VM_FAULT_NOPAGE;
}

static void owner_open(struct vm_area_struct *vma)
{
	struct tb_object *object = vma->vm_private_data;

	atomic_inc(&object->nr_maps);
	if (vma->vm_mm == object->mm)
		atomic_inc(&object->nr_own_maps);
}

static void owner_close(struct vm_area_struct *vma)
{
	struct tb_object *object = vma->vm_private_data;
	bool left = vma->vm_mm == object->mm && atomic_dec_and_test(&object->nr_own_maps);

	left |= atomic_dec_and_test(&object->nr_maps);
	if (left)
		queue_left(object);
}

/* A mapping that has a name of its own is part of every core dump, and what the process recorded belongs there. */
static const char *owner_name(struct vm_area_struct *vma)
{
	return "[tracebuf]";
}

static const struct vm_operations_struct owner_ops = {
	.open = owner_open,
	.close = owner_close,
	.fault = fault,
	.page_mkwrite = page_mkwrite,
	.name = owner_name,
};

static const struct vm_operations_struct reader_ops = {
	.fault = fault,
	.page_mkwrite = page_mkwrite,
};

static int release_map_file(struct inode *inode, struct file *file)
{
	tb_object_put(file->private_data);
	return 0;
}

static const struct file_operations map_file_operations = {
	.owner = THIS_MODULE,
	.release = release_map_file,
};

/* The file that a mapping of object hangs on. */
static struct file *make_map_file(struct tb_object *object)
{
	struct file *file = anon_inode_getfile("[tracebuf]", &map_file_operations, object, O_RDWR);

	if (IS_ERR(file))
		return file;
	tb_object_get(object);
	file->f_mapping = object->inode->i_mapping;
	return file;
}

/* May it be mapped like this? Ranges that may be written are one, so both ends tell. */
static int check_mapping(const struct tb_object *object, struct vm_area_struct *vma, bool as_owner,
			 bool *ret_is_writable)
{
	u64 first = vma->vm_pgoff, nr = vma_pages(vma);

	if (!(vma->vm_flags & VM_MAYSHARE) || first >= object->pages.nr_max || nr > object->pages.nr_max - first)
		return -EINVAL;
	*ret_is_writable = as_owner && object->type->is_writable(first << PAGE_SHIFT) &&
			   object->type->is_writable((first + nr - 1) << PAGE_SHIFT);
	if (vma->vm_flags & VM_EXEC || (vma->vm_flags & VM_WRITE && !*ret_is_writable))
		return -EACCES;
	return 0;
}

int tb_object_mmap(struct tb_object *object, struct file *file, struct vm_area_struct *vma, bool as_owner)
{
	bool is_writable;
	struct file *map_file;
	int err;

	as_owner = as_owner && vma->vm_mm == object->mm;
	err = check_mapping(object, vma, as_owner, &is_writable);
	if (err)
		return err;
	map_file = make_map_file(object);
	if (IS_ERR(map_file))
		return PTR_ERR(map_file);
	vma_set_file(vma, map_file);
	fput(map_file);
	tb_compat_vm_flags_mod(vma, VM_DONTEXPAND | (as_owner ? 0 : VM_DONTDUMP),
			       VM_MAYEXEC | (is_writable ? 0 : VM_MAYWRITE));
	vma->vm_private_data = object;
	vma->vm_ops = as_owner ? &owner_ops : &reader_ops;
	if (as_owner)
		owner_open(vma);
	return 0;
}

ssize_t tb_object_read_iter(struct tb_object *object, struct kiocb *iocb, struct iov_iter *to)
{
	ssize_t done = 0;

	while (iov_iter_count(to) && iocb->ki_pos >= 0 && iocb->ki_pos < object->size) {
		u64 left = object->size - iocb->ki_pos;
		size_t in_page = offset_in_page(iocb->ki_pos), copied;
		size_t piece = min3((u64)iov_iter_count(to), (u64)PAGE_SIZE - in_page, left);
		struct page *page = find_page(object, iocb->ki_pos >> PAGE_SHIFT);

		copied = page ? copy_page_to_iter(page, in_page, piece, to) : iov_iter_zero(piece, to);
		iocb->ki_pos += copied;
		done += copied;
		if (copied < piece)
			return done ? done : -EFAULT;
		if (fatal_signal_pending(current))
			return done;
		cond_resched();
	}
	return done;
}
