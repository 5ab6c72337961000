// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel modules, as the ktrepl programs load and unload them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kmod.h"

#define MAX_DEPTH	32	/* of modules that need others */

static char *modules_dir(void)
{
	const char *dir = getenv("KTREPL_MODULES");
	struct utsname uts;

	if (dir && *dir)
		return xstrdup(dir);
	return xasprintf("/lib/modules/%s", uname(&uts) ? "" : uts.release);
}

/* "kernel/lib/test-a.ko.xz" is test_a. */
static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = xstrdup(slash ? slash + 1 : path);
	char *end = strstr(name, ".ko");
	char *p;

	if (end)
		*end = '\0';
	for (p = name; *p; p++) {
		if (*p == '-')
			*p = '_';
	}
	return name;
}

/* "PATH: NEEDED-PATH..."; other lines are skipped. */
static void add_line(struct kmods *list, char *line)
{
	struct words words;
	size_t len;

	words_split(line, &words);
	len = words.nr ? strlen(words.w[0]) : 0;
	if (len < 2 || words.w[0][len - 1] != ':') {
		words_free(&words);
		return;
	}
	words.w[0][len - 1] = '\0';
	list->m = xgrow(list->m, list->nr, sizeof(*list->m));
	list->m[list->nr++] = (struct kmod) {
		.name = name_of(words.w[0]),
		.paths = words,
	};
}

int kmods_read(struct kmods *list)
{
	char *path, *rest, *line;
	int err = 0;

	memset(list, 0, sizeof(*list));
	list->dir = modules_dir();
	path = xasprintf("%s/modules.dep", list->dir);
	list->text = read_text(path, NULL);
	if (!list->text)
		err = -errno;
	free(path);
	rest = list->text;
	while (rest && (line = strsep(&rest, "\n")))
		add_line(list, line);
	return err;
}

void kmods_free(struct kmods *list)
{
	size_t i;

	for (i = 0; i < list->nr; i++) {
		free(list->m[i].name);
		words_free(&list->m[i].paths);
	}
	free(list->m);
	free(list->text);
	free(list->dir);
}

struct kmod *kmods_find(const struct kmods *list, const char *name)
{
	char *wanted = name_of(name);
	struct kmod *found = NULL;
	size_t i;

	for (i = 0; i < list->nr && !found; i++) {
		if (!strcmp(list->m[i].name, wanted))
			found = &list->m[i];
	}
	free(wanted);
	return found;
}

static int insert(const struct kmods *list, const char *path)
{
	const char *dir = *path == '/' ? "" : list->dir;
	char *full = xasprintf("%s/%s", dir, path);
	size_t len = strlen(path);
	bool plain = len > 3 && !strcmp(path + len - 3, ".ko");
	int fd = open(full, O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0 || syscall(SYS_finit_module, fd, "",
			      plain ? 0 : MODULE_INIT_COMPRESSED_FILE))
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(full);
	return err;
}

static int load(const struct kmods *list, struct kmod *m, unsigned int depth)
{
	struct kmod *needed;
	size_t i;
	int err;

	if (m->foreign)
		return -EEXIST;
	if (m->loaded)
		return 0;
	if (!depth)
		return -ELOOP;
	/* modules.dep ends with what is needed first. */
	for (i = m->paths.nr - 1; i; i--) {
		needed = kmods_find(list, m->paths.w[i]);
		err = needed ? load(list, needed, depth - 1) : -ENOENT;
		if (err && err != -EEXIST)
			return err;
	}
	err = insert(list, m->paths.w[0]);
	m->loaded = !err;
	m->foreign = err == -EEXIST;
	return err;
}

int kmod_load(const struct kmods *list, struct kmod *m)
{
	return load(list, m, MAX_DEPTH);
}

int kmod_unload(struct kmod *m)
{
	if (!m->loaded)
		return -ENOENT;
	if (syscall(SYS_delete_module, m->name, O_NONBLOCK) && errno != ENOENT)
		return -errno;
	m->loaded = false;
	return 0;
}
