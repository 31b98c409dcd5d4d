"""Whether a Ray cluster answers, found out by a process of its own: who asks in vain waits long."""

from __future__ import annotations

import json
import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from typing import IO

from nasgan.errors import ConfigError

__all__ = ["reach"]

_PORT_SECONDS = 3.0
_ANSWER_SECONDS = 8.0
_IMPORT_SECONDS = 60.0
_PROGRAM = """
import json
import sys
import ray
print("IMPORTED", flush=True)
try:
    ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
except BaseException as error:
    print("REFUSED", str(error).strip().split("\\n")[0], flush=True)
else:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    print("REACHED", json.dumps(nodes), flush=True)
"""
_AUTO, _CLIENT, _VARIABLE = "auto", "ray://", "RAY_ADDRESS"
_TOKEN = re.compile(r"AuthToken|Unauthenticated|AUTH_TOKEN", re.IGNORECASE)
_MISSING = (
    "the cluster asks for a token, and this process has none that fits: set RAY_AUTH_MODE=token, "
    "and RAY_AUTH_TOKEN or the file ~/.ray/auth_token to that of the cluster"
)


def reach(address: str) -> list[dict[str, float]]:
    """Refuse an address where no Ray cluster answers this process.

    Args:
        address: ``auto`` or ``HOST:PORT``.

    Returns:
        The resources of its machines.

    Raises:
        ConfigError: none does; says why, in one sentence, in about ten seconds.
    """
    where = f"executor.address={address}"
    # Ray itself takes it for `auto`.
    named = os.environ.get(_VARIABLE) if address == _AUTO else address
    if named and named != _AUTO:
        _check_port(named, where if named == address else f"{where}, {_VARIABLE}={named}")
    answer = _asked(address)
    if isinstance(answer, str):
        raise ConfigError(f"{where}: {answer}")
    return answer


def _check_port(address: str, where: str) -> None:
    if address.startswith(_CLIENT):
        raise ConfigError(
            f"{where}: who supervises is a machine of the cluster and shares its files, so nasgan "
            "does not use Ray Client; let this machine join (ray start --address=HOST:6379, with "
            "--num-cpus=0 it gets no work) and write executor.address=auto"
        )
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ConfigError(f"{where}: {port!r} is no port; give auto, or HOST:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PORT_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{where}: nothing listens there ({reason})") from error


def _asked(address: str) -> list[dict[str, float]] | str:
    """Connect in another process; the resources of the machines, or why it could not."""
    process = subprocess.Popen(  # noqa: S603 - this interpreter, with our own program
        [sys.executable, "-c", _PROGRAM, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert process.stdout is not None
    try:
        return _verdict(_Lines(process.stdout))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _verdict(lines: _Lines) -> list[dict[str, float]] | str:
    deadline = time.monotonic() + _IMPORT_SECONDS
    while True:
        line = lines.next(deadline - time.monotonic())
        if line is None:
            return f"no Ray cluster answers there within {_ANSWER_SECONDS:g} seconds"
        if line.startswith("IMPORTED"):
            deadline = time.monotonic() + _ANSWER_SECONDS
        elif line.startswith("REACHED"):
            nodes: list[dict[str, float]] = json.loads(line.removeprefix("REACHED"))
            return nodes
        elif _TOKEN.search(line):
            return _MISSING
        elif line.startswith("REFUSED"):
            return f"no connection to a Ray cluster: {line.removeprefix('REFUSED').strip()}"


class _Lines:
    """Lines of a stream, each waited for so long."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stream = stream
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._stream:
                self._lines.put(line)
        except ValueError:  # it was closed
            pass
        self._lines.put(None)

    def next(self, seconds: float) -> str | None:
        """The next one; None if there is none, or none in time."""
        try:
            return self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
