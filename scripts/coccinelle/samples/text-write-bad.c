// SPDX-License-Identifier: GPL-2.0
static void bad(struct ktrepl_region *region, void *src)
{
	struct page *page;

	page = ktrepl_region_replica(region, 1, 0);
	memcpy(page_address(page), src, 4);
}
