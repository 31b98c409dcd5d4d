"""Where pieces are done: what a supervisor asks of processes, here or on other machines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from nasgan.supervisor.pieces import Message

__all__ = ["Places"]


class Places(ABC):
    """Does pieces, several at once; each under a ticket, a number of the supervisor's.

    Attributes:
        ours: how many of the places this process itself fills while it computes.
    """

    ours: int = 0

    queues: bool = False
    """Whether what is handed over may wait there for its turn."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many can be done at once, at present."""

    @property
    def depth(self) -> int:
        """How many to hand over at once: the rest waits where it is free to change its mind."""
        return self.size

    @property
    def starting(self) -> bool:
        """Whether nothing is known to have begun yet."""
        return False

    @abstractmethod
    def begin(self, ticket: int, request: Message) -> None:
        """Begin a piece; whatever becomes of it, `wait` tells.

        Args:
            ticket: names the attempt.
            request: for `nasgan.supervisor.pieces.do`.

        Raises:
            NasganError: no process can be started.
        """

    @abstractmethod
    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        """What has ended, by ticket; after ``seconds`` at the latest.

        A message as of `nasgan.supervisor.pieces.do`, or ``lost``: ``{"reason", "starting"}``,
        where the process, or the machine, is there no more.
        """

    @abstractmethod
    def end(self, ticket: int) -> None:
        """End an attempt at once, whatever it does; nothing is heard of it any more."""

    def close(self) -> None:  # noqa: B027 - some leave nothing behind
        """End everything; it can be begun again."""
