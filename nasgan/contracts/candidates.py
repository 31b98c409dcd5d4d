"""Base of strategies that score some number of candidates; the limits of their sizes."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture
from nasgan.contracts.ask_tell import AskTellStrategy, SupernetPaths
from nasgan.contracts.run import SearchRun
from nasgan.contracts.search_space import SearchSpace
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.metrics.table import SIZES
from nasgan.networks.cost import count_macs, count_parameters

__all__ = [
    "CandidateSearch",
    "Constraints",
    "DiscriminatorSizes",
    "GeneratorSizes",
    "SizeConstraints",
]

_log = logging.getLogger(__name__)


class CandidateSearch(AskTellStrategy):
    """An ask/tell search that ends when so many candidates are scored, all within size constraints.

    A subclass defines `ask`, which takes new architectures from `draw` and looks at `left`.

    Args:
        num_candidates: architectures to score; None: until the budget is spent.
        constraints: see `SizeConstraints`.
        supernet_steps: see `AskTellStrategy`.
        supernet_paths: as there.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(
        self,
        *,
        num_candidates: int | None = 100,
        constraints: Constraints | None = None,
        supernet_steps: int | None = None,
        supernet_paths: SupernetPaths = "uniform",
    ) -> None:
        super().__init__(supernet_steps=supernet_steps, supernet_paths=supernet_paths)
        if num_candidates is not None and num_candidates < 1:
            raise ConfigError(
                f"strategy.num_candidates must be at least 1, or null, got {num_candidates}"
            )
        self._num_candidates = num_candidates
        self._constraints = SizeConstraints(constraints)
        self._first: tuple[str, int, str] | None = None

    def begin_with(self, setting: str, count: int, then: str) -> None:
        """Say how many random candidates come first; a budget that ends among them is told.

        Args:
            setting: of the strategy, that says so.
            count: them.
            then: what the search does after them, a verb.

        Raises:
            ConfigError: they are all.
        """
        self._first = setting, count, then
        if self._num_candidates is not None and count >= self._num_candidates:
            raise ConfigError(
                f"strategy.{setting}={count} random architectures are all of "
                f"strategy.num_candidates={self._num_candidates}: nothing would {then}; begin with "
                "fewer, or score more candidates"
            )

    def setup(self, run: SearchRun) -> None:
        """See `SearchStrategy.setup`.

        Raises:
            ConfigError: a search without an end, or constraints that no architecture keeps.
        """
        super().setup(run)
        limit = run.ledger.budget.architectures
        if self._num_candidates is None:
            run.ledger.budget.require_limit("strategy.num_candidates")
        if self._first is not None and limit is not None and limit <= self._first[1]:
            setting, count, then = self._first
            _log.warning(
                "budget.architectures=%d ends strategy=%s among its strategy.%s=%d random "
                "architectures: nothing will %s",
                *(limit, self.name, setting, count, then),
            )
        self._constraints.setup(run.space, run.rng("constraints"))

    @property
    def finished(self) -> bool:
        """Whether all candidates are scored."""
        wanted = self._num_candidates
        return wanted is not None and len(self.evaluations) >= wanted

    @property
    def asked(self) -> int:
        """Candidates scored or under way."""
        return len(self.evaluations) + self.pool.under_way

    @property
    def left(self) -> float:
        """Candidates still to ask for; infinite where the budget is the end."""
        return float("inf") if self._num_candidates is None else self._num_candidates - self.asked

    def draw(self, make: Callable[[], Architecture] | None = None) -> Architecture:
        """A candidate that ``make`` draws (None: a random one), a new one where there is one."""
        space, rng = self.run.space, self.run.rng("candidates")
        return self._constraints.draw(make or (lambda: space.sample(rng)), self.known)

    @property
    def ended(self) -> int:
        """Candidates that nothing more is to be done for."""
        return len(self.evaluations)

    def progress(self) -> float | None:
        """Share of the candidates; the supernet's training is half of it, where there is one."""
        if self._num_candidates is None:
            return None
        scored = min(1.0, self.ended / self._num_candidates)
        return (self.supernet_progress + scored) / 2 if self.supernet_steps else scored

    def progress_message(self) -> str:
        """See `AskTellStrategy.progress_message`."""
        wanted = "" if self._num_candidates is None else f"/{self._num_candidates}"
        return f"candidate {len(self.evaluations)}{wanted}"


#: A range of each constrained size, ``[least, most]``; null leaves an end open.
Constraints: TypeAlias = Mapping[str, Sequence[float | None]]

# Draws for a candidate after which one that is outside is walked inside; mutations of such a walk;
# draws for one candidate; draws of known architectures before one of them is taken.
_PROBES = 50
_WALK = 200
_MOST_DRAWS = 4000
_MOST_REPEATS = 200


class _Sizes(ABC):
    """The sizes of one of a space's networks, at the widths of that space.

    Args:
        space: of the architectures.
        names: which, of `nasgan.metrics.table.SIZES`.
    """

    suffix: ClassVar[str] = ""  # behind each name

    def __init__(self, space: SearchSpace, names: tuple[str, ...] = tuple(SIZES)) -> None:
        self.names = names
        self._space = space
        self._known: dict[Architecture, dict[str, float]] = {}

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        """``parameters`` and ``macs`` (multiply-adds for one image), those that are asked for."""
        if architecture not in self._known:
            self._known[architecture] = self._measured(architecture)
        return self._known[architecture]

    def _measured(self, architecture: Architecture) -> dict[str, float]:
        with torch.device("meta"):  # shapes without values: nothing is computed or drawn
            network, one = self._built(architecture)
            labels = torch.zeros(1, dtype=torch.int64)
        given = {"labels": labels} if self._space.network.num_classes else {}
        count = {
            "parameters": lambda: count_parameters(network),
            "macs": lambda: count_macs(network, one, **given),
        }
        return {f"{name}{self.suffix}": count[name]() for name in self.names}

    @abstractmethod
    def _built(self, architecture: Architecture) -> tuple[nn.Module, Tensor]:
        """The network, and an input of one image's."""


class GeneratorSizes(_Sizes):
    """The sizes of a space's generators, at the widths of that space; arguments as `_Sizes`."""

    def _built(self, architecture: Architecture) -> tuple[nn.Module, Tensor]:
        latents = torch.zeros(1, self._space.network.latent_dim)
        return self._space.build_generator(architecture), latents


class DiscriminatorSizes(_Sizes):
    """The same of its discriminators, called ``parameters_d`` and ``macs_d``."""

    suffix = "_d"

    def _built(self, architecture: Architecture) -> tuple[nn.Module, Tensor]:
        net = self._space.network
        images = torch.zeros(1, net.image_channels, net.image_size, net.image_size)
        return self._space.build_discriminator(architecture), images


class SizeConstraints:
    """Ranges in which the sizes of a candidate's generator have to lie, at the search's widths.

    Candidates outside are drawn again, and never trained or scored (CAGAN 2024). Where hardly any
    random one is inside, so many draws end with a walk from the last of them: mutations of its
    generator, none of which leads farther away.

    Args:
        ranges: see `Constraints`; None: no constraints.

    Raises:
        ConfigError: no such size, or no range.
    """

    def __init__(self, ranges: Constraints | None = None) -> None:
        self.ranges = {name: _checked_range(name, each) for name, each in (ranges or {}).items()}

    def setup(self, space: SearchSpace, rng: np.random.Generator) -> None:
        """Take the space; before the first draw.

        Raises:
            ConfigError: no random architecture lies within; says what sizes there are.
        """
        if not self.ranges:
            return
        self._sizes = GeneratorSizes(space, tuple(self.ranges))
        self._space = space
        found: list[Architecture] = []
        for _ in range(_PROBES):
            found.append(space.sample(rng))
            if self.allow(found[-1]):
                return
        if self._walked(min(found, key=self._distance)) is not None:
            return
        there = ", ".join(
            f"{name} from {min(self._sizes(each)[name] for each in found):.4g} to "
            f"{max(self._sizes(each)[name] for each in found):.4g}"
            for name in self.ranges
        )
        raise ConfigError(
            f"strategy.constraints={self}: none of {_PROBES} random architectures of "
            f"{space.name!r} is within, and {_WALK} mutations of the nearest lead to none; at the "
            f"widths of the search they have {there}. Widen the ranges, or change "
            "search_space.generator_channels"
        )

    def allow(self, architecture: Architecture) -> bool:
        """Whether a candidate may have this size."""
        if not self.ranges:
            return True
        return self._distance(architecture) == 0

    def _distance(self, architecture: Architecture) -> float:
        """How far its sizes are outside, as shares of the limits, summed; 0 inside."""
        sizes = self._sizes(architecture)
        return sum(
            max(0.0, 1 - sizes[name] / least if least else 0.0, sizes[name] / most - 1)
            for name, (least, most) in self.ranges.items()
        )

    def _walked(self, architecture: Architecture) -> Architecture | None:
        """What mutations come to from one outside, the same each time; None if to none inside."""
        rng = np.random.default_rng(int.from_bytes(architecture.id.encode()))
        parts = self._space.searched_parts(("generator", "both"))
        here = architecture
        for _ in range(_WALK if parts else 0):
            if self.allow(here):
                break
            made = self._space.mutate(here, rng, part=parts[int(rng.integers(len(parts)))])
            here = min(made, here, key=self._distance)
        return here if self.allow(here) else None

    def draw(
        self, make: Callable[[], Architecture], known: Collection[Architecture] = ()
    ) -> Architecture:
        """The first that ``make`` draws within the constraints, and not among ``known``.

        Args:
            make: draws an architecture.
            known: candidates of before; one of them is taken where nothing else is found.

        Raises:
            ConfigError: nothing is.
        """
        repeated: list[Architecture] = []
        for drawn in range(1, _MOST_DRAWS + 1):
            made = make()
            if drawn % _PROBES == 0 and not self.allow(made):
                made = self._walked(made) or made
            if made in known:
                repeated.append(made)
                if len(repeated) == _MOST_REPEATS:
                    break
            elif self.allow(made):
                return made
        if repeated:
            return repeated[0]
        raise ConfigError(
            f"strategy.constraints={self}: {_MOST_DRAWS} candidates in a row were outside; widen "
            "the ranges"
        )

    def __str__(self) -> str:
        """As on the command line."""
        told = (f"{name}: [{least:g}, {most:g}]" for name, (least, most) in self.ranges.items())
        return f"{{{', '.join(told)}}}"


def _checked_range(name: str, given: Sequence[float | None]) -> tuple[float, float]:
    if name not in SIZES:
        raise UnknownNameError("size in strategy.constraints", name, SIZES)
    if len(given) == 2:
        least, most = given[0] or 0.0, math.inf if given[1] is None else given[1]
        if 0 <= least <= most and most > 0:
            return least, most
    raise ConfigError(
        f"strategy.constraints.{name} must be [least, most], null for an open end, got "
        f"{list(given)}"
    )
