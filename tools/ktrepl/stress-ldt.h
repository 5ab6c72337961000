/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Local descriptor tables, where there are any.
 */
#ifndef KTREPL_TOOLS_STRESS_LDT_H
#define KTREPL_TOOLS_STRESS_LDT_H

#include <stdbool.h>

#ifdef __x86_64__

#include <asm/ldt.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LDT_MAGIC	0x1d7e57
#define LDT_OBSTACLE	"no modify_ldt() (CONFIG_MODIFY_LDT_SYSCALL)"

/*
 * Make @entry a segment over a word of our own, read the word through it and
 * ask for the segment's limit; clear the entry again. %gs is not used by 64-bit
 * C libraries.
 */
static inline bool ldt_try(unsigned int entry)
{
	unsigned short selector = entry << 3 | 7, old;
	struct user_desc desc;
	unsigned int *word, seen = 0, limit = 0;
	bool ok = false;

	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (word == MAP_FAILED)
		return false;
	*word = LDT_MAGIC + entry;
	memset(&desc, 0, sizeof(desc));
	desc.entry_number = entry;
	desc.base_addr = (unsigned long)word;
	desc.limit = 4095;
	desc.seg_32bit = 1;
	desc.useable = 1;
	if (!syscall(SYS_modify_ldt, 1, &desc, sizeof(desc))) {
		asm volatile("movw %%gs, %[old]\n\t"
			     "movw %[selector], %%gs\n\t"
			     "movl %%gs:0, %[seen]\n\t"
			     "lsl %k[wide], %[limit]\n\t"
			     "movw %[old], %%gs"
			     : [old] "=&r" (old), [seen] "=&r" (seen),
			       [limit] "=&r" (limit)
			     : [selector] "r" (selector),
			       [wide] "r" ((unsigned int)selector)
			     : "memory", "cc");
		ok = seen == LDT_MAGIC + entry && limit == 4095;
		memset(&desc, 0, sizeof(desc));
		desc.entry_number = entry;
		desc.read_exec_only = 1;
		desc.seg_not_present = 1;
		if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)))
			ok = false;
	}
	munmap(word, 4096);
	return ok;
}

static inline bool ldt_works(void)
{
	return ldt_try(0);
}

#else

#define LDT_OBSTACLE	"this architecture has no local descriptor tables"

static inline bool ldt_try(unsigned int entry)
{
	(void)entry;
	return false;
}

static inline bool ldt_works(void)
{
	return false;
}

#endif

#endif /* KTREPL_TOOLS_STRESS_LDT_H */
