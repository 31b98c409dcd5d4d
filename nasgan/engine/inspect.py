"""Finished runs: their images and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nasgan import atomic
from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace
from nasgan.engine.device import choose_device, prepare_torch
from nasgan.engine.run_directory import RunDirectory
from nasgan.engine.workbench import load_splits, make_harness
from nasgan.errors import CheckpointError, ConfigError, RunDirectoryError
from nasgan.evaluation.sampling import image_sampler, images_of
from nasgan.factory import make_search_space
from nasgan.metrics import to_uint8
from nasgan.randomness import torch_generator
from nasgan.results.grid import save_grid
from nasgan.results.record import RunRecord

__all__ = ["LoadedRun", "evaluate_run", "load", "sample_run"]

_BATCH = 100


class LoadedRun:
    """A finished run; get one from `load`.

    Attributes:
        record: the run record.
        architecture: the resulting architecture.
        metrics: its scores under ``record.protocol``.
        space: the search space, at the widths of the final networks.
        generator: the trained generator in eval mode, on the CPU unless moved.
    """

    def __init__(self, record: RunRecord, space: SearchSpace, generator: nn.Module) -> None:
        self.record = record
        self.space = space
        self.generator = generator

    @property
    def architecture(self) -> Architecture:
        """The resulting architecture."""
        return Architecture.from_json(self.record.architecture, source="record")

    @property
    def metrics(self) -> dict[str, float]:
        """The scores of the result, by metric."""
        return dict(self.record.metrics or {})

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, labels: Tensor | None = None) -> Tensor:
        """Generate images.

        Args:
            n: how many.
            seed: of the latents: the same seed gives the same images, and the first images of a
                longer sample are those of a shorter one.
            labels: classes (n,) of a class-conditional generator; default: each class in turn.

        Returns:
            Float images (n, C, H, W) in [-1, 1], on the generator's device.

        Raises:
            ConfigError: ``n`` is not positive, or ``labels`` are not classes of the generator.
        """
        if n < 1:
            raise ConfigError(f"cannot sample {n} images; ask for at least 1")
        device = next(self.generator.parameters()).device
        latents = torch_generator(seed, "sample")
        classes = self.space.network.num_classes
        if labels is not None:
            if labels.shape != (n,):
                raise ConfigError(f"labels must be of shape ({n},), got {tuple(labels.shape)}")
            _classes(labels.tolist(), classes)
        elif classes:
            labels = torch.arange(n) % classes
        z = torch.stack(
            [torch.randn(self.space.network.latent_dim, generator=latents) for _ in range(n)]
        )
        parts = []
        for start in range(0, n, _BATCH):
            part = slice(start, start + _BATCH)
            given = {} if labels is None else {"labels": labels[part].to(device)}
            parts.append(self.generator(z[part].to(device), **given))
        return torch.cat(parts)


def load(run_dir: str | Path) -> LoadedRun:
    """Load a finished run.

    Args:
        run_dir: the run's folder.

    Raises:
        RunDirectoryError: not a run's folder, or the run has no result (yet).
        CheckpointError: its networks are missing or damaged.
    """
    directory = RunDirectory(Path(run_dir))
    record = directory.record()
    if record is None:
        raise RunDirectoryError(
            f"{run_dir}: no finished run here (no {directory.record_file.name}); "
            "give the folder of a run, and run it to its end first"
        )
    if record.architecture is None:
        raise RunDirectoryError(f"{run_dir}: this run failed without a result: {record.failure}")
    architecture = Architecture.from_json(record.architecture, source=str(directory.record_file))
    space = make_search_space(record.search_space, **record.space_settings)
    generator = space.build_generator(architecture).eval().requires_grad_(False)
    path = directory.checkpoints / "generator.safetensors"
    try:
        generator.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot load the generator of this run: {error}") from error
    return LoadedRun(record, space, generator)


def sample_run(config: Mapping[str, Any]) -> Path:
    """Write images of a finished run; what ``nasgan sample`` calls.

    Args:
        config: ``run``, ``num``, ``seed``, ``out`` (null, a .png or an .npz file), ``classes``
            (null, or those to draw in turn), ``columns``, ``device``, ``threads``.

    Returns:
        The file written: a grid (.png; by default a column for each class where there are some), or
        uint8 images (N, H, W, C) under ``images`` and, with classes, int64 (N,) under ``labels``
        (.npz).

    Raises:
        NasganError: bad input, or the file could not be written.
    """
    directory = RunDirectory(Path(config["run"]))
    seed, num = config["seed"], config["num"]
    out = Path(config["out"] or directory.samples / f"sample-seed{seed}-{num}.png")
    if out.suffix not in (".png", ".npz"):
        raise ConfigError(f"out={out}: write a .png (one grid) or an .npz (uint8 images)")
    device = choose_device(config["device"])
    prepare_torch(config, device)
    run = load(directory.path)
    run.generator.to(device)
    classes = _classes(config["classes"], run.space.network.num_classes)
    labels = torch.tensor([classes[k % len(classes)] for k in range(num)]) if classes else None
    images = run.sample(num, seed=seed, labels=labels)
    if out.suffix == ".png":
        save_grid(images, out, columns=config["columns"] or len(classes) or None)
    else:
        pixels = to_uint8(images).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        if labels is None:
            atomic.write_file(out, lambda stream: np.savez(stream, images=pixels))
        else:
            drawn = labels.numpy()
            atomic.write_file(out, lambda stream: np.savez(stream, images=pixels, labels=drawn))
    return out


def _classes(wanted: Sequence[int] | None, known: int) -> list[int]:
    """The classes to draw in turn; empty for a generator without classes."""
    if wanted is None:
        return list(range(known))
    if not known:
        raise ConfigError("classes: the generator of this run has no classes; leave them out")
    if not wanted or not all(0 <= number < known for number in wanted):
        raise ConfigError(f"classes must be some of 0 to {known - 1}, got {list(wanted)}")
    return list(wanted)


def evaluate_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Score a finished run's generator anew; what ``nasgan evaluate`` calls.

    Args:
        config: ``run``, ``metrics`` and ``dataset`` (nodes, or empty for those of the run),
            ``num_images`` (null: as the metrics say), ``seed``, ``device``, ``threads``.

    Returns:
        ``{"protocol": id, "metrics": {...}, "per_class": {...}, "seed": ...}``; ``per_class`` holds
        the values of each class of the scores that are made class by class.

    Raises:
        NasganError: bad input.
    """
    device = choose_device(config["device"])
    prepare_torch(config, device)
    run = load(config["run"])
    metrics = dict(config["metrics"] or run.record.config["metrics"])
    if config["num_images"] is not None:
        metrics["num_images"] = config["num_images"]
    train = load_splits(config["dataset"] or run.record.config["dataset"]).train.to(device)
    network = run.space.network
    if (train.image_size, train.image_channels) != (network.image_size, network.image_channels):
        raise ConfigError(
            f"the run makes {network.image_channels}x{network.image_size}x{network.image_size} "
            f"images, {train.name} has {train.image_channels}x{train.image_size}x"
            f"{train.image_size}; choose the dataset= that it was trained on"
        )
    harness = make_harness(metrics, train, device, num_classes=network.num_classes)
    generator = run.generator.to(device)

    sample = image_sampler(
        images_of(generator),
        latent_dim=network.latent_dim,
        num_classes=network.num_classes,
        seed=config["seed"],
        device=device,
    )
    scores = harness.evaluate(sample)
    return {
        "protocol": harness.protocol.id,
        "metrics": dict(scores),
        "per_class": scores.per_class,
        "seed": config["seed"],
    }
