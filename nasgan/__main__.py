"""``python -m nasgan`` is ``nasgan``; ``torchrun -m nasgan train`` trains on several devices."""

from __future__ import annotations

import sys

from nasgan.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
