#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/locality-plugin/report: what it makes of counts that are made up."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

REPORT = Path(__file__).resolve().parent.parent / "locality-plugin" / "report"
SYMBOLS = """ffffffff81000000 T _text
ffffffff81001000 T do_fork
ffffffff82000000 R table
ffffffff83000000 D _edata
"""
CALLS = ("code-here", "code-away", "fork")


def counted(away, user_away=False, unknown=0, remote=None, rodata=1000):
    """Members of struct counts: all of it from here, or from another node."""
    both = (0, 1000) if away else (1000, 0)
    if remote is not None:
        both = (1000000 - remote, remote)
    user = (0, 1000) if user_away else (1000, 0)
    return [*both * 4, *((0, rodata) if away else (rodata, 0)) * 2, *user * 2, *both * 2, unknown]


class Report(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.dir / "map").write_text(SYMBOLS)
        # By mode, call and CPU: CPU 1 is on node 1, and the kernel on node 0.
        self.counts = {
            (mode, call, cpu): counted(mode == "off" and cpu == 1, call == "code-away")
            for mode in ("off", "on") for call in CALLS for cpu in (0, 1)
        }
        self.places = ""
        self.boot = "boot\r\n"

    def run_it(self):
        """The exit status, and what is printed."""
        for mode in ("off", "on"):
            lines = [f"cpu {CALLS.index(call) + 1} {cpu} {cpu} " + " ".join(map(str, values))
                     for (m, call, cpu), values in self.counts.items() if m == mode]
            (self.dir / f"{mode}.counts").write_text("\n".join(lines) + "\n" + self.places)
            (self.dir / f"{mode}.log").write_text(self.boot + "".join(
                json.dumps({"cpu": cpu, "calls": {
                    call: {"phase": i + 1, "calls": 10} for i, call in enumerate(CALLS)
                }}, indent=1) + "\r\n" for cpu in (0, 1)))
        done = subprocess.run([sys.executable, REPORT, self.dir, self.dir / "map"],
                              capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def fails(self, text):
        """It says so."""
        status, printed = self.run_it()
        self.assertEqual(status, 1)
        self.assertIn(f"FAILED: {text}", printed)

    def test_good(self):
        status, printed = self.run_it()
        self.assertEqual(status, 0, printed)
        self.assertRegex(printed, r"\n1 +1 +100\.0000 % +0\.0000 %")
        result = json.loads((self.dir / "locality.json").read_text())
        self.assertEqual(result["off"]["by_call"]["fork"]["fetch"], [1000, 1000])
        self.assertEqual(result["off"]["bench"]["1"]["counts"]["fork"]["fetch"], [0, 1000])

    def test_quiet_boot(self):
        self.boot = ""
        self.assertEqual(self.run_it()[0], 0)
        result = json.loads((self.dir / "locality.json").read_text())
        self.assertEqual(result["off"]["calls"]["fork"], 20)

    def test_remote(self):
        self.counts["on", "fork", 1] = counted(False, remote=999)
        self.assertEqual(self.run_it()[0], 0)
        self.counts["on", "fork", 1] = counted(False, remote=1000)
        self.fails("on: CPU 1: 0.1000 % of fetch remote")

    def test_rodata(self):
        self.counts["on", "fork", 0][9] = 10
        self.fails("on: CPU 0: 0.9901 % of rodata remote")
        self.counts["on", "fork", 0] = counted(False, rodata=0)
        self.fails("on: CPU 0: - of rodata remote")

    def test_unknown(self):
        self.counts["off", "fork", 0] = counted(False, unknown=7)
        self.fails("off: 7 fetches are of unknown node")

    def test_control(self):
        self.counts["on", "code-away", 1] = counted(False, False)
        self.fails("on: code-away on CPU 1: 0.0000 % of user_fetch remote")
        del self.counts["on", "code-away", 1]
        self.fails("on: code-away on CPU 1: - of user_fetch remote")

    def test_off(self):
        self.counts["off", "fork", 1] = counted(False)
        self.fails("off: no CPU fetches from another node")

    def test_symbols(self):
        self.places = ("fetch ffffffff81001040 5 3 1 2\nfetch ffffffffc0000000 0 9 0 0\n"
                       "load ffffffff82000040 0 4 0 4\n")
        _, printed = self.run_it()
        for row in (r"do_fork +3 +2", r"\(modules, BPF, probes\) +9 +0", r"table +4 +4"):
            self.assertRegex(printed, row)

    def test_table(self):
        self.assertNotIn("loads of the table", self.run_it()[1])
        self.places = "table ffffffff81001004 5 3 1 2\n"
        status, printed = self.run_it()
        self.assertEqual(status, 0)
        self.assertRegex(printed, r"on +ffffffff81001004 +do_fork +5 +3 +1 +2")
        result = json.loads((self.dir / "locality.json").read_text())
        self.assertEqual(result["off"]["table"], [["do_fork", 5, 3, 1, 2]])
        self.assertEqual(result["off"]["by_call"]["fork"]["table"], [1000, 1000])


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(bool(bad))
