"""Nodes of a Ray cluster on this machine, each a group of processes that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_RAY = "import sys; sys.argv[0] = 'ray'; from ray.scripts.scripts import main; sys.exit(main())"


class Nodes:
    """A head and other nodes; a context manager, at whose end all are killed."""

    def __init__(self, folder: Path, *, cpus: int = 1, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._cpus = cpus
        self._environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            # Whatever token somebody may have here.
            "RAY_AUTH_MODE": "disabled",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            **environment,
        }
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Nodes:
        head = ("--head", f"--port={self.port}", "--include-dashboard=false")
        # Sockets have short names.
        self._start("head", *head, f"--temp-dir={self._folder}")
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._nodes):
            self.kill(name)

    def join(self, name: str) -> None:
        """Add a node."""
        self._start(name, f"--address={self.address}")

    def kill(self, name: str) -> None:
        """Kill a node with all its processes at once, as a machine goes that loses its power."""
        node = self._nodes.pop(name)
        for pid in _with_all_below(node.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def workers(self) -> list[int]:
        """The processes of all nodes that do tasks, or wait for one."""
        nodes = list(self._nodes.values())
        return [pid for node in nodes for pid in _with_all_below(node.pid) if _is_worker(pid)]

    def _start(self, name: str, *settings: str) -> None:
        log = self._folder.parent / f"{name}.log"
        common = (f"--num-cpus={self._cpus}", f"--node-name={name}", "--block")
        with log.open("wb") as stream:
            self._nodes[name] = subprocess.Popen(
                [sys.executable, "-c", _RAY, "start", *settings, *common],
                stdout=stream,
                stderr=stream,
                env=self._environment,
                start_new_session=True,
            )
        end = time.monotonic() + 120
        while "Ray runtime started" not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            assert self._nodes[name].poll() is None, log.read_text()
            time.sleep(0.1)


def _with_all_below(pid: int) -> list[int]:
    """A process, and what it and those have started: workers outlive their raylet by seconds."""
    try:
        files = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for file in files for child in file.read_text().split()]
    except OSError:
        children = []
    return [pid, *(below for child in children for below in _with_all_below(child))]


def _is_worker(pid: int) -> bool:
    """Ray names them after what they do, and so its agents, with which a node would die."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith((b"ray::IDLE", b"ray::do_"))
    except OSError:
        return False
