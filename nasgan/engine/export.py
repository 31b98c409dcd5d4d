"""What a run leaves: architecture, networks, samples, record."""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import save as to_safetensors

from nasgan import atomic
from nasgan.architecture import Architecture
from nasgan.contracts import Evaluation, SearchSpace
from nasgan.engine.run_directory import RunDirectory
from nasgan.networks.cost import count_macs, count_parameters
from nasgan.randomness import seeded, torch_generator
from nasgan.runs.grid import save_grid

__all__ = [
    "average_random",
    "describe_networks",
    "peak_memory_bytes",
    "write_networks",
    "write_samples",
]

_log = logging.getLogger(__name__)

_GRID_IMAGES = 64


def write_networks(directory: RunDirectory, networks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``checkpoints/generator.safetensors`` and ``discriminator.safetensors``."""
    for name, state in networks.items():
        tensors = {key: value.contiguous() for key, value in state.items()}
        path = directory.checkpoints / f"{name}.safetensors"
        atomic.write_file(path, to_safetensors(tensors))


def write_samples(
    directory: RunDirectory,
    space: SearchSpace,
    architecture: Architecture,
    state: Mapping[str, Any],
    *,
    seed: int,
) -> None:
    """Write ``samples/final.png``: a grid of 64 images; with classes, one column a class."""
    generator = space.build_generator(architecture).eval()
    generator.load_state_dict(dict(state))
    classes = space.network.num_classes
    count = _GRID_IMAGES if not classes else classes * 8
    latents = torch_generator(seed, "sample grid")
    z = torch.randn((count, space.network.latent_dim), generator=latents)
    with torch.no_grad():
        labels = {"labels": torch.arange(count) % classes} if classes else {}
        images = generator(z, **labels)
    save_grid(images, directory.samples / "final.png", columns=classes or None)


def describe_networks(space: SearchSpace, architecture: Architecture) -> dict[str, Any]:
    """What the record tells of the networks: sizes, drawings, and what was decided between.

    Returns:
        ``{"parameters": {"generator", "discriminator"}, "macs", "graphs", "decisions"}``; the
        multiply-adds are those of the generator for one image.
    """
    with seeded(0, "description"):
        generator = space.build_generator(architecture)
        discriminator = space.build_discriminator(architecture)
    try:
        drawings = [graph.to_json() for graph in space.describe(architecture)]
    except Exception:
        # A drawing that a plugin cannot make must not cost the result of a long run.
        _log.warning("the search space %r cannot draw its result", space.name, exc_info=True)
        drawings = []
    z = torch.empty(1, space.network.latent_dim, device="meta")
    labels = {}
    if space.network.num_classes:
        labels = {"labels": torch.zeros(1, dtype=torch.long, device="meta")}
    return {
        "parameters": {
            "generator": count_parameters(generator),
            "discriminator": count_parameters(discriminator),
        },
        "macs": count_macs(generator, z, **labels),
        "graphs": drawings,
        "decisions": {decision.name: list(decision.options) for decision in space.decisions},
    }


def average_random(evaluations: Sequence[Evaluation]) -> dict[str, Any] | None:
    """The mean scores of the random architectures; None if there are none.

    A failed training has no scores: it is counted, and the mean is over the others. That of each
    metric is over those that have it: a table has not every metric of every training.
    """
    if not evaluations:
        return None
    scored = [evaluation for evaluation in evaluations if evaluation.score is not None]
    names = dict.fromkeys(name for evaluation in scored for name in evaluation.metrics)
    found = {name: [e.metrics[name] for e in scored if name in e.metrics] for name in names}
    return {
        "count": len(evaluations),
        "failed": len(evaluations) - len(scored),
        "metrics": {name: sum(values) / len(values) for name, values in found.items()},
        "evaluations": [evaluation.to_json() for evaluation in evaluations],
    }


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory that this process held: on the device, or on the CPU in all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
