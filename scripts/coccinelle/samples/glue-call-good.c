// SPDX-License-Identifier: GPL-2.0
static void good(void *addr, void *src)
{
	ktrepl_poke(addr, src, 4);
}
