"""Which trainings a table is made of, and in which order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.factory import load_architecture
from nasgan.nodes import Checked
from nasgan.randomness import numpy_generator
from nasgan.reading import parse_json, read_text
from nasgan.run_settings import Count, Positive
from nasgan.runs.history import HISTORY_FILE
from nasgan.tabular.table import load_table

__all__ = ["Design", "Shard", "Training"]

_DRAWS_WITHOUT_NEWS = 10_000
_MOST_BYTES = 10**9
_SHARD = re.compile(r"([1-9]\d*)/([1-9]\d*)")


class Training(NamedTuple):
    """One training of a table.

    Attributes:
        architecture: what is trained.
        seed: index of the seed, from 0. It is the run seed: ``nasgan train seed=`` of the same
            number repeats the training.
    """

    architecture: Architecture
    seed: int

    @property
    def name(self) -> str:
        """For files: ``"0123456789ab-s0"``."""
        return f"{self.architecture.id}-s{self.seed}"


@dataclass(frozen=True)
class Design(Checked):
    """The architectures of a table, and how often each is trained.

    A larger design of the same ``kind`` and ``seed`` begins with the smaller one.

    Attributes:
        kind: ``uniform`` draws distinct architectures of the space, ``all`` takes every one (in an
            order drawn at random, so that the first ones are a fair sample), ``list`` those of a
            file or of runs' histories, ``best`` those of a table, the best mean first,
            ``neighbours`` those that a table lacks and that differ from its best in one decision.
        architectures: how many; None takes all there are, but for ``uniform``.
        seed: of the draw and the order.
        path: of ``list``: a JSON list, or one JSON value a line; each an encoding, a mapping from
            decisions to options, an architecture's JSON, a name or path of one, or a line of a
            run's history; or a folder with runs below it. Of ``best`` and ``neighbours``: a
            table's name or file.
        seeds: trainings of each architecture.
        repeated: so many architectures, the first ones, are trained more often ...
        repeated_seeds: ... this many times in all.

    Raises:
        ConfigError: a value is out of range, or two contradict each other.
    """

    kind: Literal["uniform", "all", "list", "best", "neighbours"] = "uniform"
    architectures: Positive | None = None
    seed: Count = 0
    path: str | None = None
    seeds: Positive = 2
    repeated: Count = 0
    repeated_seeds: Count = 0

    where: ClassVar[str] = "design"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind == "uniform" and self.architectures is None:
            raise ConfigError("design.kind=uniform needs a number: design.architectures=300")
        if (self.kind in ("list", "best", "neighbours")) != (self.path is not None):
            raise ConfigError("design.path belongs to design.kind=list, best and neighbours")
        if self.repeated and self.repeated_seeds <= self.seeds:
            raise ConfigError(
                f"design.repeated_seeds={self.repeated_seeds} must be above design.seeds="
                f"{self.seeds}: the first design.repeated architectures are trained more often"
            )

    def refuse_rows_of(self, folder: Path) -> None:
        """Refuse to rank by the rows that are being made: they grow, and the ranking changes.

        Args:
            folder: of the table that is to be made.

        Raises:
            ConfigError: ``path`` is that folder, or one in it.
        """
        if self.path is None or self.kind == "list":
            return
        path, own = Path(self.path).resolve(), folder.resolve()
        if path == own or (own in path.parents and path.is_dir()):
            raise ConfigError(
                f"design.path={self.path}: design.kind={self.kind} cannot go by the rows in "
                f"out={folder} while more are added to them: the same command would choose others "
                "when it goes on, and so would another shard. Make a file of those that are there "
                f"(nasgan table build {self.path} out=two_seeds.npz) and name it: "
                "design.path=two_seeds.npz"
            )

    def choose(self, space: SearchSpace, *, metric: str = "fid") -> list[Architecture]:
        """The architectures, in the order in which they are trained.

        Args:
            space: theirs.
            metric: by which those of a table are the best.

        Raises:
            ConfigError: the space has too few, or too many to list.
            TableError: the table cannot be read, or lacks the metric.
            ArchitectureError: the file of ``list`` is wrong, or holds one of another space.
        """
        chosen = list(islice(self._candidates(space, metric), self.architectures))
        if len(chosen) < (self.architectures or 1):
            raise ConfigError(
                f"design.architectures={self.architectures}: design.kind={self.kind} finds "
                f"{len(chosen)} different ones; ask for no more"
            )
        return chosen

    def trainings(self, architectures: list[Architecture]) -> list[Training]:
        """All trainings of ``architectures``, in order: a prefix is a smaller table.

        Architecture by architecture with its seeds; the additional seeds of the first ones after.
        """
        usual = [Training(a, seed) for a in architectures for seed in range(self.seeds)]
        more = range(self.seeds, self.repeated_seeds)
        return usual + [Training(a, seed) for a in architectures[: self.repeated] for seed in more]

    def _candidates(self, space: SearchSpace, metric: str) -> Iterator[Architecture]:
        if self.kind == "list":
            return iter(dict.fromkeys(_read_list(Path(str(self.path)), space)))
        if self.path is not None:
            table = load_table(self.path)
            best = [a for a in table.ranked(metric) if _is_of(space, a)]
            return (
                iter(best)
                if self.kind == "best"
                else _neighbours(space, best, set(table.architectures))
            )
        if self.kind == "uniform":
            return _distinct_samples(space, self.seed)
        every = list(space.enumerate())
        order = numpy_generator(self.seed, "design", "order").permutation(len(every))
        return (every[int(k)] for k in order)


@dataclass(frozen=True)
class Shard:
    """A part of the trainings, chosen by each training's own key: no two parts share one.

    Attributes:
        number: from 1 to ``of``.
        of: number of parts.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``"3/16"``.

        Raises:
            ConfigError: it is not of this form, or beyond the last part.
        """
        match = _SHARD.fullmatch(text)
        if match is None or int(match[1]) > int(match[2]):
            raise ConfigError(
                f"shard={text!r} must be a part of how many, from 1/N to N/N: shard=3/16"
            )
        return cls(int(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """For files: ``"3of16"``."""
        return f"{self.number}of{self.of}"

    def holds(self, training: Training) -> bool:
        """Whether ``training`` is of this part."""
        digest = hashlib.sha256(training.name.encode("utf-8")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1


def _distinct_samples(space: SearchSpace, seed: int) -> Iterator[Architecture]:
    """Samples of the space without repeats, until hardly a new one is found."""
    rng = numpy_generator(seed, "design", "uniform")
    seen: set[Architecture] = set()
    misses = 0
    while misses < _DRAWS_WITHOUT_NEWS and len(seen) < space.size:
        architecture = space.sample(rng)
        misses += 1
        if architecture not in seen:
            seen.add(architecture)
            misses = 0
            yield architecture


def _neighbours(
    space: SearchSpace, of: Iterable[Architecture], seen: set[Architecture]
) -> Iterator[Architecture]:
    """All that differ in one decision, of the first first, that are not among ``seen``."""
    for architecture in of:
        for near in space.neighbours(architecture):
            if near not in seen:
                seen.add(near)
                yield near


def _is_of(space: SearchSpace, architecture: Architecture) -> bool:
    try:
        space.validate(architecture)
    except ArchitectureError:
        return False
    return True


def _read_list(path: Path, space: SearchSpace) -> Iterator[Architecture]:
    if path.is_dir():
        for file in sorted(path.rglob(HISTORY_FILE)):
            yield from _read_list(file, space)
        return
    try:
        text = read_text(path, most=_MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArchitectureError(f"design.path={path}: cannot read this file: {reason}") from error
    try:
        entries = parse_json(text)
    except ValueError:
        entries = [_parsed(line, path, n) for n, line in enumerate(text.splitlines(), 1) if line]
    for entry in entries if isinstance(entries, list) else [entries]:
        is_of_history = isinstance(entry, dict) and "index" in entry
        if not is_of_history:
            yield _architecture(entry, path, space)
        elif isinstance(entry.get("architecture"), dict):
            yield _architecture(entry["architecture"], path, space)


def _parsed(line: str, path: Path, number: int) -> Any:
    try:
        return parse_json(line)
    except ValueError as error:
        raise ArchitectureError(
            f"design.path={path}: line {number} is not JSON: {error}"
        ) from error


def _architecture(entry: Any, path: Path, space: SearchSpace) -> Architecture:
    try:
        if isinstance(entry, str):
            return space.architecture(load_architecture(entry))
        if isinstance(entry, dict) and "format" in entry:
            return space.architecture(Architecture.from_json(entry))
        return space.architecture(entry)
    except ArchitectureError as error:
        raise ArchitectureError(f"design.path={path}: {error}") from error
