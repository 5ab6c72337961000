/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The cheapest clock of the machine. Under QEMU's -icount shift=0 its ticks are
 * instructions: x86's TSC always, arm64's counter with -cpu max,cntfrq=1000000000.
 */
#ifndef KTREPL_TOOLS_TIMER_H
#define KTREPL_TOOLS_TIMER_H

#if defined(__x86_64__)

#define TIMER_NAME	"tsc"

static inline unsigned long long timer_read(void)
{
	unsigned int low, high;

	asm volatile("lfence; rdtsc" : "=a" (low), "=d" (high) : : "memory");
	return (unsigned long long)high << 32 | low;
}

#elif defined(__aarch64__)

#define TIMER_NAME	"cntvct"

static inline unsigned long long timer_read(void)
{
	unsigned long long v;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r" (v) : : "memory");
	return v;
}

#else

#include <time.h>

#define TIMER_NAME	"monotonic"

static inline unsigned long long timer_read(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

#endif

#endif /* KTREPL_TOOLS_TIMER_H */
