#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/conformance: this tree has no gap, and each kind of gap is named."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from loading import SCRIPTS, load

SCRIPT = SCRIPTS / "conformance"
conformance = load("conformance")

RULES = "Documentation/core-api/ktrepl.rst"
GUIDE = "Documentation/core-api/ktrepl-porting.rst"
HEADER = "include/linux/ktrepl_arch.h"
TEST = "kunit/a-test.c"
GUEST = "scripts/guest/proof"
MUTANT = "kunit/mutants/one.patch"
TREE = {
    RULES: "Rules\n=====\n\n- R1: nothing is\n  lost\n\nLife\n=====\n\n- R9: no rule\n",
    GUIDE: "- M1, with ROOTS: a call\n\nClauses\n=======\n\n==  ==\nF0  facts\nM1  calls\n==  ==\n",
    HEADER: "/* [F0] facts */\n",
    TEST: """/*
 * [R1] [F0]: nothing is
 */
static void a_lost(struct kunit *test)
{
}
#else
static void a_lost(struct kunit *test)
{
}
	KUNIT_CASE_SLOW(a_lost),
""",
    GUEST: "#!/bin/sh\n# [M1]: it calls\n[ -e R1 ]\n",
    MUTANT: "It is.\n# must fail: suites\n# rule: R1 F0\n# case: a_lost\n",
    "kunit/mutants/two.patch": "It does not call.\n# must fail: proof\n# rule: M1\n",
}


class Conformance(unittest.TestCase):
    def found(self, edits=(), argued=None):
        """The gaps of TREE after some edits: file, old, new."""
        tree = dict(TREE)
        for path, old, new in edits:
            self.assertIn(old, tree[path])
            tree[path] = tree[path].replace(old, new)
        with tempfile.TemporaryDirectory() as scratch:
            for path, text in tree.items():
                path = Path(scratch) / path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return conformance.Conformance(Path(scratch), argued or {})

    def gaps(self, *edits, argued=None):
        return self.found(edits, argued).gaps

    def test_none(self):
        found = self.found()
        self.assertEqual(found.gaps, [])
        self.assertEqual([line.split() for line in found.table()],
                         [["R1", "nothing", "is", "lost", "a_lost", "|", "one"],
                          ["F0", "facts", "a_lost", "|", "one"],
                          ["M1", "calls", "proof", "|", "two"]])

    def test_no_case(self):
        self.assertEqual(self.gaps((GUEST, "[M1]", "")),
                         ["mutant two: its case proof does not prove M1", "M1: no case"])

    def test_no_mutant(self):
        self.assertEqual(self.gaps((MUTANT, "R1 ", "")), ["R1: no mutant"])

    def test_clause_that_is_new(self):
        self.assertEqual(self.gaps((RULES, "\n\nLife", "\n- R2: new\n\nLife")),
                         ["R2: no case", "R2: no mutant"])

    def test_clause_without_a_row(self):
        self.assertEqual(self.gaps((HEADER, "facts", "[F1]")),
                         ["F1: not in the table of ktrepl-porting.rst"])

    def test_row_without_a_clause(self):
        self.assertEqual(self.gaps((GUIDE, "- M1,", "- M1")),
                         ["M1: only in the table of ktrepl-porting.rst"])

    def test_case_of_unknown_clause(self):
        self.assertEqual(self.gaps((TEST, "[R1]", "[R1] [R7]")),
                         ["case a_lost: there is no clause R7"])

    def test_mark_that_is_above_no_case(self):
        gap = "a-test.c: [R1] is not above a case"
        self.assertEqual(self.gaps((TEST, "#else", "/* [R1] */\n#else")), [gap])
        self.assertIn(gap, self.gaps((TEST, " */\n", " */\nint b;\n")))
        self.assertIn(gap, self.gaps((TEST, "SLOW(a_lost", "SLOW(a_found")))

    def test_mutant_of_unknown_clause(self):
        self.assertEqual(self.gaps((MUTANT, "R1 ", "R1 R7 ")),
                         ["mutant one: there is no clause R7",
                          "mutant one: its case a_lost does not prove R7"])

    def test_mutant_of_unknown_case(self):
        self.assertIn("mutant one: there is no case a_found",
                      self.gaps((MUTANT, "a_lost", "a_found")))
        self.assertIn("mutant one: there is no case suites",
                      self.gaps((MUTANT, "# case: a_lost\n", "")))

    def test_mutant_of_another_case(self):
        self.assertIn("mutant one: its case proof does not prove R1",
                      self.gaps((MUTANT, "a_lost", "proof")))

    def test_argued(self):
        self.assertEqual(self.gaps((MUTANT, "R1 ", ""), argued={"R1": "why"}), [])
        self.assertEqual(self.gaps(argued={"R1": "why"}),
                         ["R1: argued for, but has a case and a mutant"])
        self.assertEqual(self.gaps(argued={"R7": "why"}),
                         ["argued for, but there is no clause R7"])

    def test_this_tree(self):
        self.assertEqual(conformance.Conformance(conformance.ROOT, conformance.ARGUED).gaps, [])

    def test_no_section(self):
        with self.assertRaisesRegex(SystemExit, "ktrepl.rst: expected a section Rules"):
            self.gaps((RULES, "Rules", "Rule"))

    def test_exit_code(self):
        with tempfile.TemporaryDirectory() as scratch:
            for path, text in {**TREE, HEADER: "[F0] [F1]"}.items():
                path = Path(scratch) / path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            run = subprocess.run([SCRIPT, "--tree", scratch], capture_output=True, text=True,
                                 check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("conformance: F1: not in", run.stdout)
        self.assertIn("3 clauses, 0 argued for, 1 gaps", run.stdout)


if __name__ == "__main__":
    unittest.main()
