/* SPDX-License-Identifier: MIT */
/* The device's system calls, one by one. Structs are filled as abi.h says; what tests do wrong they do themselves. */
#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/harness.h"

bool device_is_missing(void)
{
	if (access(TRACEBUF_DEVICE, F_OK) == 0)
		return false;
	tb_skip("no " TRACEBUF_DEVICE ": the module is not loaded");
	return true;
}

int device_open(void)
{
	int fd = open(TRACEBUF_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int device_call(int fd, unsigned long number, void *arg)
{
	int result = ioctl(fd, number, arg);

	return result < 0 ? -errno : result;
}

void device_open_to_all(void)
{
	CU_ASSERT(chmod(TRACEBUF_DEVICE, 0666) == 0);
}

/* The call on a descriptor of its own, which stays open only if it is to be kept and the call succeeded. */
static int call_fresh(unsigned long number, void *arg, bool keep)
{
	int fd = device_open(), result;

	if (fd < 0)
		return fd;
	result = device_call(fd, number, arg);
	if (!result && keep)
		return fd;
	close(fd);
	return result;
}

int device_register(const char *domain, struct tracebuf_ioc_register *ret_arg)
{
	*ret_arg = (struct tracebuf_ioc_register) {
		.size = sizeof(*ret_arg),
		.writer = TRACEBUF_WRITER_FALLBACK,
		.domain = (uintptr_t) domain,
		.domain_size = domain ? (uint32_t) strlen(domain) : 0,
	};
	return call_fresh(TRACEBUF_IOC_REGISTER, ret_arg, true);
}

int device_self(void)
{
	return call_fresh(TRACEBUF_IOC_SELF, NULL, true);
}

int device_ring(uint64_t generation, unsigned int ring_set, unsigned int cpu, struct tracebuf_ioc_ring *ret_arg)
{
	*ret_arg = (struct tracebuf_ioc_ring) {
		.size = sizeof(*ret_arg),
		.ring_set = ring_set,
		.generation = generation,
		.cpu = cpu,
		.writer = TRACEBUF_WRITER_FALLBACK,
	};
	return call_fresh(TRACEBUF_IOC_RING, ret_arg, true);
}

static int open_named(uint32_t kind, uint64_t generation, const char *name)
{
	struct tracebuf_ioc_open arg = { .size = sizeof(arg), .kind = kind, .generation = generation };

	snprintf(arg.name, sizeof(arg.name), "%s", name);
	return call_fresh(TRACEBUF_IOC_OPEN, &arg, true);
}

int device_open_process(const char *name)
{
	return open_named(TRACEBUF_KIND_PROCESS, 0, name);
}

int device_open_ring(uint64_t generation, const char *name)
{
	return open_named(TRACEBUF_KIND_RING, generation, name);
}

int device_switch(uint32_t instance)
{
	struct tracebuf_ioc_switch arg = { .size = sizeof(arg), .instance = instance };

	return call_fresh(TRACEBUF_IOC_SWITCH, &arg, false);
}

int device_wait(uint32_t instance, uint64_t seq, uint32_t timeout_ms)
{
	struct tracebuf_ioc_wait arg = {
		.size = sizeof(arg), .instance = instance, .seq = seq, .timeout_ms = timeout_ms
	};

	return call_fresh(TRACEBUF_IOC_WAIT, &arg, false);
}

int device_get(int fd, struct tracebuf_ioc_get *ret_arg)
{
	*ret_arg = (struct tracebuf_ioc_get) { .size = sizeof(*ret_arg) };
	return device_call(fd, TRACEBUF_IOC_GET, ret_arg);
}

int device_put(int fd, uint64_t consumed)
{
	struct tracebuf_ioc_put arg = { .size = sizeof(arg), .consumed = consumed };

	return device_call(fd, TRACEBUF_IOC_PUT, &arg);
}

int device_release(int fd)
{
	return device_call(fd, TRACEBUF_IOC_RELEASE, NULL);
}

int device_map_as(int fd, uint64_t offset, size_t size, int prot, int flags, void *ret_address)
{
	void *address = mmap(NULL, size, prot, flags, fd, (off_t) offset);

	if (address == MAP_FAILED)
		return -errno;
	*(void **) ret_address = address;
	return 0;
}

int device_map(int fd, uint64_t offset, size_t size, int prot, void *ret_address)
{
	return device_map_as(fd, offset, size, prot, MAP_SHARED, ret_address);
}

int device_load_module(const char *parameters)
{
	int fd = open(DEVICE_MODULE, O_RDONLY | O_CLOEXEC), result;

	if (fd < 0)
		return -errno;
	result = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return result;
}

int device_unload_module(void)
{
	return syscall(SYS_delete_module, "tracebuf", O_NONBLOCK) ? -errno : 0;
}

void device_process_name(char name[96], const struct tracebuf_ioc_register *process)
{
	snprintf(name, 96, "%d-%llx", process->pid, (unsigned long long) process->incarnation);
}

void device_ring_name(char name[96], const struct tracebuf_ioc_register *process, const struct tracebuf_ioc_ring *ring)
{
	snprintf(name, 96, "%d-%llx-%u-%u-%u", process->pid, (unsigned long long) process->incarnation,
		 ring->ring_set % 16, ring->cpu, ring->instance);
}

bool device_has_region(char region[DEVICE_REGION_SIZE])
{
	FILE *file = fopen("/sys/module/tracebuf/parameters/region", "re");

	region[0] = '\0';
	if (file && fgets(region, DEVICE_REGION_SIZE, file))
		region[strcspn(region, "\n")] = '\0';
	if (file)
		fclose(file);
	return *region && strcmp(region, "(null)");
}
