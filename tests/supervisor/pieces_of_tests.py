"""Pieces of work for tests, for other processes."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from nasgan.supervisor import report_progress


def work(order: dict[str, Any]) -> dict[str, Any]:
    """Does what ``order["do"]`` says; attempts leave a file each in ``order["folder"]``."""
    folder, key = Path(order["folder"]), order["key"]
    number = len(list(folder.glob(f"{key}.begun*")))
    (folder / f"{key}.begun{number}").write_text(str(os.getpid()))
    asked = order["do"][number] if number < len(order["do"]) else ""
    if asked == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif asked == "wait":
        while not (folder / f"{key}.go").exists():
            time.sleep(0.01)
    elif asked == "raise":
        raise ValueError("of its own")
    elif asked == "warn":
        warnings.warn("what a library has to say", stacklevel=2)
    elif asked == "print":
        print("for a person")
        sys.stdout.flush()
    elif asked == "progress":
        report_progress(41)
        time.sleep(3.0)
    return {"pid": os.getpid(), "threads": order["threads"], "device": order["device"]}
