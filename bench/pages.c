/* SPDX-License-Identifier: MIT */
/* "pages FILE": the reference for compressed dumps: libkdumpfile hands out each page that the dump has, once. */
#include <fcntl.h>
#include <stdio.h>
#ifdef HAVE_LIBKDUMPFILE
#include <libkdumpfile/kdumpfile.h>

static int read_all(kdump_ctx_t *context)
{
	kdump_attr_t attribute = { .type = KDUMP_BITMAP };
	kdump_num_t page_size;
	static char page[65536];

	if (kdump_get_number_attr(context, KDUMP_ATTR_PAGE_SIZE, &page_size) != KDUMP_OK ||
	    kdump_get_attr(context, KDUMP_ATTR_FILE_PAGEMAP, &attribute) != KDUMP_OK)
		return 1;
	for (kdump_addr_t frame = 0; kdump_bmp_find_set(attribute.val.bitmap, &frame) == KDUMP_OK; frame++) {
		size_t size = page_size;

		if (kdump_read(context, KDUMP_MACHPHYSADDR, frame * page_size, page, &size) != KDUMP_OK)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	kdump_ctx_t *context = kdump_new();

	return fd < 0 || !context || kdump_open_fd(context, fd) != KDUMP_OK || read_all(context);
}
#else
int main(void)
{
	return 77;
}
#endif
