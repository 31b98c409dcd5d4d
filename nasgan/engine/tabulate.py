"""Make the rows of a table: ``nasgan tabulate``."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nasgan.contracts import SearchSpace
from nasgan.engine.device import choose_device, device_name, prepared_torch, settled
from nasgan.engine.loop import JobReport, ProgressView, progress_view
from nasgan.engine.parts import (
    Inputs,
    bind_common,
    load_inputs,
    load_splits,
    make_executor,
    make_space,
    prepare_metrics,
)
from nasgan.engine.table_worker import forget_checkpoints, piece_of
from nasgan.errors import ConfigError, SearchFailed
from nasgan.evaluation import TrainingPlan
from nasgan.evaluation.executors import Executor
from nasgan.evaluation.executors.device_room import memory_of_training
from nasgan.machine import interrupted_by_sigterm
from nasgan.nodes import check_values
from nasgan.runs.environment import collect_environment
from nasgan.runs.folder import RunLock, new_folder
from nasgan.supervisor import Here, Outcome, Piece, Retries, Supervisor, results_of
from nasgan.tabular.design import Design, Shard, Training
from nasgan.tabular.manifest import Manifest
from nasgan.tabular.rows import Row, RowFile, read_rows

__all__ = ["Tabulated", "tabulate"]

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
# Of each training: then numbers do not depend on how many cores there are.
_THREADS = 1
_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True)
class Tabulated:
    """How a call of `tabulate` ended.

    Attributes:
        folder: of the table.
        done: trainings of this shard that have rows.
        wanted: trainings of this shard.
        broken_down: how many of the rows are of trainings that broke down.
        left: those that could not be trained, with the reason.
    """

    folder: Path
    done: int
    wanted: int
    broken_down: int
    left: Mapping[str, str]

    @property
    def summary_lines(self) -> list[str]:
        """For a person."""
        lines = [
            f"{self.done} of {self.wanted} trainings are done, {self.broken_down} of them broke "
            "down",
            f"table  {self.folder}",
        ]
        lines += [f"not trained: {name}: {reason}" for name, reason in self.left.items()]
        return [*lines, *(["The same command tries these again."] if self.left else [])]


def tabulate(config: Mapping[str, Any]) -> Tabulated:
    """Train the architectures of a design; resumes what was begun in the folder.

    Args:
        config: the resolved configuration of ``nasgan tabulate``.

    Raises:
        NasganError: bad input, before any compute; a folder that holds another table; a full disk,
            after which the same call goes on.
    """
    design, shard, plan = _checked(config)
    device = choose_device(config["device"])
    executor = _executor(config, device)
    fixed = {"seed": 0, "threads": _THREADS, "training": _json(plan)}
    config = settled({**config, **fixed}, device)
    with prepared_torch(config, device), progress_view(config["progress"]) as view:
        return _Tabulation(config, executor, design, shard, device, view).run()


def _executor(config: Mapping[str, Any], device: torch.device) -> Executor:
    """Where trainings are done; refuses what would make other rows, or can make none."""
    executor = make_executor(config)
    threads, kinds = executor.own_arithmetic.get("threads"), executor.kinds_of_devices(device)
    if threads not in (None, _THREADS):
        raise ConfigError(
            f"executor.threads={threads}: each training of a table takes one thread, so that its "
            "numbers are the same everywhere; leave it out"
        )
    if kinds != {device.type}:
        raise ConfigError(
            f"executor: its workers compute on {' and '.join(sorted(kinds))}, and all rows of "
            f"this table are made on {device.type}: set device= and the executor's devices alike"
        )
    executor.check_installed(device, _THREADS)
    return executor


def _checked(config: Mapping[str, Any]) -> tuple[Design, Shard, TrainingPlan]:
    bind_common({**config, "seed": 0, "threads": _THREADS})
    if "_target_" not in config["search_space"]:
        raise ConfigError("a table needs a space: search_space=NAME")
    check_values(config["design"], Design, where="design")
    check_values(config["training"], TrainingPlan, where="training")
    design, plan = Design(**config["design"]), TrainingPlan(**config["training"])
    design.refuse_rows_of(Path(config["out"]))
    return design, Shard.parse(config["shard"]), plan


def _json(plan: TrainingPlan) -> dict[str, Any]:
    points = None if plan.eval_at is None else list(plan.eval_at)
    every = plan.eval_every if points is None else None
    return {
        "generator_steps": plan.generator_steps,
        "eval_every": every,
        "eval_at": points,
    }


class _Tabulation:
    """One call of `tabulate`."""

    def __init__(
        self,
        config: Mapping[str, Any],
        executor: Executor,
        design: Design,
        shard: Shard,
        device: torch.device,
        view: ProgressView,
    ) -> None:
        self.config = config
        self.executor = executor
        self.folder = Path(config["out"])
        self.design = design
        self.shard = shard
        self.device = device
        self.view = view
        self.rows: dict[tuple[str, int], Row] = {}
        self.left: dict[str, str] = {}

    def run(self) -> Tabulated:
        bench, manifest, wanted, memory = self._prepare()
        # A second command for this shard ends here: before the metrics' reference is computed, and
        # before it changes anything.
        with new_folder(self._own_folder), RunLock(self._own_folder, setting="out"):
            self.rows = {row.key: row for row in read_rows(self.folder, manifest.decisions)}
            prepare_metrics(bench, self.view.say)
            replace(manifest, bound=bench.bound).claim(self.folder)
            waiting = self._waiting(wanted)
            with interrupted_by_sigterm():
                for row in self._train(waiting, len(wanted), memory):
                    self.rows[row.key] = row
        done = [self.rows[_key(t)] for t in wanted if _key(t) in self.rows]
        failed = sum(bool(row.failure) for row in done)
        return Tabulated(self.folder, len(done), len(wanted), failed, self.left)

    def _waiting(self, wanted: list[Training]) -> list[Training]:
        """Those that have no row."""
        for training in wanted:
            if _key(training) in self.rows:
                # A kill between a row and the end of its training leaves them.
                forget_checkpoints(self.folder, training)
        waiting = [training for training in wanted if _key(training) not in self.rows]
        self.view.say(
            f"{len(wanted)} trainings in shard {self.shard.number}/{self.shard.of}, "
            f"{len(waiting)} to do",
        )
        return waiting

    @property
    def _own_folder(self) -> Path:
        """Of this shard alone."""
        return self.folder / f".{self.shard.name}"

    def _prepare(self) -> tuple[Inputs, Manifest, list[Training], int]:
        """Check everything.

        Returns:
            What trainings are made of, without the metrics' reference; the manifest, without the
            bound; the trainings, and how many bytes of a CUDA device one may need.
        """
        parts, splits = bind_common(self.config), load_splits(self.config["dataset"])
        space = make_space(self.config, splits.train, parts.trainer)
        architectures = self.design.choose(space, metric=self.config["objective"])
        # Impossible networks, and a folder of another table, are refused before the metrics'
        # reference is computed.
        space.build_generator(architectures[0])
        bench = load_inputs(parts, splits, later=True)
        manifest = self._manifest(bench, space)
        manifest.refuse_another(self.folder)
        wanted = [t for t in self.design.trainings(architectures) if self.shard.holds(t)]
        return bench, manifest, wanted, memory_of_training(space, bench.trainer, bench.images)

    def _manifest(self, bench: Inputs, space: SearchSpace) -> Manifest:
        images = bench.images
        environment = collect_environment(device_name(self.device), self.config)
        return Manifest(
            settings={
                "search_space": {
                    "name": space.name,
                    "version": space.version,
                    "settings": space.settings,
                },
                "dataset": {
                    "identity": images.identity,
                    "checksum": images.checksum,
                    "num_images": len(images),
                },
                "protocol": bench.harness.protocol.id,
                "metrics": list(bench.harness.metrics),
                "objective": bench.objective.to_json(),
                "trainer": asdict(bench.trainer),
                "training": self.config["training"],
                **self._of_device(),
            },
            decisions={d.name: list(d.options) for d in space.decisions},
            # A path is this machine's own; what matters of it is in the rows.
            designs=({k: v for k, v in asdict(self.design).items() if k != "path"},),
            bound=None,
            environments=(environment,),
            licence=self.config["licence"],
        )

    def _of_device(self) -> dict[str, Any]:
        """The settings by which a device computes other numbers; a CPU's repeat in any case."""
        if self.device.type == "cpu":
            return {"device": self.device.type}
        return {"device": self.device.type, "deterministic": self.config["deterministic"]}

    def _train(self, waiting: list[Training], wanted: int, memory: int) -> Iterator[Row]:
        """Train all that is waiting; rows as they come, already on disk."""
        file = RowFile(self.folder, self.shard.name)
        progress = _Progress(wanted, done=wanted - len(waiting))
        trainings = {training.name: training for training in waiting}
        limit = self.executor.timeout
        pieces = [piece_of(each, self.config, self.folder, timeout=limit) for each in waiting]
        self.view.show(progress.report())
        with closing(self._supervisor(memory)) as supervisor:
            for piece, outcome in results_of(supervisor, pieces):
                if outcome.failure:
                    self._give_up(piece, outcome)
                    continue
                row = Row.from_json(outcome.result, source=piece.title)
                file.append(row)
                forget_checkpoints(self.folder, trainings[piece.key])
                progress.count(row)
                self.view.show(progress.report())
                yield row

    def _give_up(self, piece: Piece, outcome: Outcome) -> None:
        """Leave out a training that stopped by a fault of the program, or was lost each time.

        Raises:
            SearchFailed: the folder has no row, of earlier calls neither: it is no training's own
                fault.
        """
        self.left[piece.key] = outcome.failure
        if not self.rows and len(self.left) >= _ATTEMPTS:
            raise SearchFailed(
                f"the first {len(self.left)} trainings all stopped: {outcome.failure}"
            )

    def _supervisor(self, memory: int) -> Supervisor:
        """As of the executor; without workers trainings are done here."""
        with_workers = self.executor.supervise(self.device, _THREADS, self._own_folder, memory)
        return with_workers or Supervisor(Here(device=str(self.device)), Retries(attempts=1))


class _Progress:
    """How far the shard is, and when it will be done."""

    def __init__(self, wanted: int, *, done: int) -> None:
        self.finished = 0
        self._wanted = wanted
        self._done = done
        self._broken = 0
        self._started = time.monotonic()

    def count(self, row: Row) -> None:
        self.finished += 1
        self._broken += bool(row.failure)

    def report(self) -> JobReport:
        done = self._done + self.finished
        message = f"{done} of {self._wanted} trainings"
        if self._broken:
            message += f", {self._broken} broke down"
        if self.finished:
            pace = (time.monotonic() - self._started) / self.finished
            message += f", {_duration(pace * (self._wanted - done))} left"
        return JobReport("table", message, progress=done / self._wanted)


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


def _key(training: Training) -> tuple[str, int]:
    return training.architecture.id, training.seed
