#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Spoil some bytes of stdin, reproducibly: garble.py SEED."""

import random
import sys

data = bytearray(sys.stdin.buffer.read())
rnd = random.Random(int(sys.argv[1]))
for _ in range(rnd.randrange(1, 6)):
    i = rnd.randrange(len(data))
    what = rnd.randrange(4)
    if what == 0:
        data[i] = rnd.randrange(256)
    elif what == 1:
        del data[i:i + rnd.randrange(1, 40)]
    elif what == 2:
        data[i:i] = bytes(rnd.randrange(256) for _ in range(rnd.randrange(40)))
    else:
        data[i:i] = data[:rnd.randrange(len(data))]
    if not data:
        break
sys.stdout.buffer.write(bytes(data))
