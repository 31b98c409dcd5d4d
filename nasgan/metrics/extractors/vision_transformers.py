"""DINOv2 and CLIP features by the optional library timm.

Scores on them rank generators as people do where Inception's do not (Stein et al. 2023; Jayasumana
et al. 2024). Which weights they come from is part of the protocol id: its last eight digits are of
the checksum of all tensors.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from nasgan.errors import ConfigError, MissingDependencyError, quoted
from nasgan.metrics.extractor import FeatureExtractor, resized, to_rgb

__all__ = ["CLIPFeatures", "DINOv2Features", "TimmFeatures"]

_INSTALL = "install the optional extra: pip install 'nasgan[timm]'"
_LEAST_SIDE, _LARGEST_SIDE = 14, 1024


class TimmFeatures(FeatureExtractor):
    """One vector of a vision transformer of timm; there are no class logits.

    Args:
        device: where it computes.
        batch_size: images in one pass.
        precision: see `FeatureExtractor`.
        model: timm's name of the network and its weights.
        resolution: side in pixels to which images are resized first.
        weights: a local file of the weights (safetensors, or torch's); None: timm's download.
        download: fetch the weights if they are not there. Nothing is downloaded otherwise.

    Raises:
        MissingDependencyError: timm is not installed.
        ConfigError: no such model; the weights are missing, damaged or of another network.
    """

    num_logits: ClassVar[int] = 0
    model: ClassVar[str]
    resolution: ClassVar[int]
    size: ClassVar[str]

    def __init__(
        self,
        *,
        device: torch.device | str,
        batch_size: int = 32,
        precision: str = "float32",
        model: str | None = None,
        resolution: int | None = None,
        weights: str | Path | None = None,
        download: bool = False,
    ) -> None:
        _require_timm(self.name)
        name, self._side = model or self.model, resolution or self.resolution
        if not _LEAST_SIDE <= self._side <= _LARGEST_SIDE:
            raise ConfigError(
                f"resolution of the {self.name} features must be in {_LEAST_SIDE}.."
                f"{_LARGEST_SIDE}: {self._side}"
            )
        source = _configuration(name)
        path = _downloaded(source, name, download=download) if weights is None else Path(weights)
        if path is None or not path.is_file():
            where = f"of {name}" if path is None else str(path)
            raise ConfigError(f"the {self.name} weights {where} are missing; {self._how_to_get()}")
        self._network = self._build(name, path).eval().requires_grad_(False)
        self.dim = self._width()  # type: ignore[misc]
        super().__init__(device=device, batch_size=batch_size, precision=precision)
        self._network.to(self.device)
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1)
            for values in (source.mean, source.std)
        )

    @classmethod
    def availability(cls) -> tuple[bool, str]:
        """See `nasgan.metrics.extractor.is_available`."""
        if importlib.util.find_spec("timm") is None:
            return False, _INSTALL
        path = _downloaded(_configuration(cls.model), cls.model, download=False)
        if path is None:
            return False, f"the weights {cls.model} are missing; {cls._how_to_get()}"
        return True, str(path)

    @classmethod
    def _how_to_get(cls) -> str:
        return (
            f"fetch them once on a machine with internet (metrics.features.download=true, about "
            f"{cls.size}) or name a local copy with metrics.features.weights=PATH"
        )

    def _build(self, name: str, path: Path) -> Any:
        """The network with the weights of ``path``, which are read without executing anything."""
        import timm
        from safetensors import SafetensorError

        try:
            return timm.create_model(
                name,
                pretrained=True,
                pretrained_cfg_overlay={"file": str(path)},
                img_size=self._side,
            )
        except (
            OSError,
            RuntimeError,
            EOFError,
            ValueError,
            TypeError,
            KeyError,
            AssertionError,
            SafetensorError,
            pickle.UnpicklingError,
        ) as error:
            raise ConfigError(
                f"the {self.name} weights {path} are damaged or of another network than {name} "
                f"at {self._side} pixels ({error}); {self._how_to_get()}"
            ) from error

    def _width(self) -> int:
        """The features' number."""
        return int(self._network.num_features)

    @property
    def protocol_name(self) -> str:
        """For example ``dinov2_1a2b3c4d``, or ``dinov2_r98_1a2b3c4d`` at another resolution."""
        usual = self._side == self.resolution
        own = self.name if usual else f"{self.name}_r{self._side}"
        return super().protocol_name.replace(self.name, f"{own}_{self.checksum[:8]}", 1)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `FeatureExtractor.extract`."""
        pixels = to_rgb(resized(images, self._side).div_(255.0))
        features = self._vectors((pixels - self._mean) / self._std)
        return features, features.new_zeros((len(images), self.num_logits))

    def _vectors(self, x: Tensor) -> Tensor:
        """Normalised pixels (N, 3, side, side) to (N, dim)."""
        network = self._network
        y: Tensor = network.forward_head(network.forward_features(x), pre_logits=True)
        return y

    def weights(self) -> Mapping[str, Tensor]:
        """See `FeatureExtractor.weights`."""
        state: Mapping[str, Tensor] = self._network.state_dict()
        return state

    def preprocessing(self) -> str:
        """See `FeatureExtractor.preprocessing`."""
        own = self._network.pretrained_cfg
        return f"bicubic antialias {self._side} clamp (x/255-{own['mean']})/{own['std']}"


class DINOv2Features(TimmFeatures):
    """The class token of DINOv2's ViT-L/14 at 224 pixels, 1024 features.

    ``fid`` on them is FD-DINOv2 (Stein et al. 2023, with 50,000 images).
    """

    name = "dinov2"
    model = "vit_large_patch14_dinov2.lvd142m"
    resolution = 224
    size = "1.2 GB"


class CLIPFeatures(TimmFeatures):
    """The image embedding of OpenAI's CLIP ViT-L/14 at 336 pixels, 768 features.

    ``cmmd`` on them is CMMD (Jayasumana et al. 2024).
    """

    name = "clip"
    model = "vit_large_patch14_clip_quickgelu_336.openai"
    resolution = 336
    size = "1.2 GB"

    def _width(self) -> int:
        return int(self._network.num_classes)  # timm holds the projection as the classifier

    def _vectors(self, x: Tensor) -> Tensor:
        y: Tensor = self._network(x)
        return y


def _require_timm(name: str) -> None:
    if importlib.util.find_spec("timm") is None:
        raise MissingDependencyError(f"the {name} features need the library timm; {_INSTALL}")


def _configuration(name: str) -> Any:
    """What timm knows of the weights ``name``."""
    import timm

    try:
        known = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # a network that it has, with other weights
        known = None
    if known is None:
        raise ConfigError(
            f"metrics.features.model: timm has no {quoted(name)}; "
            "timm.list_models(pretrained=True) lists what it has"
        )
    return known


def _downloaded(source: Any, name: str, *, download: bool) -> Path | None:
    """Where the download of the weights ``name`` is; None if it is not there.

    Raises:
        ConfigError: it cannot be fetched.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    file = source.hf_hub_filename or "model.safetensors"
    if not download:
        found = try_to_load_from_cache(source.hf_hub_id, file)
        return Path(found) if isinstance(found, str) else None
    try:
        return Path(hf_hub_download(source.hf_hub_id, file))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the weights {name} could not be downloaded: {error}") from error
