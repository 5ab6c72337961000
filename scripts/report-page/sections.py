# SPDX-License-Identifier: GPL-2.0
"""The sections of the report: each gathers its data in build/, and plots it.

A section is made of what there is. What is not there is named by the command that makes
it, and nothing takes its place.
"""

import csv
import importlib.machinery
import importlib.util
import itertools
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from page import SERIES, Figure, Section, facts, pyplot, svg, table

SCRIPTS = Path(__file__).resolve().parent.parent
MODES = ("off", "on")
ARCHES = ("x86_64", "arm64")
POKES = (2, 4, 8)
MEMORY = {"repli_resident_pages": "image", "repli_module_pages": "modules",
          "repli_object_pages": "BPF, trampolines", "repli_pgtbls": "page tables",
          "repli_spare_pages": "spare", "repli_retired_pages": "retired"}


def load_loops():
    """The program that has the model, as a module."""
    path = str(SCRIPTS / "locality-plugin" / "loops")
    loader = importlib.machinery.SourceFileLoader("loops", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("loops", loader))
    # dataclass looks its module up.
    importlib.sys.modules["loops"] = module
    loader.exec_module(module)
    return module


loops = load_loops()


@dataclass
class Source:
    """A file of data, and where it is from."""

    path: Path
    command: str
    what: str                   # architecture and machine, for titles
    name: str                   # for elements of the page
    arch: str
    data: object


def by_arch(path):
    """In the order of ARCHES; what has more words in its name comes later."""
    name = path.parent.name
    arch = name.partition("-")[0]
    return ARCHES.index(arch) if arch in ARCHES else len(ARCHES), name


class Build:
    """What is in build/."""

    def __init__(self, root):
        self.root = root
        self.used = []          # sources, in the order in which they are read
        self.facts = []         # (what, value)

    def read(self, path, command, what, parse=json.loads):
        """A source, or None if there is none."""
        if not path.exists():
            return None
        name = re.sub(r"[^a-z0-9]+", "-", str(path.relative_to(self.root).with_suffix("")).lower())
        try:
            data = parse(path.read_text(encoding="utf-8", errors="replace"))
        except (ValueError, KeyError) as error:
            raise SystemExit(f"report: {path}: {error}") from error
        source = Source(path, command, what, name, what.partition(",")[0], data)
        self.used.append(source)
        return source

    def boots(self, kind, target, file):
        """Sources in directories that are named ARCH-CONFIG-TOPOLOGY[-cold]."""
        for path in sorted((self.root / kind).glob(f"*/{file}"), key=by_arch):
            arch, config, topology, *cold = path.parent.name.split("-")
            words = [f"ARCH={arch}", f"TOPOLOGY={topology}"]
            words += [f"CONFIG={config}"] * (config != "run") + ["COLD=1"] * bool(cold)
            what = ", ".join([arch, topology, *([config] if config != "run" else []),
                              *(["cold caches"] if cold else [])])
            yield self.read(path, f"make {target} {' '.join(words)}", what)

    def bench(self, arch, name):
        """The calls of a boot of scripts/bench."""
        source = self.read(self.root / "bench" / arch / f"{name}.json", f"make bench ARCH={arch}",
                           f"{arch}, {name}")
        return source.data["calls"] if source else None


def subplot(height):
    """A plot that fits a phone: as wide as all others, and HEIGHT inches high."""
    figure, part = pyplot.subplots(figsize=(4.5, height))
    figure.subplots_adjust(bottom=0.5 / height, top=1 - 0.1 / height)
    return figure, part


def short(value):
    """For the end of a bar."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def bars(title, name, labels, series, xlabel, form):
    """Bars beside each other, from left to right; series: {label: values}."""
    figure, part = subplot(0.7 + 0.19 * len(labels) * (len(series) + 0.4))
    height = 0.8 / len(series)
    for i, (label, values) in enumerate(series.items()):
        drawn = part.barh([y + i * height for y in range(len(labels))], values, 0.9 * height, label=label)
        part.bar_label(drawn, [form(value) for value in values], padding=2, fontsize=8)
    part.margins(x=0.15)
    part.set_yticks([y + 0.4 - height / 2 for y in range(len(labels))], labels)
    part.set_ylim(len(labels), -0.4)
    part.set_xlabel(xlabel)
    part.grid(axis="x")
    legend(figure, part)
    return svg(name, title, figure)


def legend(figure, part):
    """Below the plot, where it hides nothing."""
    handles, labels = part.get_legend_handles_labels()
    columns = 2 if all(len(label) < 30 for label in labels) else 1
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=columns)


# === Locality ================================================================

def share(pair):
    """Per cent of remote ones."""
    return 100 * pair[1] / sum(pair) if sum(pair) else 0


def cpu_figure(source):
    """Which share of each CPU's fetches is remote."""
    # One that was idle in a mode is not counted there.
    rows = [[cpu, counts["node"], *(share(source.data[mode]["by_cpu"].get(cpu, {}).get(field, (0, 0)))
                                    for field in ("fetch", "rodata") for mode in MODES)]
            for cpu, counts in source.data["on"]["by_cpu"].items()]
    title = f"Kernel fetches from another node, by CPU: {source.what}"
    name = f"{source.name}-cpu"
    return Figure(name, title, "Per cent of the instructions of the kernel that each CPU fetches from memory of"
                  " another node; with replication on it is to be zero.",
                  source.command, bars(title, name, [f"CPU {row[0]}, node {row[1]}" for row in rows],
                                       {f"replication {mode}": [row[2 + i] for row in rows]
                                        for i, mode in enumerate(MODES)}, "% remote", short),
                  ["CPU", "node", *(f"{what} {mode}" for what in ("fetches", "rodata") for mode in MODES)],
                  [[row[0], row[1], *(f"{value:.4f} %" for value in row[2:])] for row in rows])


def call_figure(source):
    """How many remote lines a call has to wait for."""
    calls = {name: [source.data[mode]["by_call"][name]["llc_miss"][1] / source.data[mode]["calls"][name]
                    for mode in MODES] for name in source.data["on"]["by_call"]}
    title = f"Remote lines of code a call: {source.what}"
    name = f"{source.name}-call"
    return Figure(name, title, "Lines of 64 bytes of the kernel's code that miss all caches of the model and are"
                  " of another node, in the mean of the calls of all CPUs that make them.", source.command,
                  bars(title, name, list(calls), {f"replication {mode}": [row[i] for row in calls.values()]
                                                  for i, mode in enumerate(MODES)}, "remote lines a call", short),
                  ["call", *MODES], [[call, *(f"{value:.2f}" for value in row)] for call, row in calls.items()])


def locality(build):
    """Which node's memory serves the CPUs."""
    section = Section("locality", "Locality", "Seen from outside, by a plugin in QEMU: which node's memory serves"
                      " what each CPU fetches while ktrepl-bench makes system calls.")
    for source in build.boots("locality", "locality", "locality.json"):
        section.figures += [cpu_figure(source), call_figure(source)]
        worst = [max(share(cpu["fetch"]) for cpu in source.data[mode]["by_cpu"].values()) for mode in MODES]
        build.facts.append((f"Remote kernel fetches, worst CPU: {source.what}",
                            f"{worst[0]:.2f} → {worst[1]:.2f} %"))
    if not section.figures:
        section.missing.append("make locality")
    return section


# === Cost ====================================================================

def cost_figure(build, arch):
    """What a call costs more than without ktrepl."""
    runs = [build.bench(arch, name) for name in ("none", *MODES)]
    if not all(runs):
        return None
    none, *modes = runs
    # As in README.md: these two vary with what they allocate.
    kind = {name: "median" if name in ("fork", "exec") else "min"
            for name in none if name != "empty" and all(name in run for run in modes)}
    rows = [[name, none[name][of], *(run[name][of] for run in modes)] for name, of in kind.items()]
    title = f"Instructions of a call against the same kernel without ktrepl: {arch}"
    name = f"cost-{arch}"
    return Figure(name, title, "The least of many calls; medians of fork and exec. A bar to the left is a call"
                  " that took fewer.", f"make bench ARCH={arch}",
                  bars(title, name, [row[0] for row in rows],
                       {f"replication {mode}": [100 * (row[2 + i] / row[1] - 1) for row in rows]
                        for i, mode in enumerate(MODES)}, "% more instructions", "{:+.2f}".format),
                  ["call", "without ktrepl", *MODES, "off, more", "on, more"],
                  [[*row, *(f"{100 * (value / row[1] - 1):+.2f} %" for value in row[2:])] for row in rows])


def cost(build):
    """What calls cost."""
    section = Section("cost", "Cost of calls", "Instructions, which QEMU counts exactly with -icount; on a CPU of the"
                      " node that holds the replicas. Nothing of it is a time.")
    for arch in ARCHES:
        figure = cost_figure(build, arch)
        if figure:
            section.figures.append(figure)
        else:
            section.missing.append(f"make bench ARCH={arch}")
    return section


def copies_figure(name, title, caption, curves, ylabel):
    """Lines over the number of nodes; curves: {label: {nodes: value}}."""
    figure, part = subplot(3.2)
    for (label, points), marker in zip(curves.items(), "os^Dv"):
        part.plot(list(points), list(points.values()), marker=marker, label=label)
    part.set_xticks(POKES)
    part.set_xlabel("nodes, each with a replica or the primary")
    part.set_ylabel(ylabel)
    part.set_ylim(0, 1.1 * max(max(points.values()) for points in curves.values()))
    part.grid(axis="y")
    legend(figure, part)
    return Figure(name, title, caption, "make bench", svg(name, title, figure), ["", *(f"{n} nodes" for n in POKES)],
                  [[label, *(f"{points[n]:.2f}" if n in points else "-" for n in POKES)]
                   for label, points in curves.items()])


def ratios(build, arch, boot, on_call, off_call, of):
    """On against off, by the number of nodes."""
    found = {}
    for nodes in POKES:
        off, on = (build.bench(arch, f"{boot}{nodes}-{mode}") for mode in MODES)
        if off and on:
            found[nodes] = on[on_call][of] / off[off_call][of]
    return found


def poke(build):
    """What patching and loading cost, by the number of replicas."""
    section = Section("poke", "Cost of replicas", "A text poke writes all replicas; a module gets a replica on each node"
                      " after it is loaded. Against replication off, on the same machine.")
    pokes, modules = {}, {}
    for arch in ARCHES:
        points = ratios(build, arch, "poke", "poke", "poke", "min")
        if points:
            pokes[arch] = points
            build.facts.append((f"A poke with {max(points)} nodes, against off: {arch}",
                                f"{points[max(points)]:.2f} times"))
        else:
            section.missing.append(f"make bench ARCH={arch}")
        points = ratios(build, arch, "modules", "module-load", "module-load", "median")
        if points:
            modules[arch] = points
    if pokes:
        section.figures.append(copies_figure(
            "poke-replicas", "A poke, against replication off", "A static key with all its sites; the least of many.",
            pokes, "times the instructions"))
    if modules:
        section.figures.append(copies_figure(
            "module-load", "Loading a module, against replication off", "open() and finit_module() of ktrepl_marker;"
            " the median. Its replicas are made later.", modules, "times the instructions"))
    return section


# === Bounds of the gain ======================================================

def bounds_of(source):
    """Costs and presets, as the model has them."""
    by_call = {caches: {name: {mode: loops.Cost(**cost) for mode, cost in modes.items()}
                        for name, modes in calls.items()} for caches, calls in source.data["counted"].items()}
    return by_call, [loops.Preset(**preset) for preset in source.data["presets"]]


def bounds_rows(source, caches):
    """RedHawk's figures and bounds, call by call."""
    by_call, presets = bounds_of(source)
    for name, modes in by_call[caches].items():
        measured = [machine.get(name, {}).get(caches) for machine in source.data["redhawk"]["machines"]]
        found = [loops.bounds(preset, modes["off"], modes["on"]) for preset in presets]
        yield [name, modes["off"].instructions, f"{modes['off'].remote:.1f}", modes["on"].instructions,
               f"{modes['on'].remote:.1f}", *(loops.gain(m[0], m[0] - m[1]) if m else "-" for m in measured),
               *(f"{b.lower:.2f} to {loops.gain(b.without, b.upper)}" for b in found)]


def bounds_figure(source, caches):
    """Ranges of the model, and what RedHawk has measured."""
    by_call, presets = bounds_of(source)
    redhawk = source.data["redhawk"]
    name, title = f"{source.name}-{caches}", f"Bounds of the gain, {caches} caches: {source.what} ({loops.LABEL})"
    figure, part = subplot(5.4)
    loops.draw(part, by_call[caches], presets, redhawk, caches)
    part.set_title("")
    legend(figure, part)
    head = ["call", *(f"{mode} {what}" for mode in MODES for what in ("instructions", "remote lines")),
            *(f"RedHawk, {machine['title']}, µs" for machine in redhawk["machines"]),
            *(f"{preset.title}, {preset.local_ns}/{preset.remote_ns} ns, model, µs" for preset in presets)]
    return Figure(name, title, "Bars are a model, from counted lines and named latencies; crosses and rings are what"
                  " RedHawk measured on hardware in 2012, with another kernel. Scale: linear to 1 µs, then"
                  " logarithmic.", source.command, svg(name, title, figure), head, list(bounds_rows(source, caches)))


def bounds(build):
    """What replication may gain."""
    section = Section("bounds", "Bounds of the gain", "Upper: each remote line costs the whole difference of latency,"
                      " nothing overlaps. Lower: none does; where nodes share a cache, the replicas cost. "
                      "A model, not measured: no hardware was timed.")
    found = list(build.boots("loops", "loops", "loops.json"))
    for source in found:
        low, high = (source.data["bounds"]["xeon-e7"]["cold"]["fork"][f"{end}_us"] for end in ("lower", "upper"))
        if source.data["runs"] > 1:
            source.command += " TWICE=1"
            build.facts.append((f"Counts of two runs of RedHawk's loops: {source.what}",
                                "equal" if source.data["equal"] else "not equal"))
        build.facts.append((f"Gain of a cold fork, Xeon E7: {source.what} ({loops.LABEL})",
                            f"{low:.0f} to {high:.0f} µs"))
        section.figures += [bounds_figure(source, caches) for caches in loops.CACHES]
    if found:
        presets = found[0].data["presets"]
        section.html = "<h3>Latencies of the model</h3>\n" + table(
            ["machine", "local ns", "remote ns", "source"],
            [[p["title"], p["local_ns"], p["remote_ns"], p["source"]] for p in presets], "Latencies of the model")
    else:
        section.missing.append("make loops")
    return section


# === Memory, faults ==========================================================

def last_json(text):
    """What ktrinfo has printed on a console."""
    start = ("\n" + text.replace("\r", "")).find("\n{")
    if start < 0:
        raise ValueError("no JSON of ktrinfo in it")
    return json.JSONDecoder().raw_decode(text.replace("\r", ""), start)[0]


def memory_figure(source):
    """Stacked: what each node spends."""
    nodes = source.data["nodes"]
    figure, part = subplot(0.8 + 0.4 * len(nodes))
    left = [0] * len(nodes)
    for (key, label), colour in zip(MEMORY.items(), SERIES):
        values = [node["statistics"][key] / 1024 for node in nodes]
        if any(values):
            part.barh(range(len(nodes)), values, 0.6, left, label=label, color=colour)
        left = [a + b for a, b in zip(left, values)]
    part.set_yticks(range(len(nodes)), [f"node {node['node']}" for node in nodes])
    part.set_ylim(len(nodes) - 0.4, -0.6)
    part.set_xlabel("MiB")
    part.grid(axis="x")
    legend(figure, part)
    title = f"Memory of replication on each node: {source.what}"
    return Figure(source.name, title, f"The image on node {source.data['state']['primary']} is the primary, which is"
                  " not counted.", source.command, svg(source.name, title, figure),
                  ["node, kB", *MEMORY.values(), "total"],
                  [[node["node"], *(node["statistics"][key] for key in MEMORY),
                    node["statistics"]["total_repli_pages"]] for node in nodes])


def memory_command(arch, topology):
    """Boots one machine."""
    return (f"make image ARCH={arch} && ARCH={arch} TOPOLOGY={topology}"
            f" OUT=build/memory/{arch}-run-{topology} scripts/run memory")


def memory(build):
    """What it takes."""
    section = Section("memory", "Memory", "What ktrinfo reports of each node, with one small module loaded.")
    for path in sorted((build.root / "memory").glob("*/memory-*.log"), key=by_arch):
        arch, _, topology = path.parent.name.split("-")
        source = build.read(path, memory_command(arch, topology), f"{arch}, {topology}", last_json)
        section.figures.append(memory_figure(source))
        total = max(node["statistics"]["total_repli_pages"] for node in source.data["nodes"])
        build.facts.append((f"Memory of a node with replicas: {source.what}", f"{total / 1024:.1f} MiB"))
    if not section.figures:
        section.missing.append(memory_command("x86_64", "4n8c"))
    return section


FAULT_COLUMNS = ("time_ns", "node", "minor", "major", "utilisation")
# On another machine: ktmon --csv --output=build/profile/NAME/STUDY.csv
FAULT_COMMAND = "make profile ARCH="


def read_records(text):
    """What ktmon has written: {node: [(seconds, minor, major, utilisation)]}."""
    reader = csv.DictReader(text.splitlines())
    if not set(FAULT_COLUMNS) <= set(reader.fieldnames or ()):
        raise ValueError(f"expected columns {', '.join(FAULT_COLUMNS)}")
    nodes, start = {}, None
    for line in reader:
        try:
            when, node, *values = (float(line[name]) for name in FAULT_COLUMNS)
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {reader.line_num}: expected numbers") from error
        start = when if start is None else start
        nodes.setdefault(int(node), []).append(((when - start) / 1e9, *values))
    if not nodes:
        raise ValueError("there are no records")
    return dict(sorted(nodes.items()))


def sums(records, place):
    """Faults since the start, record by record."""
    return list(itertools.accumulate(record[place] for record in records))


def fault_figure(source, place, kind):
    """Faults since the start, a line for each node."""
    figure, part = subplot(3.2)
    for node, records in source.data.items():
        part.plot([record[0] for record in records], sums(records, place), label=f"node {node}")
    part.set_xlabel("seconds")
    part.set_ylabel(f"{kind} faults since the start")
    part.set_ylim(bottom=0)
    part.grid(axis="y")
    legend(figure, part)
    title, name = f"{kind.capitalize()} page faults over time: {source.what}", f"{source.name}-{kind}"
    return Figure(name, title, "Of the registered processes, by the node that their threads are on.",
                  source.command, svg(name, title, figure),
                  ["node", "samples", "seconds", f"{kind} faults", "mean utilisation"],
                  [[node, len(records), f"{records[-1][0] - records[0][0]:.2f}",
                    f"{sums(records, place)[-1]:.0f}",
                    f"{100 * sum(record[3] for record in records) / len(records):.1f} %"]
                   for node, records in source.data.items()])


def faults(build):
    """Page faults over time."""
    section = Section("faults", "Page faults over time", "As the profiler counts them, sample by sample, on each node.")
    for path in sorted((build.root / "profile").glob("*/*.csv")):
        machine = path.parent.name
        source = build.read(path, FAULT_COMMAND + machine, f"{machine}, {path.stem}", read_records)
        section.figures += [fault_figure(source, 1, "minor"), fault_figure(source, 2, "major")]
    if not section.figures:
        section.missing.append(FAULT_COMMAND + ARCHES[0])
    return section


# === Where it is from ========================================================

def sources(build):
    """All files that were read."""
    section = Section("sources", "Machines and commands", "All of it ran under QEMU without KVM. Counts do not depend"
                      " on the host.")
    rows = [[str(source.path.relative_to(build.root)), source.what, source.command,
             time.strftime("%Y-%m-%d %H:%M", time.localtime(source.path.stat().st_mtime))]
            for source in build.used]
    versions = [[arch, *versions_of(build.root / "obj" / f"{arch}-run")] for arch in ARCHES
                if (build.root / "obj" / f"{arch}-run").exists()]
    section.html = table(["data, in build/", "machine", "command", "made"], rows, "Data") + table(
        ["kernel", "release", "compiler"], versions, "Kernels")
    return section


def versions_of(obj):
    """Release and compiler of a kernel."""
    release, config = obj / "include" / "config" / "kernel.release", obj / ".config"
    compiler = re.search(r'^CONFIG_CC_VERSION_TEXT="(.*)"', config.read_text(encoding="utf-8"), re.M) \
        if config.exists() else None
    return [release.read_text(encoding="utf-8").strip() if release.exists() else "-",
            compiler[1] if compiler else "-"]


def gather(root):
    """All sections, and what is to be seen first."""
    build = Build(root)
    found = [make(build) for make in (locality, cost, poke, bounds, memory, faults, sources)]
    if build.facts:
        found.insert(0, Section("summary", "At a glance", "Each figure below names the command that makes its data.",
                                html=facts(build.facts)))
    return found
