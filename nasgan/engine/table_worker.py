"""The worker's side of a table: one training from scratch, resumed from its own checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from nasgan.architecture import Architecture
from nasgan.contracts import Ledger, SearchSpace
from nasgan.engine.checkpoints import Checkpoints
from nasgan.engine.device import prepare_torch
from nasgan.engine.parts import (
    Inputs,
    bind_common,
    load_inputs,
    load_splits,
    make_space,
)
from nasgan.evaluation import Run, TrainingPlan, TrainingTask
from nasgan.networks.cost import count_macs, count_parameters
from nasgan.randomness import seeded
from nasgan.tabular.design import Training
from nasgan.tabular.rows import Point, Row

__all__ = ["TableWork", "forget_checkpoints", "train"]

_UNDER_WAY = "under_way"


@dataclass(frozen=True)
class TableWork:
    """What a worker needs to know.

    Attributes:
        config: the table's configuration, as `nasgan.engine.parts` reads it.
        devices: of the slots, in turn.
        folder: of the table.
    """

    config: Mapping[str, Any]
    devices: tuple[str, ...]
    folder: Path

    def train(self, slot: int, training: Training) -> Row:
        """`train`, in the process of ``slot``."""
        device = self.devices[slot % len(self.devices)]
        return train(self.config, training, self.folder, device=device)


def train(config: Mapping[str, Any], training: Training, folder: Path, *, device: str) -> Row:
    """Train and score one architecture; goes on from its last checkpoint if it has one.

    The row depends on the configuration and ``training`` alone, times aside.

    Args:
        config: the table's, with ``threads``.
        training: which.
        folder: of the table.
        device: to train on.
    """
    bench, space = _opened(json.dumps({**config, "device": device}))
    plan = TrainingPlan(**config["training"], phase=Ledger.FINAL, fidelity="final", keep="last")
    run = Run(
        space=space,
        images=bench.images,
        trainer_settings=bench.trainer,
        harness=bench.harness,
        objective=bench.objective,
        ledger=Ledger(),
        seed=training.seed,
        device=bench.device,
        folder=folder / _UNDER_WAY,
        shares_weights=False,
    )
    task = TrainingTask(run, space, training.architecture, plan)
    checkpoints = Checkpoints(_checkpoint_folder(folder, training))
    clock = time.process_time if bench.device.type == "cpu" else time.perf_counter
    seconds = _drive(task, checkpoints, clock, config["checkpoint"]["every_seconds"])
    return _row(task, space, training, seconds)


def forget_checkpoints(folder: Path, training: Training) -> None:
    """Remove what a training that is over was resumed from."""
    shutil.rmtree(_checkpoint_folder(folder, training), ignore_errors=True)


def _checkpoint_folder(folder: Path, training: Training) -> Path:
    return folder / _UNDER_WAY / training.name


@lru_cache(maxsize=1)
def _opened(config_text: str) -> tuple[Inputs, SearchSpace]:
    config = json.loads(config_text)
    parts = bind_common({**config, "logger": None})
    prepare_torch(config, parts.device)
    bench = load_inputs(parts, load_splits(config["dataset"]), with_bound=False)
    return bench, make_space(config, bench.images, bench.trainer)


def _drive(
    task: TrainingTask,
    checkpoints: Checkpoints,
    clock: Callable[[], float],
    every_seconds: float,
) -> list[float]:
    """Advance ``task`` to its end; gives what was spent up to each point, and in all."""
    state = checkpoints.load_newest()
    seconds = [0.0]
    if state is not None:
        task.load_state_dict(state["task"])
        seconds = list(state["seconds"])
    saved = time.monotonic()
    while task.result is None:
        before = clock()
        task.advance()
        seconds[-1] += clock() - before
        if len(task.curve) == len(seconds):
            seconds.append(seconds[-1])
        if task.result is None and time.monotonic() - saved >= every_seconds:
            checkpoints.save({"task": task.state_dict(), "seconds": seconds})
            saved = time.monotonic()
    return seconds


def _row(
    task: TrainingTask, space: SearchSpace, training: Training, seconds: Sequence[float]
) -> Row:
    result = task.result
    assert result is not None
    parameters, macs = _sizes(space, training.architecture)
    return Row(
        architecture=training.architecture.id,
        options=space.encode(training.architecture),
        seed=training.seed,
        curve=tuple(
            Point(point["generator_steps"], spent, dict(point["metrics"]))
            for point, spent in zip(task.curve, seconds, strict=False)
        ),
        steps=result.generator_steps,
        images=result.cost.images,
        seconds=seconds[-1],
        device_seconds=result.cost.device_seconds,
        parameters=parameters,
        macs=macs,
        failure=result.failure,
    )


def _sizes(space: SearchSpace, architecture: Architecture) -> tuple[dict[str, int], dict[str, int]]:
    """Parameters, and multiply-adds of one image, of both networks."""
    with seeded(0, "description"):
        pair = {
            "generator": space.build_generator(architecture),
            "discriminator": space.build_discriminator(architecture),
        }
    network = space.network
    shape = (network.image_channels, network.image_size, network.image_size)
    inputs = {
        "generator": torch.empty(1, network.latent_dim, device="meta"),
        "discriminator": torch.empty(1, *shape, device="meta"),
    }
    labels = {}
    if network.num_classes:
        labels = {"labels": torch.zeros(1, dtype=torch.long, device="meta")}
    return (
        {name: count_parameters(module) for name, module in pair.items()},
        {name: count_macs(module, inputs[name], **labels) for name, module in pair.items()},
    )
