"""The program of a worker process, see `nasgan.evaluation.executors.processes`."""

from __future__ import annotations

import json
import os
import signal
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from nasgan.evaluation.executors.candidate import CandidateWorker, LogForwarder

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Serve the process at the other end of a pipe until it goes.

    Args:
        descriptor: of our end, inherited.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    pipe = _Pipe(descriptor)
    order = pipe.requests.get()
    LogForwarder(lambda record: pipe.send({"kind": "log", "log": [record]})).install(
        order["log_level"]
    )
    worker = CandidateWorker()
    pipe.send(worker.open(order))
    while True:
        pipe.send(worker.evaluate(pipe.requests.get()))


class _Pipe:
    """Our end. A thread reads it, so that the end of the other process is noticed at any time."""

    def __init__(self, descriptor: int) -> None:
        self.requests: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._connection = Connection(descriptor)
        self._sending = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: Any) -> None:
        with self._sending:
            self._connection.send_bytes(json.dumps(message).encode())

    def _read(self) -> None:
        while True:
            try:
                self.requests.put(json.loads(self._connection.recv_bytes()))
            except (EOFError, OSError):
                # With all processes of our own; we lead their group (`start_new_session`).
                os.killpg(0, signal.SIGKILL)
