"""Images of noise, and metrics of them that take milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nasgan.contracts import SearchSpace
from nasgan.data import ImageSet
from nasgan.metrics import FeatureExtractor, MetricHarness, Protocol, ReferenceStatistics
from nasgan.randomness import torch_generator

__all__ = ["METRICS", "toy_harness", "toy_images"]

#: What a toy run scores, and which direction is better.
METRICS: Mapping[str, Literal["min", "max"]] = {"is": "max", "fid": "min"}
_NUM_IMAGES = 16
_SIDE = 2


def toy_images(space: SearchSpace, name: str) -> ImageSet:
    """Sixteen images of noise, of the size that ``space`` is set to; each name has its own."""
    network = space.network
    shape = (_NUM_IMAGES, network.image_channels, network.image_size, network.image_size)
    pixels = torch.randint(256, shape, generator=torch_generator(0, name))
    return ImageSet("toy", pixels.to(torch.uint8))


class ToyFeatures(FeatureExtractor):
    """Four brightnesses, the quarters of the image, and three logits made from them."""

    name = "toy"
    dim: ClassVar[int] = _SIDE**2
    num_logits: ClassVar[int] = 3

    def __init__(self, *, device: torch.device | str, batch_size: int = _NUM_IMAGES) -> None:
        weight = torch.randn((self.num_logits, self.dim), generator=torch_generator(0, "logits"))
        self._weight = weight.to(device)
        super().__init__(device=device, batch_size=batch_size)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grey = (images.float() / 255).mean(dim=1, keepdim=True)
        features = F.adaptive_avg_pool2d(grey, _SIDE).flatten(1)
        return features, features @ self._weight.T

    def weights(self) -> Mapping[str, Tensor]:
        return {"weight": self._weight}

    def preprocessing(self) -> str:
        return "grey x/255, mean of quarters"


def toy_harness(images: ImageSet) -> MetricHarness:
    """Scores against ``images``: ``is`` and ``fid``."""
    extractor = ToyFeatures(device="cpu")
    reference = ReferenceStatistics.from_features(
        extractor(images.images).features, num_generated=_NUM_IMAGES, metrics=tuple(METRICS)
    )
    protocol = Protocol(
        dataset="toy",
        split=images.split,
        num_images=_NUM_IMAGES,
        features=reference.settings.mark(extractor.protocol_name),
    )
    return MetricHarness(
        extractor, reference, num_images=_NUM_IMAGES, metrics=tuple(METRICS), protocol=protocol
    )
