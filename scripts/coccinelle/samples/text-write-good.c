// SPDX-License-Identifier: GPL-2.0
static void good(struct ktrepl_set *set, void *src)
{
	struct page *page;

	page = ktrepl_set_copy(set, 1, 0);
	arch_ktrepl_write(page, 0, src, 4);
}
