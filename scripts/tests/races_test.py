#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/races: which of KCSAN's reports are of ktrepl."""

import unittest

from loading import load

races = load("races")
LINE = "=" * 66
REPORT = """{line}
BUG: KCSAN: data-race in {0} / {2}

write to 0xffff888003a1b2c0 of 8 bytes by task 61 on cpu 0:
 {0}+0x12/0x40
 {1}+0x1/0x2

read to 0xffff888003a1b2c0 of 8 bytes by interrupt on cpu 3:
 {2}+0x12/0x40
 {3}+0x1/0x2

value changed: 0x0000000000000000 -> 0x0000000000000001

Reported by Kernel Concurrency Sanitizer on:
CPU: 3 UID: 0 PID: 61 Comm: ktrepl-stress Not tainted 6.12.117 #1
{line}
"""
UNKNOWN = """{line}
BUG: KCSAN: data-race in {0}+0x12/0x40

race at unknown origin, with read to 0xffff888003a1b2c0 of 4 bytes by task 1 on cpu 1:
 {0}+0x12/0x40
 {1}+0x1/0x2

Reported by Kernel Concurrency Sanitizer on:
{line}
"""


def ours(text, *functions):
    """Whether each report of a console is of ktrepl."""
    console = f"x\n{text.format(*functions, line=LINE)}y\n"
    # As the console of a guest has it, with and without the time.
    console = "".join(f"{stamp}{line}\r\n" for stamp in ("", "[   12.345678] ")
                      for line in console.splitlines())
    return [report.ours() for report in races.reports(console)]


class Reports(unittest.TestCase):
    """Two accesses, or one."""

    def test_others(self):
        """Of functions of others, though a program of ours runs them."""
        self.assertEqual(ours(REPORT, "ktime_get", "a", "tick", "b"), [False, False])
        self.assertEqual(ours(UNKNOWN, "ktime_get", "a"), [False, False])

    def test_access(self):
        """One of the accesses is ours, also in a part that gcc has split off."""
        self.assertEqual(ours(REPORT, "ktrepl_node_build", "a", "tick", "b"), [True, True])
        self.assertEqual(ours(REPORT, "tick", "a", "__ktrepl_sync_range.part.0", "b"), [True, True])
        self.assertEqual(ours(UNKNOWN, "arch_ktrepl_attach", "a"), [True, True])

    def test_callers(self):
        """Ours leads to the one access, or to both."""
        self.assertEqual(ours(REPORT, "memcpy", "ktrepl_verify", "tick", "b"), [False, False])
        self.assertEqual(ours(REPORT, "memcpy", "ktrepl_verify", "memcmp", "ktrepl_poke"),
                         [True, True])

    def test_interrupt(self):
        """What an interrupt has come in behind leads to no access of its."""
        for entry in ("asm_sysvec_apic_timer_interrupt", "el1h_64_irq"):
            behind = f"{entry}+0x1/0x2\n ktrepl_sync"
            self.assertEqual(ours(REPORT, "tick", behind, "ktime_get", "ktrepl_poke"),
                             [False, False])
            self.assertEqual(ours(REPORT, "tick", "ktrepl_ipi+0x1/0x2\n " + behind,
                                  "ktime_get", "ktrepl_poke"), [True, True])


if __name__ == "__main__":
    unittest.main()
