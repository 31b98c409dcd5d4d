"""Runs from the command line: killed, resumed, evaluated. A stage of `gpu_acceptance`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu_acceptance_checks import (
    Check,
    FailedCheckError,
    Figures,
    Settings,
    SkippedCheckError,
)
from nasgan.machine import usable_cores

__all__ = ["runs"]

_SECONDS = 120.0  # of one command
_LOOKS = 0.005
_TAIL = 1500


@dataclass(frozen=True)
class Commands:
    """`nasgan` in processes of its own, on one device.

    Attributes:
        device: of the runs.
        folder: where they are.
        tiny: minimal networks.
    """

    device: str
    folder: Path
    tiny: bool

    def run(self, verb: str, *words: str) -> float:
        """Seconds of a command that succeeds.

        Raises:
            FailedCheckError: it does not, or not in time.
        """
        began = time.perf_counter()
        process = self._begin(verb, *words)
        try:
            _, errors = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise FailedCheckError(f"nasgan {verb} did not end in {_SECONDS:.0f} s", {}) from None
        if process.returncode:
            reason = f"nasgan {verb} ended with exit code {process.returncode}"
            raise FailedCheckError(f"{errors[-_TAIL:]}\n{reason}", {})
        return time.perf_counter() - began

    def kill_at_checkpoint(self, run_dir: Path, *words: str) -> None:
        """Begin a training and kill it once it has written a checkpoint.

        Raises:
            FailedCheckError: it ended before.
        """
        process = self._begin(*words)
        ends = time.monotonic() + _SECONDS
        while process.poll() is None and time.monotonic() < ends:
            if any((run_dir / "checkpoints").glob("resume-*.pt")):
                break
            time.sleep(_LOOKS)
        process.kill()
        _, errors = process.communicate()
        if process.returncode != -signal.SIGKILL:
            raise FailedCheckError(f"{errors[-_TAIL:]}\nended before it could be killed", {})

    def _begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nasgan", *words, f"device={self.device}"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def training(self, run_dir: Path) -> list[str]:
        """The words of a training with a checkpoint after every piece of work."""
        steps, every = (20, 10) if self.tiny else (200, 100)
        size = ["+experiment=debug/tiny"] if self.tiny else ["metrics.num_images=500"]
        return [
            "train",
            "architecture=autogan_a",
            *size,
            f"training.generator_steps={steps}",
            f"training.eval_every={every}",
            "checkpoint.every_seconds=0",
            "progress=false",
            f"run_dir={run_dir}",
        ]


def resumption(commands: Commands, devices: int = 1) -> Figures:
    """Train as a whole; train, kill and resume; compare scores and networks.

    Raises:
        FailedCheckError: they differ.
        SkippedCheckError: there are not so many devices.
    """
    there = _devices_like(commands.device)
    if devices > there:
        raise SkippedCheckError(
            f"{there} device of this kind here: two processes on one are no training that "
            f"trainer.devices={devices} does"
        )
    ending = "" if devices == 1 else f"_on_{devices}"
    whole, parted = commands.folder / f"whole{ending}", commands.folder / f"parted{ending}"
    more = [] if devices == 1 else [f"trainer.devices={devices}"]
    training = [*commands.training(whole), *more]
    figures: dict[str, Any] = {"seconds_whole": commands.run(*training)}
    words = [*commands.training(parted), *more]
    commands.kill_at_checkpoint(parted, *words)
    figures["seconds_resumed"] = commands.run(*words)
    scores = [json.loads((run / "record.json").read_text())["metrics"] for run in (whole, parted)]
    networks = [
        (run / "checkpoints" / "generator.safetensors").read_bytes() for run in (whole, parted)
    ]
    figures |= {"equal_scores": scores[0] == scores[1], "equal_bits": networks[0] == networks[1]}
    if not (figures["equal_scores"] and figures["equal_bits"]):
        raise FailedCheckError("the resumed training differs from the whole one", figures)
    return figures


def _devices_like(device: str) -> int:
    """How many devices a training from ``device`` on may have."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.device_count() - (torch.device(device).index or 0)
    return usable_cores()


def verb(commands: Commands, *words: str) -> Figures:
    """One command, on the whole training where it asks for a run."""
    return {"seconds": commands.run(*words)}


def runs(settings: Settings) -> Iterator[Check]:
    """The checks of the stage."""
    commands = Commands(settings.device, Path(settings.work), settings.smoke)
    run = f"run={commands.folder / 'whole'}"
    images = f"num_images={64 if settings.smoke else 500}"
    made = {
        "kill and resume": partial(resumption, commands),
        "evaluate": partial(verb, commands, "evaluate", run, images),
        "sample": partial(verb, commands, "sample", run, "num=16"),
    }
    if not settings.smoke:
        search = ("search", "+experiment=debug/tiny", "progress=false", "run_dir=search")
        made["search"] = partial(verb, commands, *search)
        made["kill and resume on 2 devices"] = partial(resumption, commands, 2)
    for name, check in made.items():
        yield Check(name, _with_hydra(check), needs=15, limit=150)


def _with_hydra(check: partial[Figures]) -> partial[Figures]:
    return check if find_spec("hydra") else partial(_lacking)


def _lacking() -> Figures:
    raise SkippedCheckError("hydra-core is not installed here")
