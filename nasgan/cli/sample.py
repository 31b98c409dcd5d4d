"""``nasgan sample``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nasgan.cli.console import say
from nasgan.cli.hydra_app import run_app
from nasgan.cli.hydra_job import Bound

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app("sample", _bound, arguments)


def _bound(config: dict[str, Any]) -> Bound:
    return partial(_sample, config)


def _sample(config: dict[str, Any], _: Path) -> int:
    from nasgan.engine import sample_run

    say(f"images: {sample_run(config)}")
    return 0
