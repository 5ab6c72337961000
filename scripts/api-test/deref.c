// SPDX-License-Identifier: GPL-2.0
/*
 * sparse warns of this: a handle is no pointer to the contents.
 */

#include <linux/ktrepl.h>
#include <linux/module.h>

struct deref {
	int x;
};

DEFINE_REPLICATED(struct deref, deref) = { 1 };

int deref_plain(void);

int deref_plain(void)
{
	return deref->x;
}

MODULE_DESCRIPTION("A plain dereference of a replicated object");
MODULE_LICENSE("GPL");
