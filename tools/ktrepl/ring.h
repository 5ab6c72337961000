/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The profiler's ring of records, mapped from its device or from a file of the same
 * layout.
 */
#ifndef KTREPL_TOOLS_RING_H
#define KTREPL_TOOLS_RING_H

#include <linux/ktrepl_profile.h>

#include "common.h"

#define RING_DEVICE	"/dev/ktrepl-profile"
#define PROFILE_STATUS	"/proc/ktrepl/profile/status"

struct ring {
	const struct ktrepl_profile_header *header;
	size_t size;
	u64 next;		/* number of the record to read next */
	u64 lost;		/* overwritten before they were read */
};

/* What helps when a file of the profiler's cannot be used for this errno, or "". */
const char *profile_advice(int err);
/* Ends the program if @path is no ring. The next record is the next to come. */
void ring_open(struct ring *ring, const char *path);
void ring_close(struct ring *ring);
/* The next record is the oldest that there is. */
void ring_rewind(struct ring *ring);
/* False: there is none yet. */
bool ring_read(struct ring *ring, struct ktrepl_profile_record *record);

#endif /* KTREPL_TOOLS_RING_H */
