// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "fault.h"

static const struct {
	const char *file, *value;
	bool optional;
} setup[] = {
	{ "failslab/ignore-gfp-wait", "N", false },
	{ "failslab/cache-filter", "N", true },
	{ "failslab/probability", "0", false },
	{ "failslab/task-filter", "Y", false },
	{ "failslab/verbose", "0", false },
	{ "fail_page_alloc/ignore-gfp-wait", "N", false },
	{ "fail_page_alloc/min-order", "0", false },
	{ "fail_page_alloc/probability", "0", false },
	{ "fail_page_alloc/task-filter", "Y", false },
	{ "fail_page_alloc/verbose", "0", false },
};

const char *fault_setup(void)
{
	const char *why = NULL;
	char *path;
	size_t i;
	int err;

	if (access("/proc/thread-self/fail-nth", W_OK))
		return "this kernel injects no faults (CONFIG_FAILSLAB, FAIL_PAGE_ALLOC)";
	for (i = 0; i < ARRAY_SIZE(setup) && !why; i++) {
		path = xasprintf("/sys/kernel/debug/%s", setup[i].file);
		err = write_text(path, setup[i].value);
		if (err && !setup[i].optional)
			why = xasprintf("%s: %s", path, strerror(-err));
		free(path);
	}
	return why;
}

int fault_open(void)
{
	return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

void fault_arm(int fd, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	/* Disarming may itself run into the fault: once. */
	if (pwrite(fd, text, len, 0) != len && pwrite(fd, text, len, 0) != len)
		_exit(EXIT_FAILED);
}

bool fault_disarm(int fd)
{
	char left = '?';

	if (pread(fd, &left, 1, 0) != 1 && pread(fd, &left, 1, 0) != 1)
		left = '0';
	fault_arm(fd, 0);
	return left == '0';
}
