#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/overlay, on a repository and a kernel tree made for them.

With --kernel DIR the real overlay is tested as well, against a minimal copy of
that pristine tree: just the files that our patches touch.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
OVERLAY = SCRIPTS / "overlay"
KERNEL = None

MAKEFILE = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n"
LINES = [f"line {n}\n" for n in range(1, 31)]
MANIFEST = """
[lib: Add a library]
# Because.
lib/a/ lib/a/
lib/a/config lib/a/.config
!lib/a/left-out/

[lib: Add its header]
inc/a.h include/linux/a.h
"""


def snapshot(root):
    """Every file and directory below root, with contents and modes."""
    return {str(path.relative_to(root)): (path.stat().st_mode,
                                          path.read_bytes() if path.is_file() else None)
            for path in root.rglob("*")}


def git(root, *argv):
    subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *argv],
                   cwd=root, check=True, stdout=subprocess.DEVNULL)


class OverlayCase(unittest.TestCase):
    repo = tree = None

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def overlay(self, command, *argv):
        return subprocess.run([OVERLAY, "--repo", self.repo, command, "--tree", self.tree, *argv],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)

    def good(self, *argv):
        done = self.overlay(*argv)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def bad(self, message, *argv):
        """The command must fail, say why, and change nothing."""
        before = snapshot(self.tree)
        done = self.overlay(*argv)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(message, done.stdout)
        self.assertNotIn("Traceback", done.stdout)
        self.assertEqual(snapshot(self.tree), before)

    def round_trip(self):
        """check writes nothing; apply twice is apply once; revert leaves nothing."""
        before = snapshot(self.tree)
        self.good("check")
        self.assertEqual(snapshot(self.tree), before)
        self.good("apply")
        applied = snapshot(self.tree)
        self.assertNotEqual(applied, before)
        self.assertIn("0 written", self.good("apply"))
        self.assertEqual(snapshot(self.tree), applied)
        self.assertIn("nothing to do", self.good("check"))
        self.assertIn("up to date", self.good("status"))
        self.good("revert")
        self.assertEqual(snapshot(self.tree), before)


class Synthetic(OverlayCase):
    def setUp(self):
        super().setUp()
        self.repo, self.tree = self.scratch / "repo", self.scratch / "tree"
        self.put(self.tree, "Makefile", MAKEFILE)
        self.put(self.tree, "mm/one.c", "".join(LINES))
        self.put(self.tree, "mm/two.c", "".join(LINES))
        self.put(self.tree, "include/linux/other.h", "")
        self.put(self.repo, "scripts/overlay.manifest", MANIFEST)
        self.put(self.repo, "lib/a/a.c", "int a;\n")
        self.put(self.repo, "lib/a/sub/run", "#!/bin/sh\n").chmod(0o755)
        self.put(self.repo, "lib/a/config", "CONFIG_A=y\n")
        self.put(self.repo, "lib/a/left-out/x.c", "wrong\n")
        self.put(self.repo, "inc/a.h", "extern int a;\n")
        (self.repo / "patches/6.12").mkdir(parents=True)
        self.add_patch("0001-one.patch", {"mm/one.c": {5: "line five\n"}})
        self.put(self.repo, "patches/6.12/cover-letter", "One and two\n\nWhy.\n")
        git(self.repo, "init", "-q")
        self.commit()

    def put(self, root, path, text):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        return root / path

    def commit(self):
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "-m", "x")

    def add_patch(self, name, changes):
        """Make a git format-patch of changes to the pristine tree."""
        work = self.scratch / "work"
        for path in changes:
            self.put(work, path, "".join(LINES))
        git(work, "init", "-q")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "pristine")
        for path, lines in changes.items():
            self.put(work, path, "".join(lines.get(n, line) for n, line in enumerate(LINES, 1)))
        git(work, "commit", "-q", "-a", "-m", name)
        text = subprocess.run(["git", "format-patch", "-1", "--stdout"], cwd=work, check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        shutil.rmtree(work)
        return self.put(self.repo, f"patches/6.12/{name}", text)

    def read(self, path):
        return (self.tree / path).read_text()

    def mtimes(self):
        return {p: p.stat().st_mtime_ns for p in self.tree.rglob("*")
                if p.is_file() and ".ktrepl-overlay" not in p.parts}

    def test_round_trip(self):
        self.round_trip()

    def test_lays_in_what_the_manifest_says(self):
        self.good("apply")
        self.assertEqual(self.read("lib/a/.config"), "CONFIG_A=y\n")
        self.assertTrue(os.access(self.tree / "lib/a/sub/run", os.X_OK))
        self.assertIn("line five", self.read("mm/one.c"))
        self.assertFalse((self.tree / "lib/a/config").exists())
        self.assertFalse((self.tree / "lib/a/left-out").exists())

    def test_check_names_every_file(self):
        text = self.good("check")
        for line in ("patch  mm/one.c (0001-one.patch)", "new    lib/a/a.c",
                     "new    include/linux/a.h"):
            self.assertIn(line, text)
        self.assertNotIn("two.c", text)

    def test_update_rewrites_only_what_changed(self):
        self.good("apply")
        before = self.mtimes()
        self.put(self.repo, "lib/a/a.c", "long a;\n")
        (self.repo / "lib/a/sub/run").unlink()
        self.add_patch("0002-two.patch", {"mm/two.c": {9: "line nine\n"}})
        self.assertIn("behind", self.good("status"))
        self.good("apply")
        after = self.mtimes()
        changed = {str(p.relative_to(self.tree)) for p in {**before, **after}
                   if before.get(p) != after.get(p)}
        self.assertEqual(changed, {"lib/a/a.c", "lib/a/sub/run", "mm/two.c"})
        self.assertFalse((self.tree / "lib/a/sub").exists())

    def test_update_takes_off_a_patch(self):
        before = snapshot(self.tree)
        self.add_patch("0002-two.patch", {"mm/two.c": {9: "line nine\n"}})
        self.good("apply")
        (self.repo / "patches/6.12/0002-two.patch").unlink()
        self.assertIn("undo   mm/two.c", self.good("check"))
        self.good("apply")
        self.assertEqual(self.read("mm/two.c"), "".join(LINES))
        self.good("revert")
        self.assertEqual(snapshot(self.tree), before)

    def test_goes_on_after_an_interruption(self):
        before = snapshot(self.tree)
        self.add_patch("0002-two.patch", {"mm/two.c": {9: "line nine\n"}})
        (self.tree / "mm/.two.c.ktrepl-new").mkdir()    # the last write fails
        self.assertNotEqual(self.overlay("apply").returncode, 0)
        self.assertIn("line five", self.read("mm/one.c"))
        (self.tree / "mm/.two.c.ktrepl-new").rmdir()
        self.good("apply")
        self.assertIn("up to date", self.good("status"))
        self.good("revert")
        self.assertEqual(snapshot(self.tree), before)

    def test_refuses_an_unknown_tree(self):
        self.put(self.tree, "Makefile", MAKEFILE.replace("12", "13"))
        self.bad("is Linux 6.13; this overlay knows 6.12 only", "apply")
        (self.tree / "Makefile").unlink()
        self.bad("not a kernel tree", "apply")

    def test_refuses_a_foreign_file(self):
        self.put(self.tree, "lib/a/a.c", "theirs\n")
        self.bad("lib/a/a.c: exists and is not ours", "apply")
        self.bad("lib/a/a.c: exists and is not ours", "check")

    def test_refuses_modified_files(self):
        for path in ("lib/a/a.c", "mm/one.c"):
            with self.subTest(path):
                self.good("apply")
                ours = self.read(path)
                self.put(self.tree, path, ours + "theirs\n")
                for command in ("apply", "revert", "status", "check"):
                    self.bad(path, command)
                self.put(self.tree, path, ours)
                self.good("revert")

    def test_refuses_a_removed_file(self):
        self.good("apply")
        (self.tree / "lib/a/a.c").unlink()
        self.bad("lib/a/a.c: modified", "apply")

    def test_refuses_fuzz(self):
        # A changed line of context: patch(1) would take it with fuzz, we must not.
        self.put(self.tree, "mm/one.c", self.read("mm/one.c").replace("line 2\n", "line II\n"))
        patch = self.repo / "patches/6.12/0001-one.patch"
        fuzzy = subprocess.run(["patch", "-p1", "--dry-run", "-i", patch], cwd=self.tree,
                               stdout=subprocess.PIPE, text=True, check=False)
        self.assertIn("fuzz", fuzzy.stdout)
        self.assertEqual(fuzzy.returncode, 0)
        message = "0001-one.patch: hunk 1 does not fit mm/one.c:2\n      no such line: line 2\n"
        self.bad(message, "check")
        self.bad(message, "apply")

    def test_names_every_hunk_that_does_not_fit(self):
        changes = {n: f"{n}\n" for n in (5, 15, 25)}
        self.add_patch("0001-one.patch", {"mm/one.c": changes, "mm/two.c": changes})
        self.add_patch("0002-two.patch", {"mm/two.c": {20: "twenty\n"}})
        for path, n in (("mm/one.c", 25), ("mm/two.c", 5), ("mm/two.c", 20)):
            self.put(self.tree, path, self.read(path).replace(f"line {n}\n", f"other {n}\n"))
        done = self.overlay("check")
        self.assertEqual(done.stdout.splitlines(), [
            "overlay: the patches do not fit:",
            "  0001-one.patch: hunk 3 does not fit mm/one.c:22", "      no such line: line 25",
            "  0001-one.patch: hunk 1 does not fit mm/two.c:2", "      no such line: line 5",
            "  0002-two.patch: hunk 1 does not fit mm/two.c:17", "      no such line: line 20"])
        self.bad("0002-two.patch: hunk 1 does not fit", "apply")

    def test_optional(self):
        self.add_patch("optional/0001-two.patch", {"mm/two.c": {9: "line nine\n"}})
        self.assertNotIn("two.c", self.good("check"))
        self.assertIn("patch  mm/two.c (0001-two.patch)", self.good("check", "--optional"))
        self.good("apply", "--optional")
        self.assertIn("line nine", self.read("mm/two.c"))
        self.assertIn("up to date", self.good("status", "--optional"))
        self.assertIn("undo   mm/two.c", self.good("check"))
        out = self.scratch / "series"
        self.assertIn("exported 4 patches", self.good("export", "--optional", str(out)))
        self.assertIn("line nine", sorted(out.iterdir())[-1].read_text())
        self.good("revert")
        self.assertEqual(self.read("mm/two.c"), "".join(LINES))

    def test_refuses_a_malformed_patch(self):
        path = self.repo / "patches/6.12/0001-one.patch"
        path.write_text(path.read_text().replace("@@ -2,7", "@@ -2,9"))
        self.bad("patch(1) does not understand 0001-one.patch", "check")

    def test_refuses_a_patch_that_adds_a_file(self):
        path = self.add_patch("0002-new.patch", {"mm/two.c": {1: "x\n"}})
        path.write_text(path.read_text().replace("--- a/mm/two.c", "--- /dev/null"))
        self.bad("belong in the manifest", "apply")

    def test_refuses_a_manifest_entry_without_a_file(self):
        (self.repo / "inc/a.h").unlink()
        self.bad("inc/a.h, which is not there", "apply")

    def test_export(self):
        for applied in (False, True):
            with self.subTest(applied=applied):
                out = self.scratch / f"series-{applied}"
                if applied:
                    self.good("apply")
                self.assertIn("exported 3 patches", self.good("export", str(out)))
                names = sorted(p.name for p in out.iterdir())
                self.assertEqual([name[:4] for name in names],
                                 ["0000", "0001", "0002", "0003"])
                letter = (out / names[0]).read_text()
                self.assertIn("Subject: [PATCH 0/3] One and two\n", letter)
                self.assertIn("\nWhy.\n", letter)
                self.assertNotIn("***", letter)
                self.assertIn("Because.", (out / names[1]).read_text())
                for name in names[1:]:
                    self.assertIn("\nSigned-off-by: ", (out / name).read_text())
        self.bad("is not empty", "export", str(out))

    def test_export_without_a_letter(self):
        (self.repo / "patches/6.12/cover-letter").unlink()
        self.bad("cover-letter is not there", "export", str(self.scratch / "series"))

    def test_export_finds_a_patch_that_git_does_not_take(self):
        patch = self.repo / "patches/6.12/0001-one.patch"
        text = patch.read_text()
        patch.write_text(text[text.index("diff --git"):])   # no mail header
        self.bad("git am", "export", str(self.scratch / "series"))


class Real(OverlayCase):
    def setUp(self):
        super().setUp()
        if not KERNEL:
            self.skipTest("no --kernel DIR")
        self.repo, self.tree = SCRIPTS.parent, self.scratch / "tree"
        targets = {"Makefile"}
        for patch in (self.repo / "patches/6.12").rglob("*.patch"):
            targets.update(line[6:] for line in patch.read_text().splitlines()
                           if line.startswith("+++ b/"))
        for target in targets:
            (self.tree / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(KERNEL / target, self.tree / target)

    def test_round_trip(self):
        self.round_trip()

    def test_export(self):
        self.good("export", str(self.scratch / "series"))

    def test_export_with_optional_patches(self):
        self.good("export", "--optional", str(self.scratch / "series"))


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--kernel":
        KERNEL = Path(sys.argv[2]).resolve()
        del sys.argv[1:3]
    unittest.main()
