// SPDX-License-Identifier: GPL-2.0
static void bad(void)
{
	arch_ktrepl_attach();
}
