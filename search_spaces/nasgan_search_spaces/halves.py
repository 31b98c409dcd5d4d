"""What the networks of all spaces have in common: how they are called, and how they are sized."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from nasgan.architecture import Part
from nasgan.contracts import NetworkSettings
from nasgan.errors import ConfigError

__all__ = ["Derived", "Half", "Shared", "refuse_stage", "sized"]


class Half(nn.Module):
    """A generator or a discriminator."""

    def run(self, x: Tensor, chosen: Any, labels: Tensor | None) -> Tensor:
        """Map latents (N, latent_dim) to images (N, C, S, S) in [-1, 1], or images to logits.

        Args:
            x: latents or images.
            chosen: what runs, as the space says it.
            labels: int64 (N,), if the network is class-conditional.
        """
        raise NotImplementedError


class Derived(Half):
    """A half for one architecture.

    Attributes:
        chosen: what runs.
    """

    chosen: Any

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """See `Half.run`.

        Raises:
            ConfigError: labels do not fit.
        """
        return self.run(x, self.chosen, labels)


class Shared(Half):
    """A half that holds every option of every decision."""

    def choose(self, weights: Sequence[Tensor], x: Tensor, stage: int | None) -> Any:
        """What ``weights`` select, for `run`.

        Raises:
            ArchitectureError: the weights do not fit the decisions.
            ConfigError: no such stage.
        """
        raise NotImplementedError

    def forward(
        self,
        x: Tensor,
        weights: Sequence[Tensor] = (),
        *,
        stage: int | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """See `Half.run`: along a path, or through a mixture.

        Args:
            x: latents or images.
            weights: one vector per decision. One-hot ones on the CPU run the chosen options alone;
                where any mixes or lies on an accelerator, all run.
            stage: how far the network has grown; without it, see the space.
            labels: int64 (N,), if the network is class-conditional.

        Raises:
            ArchitectureError: the weights do not fit the decisions.
            ConfigError: no such stage, or labels do not fit.
        """
        return self.run(x, self.choose(weights, x, stage), labels)


def refuse_stage(stage: int | None) -> None:
    """For networks of one stage.

    Raises:
        ConfigError: another one.
    """
    if stage not in (None, 0):
        raise ConfigError(f"these networks have one stage, 0; got stage {stage}")


def sized(make: Callable[..., nn.Module], part: Part, network: NetworkSettings) -> nn.Module:
    """A hand-crafted network of `nasgan.networks` in the sizes of a space."""
    own: dict[str, Any] = (
        {"channels": network.generator_channels, "latent_dim": network.latent_dim}
        if part == "generator"
        else {
            "channels": network.discriminator_channels,
            "spectral_norm": network.spectral_norm,
            "outputs": network.discriminator_outputs,
        }
    )
    return make(
        image_size=network.image_size,
        image_channels=network.image_channels,
        num_classes=network.num_classes,
        **own,
    )
