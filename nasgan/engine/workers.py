"""What workers do: a run's evaluator built again, and a training to its end, resumed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import Cost, Evaluator, Ledger, SearchSpace
from nasgan.engine.device import prepare_torch
from nasgan.engine.final_phase import final_plan, final_space
from nasgan.engine.parts import (
    Inputs,
    bind_common,
    load_inputs,
    load_splits,
    make_evaluator,
    make_space,
)
from nasgan.engine.trainings import read_result, write_result
from nasgan.errors import RunDirectoryError
from nasgan.evaluation import Run, TrainingTask
from nasgan.evaluation.attempts import Attempt, forget_attempts
from nasgan.run_settings import FinalSettings
from nasgan.runs.folder import RunLock
from nasgan.state_files import save_state
from nasgan.supervisor import BusyError

__all__ = [
    "WORKER_BUILDER",
    "TrainingAttempt",
    "open_evaluator",
    "open_inputs",
    "train",
    "training_run",
]


WORKER_BUILDER = "nasgan.engine.workers:open_evaluator"
"""For `nasgan.evaluation.executors.WorkOrder`."""


def open_inputs(config: Mapping[str, Any], *, device: str, threads: int) -> Inputs:
    """What a run's ``config`` names, once in this process; it is torch's from now on."""
    # Only the run itself logs, and a logger given as an object has no place to be made from.
    own = {**config, "device": device, "threads": threads, "logger": None}
    return _opened(json.dumps(own))


@lru_cache(maxsize=1)
def _opened(config_text: str) -> Inputs:
    config = json.loads(config_text)
    parts = bind_common(config)
    prepare_torch(config, parts.device)
    return load_inputs(parts, load_splits(config["dataset"]), with_bound=False)


def training_run(bench: Inputs, space: SearchSpace, *, seed: int, folder: Path) -> Run:
    """A run in which a single architecture is trained; nothing limits what it spends."""
    return bench.run(space, Ledger(), seed=seed, folder=folder, shares_weights=False)


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
    config = settings["config"]
    bench = open_inputs(config, device=device, threads=threads)
    run = training_run(
        bench,
        make_space(config, bench.images, bench.trainer),
        seed=config["seed"],
        folder=Path(settings["folder"]),
    )
    run.score_with(make_evaluator(config))
    return run.evaluator, run.ledger


class TrainingAttempt(Attempt):
    """An attempt at a training, which takes its time.

    Args:
        task: the training.
        folder: of all its attempts; None: nothing is kept.
        clock: measures the seconds.
        every_seconds: between checkpoints.

    Attributes:
        seconds: by the clock, up to each point of the curve, and in all.
        costs: spent up to each point of the curve.
    """

    def __init__(
        self,
        task: TrainingTask,
        folder: Path | None,
        clock: Callable[[], float],
        every_seconds: float,
    ) -> None:
        super().__init__(task, folder, every_seconds)
        self.task = task
        self.seconds = [0.0]
        self.costs: list[Cost] = []
        self._clock = clock

    @property
    def progress(self) -> int:
        """Generator steps; see `Attempt.progress`."""
        return self.task.generator_steps

    def advance(self) -> None:
        """See `Attempt.advance`."""
        before = self._clock()
        super().advance()
        self.seconds[-1] += self._clock() - before
        if len(self.task.curve) == len(self.seconds):
            self.seconds.append(self.seconds[-1])
            self.costs.append(self.task.cost)

    def state(self) -> dict[str, Any]:
        """See `Attempt.state`."""
        return {
            "task": self.task.state_dict(),
            "seconds": self.seconds,
            "costs": [cost.to_json() for cost in self.costs],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """See `Attempt.load`; tables of before kept no costs."""
        self.task.load_state_dict(state["task"])
        self.seconds = list(state["seconds"])
        self.costs = [Cost.from_json(cost) for cost in state.get("costs", ())]


def train(order: Mapping[str, Any]) -> dict[str, Any]:
    """Train a finalist, or a random architecture; what was trained before is not trained again.

    Args:
        order: ``{"config", "architecture", "folder", "shared"}``: of the run; as JSON data;
            of its checkpoints and its result; whether other runs may be training it there, too.
            ``device`` and ``threads`` of this process.

    Returns:
        What is in `RESULT_FILE`: ``{"evaluation", "curve", "costs", "kept", "networks"}``: the
        evaluation; each point of the curve, and what was spent up to it; which of them is kept,
        None if none; the file of its networks in the folder, None if there are none.

    Raises:
        BusyError: another run is training it.
    """
    folder = Path(order["folder"])
    lock = RunLock(folder) if order["shared"] else nullcontext()
    try:
        with lock:
            return _trained(order, folder)
    except RunDirectoryError as error:
        raise BusyError from error


def _trained(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    made = read_result(folder)
    if made is not None:
        return made
    config = order["config"]
    bench = open_inputs(config, device=order["device"], threads=order["threads"])
    final = FinalSettings(**config["final"])
    space = final_space(final, make_space(config, bench.images, bench.trainer))
    architecture = Architecture.from_json(order["architecture"], source="order")
    run = training_run(bench, space, seed=config["seed"], folder=folder)
    task = TrainingTask(run, space, architecture, final_plan(final))
    attempt = TrainingAttempt(
        task, folder, time.perf_counter, config["checkpoint"]["every_seconds"]
    )
    attempt.finish()
    result = _result(attempt, folder)
    write_result(folder, result)
    forget_attempts(folder)
    return result


def _result(attempt: TrainingAttempt, folder: Path) -> dict[str, Any]:
    task = attempt.task
    assert task.result is not None
    point = task.kept_point
    kept = None if task.kept is None else save_state(folder, "networks", task.kept).name
    return {
        "evaluation": task.result.to_json(),
        "curve": task.curve,
        "costs": [cost.to_json() for cost in attempt.costs],
        "kept": None if point is None else task.curve.index(dict(point)),
        "networks": kept,
    }
