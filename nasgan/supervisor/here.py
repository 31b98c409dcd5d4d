"""The place that is this process itself."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence

from nasgan.supervisor.pieces import Message, answered
from nasgan.supervisor.places import Places

__all__ = ["Here"]


class Here(Places):
    """Does one piece after the other, in this process, while it is waited for.

    Args:
        threads: that it has.
        device: where it computes.
    """

    def __init__(self, *, threads: int = 1, device: str = "cpu") -> None:
        self._of_place = {"threads": threads, "device": device}
        self._begun: deque[tuple[int, Message]] = deque()

    @property
    def size(self) -> int:
        """See `Places.size`."""
        return 1

    def begin(self, ticket: int, request: Message) -> None:
        """See `Places.begin`."""
        # As it would be read elsewhere.
        order = json.loads(json.dumps({**request["order"], **self._of_place}))
        self._begun.append((ticket, {**request, "order": order}))

    def wait(self, seconds: float) -> Sequence[tuple[int, Message]]:
        """See `Places.wait`."""
        del seconds
        if not self._begun:
            return []
        ticket, request = self._begun.popleft()
        return [(ticket, json.loads(json.dumps(answered(request["work"], request["order"]))))]

    def end(self, ticket: int) -> None:
        """See `Places.end`."""
        self._begun = deque(item for item in self._begun if item[0] != ticket)

    def close(self) -> None:
        """See `Places.close`."""
        self._begun.clear()
