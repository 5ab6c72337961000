# SPDX-License-Identifier: GPL-2.0
"""NUMA machines for kunit.py: each *-NnCc.py beside this file is one of them."""

from pathlib import Path

from qemu_config import QemuArchParams

HERE = Path(__file__).resolve().parent
MEGABYTES = 1024                # kunit.py gives a machine that much
# Text is protected, and then replicated, before the tests run.
APPEND = "ktrepl.test_protect=1"
# CPUs take turns: with a thread for each, QEMU may run stale translations of text
# that another CPU has patched.
COMMON = ["-accel", "tcg,thread=single"]


def kconfig(arch):
    """The symbols of numa.config and of the architecture's own file."""
    return "".join((HERE / name).read_text() for name in ("numa.config", f"{arch}.config"))


def topology(nodes, cpus):
    """QEMU's words for nodes with the same number of CPUs, and as much memory."""
    words = ["-smp", f"{cpus},sockets={cpus}"]
    share = cpus // nodes
    for n in range(nodes):
        words += ["-object", f"memory-backend-ram,id=m{n},size={MEGABYTES // nodes}M",
                  "-numa", f"node,nodeid={n},memdev=m{n},cpus={n * share}-{(n + 1) * share - 1}"]
    return words


def x86_64(nodes, cpus):
    """An x86_64 machine."""
    return QemuArchParams(linux_arch="x86_64", kconfig=kconfig("x86_64"), qemu_arch="x86_64",
                          kernel_path="arch/x86/boot/bzImage",
                          kernel_command_line=f"console=ttyS0 {APPEND}",
                          extra_qemu_params=["-machine", "q35", "-cpu", "max",
                                             "-bios", "qboot.rom",
                                             *COMMON, *topology(nodes, cpus)])


def arm64(nodes, cpus):
    """An arm64 machine."""
    return QemuArchParams(linux_arch="arm64", kconfig=kconfig("arm64"), qemu_arch="aarch64",
                          kernel_path="arch/arm64/boot/Image.gz",
                          kernel_command_line=f"console=ttyAMA0 {APPEND}",
                          extra_qemu_params=["-machine", "virt,gic-version=3",
                                             "-cpu", "max,pauth-impdef=on",
                                             *COMMON, *topology(nodes, cpus)])
