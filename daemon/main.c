/* SPDX-License-Identifier: MIT */
/*
 * tracebufd: options, start and end.
 *
 * Invariant: the socket and the control page exist before anybody is told that the daemon is ready. An orderly end
 * (SIGTERM, SIGINT, the verb shutdown, end of a private daemon's stdin) completes all traces first; any other end
 * leaves everything to the next daemon.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "command.h"
#include "daemon.h"
#include "discovery.h"
#include "home.h"
#include "process.h"
#include "recording.h"
#include "rseq_check.h"
#include "save_previous.h"

/* Descriptors for everything but processes and rings. */
#define OTHER_FDS 160
#define MAX_OPENED 512

struct options {
	const char *rundir, *save_previous;
	const struct tb_home *home;
	enum tracebuf_clock clock;	/* 0: chosen */
	int ready_fd;			/* -1: none */
	bool is_private;
};

static void usage(void)
{
	fputs("Usage: tracebufd [OPTION]...\n"
	      "Records what traced programs write into their ring buffers.\n\n"
	      "  --rundir DIR    run directory (default: $TRACEBUF_RUNDIR, else root: /run/tracebuf,\n"
	      "                  else $XDG_RUNTIME_DIR/tracebuf)\n"
	      "  --private       end in order when stdin reaches its end\n"
	      "  --ready-fd N    write a newline to descriptor N when ready\n"
	      "  --home HOME     of the buffers: kernel (tracebuf.ko), tmpfs (the run directory) or auto\n"
	      "                  (default: $TRACEBUF_HOME, else the kernel if /dev/tracebuf can be opened)\n"
	      "  --save-previous DIR  save what the previous boot left in memory below DIR: tracebuf(4)\n"
	      "  --clock CLOCK   tsc, monotonic or counter (default: the best that the kernel trusts)\n"
	      "  --help, --version\n", stdout);
}

/* Behind all letters: there are no short options. */
enum {
	OPTION_RUNDIR = 256,
	OPTION_PRIVATE,
	OPTION_READY_FD,
	OPTION_CLOCK,
	OPTION_SAVE_PREVIOUS,
	OPTION_HOME,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option known_options[] = {
	{ "rundir", required_argument, NULL, OPTION_RUNDIR },
	{ "private", no_argument, NULL, OPTION_PRIVATE },
	{ "ready-fd", required_argument, NULL, OPTION_READY_FD },
	{ "clock", required_argument, NULL, OPTION_CLOCK },
	{ "save-previous", required_argument, NULL, OPTION_SAVE_PREVIOUS },
	{ "home", required_argument, NULL, OPTION_HOME },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static bool parse_clock(const char *text, enum tracebuf_clock *clock)
{
	if (!strcmp(text, "tsc"))
		*clock = TRACEBUF_CLOCK_TSC;
	else if (!strcmp(text, "monotonic"))
		*clock = TRACEBUF_CLOCK_MONOTONIC;
	else if (!strcmp(text, "counter"))
		*clock = TRACEBUF_CLOCK_COUNTER;
	else
		return false;
	return true;
}

static bool parse_fd(const char *text, int *fd)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number > INT_MAX || fcntl((int) number, F_GETFD) < 0)
		return false;
	*fd = (int) number;
	return true;
}

/* NULL, or what the option's value had to be. */
static const char *take_option(int option, struct options *options)
{
	switch (option) {
	case OPTION_RUNDIR:
		options->rundir = optarg;
		break;
	case OPTION_SAVE_PREVIOUS:
		options->save_previous = optarg;
		break;
	case OPTION_PRIVATE:
		options->is_private = true;
		break;
	case OPTION_READY_FD:
		return parse_fd(optarg, &options->ready_fd) ? NULL : "must be an open descriptor";
	case OPTION_CLOCK:
		return parse_clock(optarg, &options->clock) ? NULL : "must be tsc, monotonic or counter";
	case OPTION_HOME:
		options->home = tb_home_choose(optarg);
		return options->home ? NULL : "must be kernel, tmpfs or auto";
	case OPTION_HELP:
		usage();
		exit(EXIT_SUCCESS);
	case OPTION_VERSION:
		printf("tracebufd %s\n", PACKAGE_VERSION);
		exit(EXIT_SUCCESS);
	}
	return NULL;
}

/* getopt's "?" and ":" in words. */
static void complain_option(int found, char **argv)
{
	const char letter[] = { '-', optopt, '\0' };

	tb_say("%s: %s (see tracebufd --help)", optopt && optopt < OPTION_RUNDIR ? letter : argv[optind - 1],
	       found == ':' ? "needs an argument" : "no such option, or not so used");
}

/* false: it has been said what is wrong. */
static bool parse_options(int argc, char **argv, struct options *options)
{
	int option, index = 0;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":", known_options, &index)) != -1) {
		const char *wanted;

		if (option == '?' || option == ':') {
			complain_option(option, argv);
			return false;
		}
		wanted = take_option(option, options);
		if (wanted) {
			tb_say("--%s '%s': %s", known_options[index].name, optarg, wanted);
			return false;
		}
	}
	if (optind < argc)
		tb_say("'%s': no argument is expected (see tracebufd --help)", argv[optind]);
	return optind == argc;
}

static void share_descriptors(struct tb_daemon *daemon)
{
	struct rlimit limit = { .rlim_cur = 1024 };
	unsigned int rest;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	rest = limit.rlim_cur > OTHER_FDS + 64 ? limit.rlim_cur - OTHER_FDS : 64;
	/* A ring that is open has three: its own, and two of its stream file. */
	daemon->max_opened = rest / 6 < MAX_OPENED ? rest / 6 : MAX_OPENED;
	daemon->max_pidfds = rest - 3 * daemon->max_opened;
}

static void request_end(struct tb_daemon *daemon)
{
	daemon->loop.quit = true;
}

static void signalled(struct tb_completion *completion, int result)
{
	(void) result;
	request_end(caa_container_of(completion, struct tb_daemon, signal_ready));
}

static void stdin_readable(struct tb_completion *completion, int result)
{
	struct tb_daemon *daemon = caa_container_of(completion, struct tb_daemon, stdin_ready);
	char buffer[256];

	(void) result;
	if (read(STDIN_FILENO, buffer, sizeof(buffer)) > 0)
		tb_loop_poll(&daemon->loop, completion, STDIN_FILENO, POLLIN);
	else
		request_end(daemon);
}

static int watch_signals(struct tb_daemon *daemon)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	daemon->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (daemon->signal_fd < 0)
		return -errno;
	daemon->signal_ready.done = signalled;
	tb_loop_poll(&daemon->loop, &daemon->signal_ready, daemon->signal_fd, POLLIN);
	return 0;
}

static int open_counter(struct tb_daemon *daemon)
{
	int fd = openat(daemon->rundir.fd, "counter", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat stat;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) || (stat.st_size < 65536 && ftruncate(fd, 65536))) {
		close(fd);
		return -errno;
	}
	return fd;
}

/* The control page and the clock, taken over or new. */
static int open_control(struct tb_daemon *daemon, const struct options *options)
{
	int ret = daemon->home->open(daemon, options->clock), counter_fd = -1;

	if (ret)
		return ret;
	if (daemon->control.page.clock == TRACEBUF_CLOCK_COUNTER)
		counter_fd = open_counter(daemon);
	ret = tb_clock_init(&daemon->clock, daemon->control.page.clock, counter_fd);
	if (!ret)
		ret = daemon->home->set_clock(daemon, tb_rseq_works());
	if (ret)
		tb_say("clock: %s", strerror(-ret));
	return ret;
}

static void notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size;
	int fd;

	if (!path || !*path || strlen(path) >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, strlen(path));
	size = offsetof(struct sockaddr_un, sun_path) + strlen(path);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *) &address, size);
	close(fd);
}

static void tell_ready(const struct options *options)
{
	if (options->ready_fd >= 0) {
		if (write(options->ready_fd, "\n", 1) != 1)
			tb_say("--ready-fd %d: %s", options->ready_fd, strerror(errno));
		close(options->ready_fd);
	}
	notify_systemd("READY=1");
}

/* Finds what there is, and waits for all that may come. Says itself what went wrong. */
static int begin(struct tb_daemon *daemon, const struct options *options)
{
	int ret = tb_loop_init(&daemon->loop);

	if (ret) {
		tb_say("io_uring is not available: %s", strerror(-ret));
		return ret;
	}
	ret = open_control(daemon, options);
	if (ret)
		return ret;
	ret = watch_signals(daemon);
	if (!ret)
		ret = tb_discovery_start(daemon);
	if (ret)
		tb_say("run directory %s: %s", daemon->rundir.path, strerror(-ret));
	return ret;
}

/* All that runs between an open run directory and its closing. */
static int serve(struct tb_daemon *daemon, const struct options *options)
{
	int ret = begin(daemon, options);

	if (ret)
		return ret;
	if (options->is_private) {
		daemon->stdin_ready.done = stdin_readable;
		tb_loop_poll(&daemon->loop, &daemon->stdin_ready, STDIN_FILENO, POLLIN);
	}
	if (options->save_previous)
		tb_save_previous(daemon, options->save_previous);
	tb_command_start(daemon);
	tell_ready(options);
	ret = tb_loop_run(&daemon->loop);
	if (ret)
		tb_say("io_uring: %s", strerror(-ret));
	return ret;
}

static void end(struct tb_daemon *daemon)
{
	notify_systemd("STOPPING=1");
	for (int i = 0; i < TRACEBUF_NR_SLOTS; i++) {
		struct tb_recording *recording = daemon->recording[i];

		if (!recording)
			continue;
		tb_recording_end(recording);
		tb_recording_remove(recording);
	}
}

int main(int argc, char **argv)
{
	static struct tb_daemon daemon;
	struct options options = { .ready_fd = -1 };
	char path[TB_RUNDIR_SIZE], message[256];
	int ret;

	if (!parse_options(argc, argv, &options))
		return EXIT_FAILURE;
	if (!options.rundir) {
		ret = tb_rundir_path(path);
		if (ret == -ENOENT)
			tb_say("no run directory: set TRACEBUF_RUNDIR or XDG_RUNTIME_DIR");
		else if (ret)
			tb_say("run directory %s: must be absolute and shorter than %d bytes", tb_rundir_told(), TB_RUNDIR_SIZE);
		if (ret)
			return EXIT_FAILURE;
		options.rundir = path;
	}
	daemon.home = options.home ? options.home : tb_home_choose(NULL);
	daemon.news_fd = -1;
	share_descriptors(&daemon);
	ret = tb_rundir_open(&daemon.rundir, options.rundir, message, sizeof(message));
	if (ret) {
		tb_say("%s", message);
		return EXIT_FAILURE;
	}
	tb_placement_init(&daemon.placement, &tb_topology_numa);
	CDS_INIT_LIST_HEAD(&daemon.opened);
	CDS_INIT_LIST_HEAD(&daemon.hungry);
	daemon.control.fd = -1;
	tb_process_table_init(&daemon);
	ret = serve(&daemon, &options);
	if (!ret)
		end(&daemon);
	tb_process_table_destroy(&daemon);
	daemon.home->close(&daemon, !ret);
	tb_placement_destroy(&daemon.placement);
	tb_rundir_close(&daemon.rundir, !ret);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
