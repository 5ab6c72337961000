#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""make-core.py FILE [SPOIL]: an ELF image of the memory of a small x86_64 kernel.

Node 1 has replicas of two pages of text, node 0 one of a page of a module.  SPOIL is
what is wrong: see main().
"""

import struct
import sys

LINEAR, TEXT, MODULE = 0xffff888000000000, 0xffffffff81000000, 0xffffffffc0000000
VMEMMAP, PAGE = 0xffffea0000000000, 4096
IMAGE, SIZE = 0x10000, 0x60000

memory = bytearray(SIZE)


def put(at, *words):
    """Words at a physical address."""
    struct.pack_into(f"<{len(words)}Q", memory, at, *words)


def page_of(at):
    """The struct page of a physical address."""
    return VMEMMAP + at // PAGE * 64


def region(at, head, start, pages, replica):
    """A region alone on a list, and the replicas of each page on two nodes."""
    put(head, LINEAR + at + 8)
    put(at, 0, LINEAR + head if head < IMAGE else TEXT + head - IMAGE, 0, start,
        start + pages * PAGE, LINEAR + at + 0x80, 0, 2, *(a and page_of(a) for a in replica))


def build(spoil):
    """All of memory."""
    for i, at in enumerate((IMAGE, IMAGE + PAGE, 0x40000)):
        memory[at:at + PAGE] = bytes((i + j) % 251 for j in range(PAGE))
    memory[0x30000:0x32000] = memory[IMAGE:IMAGE + 2 * PAGE]
    memory[0x41000:0x42000] = memory[0x40000:0x41000]
    # ktrepl_state, ktrepl_nr_nodes, ktrepl_nodes, the heads of both lists
    put(IMAGE + 0x4000, 1 if spoil == "off" else 2, 2, LINEAR + 0x20000, LINEAR + 0x20100)
    put(0x20000, 0, 1)
    put(0x20100, 0, spoil != "dead")
    region(0x20200, IMAGE + 0x4100, TEXT, 2, (0, 0x30000, 0, 0x31000))
    region(0x20400, IMAGE + 0x4200, MODULE, 1, (0x41000, 0))
    put(0x20280, spoil == "stale")
    put(0x20430, spoil == "dying")
    # From the top: an entry for the module, by a table of pages.
    put(IMAGE + 0x5000 + 511 * 8, 0x50003)
    put(0x50000 + 511 * 8, 0x51003)
    put(0x51000, 0x52003)
    put(0x51000 + (MODULE >> 21 & 511) * 8, 0x52003)
    put(0x52ff0, 0x1122334455667788, 0x99aabbccddeeff00)
    put(0x52000, 0x40003 if spoil != "unmapped" else 0)
    if spoil == "large":
        memory[0x40000:0x42000] = bytes(2 * PAGE)
        put(0x51000 + (MODULE >> 21 & 511) * 8, 0x83)
    if spoil in ("different", "live"):
        memory[0x31004] ^= 0x55
    if spoil == "module":
        memory[0x41008] ^= 0x55


def info(spoil):
    """VMCOREINFO."""
    lines = {
        "PAGESIZE": "4096", "SIZE(page)": "64", "OFFSET(list_head.next)": "0",
        "SYMBOL(vmemmap)": f"{VMEMMAP:x}", "SYMBOL(swapper_pg_dir)": f"{TEXT + 0x5000:x}",
        "NUMBER(phys_base)": f"{IMAGE - TEXT + 0xffffffff80000000}",
        "NUMBER(pgtable_l5_enabled)": "0", "NUMBER(KTREPL_ON)": "2",
        "SYMBOL(ktrepl_state)": f"{TEXT + 0x4000:x}",
        "SYMBOL(ktrepl_nr_nodes)": f"{TEXT + 0x4008:x}",
        "SYMBOL(ktrepl_nodes)": f"{TEXT + 0x4010:x}", "OFFSET(ktrepl_node.live)": "8",
        "SYMBOL(ktrepl_regions)": f"{TEXT + 0x4100:x}",
        "SYMBOL(ktrepl_execmem_regions)": f"{TEXT + 0x4200:x}",
        "OFFSET(ktrepl_region.list)": "8", "OFFSET(ktrepl_region.start)": "24",
        "OFFSET(ktrepl_region.end)": "32", "OFFSET(ktrepl_region.stale)": "40",
        "OFFSET(ktrepl_region.dying)": "48", "OFFSET(ktrepl_region.nodes)": "56",
        "OFFSET(ktrepl_region.replica)": "64",
    }
    if spoil == "plain":
        lines = {key: value for key, value in lines.items() if "trepl" not in key}
    return "".join(f"{key}={value}\n" for key, value in lines.items()).encode()


def main():
    """Write the file."""
    path, spoil = sys.argv[1], (sys.argv + [""])[2]
    if spoil not in ("", "live", "off", "dead", "stale", "dying", "different", "module", "unmapped",
                     "large", "plain", "uninformed"):
        sys.exit(f"make-core.py: {spoil}?")
    build(spoil)
    desc = info(spoil)
    name = b"VMCOREINFO\0" if spoil != "uninformed" else b"SOMETHING\0\0"
    note = struct.pack("<3I", len(name), len(desc), 0) + name.ljust(12, b"\0")
    note += desc.ljust((len(desc) + 3) & ~3, b"\0")
    offset = 64 + 4 * 56
    data = offset + len(note)
    with open(path, "wb") as out:
        out.write(struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0,
                              64, 56, 4, 0, 0, 0))
        # /proc/kcore: a CPU of node 1 sees its replica, where modules lie is not known.
        live = spoil == "live"
        image = memory[0x31000:0x32000] * 6 if live else memory[IMAGE:IMAGE + 0x6000]
        # makedumpfile has left out the end.
        for kind, at, virt, phys, stored, size in (
                (4, offset, 0, 0, len(note), len(note)), (1, data, TEXT, IMAGE, 0x6000, 0x6000),
                (1, data + 0x6000, LINEAR, 0, 0x53000, SIZE),
                (int(live), data + 0x46000, MODULE, (1 << 64) - 1, PAGE, PAGE)):
            out.write(struct.pack("<IIQQQQQQ", kind, 7, at, virt, phys, stored, size, 0))
        out.write(note + image + memory)


if __name__ == "__main__":
    main()
