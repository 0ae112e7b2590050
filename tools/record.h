/* SPDX-License-Identifier: MIT */
#ifndef TB_RECORD_H
#define TB_RECORD_H

/*
 * The command "tracebuf record": argv[0] is "record". Returns the exit status of the command that it ran (128 + n if
 * signal n ended it, 127 if there is none of that name, 126 if it cannot be run), else an exit code of complaint.h.
 */
int tb_record_main(int argc, char **argv);

#endif
