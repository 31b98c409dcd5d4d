"""What runs leave behind: records, histories, grids, and the leaderboard made of them.

Importing this package imports no torch; names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasgan.results.bundle import Bundle, publish
    from nasgan.results.bundle_check import verify_bundle
    from nasgan.results.collection import Problem, RunSummary, find_records
    from nasgan.results.environment import collect_environment
    from nasgan.results.grid import save_grid
    from nasgan.results.history import HISTORY_FILE, History, finite, read_history
    from nasgan.results.leaderboard import Leaderboard, build_leaderboard
    from nasgan.results.locking import RunLock
    from nasgan.results.loggers import (
        NullLogger,
        RunLogger,
        SafeLogger,
        TensorBoardLogger,
        WandbLogger,
    )
    from nasgan.results.record import RECORD_FILE, RunRecord, hash_config
    from nasgan.results.statistics import Summary, summarise
    from nasgan.results.status import STATUS_FILE, Status
    from nasgan.results.study import Study
    from nasgan.results.times import utc_now
    from nasgan.results.verification import Verification, verify_table

__all__ = [
    "HISTORY_FILE",
    "RECORD_FILE",
    "STATUS_FILE",
    "Bundle",
    "History",
    "Leaderboard",
    "NullLogger",
    "Problem",
    "RunLock",
    "RunLogger",
    "RunRecord",
    "RunSummary",
    "SafeLogger",
    "Status",
    "Study",
    "Summary",
    "TensorBoardLogger",
    "Verification",
    "WandbLogger",
    "build_leaderboard",
    "collect_environment",
    "find_records",
    "finite",
    "hash_config",
    "publish",
    "read_history",
    "save_grid",
    "summarise",
    "utc_now",
    "verify_bundle",
    "verify_table",
]

_MODULE_OF = {
    "HISTORY_FILE": "history",
    "RECORD_FILE": "record",
    "STATUS_FILE": "status",
    "Bundle": "bundle",
    "History": "history",
    "Leaderboard": "leaderboard",
    "NullLogger": "loggers",
    "Problem": "collection",
    "RunLock": "locking",
    "RunLogger": "loggers",
    "RunRecord": "record",
    "RunSummary": "collection",
    "SafeLogger": "loggers",
    "Status": "status",
    "Study": "study",
    "Summary": "statistics",
    "TensorBoardLogger": "loggers",
    "Verification": "verification",
    "WandbLogger": "loggers",
    "build_leaderboard": "leaderboard",
    "collect_environment": "environment",
    "find_records": "collection",
    "finite": "history",
    "hash_config": "record",
    "publish": "bundle",
    "read_history": "history",
    "save_grid": "grid",
    "summarise": "statistics",
    "utc_now": "times",
    "verify_bundle": "bundle_check",
    "verify_table": "verification",
}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name when the name is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
