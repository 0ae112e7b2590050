/* SPDX-License-Identifier: MIT */
#ifndef TB_RECOVER_H
#define TB_RECOVER_H

/* "tracebuf recover". argv[0] is the verb. Returns the exit code. */
int tb_recover_main(int argc, char **argv);

#endif
