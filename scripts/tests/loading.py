# SPDX-License-Identifier: GPL-2.0
"""For tests of programs in scripts, whose names do not end in .py."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True


def load(name):
    """scripts/NAME as a module."""
    spec = spec_from_loader(name, SourceFileLoader(name, str(SCRIPTS / name)))
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
