"""AGAN's generators and discriminators, derived and shared: stacks of modules (figure 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.architecture import Decision, Part
from nasgan.contracts import NetworkSettings
from nasgan.networks.batched_spectral_norm import normalised_together, spectral_norm_layers
from nasgan.networks.blocks import sum_pool
from nasgan.networks.conditional import ProjectionHead, apply_norm, check_labels
from nasgan.networks.sizes import bottom_and_doublings
from nasgan.networks.spectral_norm import SpectralNormLayer, sample_groups
from nasgan_search_spaces.agan.choices import (
    Choices,
    choices_of,
    is_mixed,
    selected,
)
from nasgan_search_spaces.agan.layers import Style
from nasgan_search_spaces.agan.module import Module, Setup, places
from nasgan_search_spaces.agan.repair import active
from nasgan_search_spaces.halves import Derived, Half, Shared, refuse_stage

__all__ = ["DerivedDiscriminator", "DerivedGenerator", "SuperDiscriminator", "SuperGenerator"]

_Options = Mapping[str, tuple[str, ...]]


class _Stack(nn.ModuleDict):
    """The modules of a network, each fed by the two before it.

    Args:
        part: the network.
        network: sizes.
        setup: of the space.
        options: the options to hold, by decision.
    """

    def __init__(
        self, part: Part, network: NetworkSettings, setup: Setup, options: _Options
    ) -> None:
        _, doublings = bottom_and_doublings(network.image_size)
        style = Style.of(part, network)
        super().__init__(
            {
                place.name: Module(place, options, setup, style)
                for place in places(part, doublings, setup)
            }
        )

    def forward(self, x: Tensor, choices: Choices, labels: Tensor | None) -> Tensor:
        prev = x
        for module in self.values():
            prev, x = x, module(x, prev, choices, labels)
        return x

    def running(self, choices: Choices) -> Iterator[nn.Module]:
        """The layers that a pass runs, each once where ``choices`` are a path."""
        for module in self.values():
            assert isinstance(module, Module)
            yield from module.running(choices)


class _Generator(Half):
    """Linear, the modules, then batch norm, ReLU, conv 3x3 and tanh.

    Args:
        network: sizes.
        setup: of the space.
        options: the options to hold, by decision.
    """

    def __init__(self, network: NetworkSettings, setup: Setup, options: _Options) -> None:
        super().__init__()
        style = Style.of("generator", network)
        self.num_classes = network.num_classes
        self.bottom, _ = bottom_and_doublings(network.image_size)
        self.linear = nn.Linear(network.latent_dim, style.channels * self.bottom**2)
        self.stack = _Stack("generator", network, setup, options)
        self.norm = style.norm()
        self.conv = nn.Conv2d(style.channels, network.image_channels, 3, padding=1)

    def run(self, x: Tensor, chosen: Choices, labels: Tensor | None) -> Tensor:
        """See `Half.run`."""
        check_labels(labels, self.num_classes, len(x))
        h = self.linear(x).view(len(x), -1, self.bottom, self.bottom)
        h = self.stack(h, chosen, labels)
        return torch.tanh(self.conv(F.relu(apply_norm(self.norm, h, labels))))


class DerivedGenerator(Derived, _Generator):
    """The generator of one architecture.

    Args:
        network: sizes; see `AGANSpace`.
        setup: the space's own settings.
        options: the option of each decision of the generator.
    """

    def __init__(self, network: NetworkSettings, setup: Setup, options: Mapping[str, str]) -> None:
        held = {name: options[name] for name in active(options)}
        super().__init__(network, setup, {name: (option,) for name, option in held.items()})
        self.chosen = selected(held)


class _Super(Shared):
    """Chooses by the weights; of a network with decisions."""

    decisions: tuple[Decision, ...]

    def choose(self, weights: Sequence[Tensor], x: Tensor, stage: int | None) -> Choices:
        """See `Shared.choose`."""
        refuse_stage(stage)
        return choices_of(self.decisions, weights, x)


class SuperGenerator(_Super, _Generator):
    """The generator that holds every option of every decision.

    Args:
        network: sizes; see `AGANSpace`.
        setup: the space's own settings.
        decisions: those of the generator.
    """

    def __init__(
        self, network: NetworkSettings, setup: Setup, decisions: Sequence[Decision]
    ) -> None:
        super().__init__(network, setup, {d.name: d.options for d in decisions})
        self.decisions = tuple(decisions)


class _Discriminator(Half):
    """Conv 3x3, the modules, ReLU, sum over the pixels, one logit.

    Args:
        network: sizes.
        setup: of the space.
        options: the options to hold, by decision.
    """

    def __init__(self, network: NetworkSettings, setup: Setup, options: _Options) -> None:
        super().__init__()
        style = Style.of("discriminator", network)
        self.num_classes = network.num_classes
        self.conv = style.conv(3, in_channels=network.image_channels)
        self.stack = _Stack("discriminator", network, setup, options)
        self.head = ProjectionHead(
            style.channels,
            network.num_classes,
            spectral_norm=network.spectral_norm,
            outputs=network.discriminator_outputs,
        )

    def run(self, x: Tensor, chosen: Choices, labels: Tensor | None) -> Tensor:
        """See `Half.run`."""
        check_labels(labels, self.num_classes, len(x))
        h = sum_pool(self.stack(self.conv(x), chosen, None))
        logits: Tensor = self.head(h, labels)
        return logits


class DerivedDiscriminator(Derived, _Discriminator):
    """The discriminator of one architecture.

    Args:
        network: sizes; see `AGANSpace`.
        setup: the space's own settings.
        options: the option of each decision of the discriminator.
    """

    def __init__(self, network: NetworkSettings, setup: Setup, options: Mapping[str, str]) -> None:
        held = {name: options[name] for name in active(options)}
        super().__init__(network, setup, {name: (option,) for name, option in held.items()})
        self.chosen = selected(held)


class SuperDiscriminator(_Super, _Discriminator):
    """The discriminator that holds every option of every decision.

    Under `nasgan.networks.spectral_norm.sample_groups` a mixture runs once per part of the batch,
    because merged kernels differ with the spectral norms of each pass; that is exact.

    Args:
        network: sizes; see `AGANSpace`.
        setup: the space's own settings.
        decisions: those of the discriminator.
    """

    def __init__(
        self, network: NetworkSettings, setup: Setup, decisions: Sequence[Decision]
    ) -> None:
        super().__init__(network, setup, {d.name: d.options for d in decisions})
        self.decisions = tuple(decisions)

    def run(self, x: Tensor, chosen: Choices, labels: Tensor | None) -> Tensor:
        """See `Half.run`."""
        groups = self._sample_groups()
        if not is_mixed(chosen):
            with normalised_together(self._layers(chosen)):
                return super().run(x, chosen, labels)
        if groups is None:
            return super().run(x, chosen, labels)
        check_labels(labels, self.num_classes, len(x))
        label_parts: Sequence[Tensor | None] = [None] * len(groups)
        if labels is not None:
            label_parts = torch.split(labels, groups)
        outputs = []
        for part, own_labels in zip(torch.split(x, groups), label_parts, strict=True):
            with sample_groups(self, [len(part)]):
                outputs.append(super().run(part, chosen, own_labels))
        return torch.cat(outputs)

    def _layers(self, choices: Choices) -> Iterator[SpectralNormLayer]:
        """Those that a training pass along a path uses."""
        modules = chain([self.conv, self.head], self.stack.running(choices))
        return spectral_norm_layers(modules if self.training else ())

    def _sample_groups(self) -> list[int] | None:
        layer = self.conv
        if not isinstance(layer, SpectralNormLayer) or not self.training or layer.groups is None:
            return None
        return list(layer.groups)
