# SPDX-License-Identifier: GPL-2.0
"""What debuggers say of a guest that replicates its text, on two nodes, and whether
that is so."""

import re


class Answer:
    """What a debugger says of an address."""

    def __init__(self, text):
        region = re.search(r": (\w+ \w+) [0-9a-f]+000-[0-9a-f]+fff$", text, re.M)
        self.kind = region and region[1]
        nodes = re.search(r"^primary on node (\d+),"
                          r" (?:no replicas|replicas on nodes (\S+), (\w+))$", text, re.M)
        self.primary, self.replicas, self.use = nodes.groups() if nodes else (None, None, None)
        self.bytes, self.different = {}, []
        for whose, found, differs in re.findall(
                r"^[0-9a-f]{16} (primary|all|node \d+) +((?:[0-9a-f]{2} ?)+)( differs)?$",
                text, re.M):
            self.bytes.setdefault(whose, []).extend(found.split())
            if differs:
                self.different.append(whose)


class Count:
    """What has passed, failed, and been skipped, of a subject: a debugger, a case."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.subject = ""

    def __call__(self, what, good, text=""):
        self.passed += bool(good)
        self.failed += not good
        print(f"{'ok' if good else 'not ok':7} {self.subject} {what}", flush=True)
        if not good:
            print("\n".join(f"        {line}" for line in str(text).splitlines()))

    def skip(self, what, why):
        """Not checked."""
        self.skipped += 1
        print(f"{'skip':7} {self.subject} {what}: {why}")

    def conclude(self):
        """Print the counts; return the exit code."""
        print(f"\n{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


class Checks(Count):
    """A breakpoint is at a call, which CPUs make one after the other."""

    def __init__(self, call, cpus):
        super().__init__()
        self.call, self.cpus = call, cpus

    def stepped(self, call, good, text):
        """A CPU has stepped over a breakpoint; no text: it was not told to."""
        if text is None:
            self.skip(f"{call}: stepped", "arm64 steps into a pending interrupt")
        else:
            self(f"{call}: stepped", good, text)

    def region(self, what, text, kind):
        """A page that one of two nodes has a replica of."""
        answer = Answer(text)
        other = {"0": "1", "1": "0"}.get(answer.primary)
        self(f"{what}: region", answer.kind == kind, text)
        self(f"{what}: nodes", answer.replicas == other and answer.use == "live", text)

    def replicated(self, what, text, kind, length):
        """The same, and all bytes are equal."""
        self.region(what, text, kind)
        answer = Answer(text)
        self(f"{what}: bytes", {"primary", f"node {answer.replicas}"} <= set(answer.bytes) and
             all(found == answer.bytes["primary"] and len(found) == length
                 for found in answer.bytes.values()), text)
        self(f"{what}: equal", not answer.different, text)

    def changed(self, text):
        """The same, and byte 8 of the replica differs."""
        self.region("changed", text, "image text")
        answer = Answer(text)
        primary, replica = (answer.bytes.get(f"{whose}") for whose in
                            ("primary", f"node {answer.replicas}"))
        self("changed: node", answer.different == [f"node {answer.replicas}"], text)
        self("changed: byte", primary and replica and
             [i for i in range(16) if primary[i] != replica[i]] == [8], text)

    def state(self, text):
        """Replication is on."""
        self("on: state", re.fullmatch(r"ktrepl is on: nodes [01](-1)? live, primary on node [01]",
                                       text), text)

    def on(self, said, bad):
        """What both say with replication on."""
        self.state(said["state"])
        self.replicated("text", said["text"], "image text", 16)
        self.replicated("lines", said["lines"], "image text", 20)
        self.replicated("rodata", said["rodata"], "image rodata", 16)
        self.replicated("module", said["module"], "execmem text", 16)
        self.changed(said["changed"])
        self("default: 16 bytes", said["default"] == said["text"], said["default"])
        self("lines: an offset", Answer(said["lines"]).bytes.get("primary", [])[:13] ==
             Answer(said["text"]).bytes.get("primary", [])[3:], said["lines"])
        data = Answer(said["data"])
        self("data: no region", ": in no region\n" in said["data"] and
             list(map(len, data.bytes.values())) == [8] and "all" in data.bytes, said["data"])
        for name, message in bad.items():
            self(f"bad: {name}", message in said[name], said[name])

    def off(self, said):
        """What kdb says with replication off."""
        self("off: state", said["state"] == "ktrepl is off", said["state"])
        answer = Answer(said["text"])
        self("off: region", answer.kind == "image text" and answer.primary and not answer.replicas,
             said["text"])
        self("off: bytes", len(answer.bytes) == 3 and
             len(set(map(tuple, answer.bytes.values()))) == 1, said["text"])

    def breakpoints(self, before, hits, after, more):
        """One that is set once stops CPUs of both nodes, and none when it is cleared."""
        self("bp: set", self.call in before["list"], before["list"])
        for i, (cpu, (first, second, said)) in enumerate(zip(self.cpus, hits)):
            self(f"bp: call {i} on CPU {cpu}", f"on processor {cpu} due to Breakpoint" in first,
                 first)
            self.stepped(f"bp: call {i}", f"on processor {cpu} due to SS trap" in (second or ""),
                         second)
            self(f"bp: call {i}: md", said["bytes"] == before["bytes"], said["bytes"])
            self.replicated(f"bp: call {i}", said["text"], "image text", 16)
        self("bp: cleared", self.call not in after["none"], after["none"])
        self.replicated("bp: cleared", after["text"], "image text", 16)
        self("bp: gone", not any("Entering kdb" in line for line in more), "\n".join(more))

    def mapped(self, said):
        """A CPU of each node has the bytes mapped that lx-ktrepl has found there."""
        answer = Answer(said["changed"])
        cpus = {"0": "0-1", "1": "2-3"}
        self("users", f"CPUs {cpus.get(answer.primary)} use the primary\n" in said["changed"] and
             f"CPUs {cpus.get(answer.replicas)} use the replica of node {answer.replicas}\n"
             in said["changed"], said["changed"])
        for cpu, node in ((0, 0), (3, 1)):
            found = re.findall(r"\b0x([0-9a-f]{2})\b", said[f"on CPU {cpu}"])
            self(f"mapped on CPU {cpu}", found and
                 found == answer.bytes.get(f"node {node}", answer.bytes.get("primary")),
                 said[f"on CPU {cpu}"])

    def agree(self, one, other):
        """The debuggers do, where the bytes do not change meanwhile."""
        for name in ("text", "rodata", "module", "changed"):
            a, b = Answer(one[name]), Answer(other[name])
            self(f"agree: {name}", all(getattr(a, what) == getattr(b, what) for what in
                                       ("kind", "primary", "replicas", "different")) and
                 a.bytes.items() <= b.bytes.items(), f"{one[name]}\n{other[name]}")

    def own(self, said):
        """A breakpoint that gdb has written as a CPU maps it is on that CPU's node alone."""
        for cpu, node in ((0, 0), (3, 1)):
            text, gone = Answer(said[f"own text {cpu}"]), Answer(said[f"own gone {cpu}"])
            mapped = f"node {node}" if gone.replicas == str(node) else "primary"
            self(f"own breakpoint of CPU {cpu}", [whose for whose, found in text.bytes.items()
                                                  if found != gone.bytes.get(whose)] == [mapped],
                 said[f"own text {cpu}"])
            self.replicated(f"own breakpoint of CPU {cpu} is gone", said[f"own gone {cpu}"],
                            "image text", 16)

    def stub(self, said):
        """QEMU's breakpoints stop every CPU."""
        for kind in ("break", "hbreak"):
            goes = [said[f"{kind} go {i}"] for i in range(len(self.cpus))]
            at = [said[f"{kind} at {i}"] for i in range(len(self.cpus))]
            self(f"{kind}: hit", all(" hit Breakpoint " in text for text in goes),
                 "\n".join(goes))
            self(f"{kind}: CPUs", {int(number) - 1 for text in at for number in
                                   re.findall(r"thread is (\d+) ", text)} == set(self.cpus),
                 "\n".join(at))

    def serial(self, said):
        """What gdb says at the serial line."""
        self("stopped by sysrq-g", "kgdb_breakpoint" in said["where"], said["where"])
        self.state(said["state"])
        self.written(said)
        self("break: set", "Breakpoint 1 at" in said["break"], said["break"])
        for i, cpu in enumerate(self.cpus):
            self(f"call {i} on CPU {cpu}", "Breakpoint 1, " in said[f"go {i}"] and
                 said[f"at {i}"] == f"CPU {cpu}, 0 bytes on", said[f"go {i}"] + said[f"at {i}"])
            self.replicated(f"call {i}", said[f"text {i}"], "image text", 16)
            second = said.get(f"stepped {i}")
            self.stepped(f"call {i}", re.fullmatch(rf"CPU {cpu}, ([1-9]|1[0-5]) bytes on",
                                                   second or ""), second)
        self("break: no more calls", "kgdb_breakpoint" in said["stops"], said["stops"])
        self("break: gone", "kgdb_breakpoint" in said["more stops"], said["more stops"])
        self.replicated("break: gone", said["gone"], "image text", 16)
        self("break: as before", Answer(said["gone"]).bytes == Answer(said["text before"]).bytes,
             said["gone"])

    def written(self, said):
        """Data is, for all CPUs, as the guest finds; what is replicated is not, anywhere."""
        self("write data", said["write data"] == "", said["write data"])
        for name in ("text", "rodata", "module"):
            before, after = said[f"{name} before"], said[f"{name} after"]
            kind = {"module": "execmem text"}.get(name, f"image {name}")
            self.replicated(f"write {name}", after, kind, 16)
            self(f"write {name}: as before", Answer(after).bytes == Answer(before).bytes, after)
        for name in ("text", "rodata", "module", "primary", "replica"):
            self(f"write {name}: refused", "Cannot access memory at address" in
                 said[f"write {name}"], said[f"write {name}"])
