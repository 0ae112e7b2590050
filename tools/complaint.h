/* SPDX-License-Identifier: MIT */
#ifndef TB_COMPLAINT_H
#define TB_COMPLAINT_H

/* What `tracebuf` exits with: lttng's codes. */
enum tb_exit {
	TB_EXIT_OK = 0,
	TB_EXIT_ERROR = 1,		/* the command could not be done; nothing was changed */
	TB_EXIT_UNDEFINED = 2,		/* unknown verb, option or argument */
	TB_EXIT_FATAL = 3,
	TB_EXIT_WARNING = 4,		/* done, with a reservation */
};

/* One line on stderr, "tracebuf: ..."; bytes that are no printable text are shown as '?'. Returns code. */
int tb_complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
