// SPDX-License-Identifier: GPL-2.0
/*
 * Reading the profiler's ring while the kernel writes it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring.h"

static void *map(int fd, size_t size, const char *path)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die(EXIT_FAILED, "%s: mmap: %s", path, strerror(errno));
	return p;
}

/* What the ring's size has to be; 0: this is no ring, or one of another version. */
static size_t size_of(const struct ktrepl_profile_header *h)
{
	if (h->magic != KTREPL_PROFILE_MAGIC ||
	    h->version != KTREPL_PROFILE_VERSION ||
	    h->header_size < sizeof(*h) ||
	    h->record_size != sizeof(struct ktrepl_profile_record) ||
	    !h->nr_records || h->nr_records & (h->nr_records - 1))
		return 0;
	return h->header_size + (size_t)h->nr_records * h->record_size;
}

const char *profile_advice(int err)
{
	if (err == ENOENT)
		return " (modprobe ktrepl_profile)";
	return err == EACCES ? " (run as root)" : "";
}

static int open_ring(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(EXIT_UNAVAILABLE, "%s: %s%s", path, strerror(errno),
		    strcmp(path, RING_DEVICE) ? "" : profile_advice(errno));
	return fd;
}

void ring_open(struct ring *ring, const char *path)
{
	size_t page = sysconf(_SC_PAGESIZE);
	struct stat st;
	void *header;
	int fd;

	fd = open_ring(path);
	if (fstat(fd, &st))
		die(EXIT_FAILED, "%s: %s", path, strerror(errno));
	/* Beyond the end of a file there would be SIGBUS. */
	if (S_ISREG(st.st_mode) && (size_t)st.st_size < sizeof(*ring->header))
		die(EXIT_FAILED, "%s: too short for a ring", path);
	header = map(fd, page, path);
	ring->size = size_of(header);
	munmap(header, page);
	if (!ring->size)
		die(EXIT_FAILED, "%s: not a ring of version %d", path,
		    KTREPL_PROFILE_VERSION);
	if (S_ISREG(st.st_mode) && (size_t)st.st_size < ring->size)
		die(EXIT_FAILED, "%s: %lld bytes, and %zu are expected", path,
		    (long long)st.st_size, ring->size);
	ring->header = map(fd, ring->size, path);
	close(fd);
	ring->next = __atomic_load_n(&ring->header->position, __ATOMIC_ACQUIRE);
	ring->lost = 0;
}

void ring_close(struct ring *ring)
{
	munmap((void *)ring->header, ring->size);
}

/* The oldest record that is not being overwritten when @position is written next. */
static u64 oldest(const struct ring *ring, u64 position)
{
	u64 room = ring->header->nr_records - 1;

	return position > room ? position - room : 0;
}

void ring_rewind(struct ring *ring)
{
	ring->next = oldest(ring, ring->next);
}

bool ring_read(struct ring *ring, struct ktrepl_profile_record *record)
{
	const struct ktrepl_profile_header *h = ring->header;
	const struct ktrepl_profile_record *slots;
	u64 position;

	slots = (const void *)((const char *)h + h->header_size);
	/* Pairs with the kernel's smp_store_release() in profile_ring_write(). */
	position = __atomic_load_n(&h->position, __ATOMIC_ACQUIRE);
	while (ring->next < position) {
		*record = slots[ring->next & (h->nr_records - 1)];
		/*
		 * If any of it was of a newer record, the position tells. Pairs
		 * with the kernel's smp_wmb() before it writes a record.
		 */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		position = __atomic_load_n(&h->position, __ATOMIC_RELAXED);
		if (ktrepl_profile_intact(ring->next, position, h->nr_records)) {
			ring->next++;
			return true;
		}
		ring->lost += oldest(ring, position) - ring->next;
		ring->next = oldest(ring, position);
	}
	return false;
}
