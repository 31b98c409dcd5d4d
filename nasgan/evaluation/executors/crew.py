"""Workers as a pool sees them, whatever they are and wherever they run.

Pool and workers exchange JSON data. A worker is asked ``{"proposal", "kept"}`` (see
`nasgan.contracts.Evaluator.kept`) and sends messages, told apart by ``"kind"``:

- ``ready``: it can be asked;
- ``done``: ``{"evaluation", "kept"}``;
- ``failed``: an unexpected error, ``{"reason", "trace", "cost"}``;
- ``refused``: an error that nasgan raises on purpose, ``{"error", "message"}``;
- ``lost``: there is no such worker any more, ``{"reason"}``.

Any of them, and those of the kind ``log``, may bring ``"log"``: records for this process's log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["Crew", "Message", "Worker"]

Message: TypeAlias = Mapping[str, Any]


class Worker(ABC):
    """One worker.

    Attributes:
        number: its place, from 0; one that takes the place of a lost one has the same.
    """

    number: int

    @abstractmethod
    def ask(self, request: Message) -> None:
        """Begin an evaluation; if the worker is lost, `Crew.wait` will tell."""

    @abstractmethod
    def stop(self) -> None:
        """End the worker at once, whatever it does; nothing is heard of it any more."""


class Crew(ABC):
    """Starts workers and hears them."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many workers there can be."""

    @abstractmethod
    def start(self, number: int) -> Worker:
        """Start a worker without waiting for it; it says when it is ready."""

    @abstractmethod
    def wait(self, seconds: float) -> Sequence[tuple[Worker, Message]]:
        """What the workers send, as it arrives; after ``seconds`` at the latest."""

    def dismiss(self) -> None:  # noqa: B027 - most crews leave nothing behind
        """Called when all workers are stopped."""
