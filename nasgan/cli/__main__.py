"""``python -m nasgan.cli`` is ``nasgan``, where the package is on the path but not installed."""

from __future__ import annotations

import sys

from nasgan.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
