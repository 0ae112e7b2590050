/* SPDX-License-Identifier: MIT */
#ifndef TB_UNPACK_H
#define TB_UNPACK_H

/*
 * If fd is a file that must be unpacked to be read at any place, does so, to a file without a name in $TMPDIR (else
 * /var/tmp), and gives its descriptor. *ret_how: "flattened", "zstd-compressed". 0, -ENOEXEC (it is as it should be),
 * -EBADMSG (damaged from the start), -EFBIG, -ENOSYS (this build has no zstd), -errno.
 */
int tb_unpack(int fd, int *ret_fd, const char **ret_how);

#endif
