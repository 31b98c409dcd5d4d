"""A tiny search space with real networks, on which strategies are tried in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture, Decision, Part
from nasgan.contracts import SearchSpace, Supernet, mix_options
from nasgan.networks.conditional import ClassProjection, JoinedLatent

__all__ = ["StagedToySpace", "ToySpace"]

_OPTIONS = ("pointwise", "convolution", "identity")
_DECISIONS = (
    Decision("layer1", _OPTIONS),
    Decision("layer2", _OPTIONS),
    Decision("layer3", _OPTIONS),
    Decision("critic", _OPTIONS[:2], part="discriminator"),
)

_TINY = {
    "image_size": 4,
    "image_channels": 1,
    "generator_channels": 3,
    "discriminator_channels": 3,
    "latent_dim": 4,
    "spectral_norm": False,
}


class ToySpace(SearchSpace):
    """Three layers of the generator and one of the discriminator to choose: 54 architectures."""

    name = "toy"
    supports_classes = True
    supports_outputs = True

    def __init__(self, **network: Any) -> None:
        super().__init__(**{**_TINY, **network})

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The kinds of the four layers."""
        return _DECISIONS

    def build_generator(self, architecture: Architecture) -> nn.Module:
        """See `SearchSpace.build_generator`."""
        return _Generator(self, self._chosen(architecture, "generator"))

    def build_discriminator(self, architecture: Architecture) -> nn.Module:
        """See `SearchSpace.build_discriminator`."""
        return _Discriminator(self, self._chosen(architecture, "discriminator"))

    def build_supernet(self) -> Supernet:
        """See `SearchSpace.build_supernet`."""
        return Supernet(
            _Generator(self, {d.name: d.options for d in self.part_decisions("generator")}),
            _Discriminator(self, {d.name: d.options for d in self.part_decisions("discriminator")}),
        )

    def _chosen(self, architecture: Architecture, part: Part) -> dict[str, tuple[str, ...]]:
        self.validate(architecture)
        return {d.name: (architecture[d.name],) for d in self.part_decisions(part)}


class StagedToySpace(ToySpace):
    """The toy space in three stages, each of which adds a layer of the generator."""

    name = "staged_toy"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The kinds of the four layers; the critic's is decided first."""
        stages = {"layer1": 0, "layer2": 1, "layer3": 2, "critic": 0}
        return tuple(replace(decision, stage=stages[decision.name]) for decision in _DECISIONS)


class _Layers(nn.Module):
    """Layers that hold one option each (derived networks) or all of them (the supernet)."""

    def __init__(self, options: Mapping[str, Sequence[str]], channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                name: nn.ModuleDict({kind: _layer(kind, channels) for kind in kinds})
                for name, kinds in options.items()
            }
        )

    def run_layers(self, x: Tensor, weights: Sequence[Tensor] | None) -> Tensor:
        for k, layer in enumerate(self.layers.values()):
            if weights is not None and k == len(weights):
                break  # the networks have not grown so far
            assert isinstance(layer, nn.ModuleDict)
            options = [partial(option, x) for option in layer.values()]
            x = options[0]() if weights is None else mix_options(weights[k], options)
            x = torch.nn.functional.leaky_relu(x, 0.2)
        return x


class _Generator(_Layers):
    def __init__(self, space: ToySpace, options: Mapping[str, Sequence[str]]) -> None:
        settings = space.network
        super().__init__(options, settings.generator_channels)
        side = settings.image_size
        self.latent = JoinedLatent(settings.latent_dim, settings.num_classes)
        self.start = nn.Sequential(
            nn.Linear(self.latent.out_features, settings.generator_channels * side**2),
            nn.Unflatten(1, (settings.generator_channels, side, side)),
        )
        self.end = nn.Conv2d(settings.generator_channels, settings.image_channels, 1)

    def forward(
        self,
        z: Tensor,
        weights: Sequence[Tensor] | None = None,
        *,
        stage: int | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        h = self.run_layers(self.start(self.latent(z, labels)), weights)
        return torch.tanh(self.end(h))


class _Discriminator(_Layers):
    def __init__(self, space: ToySpace, options: Mapping[str, Sequence[str]]) -> None:
        settings = space.network
        super().__init__(options, settings.discriminator_channels)
        self.start = nn.Conv2d(settings.image_channels, settings.discriminator_channels, 1)
        self.end = nn.Linear(settings.discriminator_channels, settings.discriminator_outputs)
        self.projection = ClassProjection(
            settings.discriminator_channels,
            settings.num_classes,
            spectral_norm=settings.spectral_norm,
        )

    def forward(
        self,
        x: Tensor,
        weights: Sequence[Tensor] | None = None,
        *,
        stage: int | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        h = self.run_layers(self.start(x), weights).sum(dim=(2, 3))
        logits: Tensor = self.projection(self.end(h), h, labels)
        return logits


def _layer(kind: str, channels: int) -> nn.Module:
    if kind == "identity":
        return nn.Identity()
    side = 3 if kind == "convolution" else 1
    return nn.Conv2d(channels, channels, side, padding=side // 2)
