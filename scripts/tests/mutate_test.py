#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/mutate: the mutants that it makes of some lines of C."""

import io
import subprocess
import tempfile
import unittest
from contextlib import redirect_stderr
from pathlib import Path
from unittest import mock

from loading import SCRIPTS, load

MUTATE = SCRIPTS / "mutate"
mutate = load("mutate")
SOURCE = """/* if (comment) */
static int ktrepl_f(struct a *p)
{
	int i = 1 < 2;		/* a declaration */

	if (p->a <= i &&
	    p->b)
		return -EINVAL;
	for (i = 0; i < 3; i++)
		call(i, "i < 3; }");
	pr_err("never %d\\n", i);
	lockdep_assert_held(&lock);
	smp_rmb();
	kfree_rcu(p, rcu);
	return 0;
}

#ifdef CONFIG_OTHER
static void *ktrepl_g(void)
{
	return other;
}
#endif
"""


class Mutants(unittest.TestCase):
    """What is broken, and how."""

    def setUp(self):
        self.sites = mutate.sites_of("f.c", SOURCE)
        self.found = [(m.line, m.rule, m.broken) for s in self.sites for m in s.mutants]

    def test_rules(self):
        """Each rule where it applies, and nothing else."""
        self.assertEqual(self.found, [
            (6, "negate", "!(p->a <= i &&\n\t    p->b)"),
            (6, "compare", "p->a < i &&\n\t    p->b"),
            (8, "return", "return 0;"),
            (9, "compare", " i <= 3"),
            (10, "omit", ";"),
            (13, "barrier", "(void)0;"),
            (14, "barrier", "kfree(p);"),
            (14, "omit", ";"),
            (15, "return", "return -EINVAL;"),
        ])

    def test_switched(self):
        """All of them in one text, whose lines stay where they were."""
        for i, mutant in enumerate((m for s in self.sites for m in s.mutants), 1):
            mutant.id = i
        text = mutate.instrumented(SOURCE, self.sites)
        self.assertEqual(text.count("ktrepl_mutate == "), len(self.found))
        self.assertIn('{ if (ktrepl_mutate == 5) { ; } else call(i, "i < 3; }"); }', text)
        self.assertIn("for (i = 0;ktrepl_mutate == 4 ? !!( i <= 3) : !!( i < 3); i++)", text)
        self.assertEqual(text.split("\n")[-6:], SOURCE.split("\n")[-6:])

    def test_argued(self):
        """Each line of scripts/mutate-survivors names a mutant that there is."""
        done = subprocess.run([MUTATE, "--list"], check=True, capture_output=True, text=True)
        self.assertGreater(len(done.stdout.splitlines()), 500)
        self.assertIn(" argued\n", done.stdout)

    def test_survivors(self):
        """A line names one mutant, or a class of them, that no line before has named."""
        keys = {"f.c:ktrepl_f: omit: `lock(&a[1]);`", "f.c:ktrepl_g: omit-2: `lock(&a[1]);`",
                "g.c:ktrepl_f: omit: `lock(&b);`", "g.c:ktrepl_f: return: `lock(&b);`"}
        both = "*:*: omit*: `lock(&a[1]);`: one CPU"
        one = "g.c:ktrepl_f: omit: `lock(&b);`: one CPU"
        with tempfile.TemporaryDirectory() as place, \
                mock.patch.object(mutate, "SURVIVORS", Path(place, "list")):
            for lines, named in (("# nothing", 0), (both, 2), (one, 1), (f"{both}\n{one}", 3)):
                mutate.SURVIVORS.write_text(f"{lines}\n")
                self.assertEqual(len(mutate.argued(keys)), named, lines)
            for lines in (f"{one}\n{one}", one.replace("&b", "&c"), one.replace(": one CPU", "")):
                mutate.SURVIVORS.write_text(f"{lines}\n")
                with self.assertRaises(SystemExit), redirect_stderr(io.StringIO()) as said:
                    mutate.argued(keys)
                self.assertIn("mutate: scripts/list: ", said.getvalue())

    def test_bad(self):
        """A file that there is not."""
        done = subprocess.run([MUTATE, "--list", "--file=none.c"], check=False,
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("--file=none.c: expected one of arena.c", done.stderr)


if __name__ == "__main__":
    unittest.main()
