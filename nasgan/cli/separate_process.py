"""Calls a function in a process of its own, so that its death is nobody else's.

A plain program and not `multiprocessing`, whose processes cannot be started from the workers of
every launcher. Run as ``python -m nasgan.cli.separate_process MODULE:FUNCTION``; the argument comes
by the standard input, whose end says that the caller is gone.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from nasgan.machine import ending_signal

__all__ = ["call_in_process"]

# Slurm sends them to every process of a job that is about to end; the one that it started acts,
# which goes into the queue again or is killed, and this process with it.
_FOR_THE_PARENT = (signal.SIGUSR1, signal.SIGUSR2)
_FOR_THE_PARENT_IN_SLURM = (signal.SIGTERM,)
_POLL_SECONDS = 1.0
# For a run that is told to end to say in its folder that it was interrupted.
_LAST_WORDS_SECONDS = 10.0


def call_in_process(
    function: Callable[[Any], object],
    argument: Mapping[str, Any],
    output: Path | None = None,
    *,
    starter: int | None = None,
) -> str:
    """Call ``function(argument)`` in a new process and wait for its end.

    Args:
        function: of a module.
        argument: JSON data.
        output: takes up, at its end, what the process prints; None: printed where this one prints.
        starter: the process that the call is for; if it has started this one and dies, both end.

    Returns:
        How the process failed; empty if the function returned.
    """
    where = f"{function.__module__}:{function.__qualname__}"
    program = [sys.executable, "-m", "nasgan.cli.separate_process"]
    command = [*program, where, *([str(output)] if output else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)  # noqa: S603
    assert process.stdin is not None
    # A process that dies at once breaks the pipe; its exit code says more.
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(argument).encode("utf-8") + b"\n")
        process.stdin.flush()
    try:
        return _failure(_wait(process, starter))
    finally:
        # However this process is stopped, the other does not go on alone.
        with suppress(BrokenPipeError):
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_LAST_WORDS_SECONDS)
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], starter: int | None) -> int:
    is_child = os.getppid() == starter
    while True:
        try:
            return process.wait(_POLL_SECONDS if is_child else None)
        except subprocess.TimeoutExpired:
            if os.getppid() != starter:
                # Launchers' processes would go on with the next job that they were sent; the other
                # process notices.
                os._exit(1)


def _failure(exit_code: int) -> str:
    if exit_code == 0:
        return ""
    if exit_code > 0:
        return f"the process of this run ended with exit code {exit_code} and without a result"
    by = ending_signal(-exit_code)
    return f"the process of this run was ended by {by}; the same command resumes it"


def _main(where: str, output: str | None = None) -> None:
    in_slurm = _FOR_THE_PARENT_IN_SLURM if "SLURM_JOB_ID" in os.environ else ()
    for number in (*_FOR_THE_PARENT, *in_slurm):
        signal.signal(number, signal.SIG_IGN)
    # Also where a shell has started this in the background.
    signal.signal(signal.SIGINT, _interrupt_once)
    argument = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    if output is not None:
        _print_into(Path(output))
    module, _, name = where.partition(":")
    getattr(importlib.import_module(module), name)(argument)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """The terminal interrupts, and the caller does: the second must not meet the last words."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.default_int_handler(number, frame)


def _end_with_the_caller() -> None:
    # Not through `sys.stdin`, whose lock would be held when the interpreter ends.
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_LAST_WORDS_SECONDS)
    os._exit(1)


def _print_into(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)


if __name__ == "__main__":
    _main(*sys.argv[1:])
