from __future__ import annotations

import sys
from pathlib import Path

# Sample records are those of the tests of the results; packages are made as elsewhere, too.
sys.path += [str(Path(__file__).parents[1] / "results"), str(Path(__file__).parents[1])]

from installed_plugins import install  # noqa: F401 - a fixture of several files
