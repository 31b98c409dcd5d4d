"""``nasgan train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nasgan.cli.hydra_app import run_app
from nasgan.cli.outcome import Outcome

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app("train", _train, arguments)


def _train(config: dict[str, Any], run_dir: Path) -> Outcome:
    from nasgan.engine import run_training

    return run_training(config, run_dir)
