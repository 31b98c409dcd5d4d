"""Normalisation, and layers that depend on the class: batch norm, latents and logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.networks.spectral_norm import SNLinear, SpectralNormLayer

__all__ = [
    "ClassProjection",
    "ConditionalBatchNorm2d",
    "JoinedLatent",
    "ProjectionHead",
    "SNEmbedding",
    "apply_norm",
    "check_labels",
    "make_norm",
]


def check_labels(labels: Tensor | None, num_classes: int, samples: int) -> None:
    """Refuse labels that do not fit a network; their values are not read.

    Args:
        labels: what the network's forward was given.
        num_classes: the classes it was built for, 0 if it is unconditional.
        samples: the size of the batch.

    Raises:
        ConfigError: a conditional network got no labels, an unconditional one got some, or they are
            not int64 of shape (samples,).
    """
    if labels is None:
        if num_classes:
            raise ConfigError(
                f"this network is class-conditional with {num_classes} classes and needs the class "
                f"of each sample: pass labels=, int64 ({samples},), or build it with num_classes=0"
            )
        return
    if not num_classes:
        raise ConfigError(
            "this network is unconditional and takes no labels: leave them out, or build it with "
            "num_classes= the number of classes"
        )
    if labels.dtype != torch.int64 or labels.shape != (samples,):
        raise ConfigError(
            f"labels must be int64 of shape ({samples},), one class per sample, got {labels.dtype} "
            f"of shape {tuple(labels.shape)}"
        )


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose gain and bias are those of the sample's class.

    Dumoulin et al. 2017 (section 2.2) for instance norm, de Vries et al. 2017 for batch norm. The
    statistics are those of the whole batch; gains start at 1, biases at 0.

    Args:
        channels: channels of the maps.
        num_classes: number of classes, at least 1.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Parameter(torch.ones(num_classes, channels))
        self.bias = nn.Parameter(torch.zeros(num_classes, channels))

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Normalise (N, C, H, W) with the gains and biases of ``labels``, int64 (N,).

        Raises:
            ConfigError: no labels, or not one per sample.
        """
        check_labels(labels, self.num_classes, len(x))
        assert labels is not None
        y: Tensor = self.norm(x)
        gain = F.embedding(labels, self.gain)[:, :, None, None]
        bias = F.embedding(labels, self.bias)[:, :, None, None]
        return y * gain.to(y.dtype) + bias.to(y.dtype)


def apply_norm(norm: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """Normalise ``x`` by whatever `nasgan.networks.conditional.make_norm` made.

    Args:
        norm: a class-conditional normalisation or any other.
        x: (N, C, H, W).
        labels: int64 (N,), which only a class-conditional normalisation reads.
    """
    y: Tensor = norm(x, labels) if isinstance(norm, ConditionalBatchNorm2d) else norm(x)
    return y


class JoinedLatent(nn.Module):
    """The latent with an embedding of the class joined to it (Mirza & Osindero 2014).

    The embeddings start as draws from the normal distribution, like the latents, and are as long,
    so that class and noise start with equal say. Without classes the latent passes unchanged and
    there are no parameters.

    Args:
        latent_dim: length of z.
        num_classes: number of classes, or 0.

    Attributes:
        out_features: length of the result.
    """

    def __init__(self, latent_dim: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.out_features = latent_dim
        if num_classes:
            self.embedding = nn.Embedding(num_classes, latent_dim)
            self.out_features = 2 * latent_dim

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Map z (N, latent_dim) and labels, int64 (N,), to (N, out_features).

        Raises:
            ConfigError: labels without classes, no labels with them, or not one per sample.
        """
        check_labels(labels, self.num_classes, len(z))
        if labels is None:
            return z
        embedded: Tensor = self.embedding(labels).to(z.dtype)
        return torch.cat([z, embedded], 1)


class SNEmbedding(SpectralNormLayer):
    """A table of vectors, one per class, divided by its spectral norm.

    Args:
        num_classes: rows of the table.
        features: length of a vector.
    """

    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__(_embedding_weight(num_classes, features), None)

    def forward(self, labels: Tensor) -> Tensor:
        """Map labels, int64 (N,), to (N, features)."""
        weight, factor = self.normalised_weight(len(labels))
        rows = F.embedding(labels, weight)
        return rows if factor is None else self._finish(rows, factor)


class ClassProjection(nn.Module):
    """What the class adds to a logit: the inner product of its embedding with the features.

    The projection discriminator (Miyato & Koyama 2018, section 3 and figure 1d). Without classes
    the logits pass unchanged and there are no parameters.

    Args:
        features: length of the features that the logit is made from.
        num_classes: number of classes, or 0.
        spectral_norm: normalise the embedding, as the paper does.
    """

    def __init__(self, features: int, num_classes: int, *, spectral_norm: bool) -> None:
        super().__init__()
        self.num_classes = num_classes
        if num_classes and spectral_norm:
            self.embedding: nn.Module = SNEmbedding(num_classes, features)
        elif num_classes:
            self.embedding = nn.Embedding(
                num_classes, features, _weight=_embedding_weight(num_classes, features)
            )

    def forward(self, logits: Tensor, h: Tensor, labels: Tensor | None) -> Tensor:
        """Add the class's share to ``logits`` (N, 1).

        Args:
            logits: the unconditional logits of ``h``.
            h: features (N, features).
            labels: int64 (N,).

        Raises:
            ConfigError: labels without classes, no labels with them, or not one per sample.
        """
        check_labels(labels, self.num_classes, len(h))
        if labels is None:
            return logits
        embedded: Tensor = self.embedding(labels)
        return logits + (embedded * h).sum(1, keepdim=True)


class ProjectionHead(nn.Module):
    """The last layer of a projection discriminator: ``linear(h) + <embedding(y), h>``.

    Discriminators whose parameters have published names hold the two parts themselves.

    Args:
        features: length of the features.
        num_classes: number of classes; 0 for the linear layer alone.
        spectral_norm: normalise both the linear layer and the embedding.
        bias: whether the linear layer has one.
        outputs: numbers for a sample; one logit.
    """

    def __init__(
        self,
        features: int,
        num_classes: int,
        *,
        spectral_norm: bool,
        bias: bool = False,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        layer = SNLinear if spectral_norm else nn.Linear
        self.linear = layer(features, outputs, bias=bias)
        self.projection = ClassProjection(features, num_classes, spectral_norm=spectral_norm)

    def forward(self, h: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map features (N, features) and labels, int64 (N,), to logits (N, outputs).

        Raises:
            ConfigError: labels without classes, no labels with them, or not one per sample.
        """
        logits: Tensor = self.projection(self.linear(h), h, labels)
        return logits


def _embedding_weight(num_classes: int, features: int) -> nn.Parameter:
    """Values like those of a linear layer: an embedding of N(0, 1) would drown the other logit."""
    bound = features**-0.5
    return nn.Parameter(torch.empty(num_classes, features).uniform_(-bound, bound))


_NORMS = ("none", "batch", "instance")


def make_norm(name: str, channels: int, num_classes: int = 0) -> nn.Module:
    """The normalisation ``name`` for maps of ``channels`` channels.

    With classes, batch norm is class-conditional: run it by
    `nasgan.networks.conditional.apply_norm`.
    Instance normalisation has neither parameters nor running statistics, with classes or without;
    it needs maps of more than one pixel.

    Raises:
        UnknownNameError: no such normalisation.
    """
    if name == "none":
        return nn.Identity()
    if name == "batch":
        if num_classes:
            return ConditionalBatchNorm2d(channels, num_classes)
        return nn.BatchNorm2d(channels)
    if name == "instance":
        return nn.InstanceNorm2d(channels)
    raise UnknownNameError("normalisation", name, _NORMS)
