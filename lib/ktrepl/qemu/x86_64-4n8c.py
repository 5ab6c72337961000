# SPDX-License-Identifier: GPL-2.0
"""kunit.py --qemu_config: 4 nodes, 8 CPUs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine  # pylint: disable=wrong-import-position

QEMU_ARCH = machine.x86_64(nodes=4, cpus=8)
