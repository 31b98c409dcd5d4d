"""Sizes of generators as objectives: counted once for each architecture, put beside its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from nasgan.architecture import Architecture
from nasgan.contracts import Evaluation, EvaluationPool, Objective, Proposal, SearchSpace
from nasgan.metrics.table import SIZES
from nasgan.networks.cost import count_macs, count_parameters

__all__ = ["GeneratorSizes", "measured_pool"]


class GeneratorSizes:
    """The sizes of a space's generators, at the widths of that space.

    Args:
        space: of the architectures.
        names: which, of `nasgan.metrics.table.SIZES`.
    """

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
        network = self._space.network
        with torch.device("meta"):  # shapes without values: nothing is computed or drawn
            generator = self._space.build_generator(architecture)
            z = torch.zeros(1, network.latent_dim)
            labels = torch.zeros(1, dtype=torch.int64)
        given = {"labels": labels} if network.num_classes else {}
        count = {
            "parameters": lambda: count_parameters(generator),
            "macs": lambda: count_macs(generator, z, **given),
        }
        return {name: count[name]() for name in self.names}


def measured_pool(pool: EvaluationPool, objective: Objective, space: SearchSpace) -> EvaluationPool:
    """``pool``, whose evaluations also hold the sizes that are among the objectives."""
    names = tuple(each.metric for each in objective.others if each.metric in SIZES)
    return _MeasuredPool(pool, GeneratorSizes(space, names)) if names else pool


class _MeasuredPool(EvaluationPool):
    """Another pool; a candidate that failed has no sizes, as it has no scores."""

    def __init__(self, pool: EvaluationPool, sizes: GeneratorSizes) -> None:
        self.begins_again = pool.begins_again  # type: ignore[misc]
        self._pool = pool
        self._sizes = sizes

    def room(self, together: int = 1) -> int:
        return self._pool.room(together)

    @property
    def under_way(self) -> int:
        return self._pool.under_way

    def submit(self, proposal: Proposal) -> None:
        self._pool.submit(proposal)

    def advance(self) -> list[Evaluation]:
        return [self._with_sizes(made) for made in self._pool.advance()]

    def _with_sizes(self, made: Evaluation) -> Evaluation:
        if made.score is None:
            return made
        return replace(made, metrics={**made.metrics, **self._sizes(made.architecture)})

    @property
    def note(self) -> str:
        return self._pool.note

    def close(self) -> None:
        self._pool.close()

    def state_dict(self) -> dict[str, Any]:
        return self._pool.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._pool.load_state_dict(state)
