/* SPDX-License-Identifier: MIT */
/* A traced program that holds still while a test looks at it: it lives until the test closes its stdin. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <unistd.h>

#include "fixture.h"

bool guest_start(struct guest *guest, const char *program, const char *nr)
{
	int in[2], out[2];
	ssize_t got;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return false;
	guest->pid = fork();
	if (!guest->pid) {
		die_with_test();
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(program, program, nr, (char *) NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	guest->in = in[1];
	got = read(out[0], guest->line, sizeof(guest->line) - 1);
	guest->line[got > 0 ? got : 0] = 0;
	close(out[0]);
	return got > 0;
}

void guest_stop(struct guest *guest)
{
	close(guest->in);
	TB_ASSERT_EQUAL(await(guest->pid), 0);
}
