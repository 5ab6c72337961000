// SPDX-License-Identifier: GPL-2.0
static void good(unsigned long addr)
{
	set_memory_rw(addr, 1);
}
