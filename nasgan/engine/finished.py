"""Finished runs: their images and their scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from nasgan import atomic
from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace
from nasgan.data import ImageSet
from nasgan.data.placement import resident
from nasgan.engine.device import choose_device, prepared_torch
from nasgan.engine.parts import load_splits, make_harness
from nasgan.engine.run_directory import RunDirectory, other_content
from nasgan.errors import CheckpointError, ConfigError, RunDirectoryError, shortened
from nasgan.evaluation.sampling import image_sampler, images_of
from nasgan.factory import make_search_space
from nasgan.metrics import to_uint8
from nasgan.metrics.table import MetricSettings
from nasgan.nodes import build_node, check_values
from nasgan.randomness import torch_generator
from nasgan.reading import read_bytes
from nasgan.registry import plugins_named
from nasgan.runs.grid import save_grid
from nasgan.runs.record import RunRecord
from nasgan.training import TrainerSettings
from nasgan.training.updates import placed

__all__ = ["LoadedRun", "evaluate_run", "load", "sample_run"]

_BATCH = 100
_MOST_THREADS = 256
_GENERATOR = "checkpoints/generator.safetensors"


class LoadedRun:
    """A finished run; get one from `load`.

    Attributes:
        record: the run record.
        architecture: the resulting architecture.
        metrics: its scores under ``record.protocol``; empty if it was not trained.
        space: the search space, at the widths of the final networks.
        folder: the run's.
    """

    def __init__(
        self, record: RunRecord, space: SearchSpace, generator: nn.Module | None, folder: Path
    ) -> None:
        self.record = record
        self.space = space
        self.folder = folder
        self._generator = generator

    @property
    def generator(self) -> nn.Module:
        """The trained generator in eval mode, on the CPU unless moved.

        Raises:
            RunDirectoryError: the run trained none (``final.top_k=0``, ``final.evaluator``).
        """
        if self._generator is None:
            raise RunDirectoryError(
                f"{self.folder}: this run has no generator: its result was not trained (see final "
                f"in its configuration). Train it: nasgan train architecture={self.folder}"
            )
        return self._generator

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


@plugins_named()
def load(run_dir: str | Path, *, search_space: SearchSpace | None = None) -> LoadedRun:
    """Load a finished run.

    Args:
        run_dir: the run's folder.
        search_space: rebuilds the networks, of a run whose space was given as an object.

    Raises:
        RunDirectoryError: not a run's folder, or the run has no result (yet).
        CheckpointError: its networks are missing or damaged.
    """
    directory = RunDirectory(Path(run_dir).expanduser())
    record = directory.record()
    if record is None:
        raise RunDirectoryError(
            f"{run_dir}: no finished run here (no {directory.record_file.name}); "
            "give the folder of a run, and run it to its end first"
        )
    if record.architecture is None:
        raise RunDirectoryError(f"{run_dir}: this run failed without a result: {record.failure}")
    architecture = Architecture.from_json(record.architecture, source=str(directory.record_file))
    if search_space is None:
        space = make_search_space(record.search_space, **record.space_settings)
    else:
        space = search_space.with_settings(**record.space_settings)
    if not _has_networks(record):
        return LoadedRun(record, space, None, directory.path)
    generator = space.build_generator(architecture).eval().requires_grad_(False)
    _load_weights(generator, record, directory)
    return LoadedRun(record, space, generator, directory.path)


def _has_networks(record: RunRecord) -> bool:
    """Whether the run left its networks; records older than ``files`` are of runs that did."""
    return _GENERATOR in record.files or not record.files


def _load_weights(generator: nn.Module, record: RunRecord, directory: RunDirectory) -> None:
    path, name = directory.path / _GENERATOR, _GENERATOR
    if why := record.differing_file(directory.path, name):
        raise CheckpointError(
            f"{directory.path}: {why}; put the original back, or run it again in another folder"
        )
    try:
        generator.load_state_dict(load_tensors(read_bytes(path)))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = shortened(str(getattr(error, "strerror", None) or error), 1_000)
        raise CheckpointError(f"{path}: cannot load the generator of this run: {reason}") from error


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
    run = load(directory.path)
    classes = _classes(config["classes"], run.space.network.num_classes)
    labels = torch.tensor([classes[k % len(classes)] for k in range(num)]) if classes else None
    with _as_in_its_run(run, config, device):
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
        config: ``run``, ``metrics`` and ``dataset`` (nodes; without a ``_target_`` those of the
            run, with the values given in place of its own), ``num_images`` (null: as the metrics
            say), ``seed``, ``device``, ``threads``.

    Returns:
        ``{"protocol": id, "metrics": {...}, "per_class": {...}, "seed": ..., "remark": ...}``;
        ``per_class`` holds the values of each class of the scores that are made class by class,
        ``remark`` says if the images are not those that the run was trained on.

    Raises:
        NasganError: bad input.
    """
    device = choose_device(config["device"])
    run = load(config["run"])
    with _as_in_its_run(run, config, device):
        return _scores(run, config, device)


@contextmanager
def _as_in_its_run(
    run: LoadedRun, config: Mapping[str, Any], device: torch.device
) -> Iterator[None]:
    """Have the generator on ``device`` with the arithmetic that the run scored it with.

    That is memory format, TF32, algorithms and threads. Runs generate scored images in float32,
    whatever the precision of their trainings.
    """
    of_run = run.record.config
    trainer = of_run.get("trainer")
    held = trainer if isinstance(trainer, Mapping) else {}
    named = {name: held[name] for name in ("tf32", "channels_last") if name in held}
    check_values(named, TrainerSettings, where="trainer")
    settings = {
        **config,
        "threads": _threads(config, of_run),
        "deterministic": of_run.get("deterministic", True),
    }
    with prepared_torch(settings, device):
        placed(run.generator, TrainerSettings(**named), device)
        yield


def _threads(config: Mapping[str, Any], of_run: Mapping[str, Any]) -> int | None:
    """Torch's threads: those asked for, or the run's own, if it says a number that can be one."""
    own = of_run.get("threads")
    fits = type(own) is int and 0 < own <= _MOST_THREADS
    asked: int | None = config["threads"]
    return own if asked is None and fits else asked


def _scores(run: LoadedRun, config: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    metrics = _of_run(config["metrics"], run.record.config["metrics"])
    if config["num_images"] is not None:
        metrics["num_images"] = config["num_images"]
    dataset = _of_run(config["dataset"], run.record.config["dataset"])
    train = resident(load_splits(dataset).train, device)
    remark = _remark(run.record, train, is_asked_for="_target_" in config["dataset"])
    network = run.space.network
    if (train.image_size, train.image_channels) != (network.image_size, network.image_channels):
        raise ConfigError(
            f"the run makes {network.image_channels}x{network.image_size}x{network.image_size} "
            f"images, {train.name} has {train.image_channels}x{train.image_size}x"
            f"{train.image_size}; choose the dataset= that it was trained on, with its "
            "dataset.image_size= and dataset.image_channels="
        )
    wanted = build_node(metrics, where="metrics", base=MetricSettings)
    harness = make_harness(wanted, train, device, num_classes=network.num_classes)
    sample = image_sampler(
        images_of(run.generator),
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
        "remark": remark,
    }


def _of_run(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A node that was ``given``; without a target, that of the run with the values given."""
    if "_target_" in given:
        return dict(given)
    made = dict(own)
    for key, value in given.items():
        if isinstance(value, Mapping):
            made[key] = _of_run(value, made.get(key, {}))
        elif value is not None:
            made[key] = value
    return made


def _remark(record: RunRecord, train: ImageSet, *, is_asked_for: bool) -> str:
    """In words, whether ``train`` are the images that the run was trained on.

    Raises:
        RunDirectoryError: they are not, and were not asked for by name.
    """
    held = {"images": record.dataset_info["checksum"]}
    other = other_content(held, {"images": train.checksum})
    if not other:
        return ""
    if is_asked_for:
        return f"not the run's own data: {other}"
    raise RunDirectoryError(
        f"dataset: what the run of {record.dataset} was trained on has changed: {other}. Name the "
        "place of its own images (dataset.path=, dataset.root=), or score it against these by "
        "naming the whole data set (dataset=OPTION dataset.KEY=VALUE ...)"
    )
