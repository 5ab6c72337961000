#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/bench-counts/compare: what fails, what passes, what is written."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

COMPARE = Path(__file__).resolve().parent.parent / "bench-counts" / "compare"
CONFIG = """#
# Linux/x86_64 6.12.117 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc (Debian 12.2.0-14) 12.2.0"
"""


class Compare(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.dir / ".config").write_text(CONFIG)

    def run_on(self, what, least, median, call="fork"):
        """The exit status and the last line, where "off" has not changed."""
        for state, result in (("off", (1000, 1000)), ("on", (least, median))):
            calls = {call: dict(zip(("min", "median"), result))}
            (self.dir / f"{state}.json").write_text(json.dumps({"calls": calls}))
        done = subprocess.run([COMPARE, what, self.dir / "counts", self.dir, self.dir],
                              capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()[-1]

    def test_gate(self):
        self.assertEqual(self.run_on("record", 2000, 3000)[0], 0)
        for least, median, failed in ((2000, 3000, 0), (2010, 3015, 0), (2011, 3016, 1),
                                      (2020, 3030, 1), (2020, 3000, 0), (2000, 3030, 0),
                                      (1000, 1500, 0)):
            self.assertEqual(self.run_on("gate", least, median),
                             (failed, f"{2 - failed} passed, {failed} failed, 0 skipped"))

    def test_not_on_file(self):
        self.assertEqual(self.run_on("gate", 1, 1), (0, "0 passed, 0 failed, 2 skipped"))
        self.run_on("record", 2000, 3000)
        self.assertEqual(self.run_on("gate", 1, 1, "exec"),
                         (0, "0 passed, 0 failed, 2 skipped"))
        (self.dir / ".config").write_text(CONFIG.replace("12.2.0\"", "14.2.0\""))
        self.assertEqual(self.run_on("gate", 1, 1), (0, "0 passed, 0 failed, 2 skipped"))

    def test_record_keeps_others(self):
        self.run_on("record", 2000, 3000)
        (self.dir / ".config").write_text(CONFIG.replace("12.2.0\"", "14.2.0\""))
        self.run_on("record", 4000, 5000)
        text = (self.dir / "counts").read_text()
        self.assertIn("gcc-12.2.0 6.12.117 on fork 2000 3000\n", text)
        self.assertIn("gcc-14.2.0 6.12.117 on fork 4000 5000\n", text)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(bool(bad))
