#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/coverage: what it takes for a missed line, and for a reason."""

import base64
import io
import tarfile
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

from loading import load

coverage = load("coverage")
ENTRY = "* lib/ktrepl/f.c:f: `return -ENOMEM;`: {}"


def line(text, count, function="f"):
    """A line of a file."""
    return coverage.Line("lib/ktrepl/f.c", 7, function, text, count)


def judge(lines, *entries):
    """What is wrong."""
    with redirect_stdout(io.StringIO()):
        return coverage.judge(lines, list(coverage.read_reasons("\n".join(entries), "arm64")))


class Reasons(unittest.TestCase):
    """Lines that are missed, and those of scripts/coverage-missed."""

    def test_all_run(self):
        """Nothing is missed."""
        self.assertEqual(judge([line("a();", 1)]), [])

    def test_no_reason(self):
        """A line is missed, or another line than the one of the entry."""
        for entry in ("# nothing", ENTRY.format("no").replace("ENOMEM", "EINVAL")):
            found = judge([line("return -ENOMEM;", 0)], entry)
            self.assertEqual(found[0], "lib/ktrepl/f.c:7 is missed: return -ENOMEM;")

    def test_reason(self):
        """One line, and all of a function."""
        self.assertEqual(judge([line("return -ENOMEM;", 0)], ENTRY.format("never")), [])
        self.assertEqual(judge([line("a();", 0), line("b();", 0)],
                               "arm64 lib/ktrepl/f.c:f: `*`: never"), [])

    def test_needless(self):
        """An entry whose line is run, or is not there."""
        for lines in ([line("return -ENOMEM;", 3)], [line("return -ENOMEM;", 0, "g")]):
            self.assertIn("lib/ktrepl/f.c:f: `return -ENOMEM;` is not missed, or not there",
                          judge(lines, ENTRY.format("never")))
        self.assertEqual(judge([line("return -ENOMEM;", 3)], ENTRY.format("by chance")), [])

    def test_other_arch(self):
        """An entry for another architecture."""
        entry = ENTRY.format("never").replace("*", "x86_64", 1)
        self.assertEqual(judge([line("return -ENOMEM;", 1)], entry), [])
        self.assertEqual(len(judge([line("return -ENOMEM;", 0)], entry)), 1)

    def test_bad(self):
        """An entry without a reason."""
        with self.assertRaisesRegex(SystemExit, "coverage-missed: "):
            judge([], ENTRY.format(""))

    def test_least(self):
        """Per cent of all lines."""
        with redirect_stdout(io.StringIO()) as said:
            self.assertEqual(coverage.table([line("a();", n) for n in (0, 1, 2, 3)]), 75)
        self.assertIn("lib/ktrepl/f.c", said.getvalue())


class Counts(unittest.TestCase):
    """What a boot leaves, and what gcov says of it."""

    def test_function_above(self):
        """By the text, with the type on the line before, or not; none at all."""
        for head in ("static int f(int a)", "static __always_inline int\nf(int a,\n  int (*b)(int))",
                     "int *f(void)"):
            text = f"int e(void)\n{{\n}}\n\n{head}\n{{\nout:\n\tg(a);"
            self.assertEqual(coverage.function_above(text.splitlines()), "f", head)
        self.assertEqual(coverage.function_above(["/* f(x) */", "int a;"]), "?")

    def test_source(self):
        """Ours, and those of others."""
        for path, name in (("lib/ktrepl/core.c", "lib/ktrepl/core.c"),
                           ("obj/x/../../linux/lib/ktrepl/core.c", "lib/ktrepl/core.c"),
                           ("arch/x86/mm/ktrepl.c", "arch-glue/x86/ktrepl.c"),
                           ("lib/ktrepl/tests/common.h", None), ("lib/xarray.c", None)):
            path = path if path.startswith("obj") else f"linux/{path}"
            self.assertEqual(coverage.source(coverage.BUILD / path), name, path)

    def test_function(self):
        """The function that a line is in."""
        file = {"functions": [{"name": "f", "start_line": 1, "end_line": 5},
                              {"name": "g", "start_line": 7, "end_line": 9}],
                "lines": [{"line_number": 2, "count": 1}, {"line_number": 8, "count": 0}]}
        self.assertEqual(list(coverage.lines_of("f.c", file)),
                         [("f.c", 2, "f", 1), ("f.c", 8, "g", 0)])

    def test_unpack(self):
        """A console's lines end with a carriage return."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            member = tarfile.TarInfo("./work/obj/lib/ktrepl/core.gcda")
            member.size = 4
            tar.addfile(member, io.BytesIO(b"adcg"))
        text = base64.encodebytes(archive.getvalue()).decode().replace("\n", "\r\n")
        arch = coverage.Arch("x86_64")
        with mock.patch.object(arch, "notes", return_value=[]), tempfile.TemporaryDirectory() as place:
            arch.out = Path(place)
            output = arch.out / "proof" / "output"
            output.parent.mkdir()
            output.write_text(f"proof: passed\r\ngcov-begin\r\n{text}gcov-end\r\n\r\n", newline="")
            self.assertEqual((arch.unpack("proof") / "core.gcda").read_bytes(), b"adcg")
            output.write_text("proof: passed\n")
            with self.assertRaisesRegex(SystemExit, "proof has left no counts"):
                arch.unpack("proof")
            with self.assertRaisesRegex(SystemExit, "power was not booted"):
                arch.unpack("power")


if __name__ == "__main__":
    unittest.main()
