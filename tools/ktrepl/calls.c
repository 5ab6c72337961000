// SPDX-License-Identifier: GPL-2.0
/*
 * The calls that RedHawk has measured, for ktrepl-bench and ktrepl-ab.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

void must(bool ok, const char *what)
{
	if (!ok)
		die(EXIT_FAILED, "%s: %s", what, strerror(errno));
}

void open_call(void)
{
	int fd = open("/dev/null", O_RDONLY);

	must(fd >= 0 && !close(fd), "/dev/null");
}

static void on_usr1(int sig)
{
	(void)sig;
}

bool kill_start(void)
{
	signal(SIGUSR1, on_usr1);
	return true;
}

void kill_call(void)
{
	kill(getpid(), SIGUSR1);
}

/* As RedHawk has measured it; each page is touched. */
#define ZERO_PAGES	1024

void zero_call(void)
{
	size_t page = sysconf(_SC_PAGESIZE), i;
	int fd = open("/dev/zero", O_RDWR);
	char *p = mmap(NULL, ZERO_PAGES * page, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE, fd, 0);

	must(fd >= 0 && p != MAP_FAILED, "/dev/zero");
	for (i = 0; i < ZERO_PAGES; i++)
		__atomic_store_n(p + i * page, 1, __ATOMIC_RELAXED);
	munmap(p, ZERO_PAGES * page);
	close(fd);
}

void wait_for(pid_t pid)
{
	int status;

	must(pid > 0, "fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		die(EXIT_FAILED, "a child failed with status %d", status);
}

void fork_call(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	wait_for(pid);
}
