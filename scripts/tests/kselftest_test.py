#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/kselftest: what it reads from a log, and which differences it notices."""

import contextlib
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from loading import load

kselftest = load("kselftest")

LOG = """\
kselftest: on
kselftest: suite startup at 1.00
Running tests on trace events:
Testing event writeback_fail: OK
Testing tracer function: PASSED
Testing dynamic ftrace ops #1: PASSED
kselftest: end at 3.50
kselftest: suite kunit at 4.00
# list-test
KTAP version 1
1..1
    KTAP version 1
    # Subtest: list-kunit-test
    1..3
    ok 1 list_test_list_init
    # list_test_list_add: note
    ok 2 list_test_list_add
        KTAP version 1
        # Subtest: list_test_sizes
        ok 1 8 bytes
        not ok 2 16 bytes
    not ok 3 list_test_sizes
    ok 4 list_test_skips # SKIP no room
not ok 1 list-kunit-test
kselftest: end at 5.00
kselftest: suite mm at 6.00
TAP version 13
1..3
# timeout set to 900
# selftests: mm: mremap_test
# 1..2
# ok 1 256MB mremap, 0x7f1200000000
# ok 2 512MB mremap, 0x7f1300000000 # SKIP too big
ok 1 selftests: mm: mremap_test
# selftests: mm: crashes
# ok 1 comes this far
not ok 2 selftests: mm: crashes # exit=139
# selftests: mm: silent
# just words: ok 1 or not
ok 3 selftests: mm: silent # SKIP
# selftests: mm: asserts
# errno at assert: 2not ok 4 selftests: mm: asserts # exit=163
kselftest: end at 8.00
kselftest: suite x86 at 8.00
# selftests: x86: sigreturn_64
# [RUN]\tValid sigreturn: 64-bit CS (33), 32-bit SS (2b, GDT)
# [OK]\tall registers okay
# [FAIL]\tselector mismatch
# [SKIP]\tthe test requires LAM
not ok 1 selftests: x86: sigreturn_64 # exit=1
kselftest: end at 9.00
kselftest: suite bpf at 9.00
# selftests: bpf: test_progs
# test_loops:FAIL:count unexpected count: actual 1 != expected 2
# #3/1     fentry_test/fentry:OK
# #3/2     fentry_test/many args -> 1/2:SKIP
# #3       fentry_test:OK (SKIP: 1/2)
# #12      recursion:OK
# #14/1    tailcalls/loops:FAIL
# #14      tailcalls:FAIL
# #15      xdp:FAIL
#
# All error logs:
# #14/1    tailcalls/loops:FAIL
# #14      tailcalls:FAIL
# #15      xdp:FAIL
# Summary: 2/1 PASSED, 1 SKIPPED, 2 FAILED
not ok 1 selftests: bpf: test_progs # exit=1
kselftest: end at 9.00
kselftest: suite kernel at 9.00
[FAIL] WARNING: CPU: 3 PID: 911 at kernel/trace/ftrace.c:2
kselftest: end at 9.00
kselftest: done
"""


class Kselftest(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def read(self, text):
        """The suites of a log."""
        (self.dir / "log").write_text(text)
        return kselftest.read(self.dir / "log")

    def judge(self, off, on, least=(), differs=()):
        """The exit code, and what is printed."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = kselftest.judge({"off": self.read(off), "on": self.read(on)},
                                   dict(least), differs)
        return code, out.getvalue()

    def test_counts(self):
        """Parts count, and a test that fails with none of them failing."""
        suites = self.read(LOG.replace("\n", "\r\n"))
        counts = {name: [suite.count(status) for status in ("pass", "fail", "skip")]
                  for name, suite in suites.items()}
        self.assertEqual(counts, {"startup": [3, 0, 0], "kunit": [3, 1, 1], "mm": [2, 2, 2],
                                  "x86": [1, 1, 1], "bpf": [2, 2, 1], "kernel": [0, 1, 0]})
        self.assertEqual(suites["startup"].seconds, 2.5)
        self.assertIn(("list_test_sizes: 16 bytes", "fail"), suites["kunit"].results)
        self.assertIn(("crashes", "fail"), suites["mm"].results)
        self.assertIn(("asserts", "fail"), suites["mm"].results)
        self.assertIn(("sigreturn_64: selector mismatch", "fail"), suites["x86"].results)
        self.assertIn(("fentry_test: many args -> 1/2", "skip"), suites["bpf"].results)
        self.assertEqual(suites["bpf"].results["tailcalls: loops", "fail"], 1)

    def test_startup_in_two(self):
        """What another message parts is one result, and nothing is what has no start."""
        whole = "Testing tracer function: PASSED\n"
        for verdict, results in ("PASSED", (3, 0)), ("FAILED!", (2, 1)), ("Testing x:", (2, 0)):
            suite = self.read(LOG.replace(whole, f"Testing tracer function: \n{verdict}\n"))["startup"]
            self.assertEqual((suite.count("pass"), suite.count("fail")), results)
        suite = self.read(LOG.replace(whole, whole + " PASSED\n"))["startup"]
        self.assertEqual(suite.count("pass"), 3)

    def test_same(self):
        """Addresses, numbers of processes and times differ, results do not."""
        other = LOG.replace("0x7f1200000000", "0x7fff00000000").replace("PID: 911", "PID: 17")
        code, out = self.judge(LOG, other.replace("at 3.50", "at 4.00"))
        self.assertEqual(code, 0)
        self.assertIn("differences from off: 0", out)
        self.assertTrue(out.endswith("\n11 passed, 0 failed, 5 skipped\n"), out)

    def test_differences(self):
        """One garbled line is one difference, whichever way."""
        for was, becomes in (("    ok 1 list_test_list_init", "    not ok 1 list_test_list_init"),
                             ("        not ok 2 16 bytes", "        ok 2 16 bytes"),
                             ("# ok 2 512MB mremap, 0x7f1300000000 # SKIP too big",
                              "# ok 2 512MB mremap, 0x7f1300000000"),
                             ("# ok 1 comes this far\n", ""),
                             ("ok 3 selftests: mm: silent # SKIP", "ok 3 selftests: mm: silent"),
                             ("# [OK]\tall registers okay", "# [FAIL]\tall registers okay"),
                             ("# #3/1     fentry_test/fentry:OK", "# #3/1     fentry_test/fentry:FAIL"),
                             ("Testing tracer function: PASSED", "Testing tracer function: FAILED!"),
                             ("kselftest: end at 8.00",
                              "[FAIL] replicas are equal\nkselftest: end at 8.00"),
                             ("[FAIL] WARNING:", "[FAIL] BUG:")):
            with self.subTest(becomes):
                garbled = LOG.replace(was, becomes)
                self.assertNotEqual(LOG, garbled)
                for logs in ((LOG, garbled), (garbled, LOG)):
                    code, out = self.judge(*logs)
                    self.assertEqual(code, 1, out)
                    self.assertIn("DIFFERS", out)

    def test_suite_lost(self):
        """A suite that is not there differs."""
        start, end = LOG.index("kselftest: suite mm"), LOG.index("kselftest: suite x86")
        self.assertEqual(self.judge(LOG, LOG[:start] + LOG[end:])[0], 1)

    def test_known(self):
        """What is known to differ does not fail; another result does."""
        garbled = LOG.replace("# ok 1 256MB", "# not ok 1 256MB")
        self.assertEqual(self.judge(LOG, garbled, differs=["mm: mremap_test: *"])[0], 0)
        self.assertEqual(self.judge(LOG, garbled, differs=["x86: *"])[0], 1)

    def test_least(self):
        """Fewer passes of a suite than expected, or none of one that is not there."""
        self.assertEqual(self.judge(LOG, LOG, least={"startup": 3, "mm": 2})[0], 0)
        for least in {"startup": 3, "mm": 3}, {"rseq": 1}:
            code, out = self.judge(LOG, LOG, least=least)
            self.assertEqual(code, 1)
            self.assertIn("differences from off: 0", out)

    def test_asked_for(self):
        """Of the suites that do not run nothing is expected."""
        least = {"mm": 2, "x86": 1}
        self.assertEqual(kselftest.asked_for(least, ""), least)
        self.assertEqual(kselftest.asked_for(least, "ftrace=nop ktrepl_suites=x86,lib"), {"x86": 1})

    def test_incomplete(self):
        """A boot that has not come to the end is no result."""
        with self.assertRaisesRegex(SystemExit, "not all tests have run"):
            self.read(LOG.replace("kselftest: done", ""))

    def test_expectation(self):
        """The file of what is expected, and a line that is not known."""
        path = self.dir / "expected"
        path.write_text("# reason\npassed mm 12\npassed x86 3\ndiffers mm: mremap_test: *  # why\n")
        self.assertEqual(kselftest.expectation(path), ({"mm": 12, "x86": 3}, ["mm: mremap_test: *"]))
        for line in "passes mm 12", "passed 12":
            path.write_text(f"{line}\n")
            with self.assertRaisesRegex(SystemExit, line):
                kselftest.expectation(path)

    def test_mode(self):
        """A log of another mode, or none, is refused."""
        (self.dir / "off").mkdir()
        with mock.patch.dict(os.environ, TOPOLOGY="2n4c"):
            with self.assertRaisesRegex(SystemExit, "there is no"):
                kselftest.log_of("off", self.dir)
            (self.dir / "off" / "kselftest-2n4c.log").write_text(LOG)
            with self.assertRaisesRegex(SystemExit, "replication was not off"):
                kselftest.log_of("off", self.dir)


if __name__ == "__main__":
    unittest.main()
