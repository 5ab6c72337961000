#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/locality-plugin/loops: its bounds, and what it refuses, of made-up counts."""

import json
import subprocess
import sys
import tempfile
import unittest
from copy import deepcopy
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
LOOPS = SCRIPTS / "locality-plugin" / "loops"
PRESETS = json.loads((SCRIPTS / "loops-presets.json").read_text())


def locality(instructions, lines, calls=10):
    """What scripts/locality writes: by mode, of forks on CPU 2."""
    return {mode: {"bench": {"2": {
        "calls": {name: {"min": instructions[mode], "calls": calls}
                  for name in ("fork", "code-away")},
        "counts": {name: {"llc_miss": [calls * n for n in lines[mode]], "rodata_llc_miss": [0, 0]}
                   for name in ("fork", "code-away")},
    }}} for mode in ("off", "on")}


class Loops(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.hot = locality({"off": 1000, "on": 1000}, {"off": (0, 0), "on": (0, 0)})
        self.cold = locality({"off": 1000, "on": 1200}, {"off": (0, 100), "on": (90, 0)})
        self.again = None

    def run_it(self):
        """The exit status, and what is printed."""
        runs = {"first": {"hot": self.hot, "cold": self.cold}}
        if self.again:
            runs["again"] = self.again
        for run, by_caches in runs.items():
            for caches, value in by_caches.items():
                path = self.dir / run / caches
                path.mkdir(parents=True, exist_ok=True)
                (path / "locality.json").write_text(json.dumps(value))
        done = subprocess.run([sys.executable, LOOPS, self.dir, "x86_64", "QEMU"],
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def bounds(self, preset, caches):
        """Of fork."""
        status, printed = self.run_it()
        self.assertEqual(status, 0, printed)
        result = json.loads((self.dir / "loops.json").read_text())
        self.assertEqual(result["label"], "model, not measured")
        return result["bounds"][preset][caches]["fork"]

    def fails(self, text):
        """It says so."""
        status, printed = self.run_it()
        self.assertEqual(status, 1)
        self.assertIn(text, printed)

    def test_bounds(self):
        # 100 lines x (198 - 135), and 200 instructions of 0.5 ns.
        self.assertEqual(self.bounds("xeon-e7", "cold"), {
            "without_us": 20.3, "lower_us": -0.1, "upper_us": 6.2,
            "lower_percent": -0.49, "upper_percent": 30.54})

    def test_still_remote(self):
        self.cold["on"]["bench"]["2"]["counts"]["fork"]["llc_miss"] = [900, 50]
        # 95 lines become local.
        self.assertEqual(self.bounds("xeon-e7", "cold")["upper_us"], 5.885)

    def test_shared(self):
        # 90 lines from memory which the cache held: x (118 - 20), and the instructions.
        self.assertEqual(self.bounds("shared-llc", "cold")["lower_us"], -8.92)

    def test_hot(self):
        for preset in PRESETS["presets"]:
            found = self.bounds(preset["name"], "hot")
            self.assertEqual((found["lower_us"], found["upper_us"]), (0, 0))

    def test_fewer_instructions(self):
        self.cold["on"]["bench"]["2"]["calls"]["fork"]["min"] = 900
        found = self.bounds("xeon-e7", "cold")
        self.assertEqual((found["lower_us"], found["upper_us"]), (0, 6.3))

    def test_rodata(self):
        self.cold["off"]["bench"]["2"]["counts"]["fork"]["rodata_llc_miss"] = [0, 1000]
        self.assertEqual(self.bounds("xeon-e7", "cold")["upper_us"], 12.5)

    def test_redhawk(self):
        _, printed = self.run_it()
        # Per cent are RedHawk's own but for rounding, and none is of the control.
        self.assertRegex(printed, r"fork +hot +0\.36 \(1\.5 %\) +0\.85 \(1\.9 %\)")
        self.assertRegex(printed, r"fork +cold +64\.86 \(41\.4 %\) +76\.97 \(36\.6 %\)")
        self.assertIn("model, not measured", printed)
        self.assertNotIn("code-away", printed)

    def test_twice(self):
        self.again = {"hot": deepcopy(self.hot), "cold": deepcopy(self.cold)}
        status, printed = self.run_it()
        self.assertEqual(status, 0, printed)
        self.assertIn("both runs: every count is the same", printed)
        self.assertTrue(json.loads((self.dir / "loops.json").read_text())["equal"])

    def test_first_difference(self):
        self.again = {"hot": deepcopy(self.hot), "cold": deepcopy(self.cold)}
        self.again["cold"]["on"]["bench"]["2"]["calls"]["fork"]["min"] = 1201
        self.again["cold"]["on"]["bench"]["2"]["counts"]["fork"]["llc_miss"][0] = 0
        self.fails("FAILED: cold.on.bench.2.calls.fork.min: 1200, and 1201 the second time\n")
        self.assertEqual(self.run_it()[1].count("FAILED"), 1)
        self.assertFalse(json.loads((self.dir / "loops.json").read_text())["equal"])

    def test_missing_in_one(self):
        self.again = {"hot": deepcopy(self.hot), "cold": deepcopy(self.cold)}
        self.again["hot"]["more"] = 1
        self.fails("FAILED: hot.more: None, and 1 the second time\n")

    def test_wrong_node(self):
        self.cold = locality({"off": 1, "on": 1}, {"off": (60, 40), "on": (100, 0)})
        self.fails("FAILED: cold: fork: off: 40.0 of 100.0 lines are remote")
        self.cold = locality({"off": 1, "on": 1}, {"off": (0, 100), "on": (60, 40)})
        self.fails("FAILED: cold: fork: on: 40.0 of 100.0 lines are remote")

    def test_no_file(self):
        self.run_it()
        (self.dir / "first" / "cold" / "locality.json").write_text("{")
        done = subprocess.run([sys.executable, LOOPS, self.dir, "x86_64", "QEMU"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^loops: .*first/cold/locality\.json: ")

    def test_presets(self):
        for preset in PRESETS["presets"]:
            self.assertGreater(preset["remote_ns"], preset["local_ns"])
            self.assertTrue(preset["source"])


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(bool(bad))
