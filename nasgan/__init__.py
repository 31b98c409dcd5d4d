"""nasgan: benchmark neural architecture search for generative adversarial networks.

The names below are imported when they are first used, so that ``import nasgan`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasgan.api import search, simulate, train
    from nasgan.architecture import Architecture, Decision
    from nasgan.engine import LoadedRun, load
    from nasgan.factory import load_architecture, make_search_space, make_strategy
    from nasgan.leaderboard.study import Study
    from nasgan.tabular.table import Table, load_table

__all__ = [
    "Architecture",
    "Decision",
    "LoadedRun",
    "Study",
    "Table",
    "__version__",
    "load",
    "load_architecture",
    "load_table",
    "make_search_space",
    "make_strategy",
    "search",
    "simulate",
    "train",
]

__version__ = "0.1.0"

_MODULE_OF = {
    "Architecture": "nasgan.architecture",
    "Decision": "nasgan.architecture",
    "LoadedRun": "nasgan.engine",
    "Study": "nasgan.leaderboard.study",
    "Table": "nasgan.tabular.table",
    "load": "nasgan.engine",
    "load_architecture": "nasgan.factory",
    "load_table": "nasgan.tabular.table",
    "make_search_space": "nasgan.factory",
    "make_strategy": "nasgan.factory",
    "search": "nasgan.api",
    "simulate": "nasgan.api",
    "train": "nasgan.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
