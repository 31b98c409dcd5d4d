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
    refuse_stage,
    selected,
)
from nasgan_search_spaces.agan.layers import Style
from nasgan_search_spaces.agan.module import Module, Setup, places
from nasgan_search_spaces.agan.repair import active

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


class _Generator(nn.Module):
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

    def _generate(self, z: Tensor, choices: Choices, labels: Tensor | None) -> Tensor:
        check_labels(labels, self.num_classes, len(z))
        h = self.linear(z).view(len(z), -1, self.bottom, self.bottom)
        h = self.stack(h, choices, labels)
        return torch.tanh(self.conv(F.relu(apply_norm(self.norm, h, labels))))


class DerivedGenerator(_Generator):
    """The generator of one architecture.

    Args:
        network: sizes; see `AGANSpace`.
        setup: the space's own settings.
        options: the option of each decision of the generator.
    """

    def __init__(self, network: NetworkSettings, setup: Setup, options: Mapping[str, str]) -> None:
        chosen = {name: options[name] for name in active(options)}
        super().__init__(network, setup, {name: (option,) for name, option in chosen.items()})
        self.choices = selected(chosen)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map latents (N, latent_dim) to images (N, image_channels, S, S) in [-1, 1].

        Args:
            z: latents.
            labels: int64 (N,), if the network is class-conditional.

        Raises:
            ConfigError: labels without classes, no labels with them, or not one per sample.
        """
        return self._generate(z, self.choices, labels)


class SuperGenerator(_Generator):
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

    def forward(
        self,
        z: Tensor,
        weights: Sequence[Tensor],
        *,
        stage: int | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Map latents to images along a path, or through a mixture.

        Args:
            z: (N, latent_dim).
            weights: one vector per decision. One-hot ones on the CPU run the chosen option alone.
            stage: None or 0.
            labels: int64 (N,), if the network is class-conditional.

        Raises:
            ArchitectureError: the weights do not fit the decisions.
            ConfigError: another stage, or labels that do not fit.
        """
        refuse_stage(stage)
        return self._generate(z, choices_of(self.decisions, weights, z), labels)


class _Discriminator(nn.Module):
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

    def _judge(self, x: Tensor, choices: Choices, labels: Tensor | None) -> Tensor:
        check_labels(labels, self.num_classes, len(x))
        h = sum_pool(self.stack(self.conv(x), choices, None))
        logits: Tensor = self.head(h, labels)
        return logits


class DerivedDiscriminator(_Discriminator):
    """The discriminator of one architecture.

    Args:
        network: sizes; see `AGANSpace`.
        setup: the space's own settings.
        options: the option of each decision of the discriminator.
    """

    def __init__(self, network: NetworkSettings, setup: Setup, options: Mapping[str, str]) -> None:
        chosen = {name: options[name] for name in active(options)}
        super().__init__(network, setup, {name: (option,) for name, option in chosen.items()})
        self.choices = selected(chosen)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map images (N, image_channels, S, S) to logits (N, 1).

        Args:
            x: images.
            labels: int64 (N,), if the network is class-conditional.

        Raises:
            ConfigError: labels without classes, no labels with them, or not one per sample.
        """
        return self._judge(x, self.choices, labels)


class SuperDiscriminator(_Discriminator):
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

    def forward(
        self,
        x: Tensor,
        weights: Sequence[Tensor],
        *,
        stage: int | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Map images to logits (N, 1) along a path, or through a mixture.

        Args:
            x: (N, image_channels, S, S).
            weights: one vector per decision, as for `SuperGenerator`.
            stage: None or 0.
            labels: int64 (N,), if the network is class-conditional.

        Raises:
            ArchitectureError: the weights do not fit the decisions.
            ConfigError: another stage, or labels that do not fit.
        """
        refuse_stage(stage)
        choices = choices_of(self.decisions, weights, x)
        groups = self._sample_groups()
        if not is_mixed(choices):
            with normalised_together(self._layers(choices)):
                return self._judge(x, choices, labels)
        if groups is None:
            return self._judge(x, choices, labels)
        check_labels(labels, self.num_classes, len(x))
        label_parts: Sequence[Tensor | None] = [None] * len(groups)
        if labels is not None:
            label_parts = torch.split(labels, groups)
        outputs = []
        for part, own_labels in zip(torch.split(x, groups), label_parts, strict=True):
            with sample_groups(self, [len(part)]):
                outputs.append(self._judge(part, choices, own_labels))
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
