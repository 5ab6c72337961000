# SPDX-License-Identifier: GPL-2.0
#
# gdb helper commands and functions for Linux kernel debugging
#
#  NUMA kernel text replication: what each node executes
#

import gdb

from linux import constants, cpus, lists, mm, utils


# Only arm64's is among the constants.
PAGE_SHIFT = getattr(constants, "LX_CONFIG_PAGE_SHIFT", 12)

# Bytes in a line.  Lines start at multiples of it: none crosses a page.
LINE = 16

region_type = utils.CachedType("struct ktrepl_region")
vmap_area_type = utils.CachedType("struct vmap_area")


class X86Pages:
    """The same as mm.page_ops() has for arm64."""

    START_KERNEL_MAP = 0xffffffff80000000
    # An entry of a table that is a page's, not a table's.
    LEAF_MASK, LEAF = 1 << 7, 1 << 7

    def __init__(self):
        five = gdb.lookup_global_symbol("__pgtable_l5_enabled")
        self.vabits_actual = 57 if five and int(five.value()) else 48

    def page_to_pfn(self, page):
        vmemmap = int(gdb.parse_and_eval("vmemmap_base"))
        return (int(page) - vmemmap) // utils.get_page_type().sizeof

    def pfn_to_page(self, pfn):
        vmemmap = int(gdb.parse_and_eval("vmemmap_base"))
        page = gdb.Value(vmemmap + pfn * utils.get_page_type().sizeof)
        return page.cast(utils.get_page_type().pointer())

    def pfn_to_kaddr(self, pfn):
        linear_map = int(gdb.parse_and_eval("page_offset_base"))
        return linear_map + (pfn << PAGE_SHIFT)

    def per_cpu_symbol(self, pointer):
        """They begin at 0, and gdb has moved them with the image (symbol-file -o)."""
        moved = int(gdb.parse_and_eval("(long)&__per_cpu_start"))
        return gdb.Value(int(pointer) - moved).cast(pointer.type)

    def sym_to_pfn(self, addr):
        """phys_base is unsigned, and less than 0 if the image lies low in memory."""
        phys = addr - self.START_KERNEL_MAP + int(gdb.parse_and_eval("phys_base"))
        return (phys & (2 ** 64 - 1)) >> PAGE_SHIFT


class Arm64Pages(mm.aarch64_page_ops):
    LEAF_MASK, LEAF = 1 << 1, 0

    def per_cpu_symbol(self, pointer):
        return pointer


def page_ops():
    return Arm64Pages() if utils.is_target_arch("aarch64") else X86Pages()


def linear_address(addr):
    """Where the linear map has what init_mm maps at an address, or None."""
    ops, bits_of_table = page_ops(), PAGE_SHIFT - 3
    # The tables do not say which half of the address space they map.
    if addr >> ops.vabits_actual != (1 << (64 - ops.vabits_actual)) - 1:
        return None
    table = int(gdb.parse_and_eval("init_mm.pgd"))
    top = PAGE_SHIFT + (ops.vabits_actual - PAGE_SHIFT - 1) // bits_of_table * bits_of_table
    for shift in range(top, PAGE_SHIFT - 1, -bits_of_table):
        bits_of_index = min(bits_of_table, ops.vabits_actual - shift)
        index = addr >> shift & ((1 << bits_of_index) - 1)
        entry = int.from_bytes(read_mapped(table + 8 * index, 8), "little")
        if not entry & 1:
            return None
        if shift == PAGE_SHIFT or entry & ops.LEAF_MASK == ops.LEAF:
            break
        table = linear_map(ops, entry, PAGE_SHIFT)
    return linear_map(ops, entry, shift) | (addr & ((1 << shift) - 1))


def linear_map(ops, entry, shift):
    """Where the linear map has what an entry points to.  Its other bits are flags."""
    phys = entry & ((1 << 50) - (1 << shift))
    return int(ops.pfn_to_kaddr(phys >> PAGE_SHIFT))


def page_to_nid(page):
    if int(gdb.parse_and_eval("ktrepl_info->fake_nodes")):
        return 0
    flags = int(read_word(page["flags"].address))
    return flags >> (64 - constants.LX_CONFIG_NODES_SHIFT)


def vmalloc_to_page(addr):
    """The page that init_mm maps there, by the list of areas."""
    areas = vmap_area_type.get_type().pointer()
    for i in range(int(gdb.parse_and_eval("nr_vmap_nodes"))):
        head = gdb.parse_and_eval("vmap_nodes[{}].busy.head".format(i))
        for area in lists.list_for_each_entry(head, areas, "list"):
            start = int(area["va_start"])
            if start <= addr < int(area["va_end"]):
                index = (addr - start) >> PAGE_SHIFT
                return read_word(area["vm"]["pages"] + index)
    raise gdb.GdbError("nothing is mapped at 0x{:x}".format(addr))


def bits(words, count):
    """The numbers of the bits that are set in a bitmap."""
    return [i for i in range(count) if int(words[i // 64]) >> i % 64 & 1]


def ranges(numbers):
    """Numbers like the kernel prints a bitmap: 0-1,3."""
    parts = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join("{}-{}".format(*part) if part[0] != part[1] else str(part[0])
                    for part in parts)


def nodes():
    """The node ids that there can be."""
    return range(int(gdb.parse_and_eval("ktrepl_nr_nodes")))


def live_nodes():
    known = gdb.parse_and_eval("ktrepl_nodes")
    return [nid for nid in nodes() if int(known[nid]) and int(known[nid]["live"])]


def find_region(addr):
    """The region of an address, or None."""
    pointer = region_type.get_type().pointer()
    for name in ("ktrepl_regions", "ktrepl_execmem_regions"):
        if not gdb.lookup_global_symbol(name):
            continue
        head = gdb.parse_and_eval(name)
        for region in lists.list_for_each_entry(head, pointer, "list"):
            if (int(region["start"]) <= addr < int(region["end"])
                    and not int(region["dying"])):
                return region
    return None


class Place:
    """What is replicated at an address: like struct ktrepl_place."""

    def __init__(self, region, addr):
        self.region, self.addr = region, addr
        self.ops = page_ops()
        self.execmem = bool(int(region["execmem"]))
        self.index = (addr - int(region["start"])) >> PAGE_SHIFT
        self.stale = self.index in bits(region["stale"], self.index + 1)
        self.replicas = {}
        entries = region["replica"][self.index * int(region["nodes"])].address
        for nid in nodes():
            page = read_word(entries + nid)
            if int(page):
                self.replicas[nid] = self.ops.page_to_pfn(page)
        self.primary = self.primary_pfn()

    def primary_pfn(self):
        if self.execmem:
            return self.ops.page_to_pfn(vmalloc_to_page(self.addr))
        return self.ops.sym_to_pfn(self.addr)

    def read(self, pfn, length):
        offset = self.addr & ((1 << PAGE_SHIFT) - 1)
        return read_memory(self.ops.pfn_to_kaddr(pfn) + offset, length)

    def users(self):
        """The CPUs on each replica, by node, and on the primary, by -1."""
        preferred = self.ops.per_cpu_symbol(gdb.parse_and_eval("&ktrepl_cpu_preferred"))
        found = {}
        for cpu in cpus.each_online_cpu():
            node = cpus.per_cpu(preferred, cpu)
            nid = int(node["nid"]) if int(node) else -1
            if self.stale or nid not in self.replicas:
                nid = -1
            found.setdefault(nid, []).append(cpu)
        return found

    def describe(self):
        region = self.region
        kind = "text" if str(region["kind"]) == "KTREPL_TEXT" else "rodata"
        yield "{}: {} {} {:x}-{:x}".format(
            symbol(self.addr), "execmem" if self.execmem else "image", kind,
            int(region["start"]), int(region["end"]) - 1)
        where = "no replicas"
        if self.replicas:
            where = "replicas on nodes {}, {}".format(
                ranges(self.replicas), "stale" if self.stale else "live")
        yield "primary on node {}, {}".format(
            page_to_nid(self.ops.pfn_to_page(self.primary)), where)
        for nid, found in sorted(self.users().items()):
            what = "the replica of node {}".format(nid) if nid >= 0 else "the primary"
            yield "CPUs {} use {}".format(ranges(found), what)

    def lines(self, length):
        primary = self.read(self.primary, length)
        yield line(self.addr, "primary", primary)
        for nid, pfn in self.replicas.items():
            found = self.read(pfn, length)
            yield line(self.addr, "node {}".format(nid), found,
                       "  differs" if found != primary else "")


def read_mapped(addr, length):
    return bytes(gdb.selected_inferior().read_memory(addr, length))


def read_memory(addr, length):
    try:
        return read_mapped(addr, length)
    except gdb.MemoryError:
        # In a dump only the image and the linear map have addresses.
        linear = linear_address(addr)
        if not linear:
            raise gdb.GdbError("Cannot access memory at address 0x{:x}".format(addr))
        return read_mapped(linear, length)


def read_word(pointer):
    return gdb.Value(int.from_bytes(read_memory(int(pointer), 8), "little"))


def symbol(addr):
    found = gdb.execute("info symbol {}".format(addr), to_string=True)
    return found.split(" in section")[0] if " in section" in found else hex(addr)


def line(addr, whose, found, mark=""):
    return "{:016x} {:<8} {}{}".format(addr, whose, found.hex(" "), mark)


def show_state():
    state = str(gdb.parse_and_eval("ktrepl_state")).replace("KTREPL_", "").lower()
    if state == "on":
        primary = bits(gdb.parse_and_eval("ktrepl_primary_nodes"), len(nodes()))
        yield "ktrepl is on: nodes {} live, primary on node {}".format(
            ranges(live_nodes()), ranges(primary))
    else:
        yield "ktrepl is {}".format("off" if state == "booting" else state)


def show(addr, length):
    region = find_region(addr)
    if region:
        yield from Place(region, addr).describe()
    else:
        yield "{}: in no region".format(symbol(addr))
    while length:
        part = min(LINE - addr % LINE, length)
        region = find_region(addr)
        if region:
            yield from Place(region, addr).lines(part)
        else:
            yield line(addr, "all", read_memory(addr, part))
        addr, length = addr + part, length - part


def address(expression):
    try:
        value = gdb.parse_and_eval(expression)
    except gdb.error as error:
        raise gdb.GdbError(str(error))
    if value.type.code == gdb.TYPE_CODE_FUNC:
        value = value.address
    return int(value.cast(utils.get_ulong_type()))


class LxKtrepl(gdb.Command):
    """Show what each node executes at an address.

lx-ktrepl: the state of kernel text replication.
lx-ktrepl ADDRESS [BYTES]: the region of an address, the nodes that have
replicas of it, the CPUs that use them, and the bytes of the primary and of each
replica.  ADDRESS is an expression, such as schedule or (char *)schedule+3."""

    def __init__(self):
        super(LxKtrepl, self).__init__("lx-ktrepl", gdb.COMMAND_DATA)

    def invoke(self, arg, from_tty):
        argv = gdb.string_to_argv(arg)
        if len(argv) > 2:
            raise gdb.GdbError("Usage: lx-ktrepl [ADDRESS [BYTES]]")
        if not gdb.lookup_global_symbol("ktrepl_nodes"):
            raise gdb.GdbError("This kernel has no CONFIG_KTREPL")
        length = int(gdb.parse_and_eval(argv[1])) if len(argv) > 1 else LINE
        if not 0 < length <= 4096:
            raise gdb.GdbError("BYTES={}: expected 1 to 4096".format(length))
        text = show(address(argv[0]), length) if argv else show_state()
        for row in text:
            gdb.write(row + "\n")


LxKtrepl()
