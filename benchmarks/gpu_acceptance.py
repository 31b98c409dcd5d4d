"""Does nasgan work on this GPU, and how fast? One script for a lease of eight minutes.

Stages, in order of importance:
agree     losses, gradients and networks in float64: the device against the CPU
repeat    two trainings under ``deterministic=true`` are equal to the last bit
runs      train, kill, resume to the bit, evaluate, sample and search from the command line
speed     ``autogan_a``: eager, compiled, CUDA graphs x bf16, TF32, float32; peak memory
supernets eager steps of all spaces' supernets; whether rearranged convolutions pay
metrics   the device's scores against the CPU's; time and memory of 50,000 images
train     a short training on ``--images`` (or the embedded digits), scored before and after

Each stage is a process of its own with a time box; what it leaves of it goes to the next ones. A
check that would not fit is skipped, one that hangs is ended, one that breaks the process costs only
itself: the checks after it begin in a new one. The JSON file is complete after every check.

    python benchmarks/gpu_acceptance.py --device cuda --out acceptance.json --images cifar10.npz
    python benchmarks/gpu_acceptance.py --device cpu --smoke     # does the script itself work?
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.gpu_acceptance_checks import Report, Settings

ROOT = Path(__file__).resolve().parents[1]
_START_SECONDS = 8.0  # of a stage's process: python, torch, the device
_GRACE_SECONDS = 5.0  # a hanging check ends its process itself, at the end of the box
_WATCHDOG = "Timeout ("  # how faulthandler begins
_TAIL = 3000


@dataclass(frozen=True)
class Stage:
    """Attributes: its name; where its checks are; its share of eight minutes in seconds."""

    name: str
    checks: str
    seconds: float


STAGES = (
    Stage("agree", "benchmarks.gpu_acceptance_numbers:agree", 60),
    Stage("repeat", "benchmarks.gpu_acceptance_numbers:repeat", 50),
    Stage("runs", "benchmarks.gpu_acceptance_runs:runs", 80),
    Stage("speed", "benchmarks.gpu_acceptance_speed:speed", 150),
    Stage("supernets", "benchmarks.gpu_acceptance_speed:supernets", 45),
    Stage("metrics", "benchmarks.gpu_acceptance_scores:metrics", 20),
    Stage("train", "benchmarks.gpu_acceptance_scores:train", 75),
)


def run_stage(settings: Settings, report: Report) -> None:
    """Make the checks of a stage, in as many processes as it takes."""
    while True:
        if settings.left < _START_SECONDS:
            report.add(settings.stage, "what is left", "skipped", "no time left in the box")
            return
        before = len(report.checks)
        code, errors = _process(settings)
        report.reload()
        if code == 0:
            return
        status = "timed out" if code is None or _WATCHDOG in errors else "failed"
        if report.under_way is not None:
            report.end(status, message=_ending(code, errors))
        elif len(report.checks) == before:
            report.add(settings.stage, "the stage itself", status, _ending(code, errors))
            return


def _process(settings: Settings) -> tuple[int | None, str]:
    """Exit code (None: it had to be killed) and errors of one process of a stage."""
    command = [sys.executable, "-m", "benchmarks.gpu_acceptance_stage"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, json.dumps(asdict(settings))],
            stderr=errors,
            env=_environment(settings),
            start_new_session=True,
        )
        code: int | None = None
        try:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(max(0.0, settings.left) + _GRACE_SECONDS)
        finally:
            # Its own processes, too: runs, compilers.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
        errors.seek(0)
        return code, errors.read().decode("utf-8", "replace")


def _environment(settings: Settings) -> dict[str, str]:
    """The sources on the path, whatever the folder; one thread for tiny work."""
    own = [ROOT, ROOT / "strategies", ROOT / "search_spaces"]
    given = [Path(part).resolve() for part in os.environ.get("PYTHONPATH", "").split(":") if part]
    path = dict.fromkeys(str(part) for part in (*own, *given))
    threads = {"OMP_NUM_THREADS": "1"} if settings.smoke else {}
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(path)}


def _ending(code: int | None, errors: str) -> str:
    """How a process ended: the beginning of the watchdog's dump, or the end of what it wrote."""
    found = errors.rfind(_WATCHDOG)
    if found >= 0:
        return f"{errors[found : found + _TAIL].strip()}\nended at its time limit"
    how = (
        "killed at the end of the time box"
        if code is None
        else f"the process ended with exit code {code}"
    )
    return f"{how}\n{errors[-_TAIL:].strip()}".strip()


def accept(options: argparse.Namespace) -> Report:
    """Run the stages one after another; see the module."""
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.unlink(missing_ok=True)
    report = Report(options.out)
    began = time.monotonic()
    pace = options.minutes / 8
    report.describe(settings={key: str(value) for key, value in vars(options).items()})
    share = sum(stage.seconds for stage in STAGES if stage.name in options.stages)
    spent = 0.0
    with tempfile.TemporaryDirectory(prefix="nasgan-acceptance-") as work:
        for stage in STAGES:
            if stage.name not in options.stages:
                continue
            spent += stage.seconds
            settings = Settings(
                stage=stage.name,
                checks=stage.checks,
                device=options.device,
                smoke=options.smoke,
                images=None if options.images is None else str(options.images.resolve()),
                out=str(options.out.resolve()),
                work=work,
                ends=began + 60 * options.minutes * spent / share,
                pace=max(1.0, pace),
            )
            run_stage(settings, report)
    report.describe(seconds=round(time.monotonic() - began, 1))
    return report


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cuda")
    add("--out", type=Path, default=Path("acceptance.json"), help="written anew")
    add("--minutes", type=float, default=8.0, help="for all stages together")
    add("--stages", nargs="+", choices=[s.name for s in STAGES], default=[s.name for s in STAGES])
    add("--images", type=Path, help=".npz to train on, such as CIFAR-10; default: the digits")
    add("--smoke", action="store_true", help="tiny sizes, the first checks of each stage")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if no check has failed or hung."""
    report = accept(parsed(arguments))
    counts = Counter(row["status"] for row in report.checks)
    print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    return int(bool(counts["failed"] or counts["timed out"]))


if __name__ == "__main__":
    sys.exit(main())
