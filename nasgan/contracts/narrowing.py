"""A search space of which some decisions are taken already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture, Decision, Part
from nasgan.contracts.search_space import SearchSpace
from nasgan.contracts.supernet import Supernet, check_weights
from nasgan.errors import ArchitectureError, ConfigError, UnknownNameError
from nasgan.graph import Graph

__all__ = ["NarrowedSpace", "narrowed"]


def narrowed(space: SearchSpace, fixed: Mapping[str, Any] | None) -> SearchSpace:
    """``space`` with the decisions in ``fixed`` taken; itself if there are none.

    Args:
        space: any.
        fixed: an option's name (or index) by the decision's name.

    Raises:
        ConfigError: no such decision or option, or no architecture is left.
    """
    return NarrowedSpace(space, fixed) if fixed else space


class NarrowedSpace(SearchSpace):
    """The architectures of a space that have the given options.

    A fixed decision stays, with its one option: architectures, their ids and files are those of the
    whole space. Sampling, mutation and everything else that goes by the decisions follows; what the
    space's author defines is asked in the whole space's terms.

    Args:
        whole: the space.
        fixed: see `narrowed`.

    Raises:
        ConfigError: see `narrowed`.
    """

    def __init__(self, whole: SearchSpace, fixed: Mapping[str, Any]) -> None:
        # What is said of a class of spaces holds for this one object.
        vars(self).update(
            name=whole.name,
            version=whole.version,
            supports_classes=whole.supports_classes,
            supports_outputs=whole.supports_outputs,
        )
        self.whole = whole
        self.network = whole.network
        self.fixed = _checked(whole, fixed)
        self._decisions = tuple(
            replace(d, options=(self.fixed[d.name],)) if d.name in self.fixed else d
            for d in whole.decisions
        )
        try:
            self.repair((0,) * len(self._decisions))
        except ArchitectureError as error:
            raise ConfigError(f"search_space.fixed: {error}") from error

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Those of the whole space; a fixed one has its one option."""
        return self._decisions

    @property
    def num_stages(self) -> int:
        """As in the whole space."""
        return self.whole.num_stages

    def stage_image_size(self, stage: int) -> int:
        """As in the whole space."""
        return self.whole.stage_image_size(stage)

    def space_settings(self) -> dict[str, Any]:
        """Those of the whole space, and ``fixed``."""
        return {**self.whole.space_settings(), "fixed": dict(self.fixed)}

    def with_settings(self, **changes: Any) -> SearchSpace:  # type: ignore[override]
        """See `SearchSpace.with_settings`; ``fixed`` is one of the settings."""
        fixed = changes.pop("fixed", self.fixed)
        return narrowed(self.whole.with_settings(**changes), fixed)

    def build_generator(self, architecture: Architecture) -> nn.Module:
        """The whole space's."""
        self.validate(architecture)
        return self.whole.build_generator(architecture)

    def build_discriminator(self, architecture: Architecture) -> nn.Module:
        """The whole space's."""
        self.validate(architecture)
        return self.whole.build_discriminator(architecture)

    def describe(self, architecture: Architecture) -> tuple[Graph, ...]:
        """As in the whole space."""
        self.validate(architecture)
        return self.whole.describe(architecture)

    def build_supernet(self) -> Supernet:
        """The whole space's, in which the fixed options are always chosen.

        Options that are left out keep their parameters, which nothing reads; they are not trained.
        """
        supernet = self.whole.build_supernet()
        halves: tuple[Part, ...] = ("generator", "discriminator")
        for part in halves:
            chooser = _Chooser(self, part)
            getattr(supernet, part).register_forward_pre_hook(chooser, with_kwargs=True)
        _freeze_unread(supernet, self)
        return supernet

    def validate(self, architecture: Architecture) -> None:
        """See `SearchSpace.validate`; names a fixed decision that is taken otherwise."""
        self.whole.validate(architecture)
        for name, option in self.fixed.items():
            if architecture[name] != option:
                raise ArchitectureError(
                    f"architecture {architecture.id} has {name}={architecture[name]}, which "
                    f"search_space.fixed sets to {option}"
                )

    def repair(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """The whole space's repair; where that would change what is fixed, others give way.

        They are changed one by one, each time the one after which the fewest changes are left.

        Raises:
            ArchitectureError: no such change helps.
        """
        clashes, repaired = self._repaired(indices)
        while clashes:
            fewest, best = min(
                ((self._repaired(near)[0], near) for near in self._neighbours(indices)),
                default=(clashes, indices),
            )
            if fewest >= clashes:
                raise ArchitectureError(
                    f"{self.name}: near {list(indices)} there is no valid architecture with "
                    f"{_listed(self.fixed)}"
                )
            indices = best
            clashes, repaired = self._repaired(indices)
        return repaired

    def derive(self, scores: Sequence[Sequence[float]]) -> Architecture:
        """See `SearchSpace.derive`; by the whole space's rule where that keeps what is fixed."""
        checked = self._checked_scores(scores)
        wide = [
            _one_hot(d, self.fixed[d.name]) if d.name in self.fixed else row
            for d, row in zip(self.whole.decisions, checked, strict=True)
        ]
        derived = self.whole.derive(wide)
        if all(derived[name] == option for name, option in self.fixed.items()):
            return derived
        return super().derive(scores)

    def _neighbours(self, indices: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """All that differ in one decision."""
        for i, decision in enumerate(self._decisions):
            for k in range(len(decision.options)):
                if k != indices[i]:
                    yield (*indices[:i], k, *indices[i + 1 :])

    def _repaired(self, indices: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """How many fixed decisions the whole space's repair changes, and its result if none."""
        pairs = list(zip(self._decisions, self.whole.decisions, strict=True))
        wide = [w.index(d.options[i]) for (d, w), i in zip(pairs, indices, strict=True)]
        options = [
            w.options[i] for (_, w), i in zip(pairs, self.whole.repair(tuple(wide)), strict=True)
        ]
        clashes = sum(o not in d.options for (d, _), o in zip(pairs, options, strict=True))
        if clashes:
            return clashes, ()
        return 0, tuple(d.index(o) for (d, _), o in zip(pairs, options, strict=True))


class _Chooser:
    """Hands to one half of a supernet the weights of the whole space: a hook before its forward."""

    def __init__(self, space: NarrowedSpace, part: Part) -> None:
        self._own = space.part_decisions(part)
        self._whole = space.whole.part_decisions(part)
        self._fixed = space.fixed

    def __call__(
        self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if "weights" in named:
            return inputs, {**named, "weights": self._widened(named["weights"])}
        return (inputs[0], self._widened(inputs[1]), *inputs[2:]), named

    def _widened(self, weights: Sequence[Tensor]) -> list[Tensor]:
        # A supernet that grows gets the weights of the stages so far.
        own = self._own[: len(weights)]
        check_weights(own, weights)
        pairs = zip(own, self._whole, weights, strict=False)
        return [
            torch.tensor(_one_hot(wide, self._fixed[decision.name]))
            if decision.name in self._fixed
            else weight
            for decision, wide, weight in pairs
        ]


def _freeze_unread(supernet: Supernet, space: SearchSpace) -> None:
    """Exempt from training the parameters that no mixture of the space's options reaches."""
    network = space.network
    labels = {"labels": torch.zeros(1, dtype=torch.long)} if network.num_classes else {}

    def mixed(part: Part) -> list[Tensor]:
        counts = (len(decision.options) for decision in space.part_decisions(part))
        return [torch.full((count,), 1 / count) for count in counts]

    supernet.eval()
    images = supernet.generator(torch.zeros(1, network.latent_dim), mixed("generator"), **labels)
    supernet.discriminator(images, mixed("discriminator"), **labels).sum().backward()
    for parameter in supernet.parameters():
        parameter.requires_grad_(parameter.requires_grad and parameter.grad is not None)
        parameter.grad = None
    supernet.train()


def _checked(space: SearchSpace, fixed: Mapping[str, Any]) -> dict[str, str]:
    """``fixed`` with each option by its name, in the order of the decisions."""
    by_name = {decision.name: decision for decision in space.decisions}
    for name in fixed:
        if name not in by_name:
            raise UnknownNameError("decision in search_space.fixed", name, by_name)
    try:
        return {
            name: decision.options[decision.index(fixed[name])]
            for name, decision in by_name.items()
            if name in fixed
        }
    except ArchitectureError as error:
        raise ConfigError(f"search_space.fixed: {error}") from error


def _one_hot(decision: Decision, option: str) -> list[float]:
    return [float(name == option) for name in decision.options]


def _listed(fixed: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={option}" for name, option in fixed.items())
