"""The worker's side of a table: one training from scratch, resumed from its own checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nasgan.architecture import Architecture
from nasgan.contracts import Ledger, SearchSpace
from nasgan.engine.parts import make_space
from nasgan.engine.workers import TrainingAttempt, open_inputs, training_run
from nasgan.errors import ArchitectureError, PluginError
from nasgan.evaluation import TrainingPlan, TrainingTask
from nasgan.evaluation.attempts import seen_here
from nasgan.metrics import MetricError
from nasgan.networks.cost import count_macs, count_parameters
from nasgan.randomness import seeded
from nasgan.supervisor import Piece, PieceError
from nasgan.tabular.design import Training
from nasgan.tabular.rows import Point, Row

__all__ = ["forget_checkpoints", "piece_of", "train", "train_piece"]

_UNDER_WAY = "under_way"
_OWN_FAULTS = (ArchitectureError, MetricError, PluginError)


def piece_of(
    training: Training, config: Mapping[str, Any], folder: Path, *, timeout: float | None = None
) -> Piece:
    """``training`` for the supervisor; its result is a row as JSON data.

    Args:
        training: which.
        config: the table's configuration, as `nasgan.engine.parts` reads it.
        folder: of the table.
        timeout: seconds that an attempt may take.
    """
    return Piece(
        key=training.name,
        title=f"training {training.name}",
        work="nasgan.engine.table_worker:train_piece",
        order={
            "config": dict(config),
            "architecture": training.architecture.to_json(),
            "seed": training.seed,
            "folder": str(folder.absolute()),
        },
        timeout=timeout,
    )


def train_piece(order: Mapping[str, Any]) -> dict[str, Any]:
    """`train`, as of `piece_of`.

    Raises:
        PieceError: the networks cannot be built, or what they make cannot be scored. All other
            trainings may well be: unlike bad settings or a full disk it ends this one alone.
    """
    architecture = Architecture.from_json(order["architecture"], source="order")
    training, folder = Training(architecture, order["seed"]), Path(order["folder"])
    try:
        return train(order["config"], training, folder, device=order["device"]).to_json()
    except _OWN_FAULTS as error:
        raise PieceError from error


def train(config: Mapping[str, Any], training: Training, folder: Path, *, device: str) -> Row:
    """Train and score one architecture; goes on from its last checkpoint if it has one.

    The row depends on the configuration and ``training`` alone, times aside.

    Args:
        config: the table's, with ``threads``.
        training: which.
        folder: of the table.
        device: to train on.
    """
    bench = open_inputs(config, device=device, threads=config["threads"])
    space = make_space(config, bench.images, bench.trainer)
    plan = TrainingPlan(**config["training"], phase=Ledger.FINAL, fidelity="final", keep="last")
    under_way = _folder_of(folder, training)
    run = training_run(bench, space, seed=training.seed, folder=under_way)
    task = TrainingTask(run, space, training.architecture, plan)
    clock = time.process_time if bench.device.type == "cpu" else time.perf_counter
    every_seconds = config["checkpoint"]["every_seconds"]
    attempt = TrainingAttempt(task, seen_here(under_way, folder), clock, every_seconds)
    attempt.finish()
    return _row(attempt, space, training)


def forget_checkpoints(folder: Path, training: Training) -> None:
    """Remove what a training that is over was resumed from."""
    shutil.rmtree(_folder_of(folder, training), ignore_errors=True)


def _folder_of(folder: Path, training: Training) -> Path:
    return folder / _UNDER_WAY / training.name


def _row(attempt: TrainingAttempt, space: SearchSpace, training: Training) -> Row:
    result = attempt.task.result
    assert result is not None
    parameters, macs = _sizes(space, training.architecture)
    return Row(
        architecture=training.architecture.id,
        options=space.encode(training.architecture),
        seed=training.seed,
        curve=tuple(
            Point(point["generator_steps"], spent, dict(point["metrics"]))
            for point, spent in zip(attempt.task.curve, attempt.seconds, strict=False)
        ),
        steps=result.generator_steps,
        images=result.cost.images,
        seconds=attempt.seconds[-1],
        device_seconds=result.cost.device_seconds,
        parameters=parameters,
        macs=macs,
        # Unlike a candidate that had a score by then, the training has failed.
        failure="" if result.breakdown is None else result.breakdown.reason,
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
