# SPDX-License-Identifier: GPL-2.0
"""kunit.py --qemu_config: 2 nodes, 4 CPUs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import machine  # pylint: disable=wrong-import-position

QEMU_ARCH = machine.arm64(nodes=2, cpus=4)
