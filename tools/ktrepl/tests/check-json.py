#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Compare ktrinfo --json on stdin with the files it was made from.

check-json.py DIRECTORY [OPTION...]: the options ktrinfo was given.
"""

import json
import os
import sys

directory, options = sys.argv[1], sys.argv[2:]
report = json.load(sys.stdin)
show = [o for o in options if o in ("-t", "-s", "-w", "-v", "-m")] or ["-t", "-s"]
only = [int(options[i + 1]) for i, o in enumerate(options) if o == "-n"]


def records(name):
    with open(os.path.join(directory, name), encoding="ascii") as f:
        return [line.split() for line in f]


def same(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, not {want!r}")


def wanted(node):
    return not only or node in only


state = {r[0]: " ".join(r[1:]) or "-" for r in records("state")}
same("state", {k: str(v) for k, v in report["state"].items()}, state)

stats = {}
for r in records("stats"):
    if wanted(int(r[1])):
        stats.setdefault(int(r[1]), {})[r[2]] = int(r[3])
if "-s" in show:
    same("statistics", {n["node"]: n["statistics"] for n in report["nodes"]},
         stats)
if "-t" in show:
    got = sorted([n["node"], kind] +
                 [int(t[k], 16) for k in
                  ("va_first", "va_last", "pa_first", "pa_last")] +
                 [t["size_kb"], t["memory_node"]]
                 for n in report["nodes"] for kind in ("text", "rodata")
                 for t in n[kind])
    want = sorted([int(r[1]), r[2]] + [int(x, 16) for x in r[3:7]] +
                  [int(r[7]), int(r[8])]
                  for r in records("translations") if wanted(int(r[1])))
    same("translations", got, want)
same("locality", "locality" in report, "-w" in show)
if "-w" in show:
    cpus = [[int(r[i]) for i in (1, 3, 5, 7, 9, 11)] + [r[13] == "ok"]
            for r in records("locality") if r[0] == "cpu" and wanted(int(r[3]))]
    same("cpus", [[c[k] for k in ("cpu", "node", "expected", "text", "rodata",
                                  "root_table", "walk_ok")]
                  for c in report["locality"]["cpus"]], cpus)
    same("total", report["locality"]["total"], len(cpus))
    same("local", report["locality"]["local"], sum(c[1] == c[3] for c in cpus))
    same("healed", report["locality"]["healed"],
         ["healed", "yes"] in records("locality"))
same("verify", "verify" in report, "-v" in show)
if "-v" in show:
    same("verify", [report["verify"]["compared"],
                    report["verify"]["different"]],
         [int(x) for x in records("verify")[0][1:]])
same("modules", "modules" in report, "-m" in show)
if "-m" in show:
    rows = {}
    for r in records("modules")[1:]:
        row = rows.setdefault(r[1], [0, {}, {}])
        row[0] += int(r[5])
        for amounts, word in zip(row[1:], r[6:]):
            for item in word.split(",") if word != "-" else ():
                node, size = item.split(":")
                amounts[int(node)] = amounts.get(int(node), 0) + int(size)
    code = ("bpf", "ftrace", "kprobes")
    nodes = {int(r[1]) for r in records("stats") if wanted(int(r[1]))}
    same("modules", report["modules"],
         [{"name": name, "bytes": rows[name][0],
           "nodes": [{"node": n, "original": rows[name][1].get(n, 0),
                      "replicas": rows[name][2].get(n, 0)}
                     for n in sorted(nodes)]}
          for name in sorted(rows, key=lambda name: (name in code, name))])
    same("modules_on", ["modules", "on" if report["modules_on"] else "off"],
         records("modules")[0])
good = state["state"] == "on" or \
    (state["state"] != "broken" and "-w" not in show and "-v" not in show)
same("ok", report["ok"], good)
same("failures", bool(report["failures"]), not good)
