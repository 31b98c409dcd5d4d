"""Tables: many architectures trained at several seeds, with their whole curves, in one file.

Nothing heavy is imported here, so that listing and reading tables stays light.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped_tables"]

_FOLDER = Path(__file__).parent / "tables"


def shipped_tables() -> dict[str, Path]:
    """The files of the tables that come with nasgan, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.npz"))}
