"""The device of a run, and what a configuration leaves to it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from nasgan.errors import ConfigError
from nasgan.machine import load, usable_cores
from nasgan.training import TrainerSettings

__all__ = [
    "ask_to_repeat",
    "choose_device",
    "crowded",
    "device_name",
    "kept_algorithms",
    "prepare_torch",
    "prepared_torch",
    "settled",
    "threads_for",
    "with_threads",
]

_log = logging.getLogger(__name__)

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
_FILLS = "fill_uninitialized_memory"

# Up to here a second thread gains less than a second training beside the first one: 32 channels at
# 32x32 pixels, 64 at 16x16.
_SMALL = 32**2 * 32**2
_THREADS_OF_LARGE = 4
_USUAL_SIZE = 32


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


@contextmanager
def prepared_torch(config: Mapping[str, Any], device: torch.device) -> Iterator[None]:
    """Run a block with torch set up by `prepare_torch`, and put back the switches of the process.

    These are the threads, and on CUDA the current device, deterministic algorithms, cuDNN's search
    for the fastest ones, TF32 (which trainings set) and the variable of cuBLAS: the next run of
    this process, and who has called this one, find them as they were.
    """
    mode = config.get("trainer", {}).get("compile", "off")
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        if mode != "off":
            # The last training's graphs hold memory.
            stack.callback(torch.compiler.reset)
        if device.type == "cuda":
            _restore_cuda(device, stack)
            if mode == "max-autotune" and _is_deterministic(config):
                _log.warning(
                    "trainer.compile=max-autotune is void under deterministic=true: torch then "
                    "measures no kernels. Set deterministic=false, or take "
                    "trainer.compile=reduce-overhead"
                )
        prepare_torch(config, device)
        yield


def _restore_cuda(device: torch.device, stack: ExitStack) -> None:
    """Let ``stack`` put back what `prepare_torch` and trainings change."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    # Reading allow_tf32 fails where the caller has set fp32_precision, which newer torch advises.
    precision = getattr(matmul, "fp32_precision", None)
    tf32 = matmul.allow_tf32 if precision is None else precision == "tf32"
    stack.callback(setattr, matmul, "allow_tf32", tf32)
    stack.callback(setattr, cudnn, "allow_tf32", cudnn.allow_tf32)
    stack.callback(setattr, cudnn, "benchmark", cudnn.benchmark)
    stack.enter_context(kept_algorithms())
    stack.callback(_set_variable, _CUBLAS, os.environ.get(_CUBLAS))
    if device.index is not None:
        # It puts back the device of before without waking it.
        stack.enter_context(torch.cuda.device(device))


@contextmanager
def kept_algorithms() -> Iterator[None]:
    """After the block, put back whether torch's algorithms repeat; see `ask_to_repeat`."""
    repeat = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = getattr(torch.utils.deterministic, _FILLS)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(repeat, warn_only=warn_only)
        setattr(torch.utils.deterministic, _FILLS, filled)


def ask_to_repeat(repeat: bool) -> None:
    """Ask torch for algorithms that give the same numbers each time, or for any."""
    torch.use_deterministic_algorithms(repeat, warn_only=True)
    # Nothing here reads memory before it writes it; filling it is a launch each time.
    setattr(torch.utils.deterministic, _FILLS, False)


def _set_variable(name: str, value: str | None) -> None:
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value


def _is_deterministic(config: Mapping[str, Any]) -> bool:
    return bool(config.get("deterministic", True))


def prepare_torch(config: Mapping[str, Any], device: torch.device) -> None:
    """Set torch's threads, and on CUDA the algorithms that give the same numbers each time.

    For the life of this process; see `prepared_torch`.
    """
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    if device.type == "cuda":
        if device.index is not None:
            # What names no device must not wake the first one, which may be another run's.
            torch.cuda.set_device(device)
        # Runs of a sweep share the process.
        torch.cuda.reset_peak_memory_stats(device)
        deterministic = _is_deterministic(config)
        if deterministic:
            # cuBLAS reads it when it first starts.
            os.environ.setdefault(_CUBLAS, ":4096:8")
        ask_to_repeat(deterministic)
        torch.backends.cudnn.benchmark = not deterministic


def device_name(device: torch.device) -> str:
    """``"cpu"``, or the accelerator's model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


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


def with_threads(
    config: Mapping[str, Any], begun: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """``config`` with torch's threads decided: another number changes the last digits of a sum.

    Args:
        config: a resolved configuration; a number in it stands.
        begun: the configuration that the run began with, if it has: that decides.
    """
    if config["threads"] is not None:
        return dict(config)
    decided = threads_for(config) if begun is None else begun.get("threads")
    return {**config, "threads": decided}


def threads_for(config: Mapping[str, Any]) -> int:
    """Torch's threads for the networks of ``config``: by their size alone, never by the machine.

    The size is that of a convolution from the widest layer to itself at the size of the images.
    """
    nodes = [config.get(part) or {} for part in ("search_space", "final")]
    names = ("generator_channels", "discriminator_channels")
    widths = [node.get(name) for node in nodes for name in names]
    widest = max((width for width in widths if isinstance(width, int)), default=0)
    side = config["dataset"].get("image_size")
    pixels = (side if isinstance(side, int) else _USUAL_SIZE) ** 2
    return 1 if widest**2 * pixels <= _SMALL else _THREADS_OF_LARGE


def crowded(config: Mapping[str, Any], asked: int | None) -> str:
    """What a user should know who ``asked`` for more threads than `threads_for` says; or empty."""
    if asked is None:
        return ""
    fixed, cores, busy = threads_for(config), usable_cores(), load()
    if asked <= fixed or busy + asked <= cores:
        return ""
    return (
        f"threads={asked}: others keep this machine busy (a load of {busy:.1f} on {cores} cores), "
        f"where many threads may be many times slower than one; without threads= it is {fixed} "
        "for networks of this size"
    )
