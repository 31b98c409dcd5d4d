"""``nasgan search``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasgan.cli.hydra_app import run_app
from nasgan.cli.outcome import Outcome

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app("search", _search, arguments)


def _search(config: dict[str, Any], run_dir: Path) -> Outcome:
    from nasgan.engine import run_search

    return run_search(config, run_dir)
