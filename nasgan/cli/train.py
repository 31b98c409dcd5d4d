"""``nasgan train``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from nasgan.cli.hydra_app import run_app
from nasgan.cli.hydra_job import Bound

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.hydra_app.run_app`."""
    return run_app("train", _train, arguments)


def _train(config: dict[str, Any]) -> Bound:
    from nasgan.engine import bind, run
    from nasgan.factory import load_architecture

    parts = bind(config)
    if isinstance(config["architecture"], str):
        load_architecture(config["architecture"])  # a name that is misspelt leaves no folder
    return partial(run, parts)
