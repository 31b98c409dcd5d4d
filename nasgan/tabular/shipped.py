"""The tables that come with nasgan; kept apart so that listing them stays light."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped_tables"]

_FOLDER = Path(__file__).parent / "tables"


def shipped_tables() -> dict[str, Path]:
    """The files of the tables that come with nasgan, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.npz"))}
