"""The evaluator: scores untrained architectures by one proxy, or by the mean of their ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from annotated_types import Ge

from nasgan.architecture import Architecture
from nasgan.contracts import Cost, Objective, Proposal, SearchRun, SimpleEvaluator
from nasgan.errors import ConfigError, quoted
from nasgan.evaluation.zero_cost.proxies import PROXIES, check_defined, check_proxies, measured
from nasgan.evaluation.zero_cost.untrained import Inputs
from nasgan.randomness import numpy_generator

__all__ = ["RANK", "ZeroCostEvaluator"]

RANK = "rank"
"""What the mean of the ranks is called, among the settings and in records."""

_LEAST_COMPARED = 2

_Direction = Literal["min", "max"]


class ZeroCostEvaluator(SimpleEvaluator):
    """Scores candidates without training them.

    All proxies of a candidate are taken from the same images and latents, and recorded; the search
    goes by one of them, or by the mean of their ranks. A rank is the share of some random
    architectures of the space that a candidate beats, so that it does not change while the search
    goes on. A proxy without a finite value is left out of the record; the candidate has failed only
    if the search goes by it.

    Args:
        by: the proxy that the search goes by, or ``rank``.
        proxies: names of `nasgan.evaluation.zero_cost.PROXIES`; None: all.
        directions: ``min`` or ``max`` by proxy, where that is not the published one: which sign
            holds for GANs has to be learnt.
        batch_size: images and latents of a batch.
        batches: how many; ZiCo compares at least two.
        random_architectures: that ranks are among.

    Raises:
        ConfigError: a proxy is unknown, or a setting is out of its range.
    """

    fidelity = "zero_cost"

    def __init__(
        self,
        *,
        by: str = "spectrum_g",
        proxies: Sequence[str] | None = None,
        directions: Mapping[str, str] | None = None,
        # Correlations and spreads of one sample are none.
        batch_size: Annotated[int, Ge(2)] = 32,
        batches: Annotated[int, Ge(1)] = 2,
        random_architectures: Annotated[int, Ge(1)] = 32,
    ) -> None:
        self.proxies = tuple(PROXIES) if proxies is None else tuple(proxies)
        check_proxies(self.proxies)
        self.directions = _directions(self.proxies, directions or {})
        self._by = by
        self._batch_size, self._batches = batch_size, batches
        self._random_architectures = random_architectures
        self._check()
        self.objective = Objective(by, "max" if by == RANK else self.directions[by])
        # Scores by another proxy are of another kind, and so is the method that goes by them.
        self.fidelity = f"zero_cost_{by}"  # type: ignore[misc]
        own = self.proxies if by == RANK else (by,)
        seen = {part for name in own for part in PROXIES[name].sees}
        self.sees = tuple(sorted(seen, reverse=True))  # type: ignore[misc]
        # Of the random architectures, by proxy; empty before they are needed.
        self._others: dict[str, list[float]] = {}

    def _check(self) -> None:
        if self._by != RANK and self._by not in self.proxies:
            raise ConfigError(
                f"evaluator.by={quoted(self._by)}: the search goes by one of evaluator.proxies "
                f"({', '.join(self.proxies)}), or by {RANK}"
            )
        compared = [name for name in self.proxies if name.startswith("zico")]
        if compared and self._batches < _LEAST_COMPARED:
            raise ConfigError(
                f"evaluator.batches must be at least {_LEAST_COMPARED} for {compared[0]}, which "
                f"compares batches, got {quoted(self._batches)}"
            )

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`.

        Raises:
            ConfigError: a proxy is not defined for the space's networks, or there are too few
                images.
        """
        super().setup(run)
        wanted = self._batch_size * self._batches
        if wanted > len(run.images):
            raise ConfigError(
                f"evaluator.batch_size x evaluator.batches is {wanted}, and there are "
                f"{len(run.images)} training images"
            )
        network = run.space.network
        self._inputs = Inputs.drawn(
            run.images,
            latent_dim=network.latent_dim,
            num_classes=network.num_classes,
            batch_size=self._batch_size,
            batches=self._batches,
            seed=run.seed,
            device=run.device,
        )
        self._loss = run.trainer_settings.make_loss()
        example = run.space.sample(numpy_generator(run.seed, "zero_cost example"))
        check_defined(self.proxies, run.space, example, self._inputs, self._loss)

    def expected_cost(self, proposal: Proposal) -> Cost:
        """See `Evaluator.expected_cost`: each image and latent counts once.

        The first score by ranks also pays for the random architectures.
        """
        del proposal
        others = 0 if self._by != RANK or self._others else self._random_architectures
        return Cost(architectures=1, images=(1 + others) * self._images)

    @property
    def _images(self) -> int:
        return 2 * self._batch_size * self._batches

    def score(self, proposal: Proposal) -> Mapping[str, float]:
        """See `SimpleEvaluator.score`: every proxy that has a value."""
        found = self._measured(proposal.architecture)
        if self._by == RANK:
            found[RANK] = self._rank(found)
        return {k: v for k, v in found.items() if math.isfinite(v) or k == self._by}

    def _measured(self, architecture: Architecture) -> dict[str, float]:
        self.run.ledger.charge(Cost(images=self._images))
        pair = self.run.networks(architecture)
        return measured(pair, self._inputs, self._loss, self.proxies)

    def _rank(self, found: Mapping[str, float]) -> float:
        self._know_others()
        ranks = [self._share_beaten(name, found[name]) for name in self.proxies]
        return sum(ranks) / len(ranks)

    def _know_others(self) -> None:
        if self._by == RANK and not self._others:
            self._others = self._of_random_architectures()

    def _of_random_architectures(self) -> dict[str, list[float]]:
        rng = numpy_generator(self.run.seed, "zero_cost random architectures")
        space = self.run.space
        drawn = [self._measured(space.sample(rng)) for _ in range(self._random_architectures)]
        return {
            name: [each[name] for each in drawn if math.isfinite(each[name])]
            for name in self.proxies
        }

    def _share_beaten(self, name: str, value: float) -> float:
        """0 for the worst and for what has no value; ties count half."""
        others = self._others[name]
        if not math.isfinite(value) or not others:
            return 0.0
        sign = 1 if self.directions[name] == "max" else -1
        beaten = sum((sign * value > sign * other) + (value == other) / 2 for other in others)
        return beaten / len(others)

    def kept(self, architecture: Architecture) -> dict[str, Any]:
        """See `Evaluator.kept`: what ranks are among is measured, and paid for, here alone."""
        del architecture
        self._know_others()
        return self.state_dict()

    def adopt(self, architecture: Architecture, kept: Mapping[str, Any]) -> None:
        """See `Evaluator.adopt`."""
        del architecture
        self.load_state_dict(kept)

    def state_dict(self) -> dict[str, Any]:
        """See `Evaluator.state_dict`."""
        return {"others": {name: list(values) for name, values in self._others.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Evaluator.load_state_dict`."""
        self._others = {name: list(values) for name, values in state["others"].items()}


def _directions(proxies: Sequence[str], own: Mapping[str, str]) -> dict[str, _Direction]:
    directions = {name: PROXIES[name].direction for name in proxies}
    for name, direction in own.items():
        if name not in directions:
            raise ConfigError(
                f"evaluator.directions names {quoted(name)}, which is not among evaluator.proxies"
            )
        if direction not in get_args(_Direction):
            raise ConfigError(
                f"evaluator.directions.{name} must be min or max, got {quoted(direction)}"
            )
        directions[name] = "max" if direction == "max" else "min"
    return directions
