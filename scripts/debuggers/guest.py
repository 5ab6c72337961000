# SPDX-License-Identifier: GPL-2.0
"""Debuggers that are asked, and a guest that replicates its text, at whose console and
serial line we are."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
GDB_ARCHITECTURES = {"x86_64": "i386:x86-64", "arm64": "aarch64"}


class GuestError(Exception):
    """The guest does not do what it should."""


def answers(pattern, text):
    """What follows each line that fits a pattern, by the pattern's group."""
    parts = re.split(pattern, text, flags=re.M)[1:]
    return {name.strip(): answer.strip("\n") for name, answer in zip(parts[::2], parts[1::2])}


def ask_gdb(commands, questions, *more):
    """Have gdb execute commands, answer questions, and take what more there is on its
    command line; return the answers by the questions' names."""
    command = ["gdb-multiarch", "-nx", "-batch", "-iex", "set auto-load no"]
    for text in commands:
        command += ["-ex", text]
    for name, text in questions.items():
        command += ["-ex", f"echo ({name})\\n", "-ex", text]
    try:
        text = subprocess.run([*command, *more], check=False, timeout=600,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True).stdout
    except subprocess.TimeoutExpired as error:
        print((error.stdout or b"").decode())
        raise
    print(text)
    said = answers(r"^\(([\w ]+)\)\n", text)
    return {name: said.get(name, "") for name in questions}


def change(server, arch, at, to=""):
    """Have QEMU's gdbstub write bytes to a physical address: these, or another one."""
    values = [f"{{unsigned char}}{at + i:#x} = {value}"
              for i, value in enumerate(bytes.fromhex(to))]
    byte = f"{{unsigned char}}{at:#x}"
    command = ["gdb-multiarch", "-nx", "-batch",
               "-ex", f"set architecture {GDB_ARCHITECTURES[arch]}",
               "-ex", f"target remote {server}", "-ex", "maintenance packet Qqemu.PhyMemMode:1"]
    for value in values or [f"{byte} = {byte} ^ 0x55"]:
        command += ["-ex", f"set var {value}"]
    done = subprocess.run([*command, "-ex", "detach"], check=False, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise GuestError(f"gdb: {done.stdout}")


def boot_and_change(what, arch, out, offset=0, **settings):
    """Boot a guest to do what scripts/guest has; where it waits for gdb, change memory so
    far behind the address that it says.  Return what it says, and scripts/run's exit code."""
    server, lines = out / "gdb", []
    settings["QEMU_EXTRA"] = (f"-gdb unix:{server},server=on,wait=off"
                              f" {settings.get('QEMU_EXTRA', '')}")
    with subprocess.Popen([SCRIPTS / "run", what], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, errors="replace",
                          env={**os.environ, "OUT": str(out), **settings}) as guest:
        for line in guest.stdout:
            lines.append(line.rstrip())
            print(lines[-1], flush=True)
            if match := re.search(f"^{what}: waiting for gdb at ([0-9a-f]{{16}}) ?([0-9a-f]*)$",
                                  lines[-1]):
                change(server, arch, int(match[1], 16) + offset, match[2])
    return "\n".join(lines), guest.returncode


class Guest:
    """A booted machine: QEMU's gdbstub listens at out/gdb, and out/serial is a serial
    line of the guest, of a card that QEMU calls card and the kernel port."""

    def __init__(self, out, card, port):
        self.out = out
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        os.mkfifo(out / "input")
        # Open for reading as well: does not wait for QEMU, which sees no end of it.
        self.keyboard = os.open(out / "input", os.O_RDWR)
        extra = (f"-gdb unix:{out}/gdb,server=on,wait=off"
                 f" -chardev socket,id=serial,path={out}/serial,server=on,wait=off"
                 f" -device {card},chardev=serial")
        self.process = subprocess.Popen(
            [SCRIPTS / "run", "kgdb"],
            env={"TIMEOUT": "900", **os.environ, "OUT": str(out), "INPUT": str(out / "input"),
                 "QEMU_EXTRA": extra,
                 "APPEND": f"{os.environ.get('APPEND', '')} ktrepl_args={port}"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")

    def until(self, pattern):
        """Pass on what it says; return its lines up to the one with pattern."""
        lines = []
        for line in self.process.stdout:
            print(line.rstrip(), flush=True)
            lines.append(line.rstrip())
            if re.search(pattern, line):
                return lines
        raise GuestError(f"the guest did not say: {pattern}")

    def waiting(self):
        """When it waits for gdb: the addresses of symbols."""
        line = self.until("^kgdb: waiting for gdb")[-1]
        return {name: f"0x{at}" for name, at in re.findall(r" (\w+)=([0-9a-f]+)", line)}

    def ask_gdb(self, line, obj, questions):
        """Have gdb ask questions at a line, out/gdb or out/serial; return the answers."""
        return ask_gdb(["set code-cache off", f"target remote {self.out / line}",
                        f"source {obj / 'vmlinux-gdb.py'}"], questions,
                       "-ex", "detach", obj / "vmlinux")

    def leave_kdb(self):
        """When the guest stops in kdb, at the serial line, have it wait for gdb there."""
        self.until("^Entering kdb")
        said = b""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect(str(self.out / "serial"))
            line.sendall(b"kgdb\n")
            while b"please attach debugger" not in said:
                said += line.recv(4096)

    def ask_kdb(self, questions):
        """Type questions at kdb when the guest stops there, and go; return the answers."""
        self.until("^Entering kdb")
        os.write(self.keyboard, "\n".join([*questions.values(), "go", ""]).encode())
        return self.split("\n".join(self.until(r"kdb> go")), questions)

    @staticmethod
    def split(text, questions):
        """What kdb has answered, by the questions' names."""
        said = answers(r"^.*\[\d+\]kdb> (.*)$", text)
        return {name: said.get(typed, "") for name, typed in questions.items()}

    def hit(self, questions, size):
        """Ask kdb questions where a breakpoint stops a CPU, step over it, and go; return
        where and why it has stopped, both times, and the answers.  Where there is a size,
        of an instruction that does nothing, skip it instead: the second is None."""
        first = self.until("^Entering kdb")[-1]
        over = f"rm pc {int(first.split()[-1], 16) + size:#x}\ngo" if size else "ss"
        os.write(self.keyboard, "\n".join([*questions.values(), over, ""]).encode())
        text = "\n".join(self.until(r"kdb> go" if size else "^Entering kdb"))
        if size:
            return first, None, self.split(text, questions)
        os.write(self.keyboard, b"go\n")
        self.until(r"kdb> go")
        return first, text.splitlines()[-1], self.split(text, questions)

    def finish(self):
        """Wait for its end."""
        for line in self.process.stdout:
            print(line.rstrip(), flush=True)
        return self.process.wait()
