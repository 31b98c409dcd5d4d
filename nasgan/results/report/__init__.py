"""The report: one HTML file about many runs, made from their records; live while a sweep runs.

Importing this package imports no torch, and the templates' engine only on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasgan.results.report.live import LiveServer
    from nasgan.results.report.page import Report, build_report

__all__ = ["LiveServer", "Report", "build_report"]

_MODULE_OF = {"LiveServer": "live", "Report": "page", "build_report": "page"}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name when the name is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
