// SPDX-License-Identifier: GPL-2.0
static void good(struct ktrepl_region *region, void *src)
{
	struct page *page;

	page = ktrepl_region_replica(region, 1, 0);
	arch_ktrepl_write(page, 0, src, 4);
}
