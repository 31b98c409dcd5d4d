"""The worker's side of a training: to its end, resumed from its own last checkpoint."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import Cost, Ledger, SearchSpace
from nasgan.engine.checkpoints import Checkpoints
from nasgan.engine.device import prepare_torch
from nasgan.engine.final_phase import final_plan, final_space
from nasgan.engine.parts import Inputs, bind_common, load_inputs, load_splits, make_space
from nasgan.engine.trainings import read_result, write_result
from nasgan.errors import RunDirectoryError
from nasgan.evaluation import Run, TrainingTask
from nasgan.run_settings import FinalSettings
from nasgan.runs.locking import RunLock
from nasgan.state_files import save_state
from nasgan.supervisor import BusyError, report_progress

__all__ = [
    "Attempt",
    "forget_attempts",
    "open_inputs",
    "train",
    "training_run",
]

_ATTEMPT = "attempt-"
_CHECKPOINTS = 2


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


@dataclass
class Attempt:
    """One attempt at a training: a checkpoint folder of its own in that of the training.

    A copy that is thought to be dead may still write; it writes elsewhere, and the same.

    Attributes:
        task: the training.
        folder: of all its attempts.
        clock: measures the seconds.
        every_seconds: between checkpoints.
        seconds: by the clock, up to each point of the curve, and in all.
        costs: spent up to each point of the curve.
    """

    task: TrainingTask
    folder: Path
    clock: Callable[[], float]
    every_seconds: float
    seconds: list[float] = field(default_factory=lambda: [0.0])
    costs: list[Cost] = field(default_factory=list)

    def finish(self) -> None:
        """Train to the end, from the newest checkpoint of any attempt on."""
        self._resume()
        checkpoints = Checkpoints(
            self.folder / f"{_ATTEMPT}{uuid.uuid4().hex[:8]}", keep=_CHECKPOINTS
        )
        saved = time.monotonic()
        while self.task.result is None:
            self._advance()
            report_progress(self.task.generator_steps)
            if self.task.result is None and time.monotonic() - saved >= self.every_seconds:
                checkpoints.save(self._state())
                saved = time.monotonic()

    def _advance(self) -> None:
        before = self.clock()
        self.task.advance()
        self.seconds[-1] += self.clock() - before
        if len(self.task.curve) == len(self.seconds):
            self.seconds.append(self.seconds[-1])
            self.costs.append(self.task.cost)

    def _state(self) -> dict[str, Any]:
        return {
            "task": self.task.state_dict(),
            "seconds": self.seconds,
            "costs": [cost.to_json() for cost in self.costs],
        }

    def _resume(self) -> None:
        # Tables of before kept theirs in the folder itself, without costs.
        places = [self.folder, *self.folder.glob(f"{_ATTEMPT}*")]
        found = [Checkpoints(path).load_newest() for path in places]
        states = [state for state in found if state is not None]
        if states:
            newest = max(states, key=_steps)
            self.task.load_state_dict(newest["task"])
            self.seconds = list(newest["seconds"])
            self.costs = [Cost.from_json(cost) for cost in newest.get("costs", ())]


def _steps(state: Mapping[str, Any]) -> int:
    """How far a checkpoint is."""
    trainer = state["task"]["trainer"]
    return 0 if trainer is None else int(trainer["generator_steps"])


def forget_attempts(folder: Path) -> None:
    """Remove what a training that is over was resumed from."""
    for path in folder.glob(f"{_ATTEMPT}*"):
        shutil.rmtree(path, ignore_errors=True)


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
    attempt = Attempt(task, folder, time.perf_counter, config["checkpoint"]["every_seconds"])
    attempt.finish()
    result = _result(attempt, folder)
    write_result(folder, result)
    forget_attempts(folder)
    return result


def _result(attempt: Attempt, folder: Path) -> dict[str, Any]:
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
