/* SPDX-License-Identifier: MIT */
#ifndef TB_VIEW_H
#define TB_VIEW_H

/*
 * The command "tracebuf view": argv[0] is "view". Returns the exit code: 0, 1 (not a trace, cannot be read), 2 (wrong
 * usage), 4 (something was damaged and skipped).
 */
int tb_view_main(int argc, char **argv);

#endif
