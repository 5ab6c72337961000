# SPDX-License-Identifier: GPL-2.0
"""make-ring.py FILE SLOTS POSITION [FIELD=VALUE...]: write a ring as the profiler has it
after POSITION records: two nodes, a sample each 50 ms; FIELDs of the header as given."""

import struct
import sys

HEADER = struct.Struct("<6I3Q2I")
RECORD = struct.Struct("<7Q2I")
FIELDS = ("magic", "version", "header_size", "record_size", "nr_records", "rate",
          "position", "overruns", "missed", "tasks", "pad")


def main(path, slots, position, *changes):
    slots, position = int(slots), int(position)
    header = dict(zip(FIELDS, (0x4652504b, 1, 4096, RECORD.size, slots, 20, position,
                               max(0, position - slots), 0, 2, 0)))
    for change in changes:
        name, value = change.split("=")
        header[name] = int(value)
    ring = [bytes(RECORD.size)] * slots
    for i in range(position):
        ring[i % slots] = RECORD.pack(i, 1000000000 + 50000000 * (i // 2), 50000000,
                                      100 * (i % 2 + 1), i % 2, 20000000, 5000000, i % 2, 3)
    with open(path, "wb") as file:
        file.write(HEADER.pack(*header.values()).ljust(4096, b"\0") + b"".join(ring))


if __name__ == "__main__":
    main(*sys.argv[1:])
