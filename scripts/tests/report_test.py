#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of scripts/report: the page that it makes of made-up results."""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
REPORT = SCRIPTS / "report"
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """The elements of a page; it complains of what is not balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.figures, self.trouble = [], [], [], [], []
        self.text = text
        self.feed(text)
        self.close()
        self.trouble += [f"{tag} is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.begin(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.begin(tag, dict(attrs))

    def begin(self, tag, attrs):
        """An element, however it ends."""
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs[key] for key in ("href", "xlink:href", "src") if key in attrs]
        if tag == "figure":
            self.figures.append({})
        elif "figure" in self.open:
            self.figures[-1].setdefault(tag, attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.trouble.append(f"/{tag} at {self.getpos()}")


def locality():
    """Two CPUs: the kernel is on the first one's node."""
    def mode(remote):
        return {"calls": {"fork": 10},
                "by_call": {"fork": {"llc_miss": [50, remote]}},
                "by_cpu": {str(cpu): {"node": cpu, "fetch": [1000 - remote * cpu, remote * cpu],
                                      "rodata": [10, 0]} for cpu in (0, 1)}}
    return {"off": mode(875), "on": mode(0)}


def loops():
    """One call, and one preset: 100 lines become local."""
    def cost(local, remote):
        return {"instructions": 1000, "local": local, "remote": remote, "calls": 10}

    return {"label": "model, not measured", "runs": 2, "equal": True,
            "counted": {caches: {"fork": {"off": cost(0, 100), "on": cost(100, 0)}}
                        for caches in ("hot", "cold")},
            "presets": [{"name": "xeon-e7", "title": "Xeon", "local_ns": 100, "remote_ns": 200,
                         "instruction_ns": 1, "shared_hit_ns": None, "source": "made <up>"}],
            "bounds": {"xeon-e7": {"cold": {"fork": {"lower_us": 0, "upper_us": 10}}}},
            "redhawk": {"source": "", "machines": [
                {"title": "E5", "fork": {"hot": [2, 1], "cold": [20, 10]}}]}}


def calls(**counts):
    """What ktrepl-bench prints."""
    return {"calls": {name.replace("_", "-"): {"min": n, "median": n} for name, n in counts.items()}}


def memory():
    """What a console has on it."""
    names = ("repli_resident_pages", "repli_module_pages", "repli_object_pages", "repli_pgtbls",
             "repli_spare_pages", "repli_retired_pages")
    return "boot\r\n" + json.dumps({"state": {"primary": "1"}, "nodes": [
        {"node": node, "statistics": {**{name: kb for name in names}, "total_repli_pages": 6 * kb}}
        for node, kb in ((0, 2048), (1, 0))]}, indent=1).replace("\n", "\r\n") + "\r\nend\r\n"


def records():
    """What ktmon writes: two samples of two nodes."""
    return """number,time_ns,interval_ns,node,threads,minor,major,user_ns,system_ns,utilisation
0,5000000000,1000000000,0,1,10,1,0,0,0.5
1,5000000000,1000000000,1,1,0,0,0,0,0
2,6500000000,1500000000,0,1,32,0,0,0,1.0
3,6500000000,1500000000,1,1,7,0,0,0,0
"""


class Report(unittest.TestCase):
    whole = None

    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def put(self, path, value):
        """A file in build/."""
        path = self.dir / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))

    def put_all(self):
        """Something for each section."""
        self.put("locality/x86_64-run-2n4c/locality.json", locality())
        self.put("locality/arm64-slim-4n8c-cold/locality.json", locality())
        self.put("loops/x86_64-run-2n4c/loops.json", loops())
        self.put("memory/x86_64-run-4n8c/memory-4n8c.log", memory())
        self.put("profile/x86_64/busy.csv", records())
        for name, n in (("none", 1000), ("off", 1010), ("on", 1050)):
            self.put(f"bench/x86_64/{name}.json", calls(empty=6, open=n, fork=n))
        for nodes in (2, 4, 8):
            for i, mode in enumerate(("off", "on")):
                self.put(f"bench/x86_64/poke{nodes}-{mode}.json", calls(poke=100 + i * 10 * nodes))
                self.put(f"bench/x86_64/modules{nodes}-{mode}.json", calls(module_load=100 + i * nodes))

    def run_it(self, *options):
        """The exit status and what is printed."""
        done = subprocess.run([sys.executable, REPORT, f"--build={self.dir}", *options],
                              capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def page(self):
        """The page."""
        status, printed, errors = self.run_it()
        self.assertEqual((status, errors), (0, ""))
        self.assertEqual(printed, f"{self.dir / 'report.html'}\n")
        return Page((self.dir / "report.html").read_text(encoding="utf-8"))

    def full(self):
        """The page of all that there can be; it is made once."""
        if not Report.whole:
            self.put_all()
            Report.whole = self.page()
        return Report.whole

    def section(self, page, name):
        """The text of a section."""
        return re.search(rf'<section id="{name}">.*?</section>', page.text, re.S)[0]

    def test_html(self):
        page = self.full()
        self.assertEqual(page.trouble, [])
        self.assertEqual(sorted(page.ids), sorted(set(page.ids)))
        self.assertTrue(page.text.startswith("<!DOCTYPE html>"))
        self.assertIn('<meta name="viewport" content="width=device-width, initial-scale=1">', page.text)
        self.assertIn("@media (prefers-color-scheme: dark)", page.text)

    def test_self_contained(self):
        page = self.full()
        self.assertNotRegex(page.text, r"(?i)https?://|@import|<script|<link|<iframe")
        self.assertEqual({link[0] for link in page.links}, {"#"})
        # What is pointed at is there.
        targets = {link[1:] for link in page.links} | set(re.findall(r"url\(#([^)]*)\)", page.text))
        self.assertEqual(targets - set(page.ids), set())
        self.assertNotRegex(page.text, r"url\([^#]")

    def test_figures(self):
        page = self.full()
        # Two of each locality, cost, poke, module, hot and cold bounds, memory, two of faults.
        self.assertEqual(len(page.figures), 12)
        for figure in page.figures:
            self.assertLessEqual({"svg", "title", "figcaption", "code", "details", "table"}, set(figure))
            self.assertEqual(figure["svg"]["role"], "img")
            self.assertEqual(figure["svg"]["aria-labelledby"], figure["title"]["id"])

    def test_colours(self):
        drawn = "".join(re.findall(r"<svg.*?</svg>", self.full().text, re.S))
        self.assertNotRegex(drawn, r"#[0-9a-fA-F]{6}\b")
        self.assertIn("var(--c1)", drawn)
        self.assertIn("currentColor", drawn)

    def test_numbers(self):
        page = self.full()
        self.assertIn("<td>87.5000 %</td><td>0.0000 %</td>", self.section(page, "locality"))
        self.assertIn("<td>1000</td><td>1010</td><td>1050</td><td>+1.00 %</td><td>+5.00 %</td>",
                      self.section(page, "cost"))
        self.assertIn("<td>1.20</td><td>1.40</td><td>1.80</td>", self.section(page, "poke"))
        self.assertIn("<td>1.02</td><td>1.04</td><td>1.08</td>", self.section(page, "poke"))
        self.assertIn("<td>0.00 to 10.00 (47.6 %)</td>", self.section(page, "bounds"))
        self.assertIn("<td>10.00 (50.0 %)</td>", self.section(page, "bounds"))
        self.assertIn("<td>2048</td><td>12288</td>", self.section(page, "memory"))
        self.assertIn('<th scope="row">0</th><td>2</td><td>1.50</td><td>42</td><td>75.0 %</td>',
                      self.section(page, "faults"))
        self.assertIn("87.50 → 0.00 %", self.section(page, "summary"))

    def test_names(self):
        page = self.full()
        self.assertIn("<code>make locality ARCH=arm64 TOPOLOGY=4n8c CONFIG=slim COLD=1</code>", page.text)
        self.assertIn("arm64, 4n8c, slim, cold caches", page.text)
        self.assertIn("<code>make loops ARCH=x86_64 TOPOLOGY=2n4c TWICE=1</code>", page.text)
        self.assertIn("made &lt;up&gt;", page.text)
        self.assertIn("model, not measured", self.section(page, "bounds"))

    def test_nothing(self):
        page = self.page()
        self.assertEqual((page.trouble, page.figures), ([], []))
        self.assertNotIn('id="summary"', page.text)
        for name, command in (("locality", "make locality"), ("cost", "make bench ARCH=x86_64"),
                              ("poke", "make bench ARCH=arm64"), ("bounds", "make loops"),
                              ("memory", "scripts/run memory"), ("faults", "make profile ARCH=x86_64")):
            self.assertRegex(self.section(page, name), f"No data yet: <code>[^<]*{command}")

    def test_part(self):
        self.put("bench/arm64/none.json", calls(open=1))
        page = self.page()
        self.assertEqual(page.figures, [])
        self.assertIn("make bench ARCH=arm64", self.section(page, "cost"))

    def test_same_twice(self):
        whole = self.full().text
        Report.whole = None
        time = r"\d{4}-\d\d-\d\d \d\d:\d\d"      # when files were made
        self.assertEqual(re.sub(time, "", self.full().text), re.sub(time, "", whole))

    def test_broken(self):
        self.put("loops/x86_64-run-2n4c/loops.json", "{")
        status, _, errors = self.run_it()
        self.assertEqual(status, 1)
        self.assertRegex(errors, r"^report: .*/loops\.json: ")
        self.put("loops/x86_64-run-2n4c/loops.json", loops())
        self.put("memory/x86_64-run-4n8c/memory-4n8c.log", "panic\n")
        status, _, errors = self.run_it()
        self.assertEqual(status, 1)
        self.assertRegex(errors, r"^report: .*/memory-4n8c\.log: no JSON of ktrinfo in it")
        self.put("memory/x86_64-run-4n8c/memory-4n8c.log", memory())
        for text, trouble in (("time_ns,node\n", "expected columns time_ns"),
                              (records().split("\n", 1)[0], "there are no records"),
                              (records() + "4,x\n", "line 6: expected numbers")):
            self.put("profile/x86_64/busy.csv", text)
            status, _, errors = self.run_it()
            self.assertEqual(status, 1)
            self.assertRegex(errors, rf"^report: .*/busy\.csv: {trouble}")
        self.assertFalse((self.dir / "report.html").exists())

    def test_options(self):
        status, _, errors = self.run_it(f"--build={self.dir}/nothing")
        self.assertEqual(status, 2)
        self.assertIn("expected a directory", errors)
        status, printed, errors = self.run_it("--help")
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("--make-all", printed)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(bool(bad))
