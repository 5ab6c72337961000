/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What a monitor maps of /dev/ktrepl-profile: a header, and a ring of records at
 * its header_size. One record is of one node and one sample of all tasks that are
 * registered in /proc/ktrepl/profile/status.
 *
 * Record number N, from 0 on, is in slot N & (nr_records - 1). The header's
 * position is the number of records written so far. A monitor reads position with
 * acquire semantics, copies records below it, has a read barrier, and reads
 * position again: ktrepl_profile_intact() says whether what it has copied was
 * overwritten meanwhile.
 */
#ifndef _UAPI_LINUX_KTREPL_PROFILE_H
#define _UAPI_LINUX_KTREPL_PROFILE_H

#include <linux/types.h>

#define KTREPL_PROFILE_MAGIC	0x4652504b	/* "KPRF" in memory, little endian */
#define KTREPL_PROFILE_VERSION	1

/**
 * struct ktrepl_profile_header - the start of the mapping
 * @magic: KTREPL_PROFILE_MAGIC
 * @version: KTREPL_PROFILE_VERSION; another one may have another layout
 * @header_size: bytes from here to the first slot
 * @record_size: bytes of a slot
 * @nr_records: slots of the ring, a power of two
 * @rate: samples a second, as it is now
 * @position: records written since the module was loaded
 * @overruns: records overwritten since then: all but the last nr_records
 * @missed: samples that were due and not taken, because one before took too long
 * @tasks: processes registered
 * @pad: zero
 */
struct ktrepl_profile_header {
	__u32 magic;
	__u32 version;
	__u32 header_size;
	__u32 record_size;
	__u32 nr_records;
	__u32 rate;
	__u64 position;
	__u64 overruns;
	__u64 missed;
	__u32 tasks;
	__u32 pad;
};

/**
 * struct ktrepl_profile_record - what threads on one node did in one interval
 * @number: of this record
 * @time_ns: CLOCK_MONOTONIC at the sample; the same in the records of all nodes
 * @interval_ns: since the sample before
 * @minor: faults without I/O
 * @major: faults with I/O
 * @user_ns: CPU time in user mode
 * @system_ns: CPU time in the kernel
 * @node: where the threads were when the sample was taken
 * @threads: how many of them were there
 */
struct ktrepl_profile_record {
	__u64 number;
	__u64 time_ns;
	__u64 interval_ns;
	__u64 minor;
	__u64 major;
	__u64 user_ns;
	__u64 system_ns;
	__u32 node;
	__u32 threads;
};

/**
 * ktrepl_profile_intact - was a record whole while it was copied?
 * @number: of the record
 * @position: the header's, read after copying, and after a read barrier
 * @nr_records: the header's
 *
 * The record that is being written is number @position: it takes the slot of
 * number @position - @nr_records.
 *
 * Return: whether it was not being overwritten.
 */
static inline int ktrepl_profile_intact(__u64 number, __u64 position,
					__u32 nr_records)
{
	return number < position && position - number < nr_records;
}

#endif /* _UAPI_LINUX_KTREPL_PROFILE_H */
