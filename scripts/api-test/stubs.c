// SPDX-License-Identifier: GPL-2.0
/*
 * What a kernel without ktrepl gives its callers: all of the API compiles, with
 * the same types, and every answer is that of a machine without replicas.
 */

#undef CONFIG_KTREPL
#undef CONFIG_KTREPL_MODULES
#undef CONFIG_KTREPL_POKE_BATCH
#define CONFIG_KTREPL_POKE_BATCH 1

#include "ktrepl-sample.c"

#include <linux/ktrepl_poke.h>
#include <linux/mm.h>

int stubs_debug(void *text, struct page *page);

int stubs_debug(void *text, struct page *page)
{
	struct ktrepl_poke_site site = { .addr = text, .new = "", .len = 1 };
	struct ktrepl_poke_iter poke = { .pages[0][0] = page };
	unsigned int refused;
	struct ktrepl_diff diff;
	u8 byte;

	ktrepl_poke_first(&poke, (unsigned long)text, 1);
	do {
		*(u8 *)page_address(poke.pages[0][0]) = 0;
	} while (ktrepl_poke_next(&poke));

	BUILD_BUG_ON(ktrepl_compare(text, 1, &diff) || ktrepl_repair(text, 1) ||
		     ktrepl_print(text, 1));
	BUILD_BUG_ON(ktrepl_poke_sites(&site, 1, &refused) != -EOPNOTSUPP);
	return ktrepl_read(0, &byte, text, 1);
}
