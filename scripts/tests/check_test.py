#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/check: what it takes for a failure, what it runs, and when."""

import contextlib
import io
import re
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree
from argparse import Namespace
from pathlib import Path

from loading import SCRIPTS, load

CHECK = SCRIPTS / "check"
check = load("check")


def counts(result):
    return result.passed, result.failed, result.skipped


class Judge(unittest.TestCase):
    def judge(self, status, output, **facts):
        return counts(check.judge(check.Cell("cell", [], **facts), status, output))

    def test_exit_status_without_counts(self):
        self.assertEqual(self.judge(0, b"fine\n"), (1, 0, 0))
        self.assertEqual(self.judge(1, b"fine\n"), (0, 1, 0))

    def test_last_counts(self):
        self.assertEqual(self.judge(0, b"1 passed, 0 failed\n7 passed, 0 failed, 2 skipped\n"),
                         (7, 0, 2))
        self.assertEqual(self.judge(1, b"7 passed, 3 failed, 2 skipped\n"), (7, 3, 2))

    def test_failure_behind_good_counts(self):
        self.assertEqual(self.judge(1, b"7 passed, 0 failed, 2 skipped\n"), (7, 1, 2))

    def test_mutant_that_is_seen(self):
        self.assertEqual(self.judge(1, b"x\nproof: FAILED: ktrinfo\n", mutant="proof"), (1, 0, 0))
        self.assertEqual(self.judge(1, b"gate: x: a.a_b: FAIL\n3 passed, 1 failed\n",
                                    mutant="a_b"), (1, 0, 0))

    def test_mutant_that_survives(self):
        self.assertEqual(self.judge(0, b"proof: passed\n", mutant="proof"), (0, 1, 0))
        self.assertEqual(self.judge(0, b"proof: FAILED: no\n", mutant="proof"), (0, 1, 0))

    def test_mutant_that_fails_otherwise(self):
        for output in (b"run: the guest gave no exit code\n",
                       b"Kernel panic: this kernel has no mutant x\n", b"proof: FAILED: x\n",
                       b"kernel BUG at x\n# a_b: EXPECTATION FAILED at x\n",
                       b"gate: x: a.a_c: FAIL\n", b"gate: x: a.a_bb: FAIL\n",
                       b"gate: x: a.b: FAIL\n", b"gate: x: a.a_b: skipped, not expected to be\n"):
            self.assertEqual(self.judge(1, output, mutant="a_b"), (0, 1, 0), output)
            cell = check.Cell("cell", [], mutant="a_b")
            self.assertEqual(check.judge(cell, 1, output).complaints[0],
                             "failed for another reason")


class Select(unittest.TestCase):
    def names(self, *cells, **options):
        options = {"all": False, "again": False, **options}
        return [c.name for c in check.select(Namespace(cells=cells, **options))]

    def test_unknown_cell(self):
        with self.assertRaisesRegex(SystemExit, "no cell nosuch"):
            self.names("x86_64-run-2n4c", "nosuch")

    def test_needs_come_along(self):
        self.assertEqual(self.names("x86_64-run-2n4c"),
                         ["x86_64-setup", "x86_64-build-run", "x86_64-run-2n4c"])

    def test_again_needs_nothing(self):
        self.assertEqual(self.names("x86_64-run-2n4c", again=True), ["x86_64-run-2n4c"])

    def test_repeats(self):
        self.assertEqual(self.names("2*x86_64-run-2n4c", "x86_64-run-2n*", again=True),
                         [f"x86_64-run-2n4c.{n}" for n in (1, 2, 3)])
        self.assertEqual(self.names("2*x86_64-build-run", again=True), ["x86_64-build-run"])

    def test_needs_exist(self):
        table = check.all_cells()
        for cell in table.values():
            for name in cell.needs:
                self.assertIn(name, table)

    def test_check_all_has_all(self):
        usual, everything = self.names(), self.names(all=True)
        self.assertEqual(everything, list(check.all_cells()))
        self.assertLess(set(usual), set(everything))

    def test_every_mutant_has_a_cell(self):
        table = check.all_cells()
        for path in (check.ROOT / "kunit" / "mutants").glob("[a-z]*.patch"):
            text = path.read_text()
            case = re.search("# case: (.*)", text) or re.search("# must fail: (.*)", text)
            for arch in re.search("# architectures: (.*)", text)[1].split():
                self.assertEqual(table[f"{arch}-mutant-{path.stem}"].mutant, case[1])
                self.assertFalse(table[f"{arch}-mutant-none-proof"].mutant)

    def test_a_handful_of_mutants_is_usual(self):
        table = check.all_cells()
        mutants = [cell for cell in table.values() if cell.mutant]
        for arch in ("x86_64", "arm64"):
            some = [check.suite_of(cell.mutant) for cell in mutants
                    if cell.usual and cell.name.startswith(arch)]
            self.assertEqual(sorted(some), sorted({check.suite_of(cell.mutant) for cell in mutants
                                                   if cell.name.startswith(arch)
                                                   and "CONFIG" not in cell.settings}))


class Run(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        check.LOGS = Path(self.scratch.name)

    def run_cells(self, *cells):
        self.said = io.StringIO()
        with contextlib.redirect_stdout(self.said):
            self.results = check.Runner(cells)()
        return {cell.name: result for cell, result in self.results}

    def shell(self, name, script, **facts):
        return check.Cell(name, ["sh", "-c", script], **facts)

    def test_one_failure_fails_all(self):
        self.run_cells(self.shell("good", "exit 0"), self.shell("bad", "echo BUG; exit 3"))
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(check.report(self.results, 1), 1)
        self.assertIn("bad: BUG\n1 passed, 1 failed, 0 skipped\n", said.getvalue())

    def test_mutants_are_counted(self):
        self.run_cells(self.shell("good", "exit 0"),
                       self.shell("dead", "echo proof: FAILED; exit 1", mutant="proof"),
                       self.shell("alive", "exit 0", mutant="proof"))
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(check.report(self.results, 1), 1)
        self.assertIn("alive: not seen\n2 mutants, 1 seen by the case that each names\n",
                      said.getvalue())

    def test_order_of_the_table(self):
        self.run_cells(self.shell("slow", "sleep 0.3"), self.shell("fast", "exit 0"),
                       self.shell("build", "exit 0", builds=True))
        self.assertEqual([cell.name for cell, _ in self.results], ["slow", "fast", "build"])

    def test_nothing_runs_on_what_failed(self):
        results = self.run_cells(self.shell("kernel", "exit 1", builds=True),
                                 self.shell("boot", "echo 5 passed, 0 failed", needs=("kernel",)),
                                 self.shell("mutant", "echo proof: FAILED; exit 1",
                                            needs=("kernel",), mutant="proof"))
        for name in ("boot", "mutant"):
            self.assertEqual(counts(results[name]), (0, 1, 0))
            self.assertEqual(results[name].complaints, ["not run: kernel failed"])

    def test_needs_come_first(self):
        there = f"test -e {self.scratch.name}/there"
        results = self.run_cells(self.shell("boot", there, needs=("kernel",)),
                                 self.shell("kernel", "sleep 0.2; " + there.replace("test -e", "touch"),
                                            builds=True))
        self.assertEqual(counts(results["boot"]), (1, 0, 0))

    def test_one_build_and_one_boot_at_a_time(self):
        lock = "mkdir {0}/{1} && sleep 0.5 && rmdir {0}/{1}"
        cells = [self.shell(f"{kind}{n}", lock.format(self.scratch.name, kind), builds=kind == "build")
                 for kind in ("build", "boot") for n in range(3)]
        start = time.monotonic()
        results = self.run_cells(*cells)
        self.assertEqual({counts(r) for r in results.values()}, {(1, 0, 0)})
        self.assertLess(time.monotonic() - start, 2.5)      # one by one, 3 s

    def test_environment(self):
        check.os.environ["APPEND"] = "of the user's"
        self.addCleanup(check.os.environ.pop, "APPEND")
        results = self.run_cells(
            self.shell("own", 'test -z "$APPEND" -a "$CPU" = x -a "${OUT##*/}" = own',
                       settings={"CPU": "x"}))
        self.assertEqual(counts(results["own"]), (1, 0, 0))

    def test_missing_command(self):
        with self.assertRaises(FileNotFoundError):
            self.run_cells(check.Cell("none", ["./nosuch"]))

    def test_junit(self):
        self.run_cells(self.shell("good", "exit 0"),
                       self.shell("bad", r"printf '\033[1mBUG\000\n'; exit 1"))
        path = check.LOGS / "junit.xml"
        check.junit(self.results, path)
        suite = ElementTree.parse(path).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("2", "1"))
        self.assertIn("BUG", suite.find("testcase[@name='bad']/failure").text)


if __name__ == "__main__":
    unittest.main()
