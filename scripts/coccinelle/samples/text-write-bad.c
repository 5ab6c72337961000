// SPDX-License-Identifier: GPL-2.0
static void bad(struct ktrepl_set *set, void *src)
{
	struct page *page;

	page = ktrepl_set_copy(set, 1, 0);
	memcpy(page_address(page), src, 4);
}
