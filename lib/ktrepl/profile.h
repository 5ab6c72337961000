/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the KUnit tests of the profiler see of it.
 */
#ifndef _LIB_KTREPL_PROFILE_H
#define _LIB_KTREPL_PROFILE_H

#include <linux/types.h>
#include <uapi/linux/ktrepl_profile.h>

#if IS_ENABLED(CONFIG_KUNIT)
int profile_parse(const char *text, char *verb, pid_t *nr);
int profile_command(const char *text);
u64 profile_next_sample(u64 elapsed, unsigned int hz, unsigned int rate);
struct ktrepl_profile_header *profile_ring_alloc(unsigned int nr);
void profile_ring_write(struct ktrepl_profile_header *header,
			const struct ktrepl_profile_record *record);
#endif

#endif /* _LIB_KTREPL_PROFILE_H */
