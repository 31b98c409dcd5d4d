"""The ledger of pieces under way: what is lost is done again, by whose fault is told apart."""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasgan import atomic
from nasgan.errors import NasganError
from nasgan.supervisor.pieces import Message, Piece, error_from
from nasgan.supervisor.places import Places

__all__ = ["Outcome", "Retries", "Supervisor", "Work", "results_of"]

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 60.0
_LATER_SECONDS = 2.0
_SILENT_SECONDS = 180.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Retries:
    """How often a piece is begun again, by whose fault it ended.

    Attributes:
        attempts: that may end by errors of its own, or by its timeout, before it counts as failed.
        losses: of its process or machine, in a row and without progress between them, that are
            forgiven; a growing pause follows each but the first.
    """

    attempts: int = 2
    losses: int = 10


@dataclass(frozen=True)
class Outcome:
    """How a piece ended for good.

    Attributes:
        result: of its function, where it was done.
        failure: why it was not; empty if it was.
        cost: what the function said that its last attempt spent.
        seconds: of the last attempt.
        retries: how often it was begun again.
    """

    result: Any = None
    failure: str = ""
    cost: Any = None
    seconds: float = 0.0
    retries: int = 0


@dataclass(eq=False)
class Work:
    """A piece under way.

    Attributes:
        piece: which.
        errors: of its own, so far.
        losses: of its processes, so far.
        background: whether all others go first.
    """

    piece: Piece
    heard: Callable[[Outcome], None]
    errors: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    background: bool = False
    in_a_row: int = 0
    not_before: float = 0.0
    ticket: int | None = None
    begun: bool = False
    since: float = 0.0
    life: Path | None = None
    sign: str = ""
    sign_at: float = 0.0
    best: int = 0

    @property
    def retries(self) -> int:
        """How often it was begun again."""
        return len(self.errors) + len(self.losses)

    @property
    def seconds(self) -> float:
        """That the attempt under way has taken; 0 while it waits, here or where it is done."""
        return time.monotonic() - self.since if self.begun else 0.0

    @property
    def progress(self) -> int:
        """What it last told, see `nasgan.supervisor.report_progress`."""
        with suppress(IndexError, ValueError):
            return int(self.sign.split()[1])
        return 0


class Supervisor:
    """Has pieces done in places, and done again where they are lost.

    A piece whose process or machine is lost is begun again, many times; one that fails by an error
    of its own, or takes too long, a few times. A process that is stopped, or behind a broken
    network, gives no signs of life: after three minutes it counts as lost.

    Args:
        places: where they are done.
        retries: how often.
        folder: for signs of life, of this supervisor alone; the same on all machines. None: they
            give none.

    Attributes:
        reserve: places that are left free for this process itself.
        most_in_background: places that pieces of the background may fill; None: all.
    """

    def __init__(
        self, places: Places, retries: Retries | None = None, *, folder: Path | None = None
    ) -> None:
        self.places = places
        self.reserve = 0
        self.most_in_background: int | None = None
        self._retries = retries or Retries()
        self._folder = folder
        self._waiting: deque[Work] = deque()
        self._background: deque[Work] = deque()
        self._paused: list[Work] = []
        self._running: dict[int, Work] = {}
        self._tickets = 0
        self._failed_starts = 0
        self._looked = float("-inf")
        self._forget_signs()

    @property
    def size(self) -> int:
        """How many pieces can be done at once."""
        return max(0, self.places.size - self.reserve)

    def begin(
        self,
        piece: Piece,
        heard: Callable[[Outcome], None],
        *,
        errors: Iterable[str] = (),
        losses: Iterable[str] = (),
        background: bool = False,
    ) -> Work:
        """Have ``piece`` done; ``heard`` is called by `advance` when it has ended for good.

        Args:
            piece: not under way.
            heard: may raise, what `advance` then does.
            errors: that it has met before, in an earlier process.
            losses: as above.
            background: whether all others go first.
        """
        lost = list(losses)
        work = Work(piece, heard, list(errors), lost, background, in_a_row=len(lost))
        self._line(work).append(work)
        return work

    def drop(self, work: Work) -> None:
        """Forget a piece, and end its attempt."""
        if work in self._line(work):
            self._line(work).remove(work)
        elif work in self._paused:
            self._paused.remove(work)
        elif work.ticket is not None:
            self._stop(work)

    def advance(self, seconds: float) -> None:
        """Hand over what there is room for, hear what has ended, and begin again what was lost.

        Args:
            seconds: to wait for something to end, at the most.

        Raises:
            NasganError: bad input or a full disk, met by a piece; or no process starts.
        """
        self.fill()
        for ticket, message in self._ended(seconds):
            # What was heard before may have dropped this one.
            if ticket in self._running:
                self._hear(self._running[ticket], message)
        self._look()
        self.fill()

    def _ended(self, seconds: float) -> list[tuple[int, Message]]:
        patience = self._patience(seconds)
        if self._running:
            return list(self.places.wait(patience))
        if self._waiting or self._background or self._paused:
            time.sleep(patience)
        return []

    def _patience(self, seconds: float) -> float:
        """Seconds to wait: not past the next moment at which something is due."""
        now = time.monotonic()
        due = [work.not_before - now for work in self._paused]
        due += [
            work.piece.timeout - work.seconds
            for work in self._running.values()
            if work.piece.timeout is not None
        ]
        return max(0.0, min([seconds, *due]))

    def fill(self) -> None:
        """Hand over what there is room for, the oldest first, the background last."""
        now = time.monotonic()
        for work in [work for work in self._paused if work.not_before <= now]:
            self._paused.remove(work)
            # It was begun before all that wait.
            self._line(work).appendleft(work)
        while len(self._running) < self.places.depth - self.reserve:
            line = self._waiting or self._open_background()
            if not line:
                return
            self._hand_over(line.popleft())

    def _line(self, work: Work) -> deque[Work]:
        return self._background if work.background else self._waiting

    def _open_background(self) -> deque[Work]:
        """Those that wait in the background; none while it has all the places that it may have."""
        most = self.most_in_background
        if most is not None and sum(work.background for work in self._running.values()) >= most:
            return deque()
        return self._background

    def _hand_over(self, work: Work) -> None:
        self._tickets += 1
        ticket, life = self._tickets, None
        if self._folder is not None:
            atomic.make_folder(self._folder)
            # A copy that is thought to be dead may still write: each has a file of its own.
            life = self._folder / f"{work.piece.key}.{uuid.uuid4().hex[:8]}.life"
        request = {
            "work": work.piece.work,
            "order": dict(work.piece.order),
            "life": None if life is None else str(life.absolute()),
            "log_level": logging.getLogger().getEffectiveLevel(),
        }
        self.places.begin(ticket, request)
        work.ticket, work.life, work.since = ticket, life, time.monotonic()
        work.sign, work.sign_at = "", work.since
        work.begun = life is None or not self.places.queues
        self._running[ticket] = work

    def _hear(self, work: Work, message: Message) -> None:
        seconds = work.seconds
        self._forget_attempt(work)
        for name, level, text in message.get("log", ()):
            logging.getLogger(name).log(level, "%s: %s", _worker(message), text)
        kind = message["kind"]
        if kind == "refused":
            raise error_from(message)
        if kind == "later":
            self._pause(work, _LATER_SECONDS)
        elif kind == "done":
            self._failed_starts = 0
            work.heard(Outcome(message["result"], seconds=seconds, retries=work.retries))
        elif message.get("starting"):
            self._not_started(work, message["reason"])
        elif kind == "lost":
            self._lost(work, message["reason"], seconds)
        else:
            _log.warning("%s: %s", _worker(message), message["trace"].rstrip())
            self._failed(work, message["reason"], seconds, message.get("cost"))

    def _not_started(self, work: Work, reason: str) -> None:
        """No fault of the piece; all may be killed at once while they start: that ends nothing."""
        self._failed_starts += 1
        _log.warning("a worker did not start: %s", reason)
        if self._failed_starts >= self._retries.attempts + self.places.size - 1:
            raise NasganError(f"the workers do not start: {reason}")
        self._line(work).appendleft(work)

    def _lost(self, work: Work, reason: str, seconds: float) -> None:
        work.losses.append(reason)
        work.in_a_row = 1 if work.progress > work.best else work.in_a_row + 1
        work.best = max(work.best, work.progress)
        if work.in_a_row > self._retries.losses:
            self._give_up(work, seconds, None)
            return
        _log.warning("%s is begun again: %s", work.piece.title, reason)
        pause = 0.0 if work.in_a_row == 1 else _PAUSE_SECONDS * 2.0 ** (work.in_a_row - 2)
        self._pause(work, min(pause, _LONGEST_PAUSE_SECONDS))

    def _failed(self, work: Work, reason: str, seconds: float, cost: Any) -> None:
        work.errors.append(reason)
        if len(work.errors) >= self._retries.attempts:
            self._give_up(work, seconds, cost)
        else:
            _log.warning("%s is begun again: %s", work.piece.title, reason)
            self._pause(work, 0.0)

    def _pause(self, work: Work, seconds: float) -> None:
        work.not_before = time.monotonic() + seconds
        self._paused.append(work)

    def _give_up(self, work: Work, seconds: float, cost: Any) -> None:
        reasons = "; ".join(dict.fromkeys([*work.losses, *work.errors]))
        times = work.retries
        failure = reasons if times == 1 else f"failed {times} times: {reasons}"
        _log.warning("%s %s", work.piece.title, failure)
        work.heard(Outcome(None, failure, cost, seconds, times - 1))

    def _look(self) -> None:
        """End attempts that take too long, and those that are dead without anybody's saying so."""
        for work in list(self._running.values()):
            limit = work.piece.timeout
            if limit is not None and work.seconds > limit:
                seconds = work.seconds
                self._stop(work)
                reason = f"it took longer than executor.timeout={limit:g} seconds"
                self._failed(work, reason, seconds, None)
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        for work in list(self._running.values()):
            self._look_for_signs(work, now)

    def _look_for_signs(self, work: Work, now: float) -> None:
        if work.life is None:
            return
        with suppress(OSError):
            sign = work.life.read_text()
            if sign != work.sign:
                work.sign, work.sign_at = sign, now
                if not work.begun:
                    work.begun, work.since = True, now
        # One that has given none may be waiting for its turn on a cluster; here it starts at once.
        may_wait = self.places.queues and not work.sign
        if not may_wait and now - work.sign_at > _SILENT_SECONDS:
            seconds = work.seconds
            self._stop(work)
            self._lost(work, f"it gave no sign of life for {_SILENT_SECONDS:g} seconds", seconds)

    def _stop(self, work: Work) -> None:
        assert work.ticket is not None
        self.places.end(work.ticket)
        self._forget_attempt(work)

    def _forget_attempt(self, work: Work) -> None:
        assert work.ticket is not None
        del self._running[work.ticket]
        work.ticket, work.begun = None, False
        if work.life is not None:
            with suppress(OSError):
                work.life.unlink(missing_ok=True)

    def _forget_signs(self) -> None:
        """Remove what attempts of a process that was killed have left."""
        for path in [] if self._folder is None else self._folder.glob("*.life"):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """End everything; it can be begun again."""
        self._waiting.clear()
        self._background.clear()
        self._paused.clear()
        for work in list(self._running.values()):
            self._forget_attempt(work)
        self.places.close()


def _worker(message: Mapping[str, Any]) -> str:
    return f"worker {message['worker']}" if "worker" in message else "a worker"


def results_of(supervisor: Supervisor, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Outcome]]:
    """Have ``pieces`` done; each with its outcome, as it ends.

    Raises:
        NasganError: as `Supervisor.advance`.
    """
    ended: list[tuple[Piece, Outcome]] = []
    left = 0
    for piece in pieces:
        supervisor.begin(piece, lambda outcome, piece=piece: ended.append((piece, outcome)))  # type: ignore[misc]
        left += 1
    while left:
        supervisor.advance(_LOOK_SECONDS)
        left -= len(ended)
        yield from ended
        ended.clear()
