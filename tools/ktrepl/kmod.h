/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel modules: what modules.dep lists, loaded and unloaded by system calls of
 * the calling thread, so that it decides on which CPU.
 *
 * The directory is /lib/modules/RELEASE or $KTREPL_MODULES.
 */
#ifndef KTREPL_TOOLS_KMOD_H
#define KTREPL_TOOLS_KMOD_H

#include "common.h"

struct kmod {
	char *name;		/* as the kernel has it: with _ for - */
	struct words paths;	/* its own, and those of what it needs */
	bool loaded;		/* by us */
	bool foreign;		/* by others */
	bool usable;		/* for the caller */
};

struct kmods {
	char *dir, *text;
	struct kmod *m;
	size_t nr;
};

/* 0 or -errno; the directory is known in any case. */
int kmods_read(struct kmods *list);
void kmods_free(struct kmods *list);
struct kmod *kmods_find(const struct kmods *list, const char *name);

/* With what it needs. 0 or -errno: -EEXIST if others have loaded it. */
int kmod_load(const struct kmods *list, struct kmod *m);
/* Only what we have loaded. 0 or -errno: -EWOULDBLOCK if it is in use. */
int kmod_unload(struct kmod *m);

#endif /* KTREPL_TOOLS_KMOD_H */
