"""The checks of one stage of the acceptance, in a process of its own; see `gpu_acceptance`."""

from __future__ import annotations

import faulthandler
import json
import os
import platform
import sys
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.gpu_acceptance_checks import (
    Check,
    FailedCheckError,
    Report,
    Settings,
    SkippedCheckError,
)

_TAIL_LINES = 25


def describe(report: Report, name: str) -> None:
    """Write what the device and the software are, unless they are written.

    Raises:
        ConfigError: there is no such device.
    """
    if report.content["versions"]:
        return
    import numpy as np
    import torch

    from nasgan.engine.device import choose_device

    facts: dict[str, object] = {"name": name, "cores": len(os.sched_getaffinity(0))}
    device = choose_device(name)
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        facts["model"] = found.name
        facts["memory_mib"] = found.total_memory >> 20
        facts["capability"] = f"{found.major}.{found.minor}"
    versions = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "numpy": np.__version__,
    }
    report.describe(device=facts, versions=versions)


def run(check: Check, settings: Settings, report: Report) -> bool:
    """Make one check; False if this process should make no other after it."""
    left = settings.left
    if left < check.needs:
        message = f"would not fit: takes {check.needs:.0f} s, {max(0.0, left):.0f} s are left"
        report.add(settings.stage, check.name, "skipped", message)
        return True
    report.begin(settings.stage, check.name)
    # Ends this process also where it hangs in a driver's call, and says where.
    faulthandler.dump_traceback_later(min(left, check.limit * settings.pace), exit=True)
    try:
        report.end("ok", check.run())
    except FailedCheckError as failure:
        report.end("failed", failure.figures, str(failure))
    except SkippedCheckError as reason:
        report.end("skipped", message=str(reason))
    except Exception:
        # After some CUDA errors every call fails: the next checks begin in a fresh process.
        report.end("failed", message=_tail(traceback.format_exc()))
        return False
    finally:
        faulthandler.cancel_dump_traceback_later()
    return True


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])


def main(settings: Settings) -> int:
    """Make the checks of the stage that are not in the report; 1 if there may be some left."""
    report = Report(Path(settings.out))
    describe(report, settings.device)
    module, function = settings.checks.split(":")
    for check in getattr(import_module(module), function)(settings):
        if check.name in report.begun(settings.stage):
            continue
        if not run(check, settings, report):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Settings(**json.loads(sys.argv[1]))))
