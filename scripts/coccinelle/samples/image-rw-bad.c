// SPDX-License-Identifier: GPL-2.0
static void bad(void)
{
	set_memory_rw((unsigned long)_text, 1);
}
