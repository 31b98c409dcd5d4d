"""Moments as text."""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["utc_now"]


def utc_now() -> str:
    """The current time in UTC as ISO 8601 text with milliseconds; such texts sort by time."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
