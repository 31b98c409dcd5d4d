"""Features of the shipped digits classifier: the embedded default, nothing to download."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from nasgan.errors import ConfigError
from nasgan.metrics.extractor import FeatureExtractor
from nasgan.reading import read_bytes

__all__ = [
    "WEIGHTS",
    "DigitsFeatures",
    "DigitsNetwork",
]

WEIGHTS = Path(__file__).parent.parent / "weights" / "digits_classifier.safetensors"
_GET = "it is part of the package: reinstall nasgan, or run benchmarks/train_digits_classifier.py"
_SIDE = 16
# ITU-R BT.601 luma, which image libraries use to turn colour into grey.
_LUMA = (0.299, 0.587, 0.114)


class DigitsFeatures(FeatureExtractor):
    """64 features and 10 class logits of a small convolutional digits classifier.

    Works in float64 throughout, which is cheap at this size and makes the features the same on
    every device. Images of another size are resized (bilinear, antialiased), colour turns to grey.

    Args:
        device: where it computes.
        batch_size: images in one pass.
        weights: another file of weights for the same network.
    """

    name = "digits"
    dim: ClassVar[int] = 64
    num_logits: ClassVar[int] = 10

    def __init__(
        self,
        *,
        device: torch.device | str,
        batch_size: int = 500,
        weights: str | Path = WEIGHTS,
    ) -> None:
        network = DigitsNetwork()
        _load(network, Path(weights))
        self._network = network.double().requires_grad_(False).eval()
        super().__init__(device=device, batch_size=batch_size)
        self._network.to(self.device)

    @staticmethod
    def availability() -> tuple[bool, str]:
        """See `nasgan.metrics.extractor.is_available`."""
        return (True, str(WEIGHTS)) if WEIGHTS.is_file() else (False, f"{WEIGHTS} missing: {_GET}")

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `FeatureExtractor.extract`."""
        pixels = images.double()
        if pixels.shape[1] == 3:
            luma = pixels.new_tensor(_LUMA).view(1, 3, 1, 1)
            pixels = (pixels * luma).sum(dim=1, keepdim=True)
        if pixels.shape[2:] != (_SIDE, _SIDE):
            pixels = F.interpolate(
                pixels, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False, antialias=True
            )
        features, logits = self._network(pixels / 127.5 - 1.0)
        return features, logits

    def weights(self) -> Mapping[str, Tensor]:
        """See `FeatureExtractor.weights`."""
        state: Mapping[str, Tensor] = self._network.state_dict()
        return state

    def preprocessing(self) -> str:
        """See `FeatureExtractor.preprocessing`."""
        return f"luma, bilinear antialias {_SIDE}, x/127.5-1, float64"


def _load(network: DigitsNetwork, path: Path) -> None:
    try:
        network.load_state_dict(load_tensors(read_bytes(path)))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ConfigError(
            f"the digits classifier's weights {path} are missing or damaged ({error}); {_GET}"
        ) from error


class DigitsNetwork(nn.Module):
    """Maps (N, 1, 16, 16) in [-1, 1] to features (N, 64) and logits (N, 10).

    GELU leaves no feature constant, as ReLU could: a dead feature would make covariances singular.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.features = nn.Linear(32 * 4 * 4, 64)
        self.classifier = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (after the activation) and logits."""
        x = F.gelu(self.conv1(x))
        x = F.gelu(self.conv2(x))
        x = F.gelu(self.conv3(x))
        features = F.gelu(self.features(x.flatten(1)))
        return features, self.classifier(features)
