"""Fréchet distances class by class, for class-conditional generators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nasgan.errors import ConfigError
from nasgan.metrics.cache import TensorCache, cache_key
from nasgan.metrics.images import MetricError
from nasgan.metrics.scores.frechet import FrechetReference, frechet_distance, frechet_reference

__all__ = ["ClassReferences", "check_classes"]

_LEAST = 2
_NAMES = {"means", "traces", "roots", "ranks"}


@dataclass(frozen=True, eq=False)
class ClassReferences:
    """The real side of the Fréchet distance of each class.

    Their mean is the intra-FID, by which Miyato & Koyama 2018 (section 4) compare conditional
    generators. Like any FID it is biased by the numbers of images: it compares only at equal ones.

    Attributes:
        frechet: statistics of each class, on one device.
    """

    frechet: tuple[FrechetReference, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.frechet)

    @classmethod
    def from_features(cls, features: Tensor, labels: Tensor, num_classes: int) -> ClassReferences:
        """Compute from real features, without a cache.

        Args:
            features: (M, D), as the metrics use them.
            labels: int64 (M,), each class at least twice (see `check_classes`).
            num_classes: number of classes.
        """
        return cls._assemble(_statistics(features, labels, num_classes), features.device)

    @classmethod
    def cached(
        cls,
        features: Tensor,
        labels: Tensor,
        num_classes: int,
        *,
        cache: TensorCache,
        origin: Mapping[str, object],
    ) -> ClassReferences:
        """As `from_features`, but read from the cache where they are there.

        Args:
            features: as there, as the next two.
            labels: as there.
            num_classes: as there.
            cache: where the statistics are kept.
            origin: what features and labels come from: the cache key.
        """
        key = cache_key({**origin, "num_classes": num_classes})
        tensors = cache.get(
            "classes", key, _NAMES, lambda: _statistics(features, labels, num_classes)
        )
        return cls._assemble(tensors, features.device)

    @classmethod
    def _assemble(cls, tensors: Mapping[str, Tensor], device: torch.device) -> ClassReferences:
        on_device = {name: tensor.to(device) for name, tensor in tensors.items()}
        roots = torch.split(on_device["roots"], tensors["ranks"].tolist(), dim=1)
        rows = zip(on_device["means"], on_device["traces"], roots, strict=True)
        return cls(tuple(FrechetReference(mean, trace, root) for mean, trace, root in rows))

    def covers(self, labels: Tensor | None) -> bool:
        """Whether each class has at least two of the images with these ``labels``."""
        if labels is None:
            return False
        counts = torch.bincount(labels.cpu(), minlength=self.num_classes)
        return len(counts) == self.num_classes and int(counts.min()) >= _LEAST

    def distances(self, generated: Tensor, labels: Tensor) -> list[float]:
        """The distance between the generated and the real images of each class.

        Args:
            generated: features (N, D), on the references' device.
            labels: the classes that they were generated for, int64 (N,).

        Raises:
            MetricError: a class has fewer than two images.
        """
        if labels.shape != (len(generated),):
            raise MetricError(
                f"{len(generated)} generated images need as many classes, got labels of shape "
                f"{tuple(labels.shape)}"
            )
        found = []
        for number, reference in enumerate(self.frechet):
            own = generated[(labels == number).to(generated.device)]
            if len(own) < _LEAST:
                raise MetricError(
                    f"class {number} has {len(own)} generated images; its FID needs at least "
                    f"{_LEAST}"
                )
            found.append(frechet_distance(own, reference))
        return found


def _statistics(features: Tensor, labels: Tensor, num_classes: int) -> dict[str, Tensor]:
    members = labels.to(features.device)
    made = [frechet_reference(features[members == number]) for number in range(num_classes)]
    return {
        "means": torch.stack([reference.mean for reference in made]),
        "traces": torch.stack([reference.trace for reference in made]),
        "roots": torch.cat([reference.root for reference in made], dim=1),
        "ranks": torch.tensor([reference.root.shape[1] for reference in made]),
    }


def check_classes(labels: Tensor | None, num_classes: int, what: str) -> None:
    """Refuse real images from which no statistics by class can be made.

    Args:
        labels: of the real images; None if they have none.
        num_classes: classes of the generators.
        what: names the images in the message.

    Raises:
        ConfigError: no labels, other classes, or a class with fewer than two images.
    """
    if labels is None:
        raise ConfigError(
            f"scores of class-conditional networks need the classes of the real images; {what} "
            "has none"
        )
    counts: list[int] = torch.bincount(labels.cpu(), minlength=num_classes).tolist()
    if len(counts) != num_classes:
        raise ConfigError(
            f"the networks have {num_classes} classes, {what} has {len(counts)}: they must be the "
            "same"
        )
    few = [number for number, count in enumerate(counts) if count < _LEAST]
    if few:
        raise ConfigError(
            f"{what} has fewer than {_LEAST} images of the classes {', '.join(map(str, few[:10]))}"
            f"{f' and {len(few) - 10} more' if len(few) > 10 else ''}: too few for the FID of a "
            "class. Leave these classes out, or train without classes"
        )
