"""The evaluator of a run, built again from its configuration in a worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasgan.contracts import Evaluator, Ledger
from nasgan.engine.device import prepare_torch
from nasgan.engine.parts import (
    bind_common,
    load_inputs,
    load_splits,
    make_evaluator,
    make_space,
)
from nasgan.evaluation import Run

__all__ = ["WORKER_BUILDER", "open_evaluator"]

WORKER_BUILDER = "nasgan.engine.workers:open_evaluator"
"""For `nasgan.evaluation.executors.WorkOrder`."""


def open_evaluator(
    settings: Mapping[str, Any], *, device: str, threads: int
) -> tuple[Evaluator, Ledger]:
    """Build what a worker needs to score candidates as the run itself would.

    Args:
        settings: ``config``, the run's resolved configuration, and ``folder``, where evaluations
            keep their files.
        device: of this worker.
        threads: torch's CPU threads.

    Returns:
        The evaluator, and the ledger that it charges: the budget is held by the run.
    """
    # Only the run itself logs, and a logger given as an object has no place to be made from.
    config = {**settings["config"], "device": device, "threads": threads, "logger": None}
    parts = bind_common(config)
    prepare_torch(config, parts.device)
    bench = load_inputs(parts, load_splits(config["dataset"]), with_bound=False)
    ledger = Ledger()
    run = Run(
        space=make_space(config, bench.images, bench.trainer),
        images=bench.images,
        held_out=bench.held_out,
        trainer_settings=bench.trainer,
        harness=bench.harness,
        objective=bench.objective,
        ledger=ledger,
        seed=config["seed"],
        device=parts.device,
        folder=Path(settings["folder"]),
        shares_weights=False,
    )
    run.score_with(make_evaluator(config))
    return run.evaluator, ledger
