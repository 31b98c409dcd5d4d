"""The device of a run, and what a configuration leaves to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from nasgan.errors import ConfigError
from nasgan.training import TrainerSettings

__all__ = ["choose_device", "prepare_torch", "settled"]


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is the first CUDA device, or else the CPU.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name}: not a device; use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device={name} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigError(f"device={name}: torch sees {count} CUDA devices here; use device=auto")
    return device


def prepare_torch(config: Mapping[str, Any], device: torch.device) -> None:
    """Set torch's threads, and on CUDA the algorithms that give the same numbers each time."""
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    if device.type == "cuda":
        if device.index is not None:
            # What names no device must not wake the first one, which may be another run's.
            torch.cuda.set_device(device)
        # Runs of a sweep share the process.
        torch.cuda.reset_peak_memory_stats(device)
        deterministic = bool(config["deterministic"])
        if deterministic:
            # cuBLAS reads it when it first starts.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        torch.backends.cudnn.benchmark = not deterministic


def settled(
    config: Mapping[str, Any], device: torch.device, begun: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``config`` with the trainer's settings that it leaves to the device decided.

    What is computed, recorded and hashed is this: two devices that train in other ways make two
    experiments.

    Args:
        config: a resolved configuration.
        device: decides, see `TrainerSettings.on`.
        begun: the settled configuration that the run began with, if it has: that decides.
    """
    trainer = dict(config["trainer"])
    named = {name: trainer[name] for name in ("compile", *TrainerSettings.OPEN) if name in trainer}
    decided = TrainerSettings(**named).on(device)
    held = begun.get("trainer") if begun is not None else None
    for name, open_value in TrainerSettings.OPEN.items():
        if trainer.get(name, open_value) == open_value:
            trainer[name] = getattr(decided, name)
            if isinstance(held, Mapping):
                trainer[name] = held.get(name, trainer[name])
    return {**config, "trainer": trainer}
