"""What a search space is: decisions, and the networks that they describe."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture, Decision, Part
from nasgan.contracts.supernet import Supernet
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.graph import Graph, graph_of_choices
from nasgan.nodes import Checked
from nasgan.objects import KeepsArguments
from nasgan.run_settings import Count, Positive

__all__ = ["HalfWeights", "NetworkSettings", "SearchSpace"]

SpaceT = TypeVar("SpaceT", bound="SearchSpace")

_MOST_ENUMERATED = 100_000


class HalfWeights(NamedTuple):
    """One 1-d weight vector per decision, for each network's half of the decisions."""

    generator: list[Tensor]
    discriminator: list[Tensor]


@dataclass(frozen=True)
class NetworkSettings(Checked):
    """The settings that every space takes; the defaults are AutoGAN's published ones.

    Attributes:
        image_size: height and width of an image, pixels.
        image_channels: 1 (grey) or 3 (RGB), or as the data has.
        generator_channels: base width of the generator.
        discriminator_channels: base width of the discriminator.
        latent_dim: length of the latent vector z.
        spectral_norm: whether the discriminator is spectrally normalised.
        num_classes: classes of a class-conditional pair; 0 is unconditional.
        discriminator_outputs: numbers that the discriminator gives for an image: as many as the
            loss takes (`AdversarialLoss.outputs`).
    """

    image_size: Positive = 32
    image_channels: Positive = 3
    generator_channels: Positive = 256
    discriminator_channels: Positive = 128
    latent_dim: Positive = 128
    spectral_norm: bool = True
    num_classes: Count = 0
    discriminator_outputs: Positive = 1


class SearchSpace(KeepsArguments, ABC):
    """A set of architectures and the networks they stand for. Subclass it to add a space.

    A subclass sets ``name`` and ``version``, defines ``decisions`` and the three builders, and may
    refine ``repair`` and ``check_network``. Settings of its own are keyword arguments of its
    ``__init__``, which passes the rest to this one and returns its own from ``space_settings``.
    Everything else is given.
    Increase ``version`` whenever an architecture of before would build another network.

    Networks are built on the CPU with torch's global generator (the caller seeds it).

    Args:
        image_size: see `NetworkSettings` for this and the following.
        image_channels: as there.
        generator_channels: as there.
        discriminator_channels: as there.
        latent_dim: as there.
        spectral_norm: as there.
        num_classes: as there.
        discriminator_outputs: as there.

    Raises:
        ConfigError: a setting is impossible in this space.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    supports_classes: ClassVar[bool] = False
    """Whether the networks can be class-conditional (take ``labels``)."""
    supports_outputs: ClassVar[bool] = False
    """Whether discriminators have ``self.network.discriminator_outputs`` outputs."""

    def __init__(
        self,
        *,
        image_size: int = 32,
        image_channels: int = 3,
        generator_channels: int = 256,
        discriminator_channels: int = 128,
        latent_dim: int = 128,
        spectral_norm: bool = True,
        num_classes: int = 0,
        discriminator_outputs: int = 1,
    ) -> None:
        self.network = NetworkSettings(
            image_size=image_size,
            image_channels=image_channels,
            generator_channels=generator_channels,
            discriminator_channels=discriminator_channels,
            latent_dim=latent_dim,
            spectral_norm=spectral_norm,
            num_classes=num_classes,
            discriminator_outputs=discriminator_outputs,
        )
        outputs = discriminator_outputs
        if outputs > 1 and not self.supports_outputs:
            raise ConfigError(
                f"the discriminators of the search space {self.name!r} have one output, and "
                f"{outputs} are asked for: take a loss of one (trainer.loss=hinge), or have the "
                "space build them (SearchSpace.supports_outputs)"
            )
        if outputs > 1 and num_classes:
            raise ConfigError(
                f"class-conditional discriminators have one output, and {outputs} are asked for: "
                "take a loss of one (trainer.loss=hinge), or conditional=false"
            )
        if num_classes > 0 and not self.supports_classes:
            raise ConfigError(
                f"the search space {self.name!r} has no class-conditional networks: set "
                f"conditional=false or num_classes=0 (got num_classes={num_classes})"
            )
        self.check_network()

    def check_network(self) -> None:
        """Refuse common settings (``self.network``) that are impossible in this space.

        Called once, before any setting of the space's own is there.

        Raises:
            ConfigError: says which sizes are possible.
        """

    # What a subclass defines

    @property
    @abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, in the order of the published integer encoding."""

    @abstractmethod
    def build_generator(self, architecture: Architecture) -> nn.Module:
        """The generator of ``architecture``.

        Its ``forward(z)`` maps latents (N, latent_dim) to images (N, image_channels, image_size,
        image_size) in [-1, 1]; with classes, ``forward(z, labels=...)`` takes int64 (N,).
        """

    @abstractmethod
    def build_discriminator(self, architecture: Architecture) -> nn.Module:
        """The discriminator of ``architecture``.

        Its ``forward(x)`` maps images to one logit each, (N, 1), or to
        ``self.network.discriminator_outputs``; with classes it takes ``labels``.
        """

    @abstractmethod
    def build_supernet(self) -> Supernet:
        """The weight-sharing pair that holds every option of every decision."""

    def space_settings(self) -> dict[str, Any]:
        """The keyword arguments that this space takes beyond the common ones, as JSON data."""
        return {}

    @classmethod
    def settings_for(cls, architecture: Architecture) -> dict[str, Any]:
        """The settings that ``architecture`` calls for, for those that nobody has set.

        None by default; for spaces in which a setting decides which decisions there are.
        """
        return {}

    def repair(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """The valid architecture nearest to ``indices``; all are valid unless overridden."""
        return indices

    def describe(self, architecture: Architecture) -> tuple[Graph, ...]:
        """The networks of ``architecture`` as drawings for the report, the generator's first.

        By default made of the decisions alone (`nasgan.graph.graph_of_choices`); override it to
        show what is fixed in the space, too.
        """
        self.validate(architecture)
        parts: tuple[Part, ...] = ("generator", "discriminator")
        names = {part: [d.name for d in self.part_decisions(part)] for part in parts}
        return tuple(
            graph_of_choices(architecture, title=part, only=names[part])
            for part in parts
            if names[part]
        )

    # Stages of progressive search

    @property
    def num_stages(self) -> int:
        """Number of stages of progressive search; 1 where the space has none."""
        return 1 + max((decision.stage for decision in self.decisions), default=0)

    def stage_image_size(self, stage: int) -> int:
        """Side of the supernet's images at ``stage``; overridden by spaces whose networks grow."""
        return self.network.image_size

    # Given to every space

    @property
    def settings(self) -> dict[str, Any]:
        """All keyword arguments that rebuild this space, as JSON data."""
        network = asdict(self.network)
        if self.network.discriminator_outputs == 1:
            del network["discriminator_outputs"]  # files of before know no other number
        return {**network, **self.space_settings()}

    def with_settings(self: SpaceT, **changes: Any) -> SpaceT:
        """The same space with some settings changed, e.g. its widths."""
        return type(self)(**{**self.settings, **changes})

    @property
    def size(self) -> int:
        """Exact number of architectures before repair."""
        return math.prod(len(decision.options) for decision in self.decisions)

    def enumerate(self) -> Iterator[Architecture]:
        """Every valid architecture once, in the order of the encoding; for small spaces.

        Raises:
            ConfigError: there are too many to go through.
        """
        if self.size > _MOST_ENUMERATED:
            raise ConfigError(
                f"the search space {self.name!r} has {self.size:.4g} architectures, too many to go "
                f"through (at most {_MOST_ENUMERATED}): fix some decisions (search_space.fixed=) "
                "or draw a sample"
            )
        for indices in product(*(range(len(decision.options)) for decision in self.decisions)):
            if self.repair(indices) == indices:
                yield self._from_indices(indices)

    def searched_parts(
        self, parts: Collection[Part | Literal["both"]]
    ) -> list[Part | Literal["both"]]:
        """The part of each decision with a choice, of those ``parts``."""
        return [d.part for d in self.decisions if len(d.options) > 1 and d.part in parts]

    def part_decisions(self, part: Part, *, stage: int | None = None) -> tuple[Decision, ...]:
        """The decisions that shape ``part``, up to and including ``stage`` if that is given.

        Those that both networks share are among either's.
        """
        return tuple(
            decision
            for decision in self.decisions
            if decision.part in (part, "both") and (stage is None or decision.stage <= stage)
        )

    def architecture(self, choices: object) -> Architecture:
        """The architecture of ``choices``, checked.

        Args:
            choices: one option per decision, each by index or name, as a sequence in the order of
                ``decisions`` (flat, or nested to any depth, as published), or a mapping from every
                decision's name; or an `Architecture`.

        Raises:
            ArchitectureError: wrong length, unknown decision or option, or not reachable.
        """
        if isinstance(choices, Architecture):
            self.validate(choices)
            return choices
        indices = self._indices(choices)
        repaired = self.repair(indices)
        if repaired != indices:
            raise ArchitectureError(
                f"{self.name}: {list(indices)} is not a valid architecture of this space; the "
                f"nearest valid one is {list(repaired)}"
            )
        return self._from_indices(indices)

    def validate(self, architecture: Architecture) -> None:
        """Check that ``architecture`` belongs to this space and can be built.

        Raises:
            ArchitectureError: it is of another space or version, or has unknown parts.
        """
        if architecture.space != self.name:
            raise ArchitectureError(
                f"architecture {architecture.id} is of the search space {architecture.space!r}, "
                f"not of {self.name!r}; choose search_space={architecture.space}"
            )
        if architecture.space_version != self.version:
            raise ArchitectureError(
                f"architecture {architecture.id} was made by version {architecture.space_version} "
                f"of the space {self.name!r}; installed is version {self.version}"
            )
        names = tuple(name for name, _ in architecture)
        expected = tuple(decision.name for decision in self.decisions)
        if names != expected:
            raise ArchitectureError(
                f"architecture {architecture.id} decides {list(names)}; the space {self.name!r} "
                f"has {list(expected)}"
            )
        self.architecture([option for _, option in architecture])

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The published integer encoding: the option's index for each decision."""
        self.validate(architecture)
        return tuple(
            decision.index(option)
            for decision, (_, option) in zip(self.decisions, architecture, strict=True)
        )

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw an architecture: each decision uniform, then repaired."""
        indices = tuple(int(rng.integers(len(d.options))) for d in self.decisions)
        return self._from_indices(self.repair(indices))

    def derive(self, scores: Sequence[Sequence[float]]) -> Architecture:
        """The architecture that the options' probabilities single out.

        Takes the most probable option of each decision (the first of equals), then repairs. A space
        whose published repair goes by the probabilities overrides this, so a strategy that learns
        probabilities hands them over here and does not repair by itself.

        Args:
            scores: for each decision, in the order of ``decisions``, the probabilities of its
                options (not their logits: overriding spaces compare them between decisions).

        Raises:
            ArchitectureError: wrong number of decisions or options, or a score is not a number.
        """
        checked = self._checked_scores(scores)
        return self._from_indices(self.repair(tuple(int(np.argmax(row)) for row in checked)))

    def _checked_scores(self, scores: Sequence[Sequence[float]]) -> list[list[float]]:
        rows = [[float(score) for score in row] for row in scores]
        wanted = [len(decision.options) for decision in self.decisions]
        if [len(row) for row in rows] != wanted:
            raise ArchitectureError(
                f"{self.name}: an architecture is derived from one score per option of each "
                f"decision, {wanted} of them; got {[len(row) for row in rows]}"
            )
        for decision, row in zip(self.decisions, rows, strict=True):
            if not all(math.isfinite(score) for score in row):
                raise ArchitectureError(
                    f"{self.name}: the scores of decision {decision.name!r} are not finite: {row}"
                )
        return rows

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """The others that differ in one decision (and in what repair makes of that), each once."""
        indices = self.encode(architecture)
        found: dict[Architecture, None] = {}
        for i, decision in enumerate(self.decisions):
            for option in range(len(decision.options)):
                near = self.repair((*indices[:i], option, *indices[i + 1 :]))
                found[self._from_indices(near)] = None
        return [near for near in found if near != architecture]

    def mutate(
        self,
        architecture: Architecture,
        rng: np.random.Generator,
        *,
        changes: int = 1,
        part: Part | Literal["both"] | None = None,
        stage: int | None = None,
    ) -> Architecture:
        """Redraw ``changes`` decisions to other options, then repair.

        Args:
            architecture: of this space.
            rng: draws.
            changes: how many; fewer where there are not as many.
            part: redraw decisions of this network alone, and none that both networks share
                (``"both"``: those alone).
            stage: redraw decisions of this stage alone.

        Raises:
            ArchitectureError: no decision of that part and stage can change.
        """
        indices = list(self.encode(architecture))
        free = self._free(part, stage)
        if not free:
            return architecture
        for i in rng.choice(free, size=min(changes, len(free)), replace=False):
            others = [k for k in range(len(self.decisions[i].options)) if k != indices[i]]
            indices[i] = int(rng.choice(others))
        return self._from_indices(self.repair(tuple(indices)))

    def crossover(
        self,
        first: Architecture,
        second: Architecture,
        rng: np.random.Generator,
        *,
        part: Part | Literal["both"] | None = None,
        stage: int | None = None,
    ) -> Architecture:
        """Take each decision from one of two parents at random, then repair.

        With ``part`` or ``stage``, decisions of others are those of ``first``; see `mutate`.

        Raises:
            ArchitectureError: as `mutate`.
        """
        parents = (self.encode(first), self.encode(second))
        picks = rng.integers(2, size=len(self.decisions))
        mixed = set(self._free(part, stage))
        indices = tuple(parents[int(pick) if i in mixed else 0][i] for i, pick in enumerate(picks))
        return self._from_indices(self.repair(indices))

    def _free(self, part: Part | Literal["both"] | None, stage: int | None) -> list[int]:
        """Which decisions of a network (and a stage) have other options, by position."""
        free = [
            i
            for i, decision in enumerate(self.decisions)
            if len(decision.options) > 1
            and part in (None, decision.part)
            and stage in (None, decision.stage)
        ]
        if not free and (part is not None or stage is not None):
            where = " and ".join(
                f"{name}={value}"
                for name, value in {"part": part, "stage": stage}.items()
                if value is not None
            )
            raise ArchitectureError(f"{self.name}: no decision with {where} can change")
        return free

    def one_hot(self, architecture: Architecture, *, stage: int | None = None) -> HalfWeights:
        """The supernet weights that run exactly ``architecture`` (float32, on the CPU).

        Kept on the CPU on purpose: the supernet reads which option is chosen, and reading from an
        accelerator would make it wait.

        Args:
            architecture: of this space.
            stage: only the decisions up to this stage, for a supernet that still grows.
        """
        chosen = dict(architecture.choices)
        self.validate(architecture)

        def half(part: Part) -> list[Tensor]:
            return [
                torch.eye(len(decision.options))[decision.index(chosen[decision.name])]
                for decision in self.part_decisions(part, stage=stage)
            ]

        return HalfWeights(half("generator"), half("discriminator"))

    def _from_indices(self, indices: Sequence[int]) -> Architecture:
        pairs = zip(self.decisions, indices, strict=True)
        return Architecture(
            self.name, self.version, tuple((d.name, d.options[i]) for d, i in pairs)
        )

    def _indices(self, choices: object) -> tuple[int, ...]:
        ordered = self._ordered(choices) if isinstance(choices, Mapping) else choices
        values = list(_flatten(ordered))
        if len(values) != len(self.decisions):
            raise ArchitectureError(
                f"{self.name}: an architecture has {len(self.decisions)} choices "
                f"({', '.join(d.name for d in self.decisions)}), got {len(values)}"
            )
        return tuple(d.index(value) for d, value in zip(self.decisions, values, strict=True))

    def _ordered(self, choices: Mapping[Any, Any]) -> list[Any]:
        names = [decision.name for decision in self.decisions]
        missing = [name for name in names if name not in choices]
        unknown = [str(name) for name in choices if name not in names]
        if missing or unknown:
            raise ArchitectureError(
                f"{self.name}: missing decisions {missing}, unknown decisions {unknown}"
            )
        return [choices[name] for name in names]


def _flatten(choices: object) -> Iterable[Any]:
    """The leaves of a nested sequence; numpy and torch integers become Python's."""
    if isinstance(choices, (np.ndarray, Tensor)):
        yield from _flatten(choices.tolist())
    elif isinstance(choices, (str, bytes)) or not isinstance(choices, Iterable):
        yield choices.item() if isinstance(choices, np.generic) else choices
    else:
        for choice in choices:
            yield from _flatten(choice)
