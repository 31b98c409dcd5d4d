"""Folders of results on the command line: one, or several as ``runs=a,b,c`` or ``runs=[a,b,c]``."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["roots_of"]


def roots_of(setting: str | Sequence[str]) -> list[str]:
    """The folders of the setting ``runs``."""
    return [setting] if isinstance(setting, str) else list(setting)
