"""Feature extractors: their contract, 8-bit images to features and class logits; made by name."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from nasgan.errors import ConfigError, PluginError, nearest_names
from nasgan.metrics.images import check_images
from nasgan.registry import EXTRACTORS, load_plugin

__all__ = [
    "FeatureExtractor",
    "Features",
    "is_available",
    "make_features",
    "state_digest",
]

PRECISIONS = ("float32", "tf32", "bfloat16")


@dataclass(frozen=True)
class Features:
    """What one pass over N images gives: everything that every metric needs.

    Attributes:
        features: (N, dim) float32.
        logits: (N, num_logits) float32.
    """

    features: Tensor
    logits: Tensor

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: slice) -> Features:
        """The features of some of the images, e.g. of one candidate in a shared batch."""
        return Features(self.features[index], self.logits[index])

    def split(self, size: int) -> list[Features]:
        """Parts of ``size`` images each."""
        parts = (torch.split(self.features, size), torch.split(self.logits, size))
        return [Features(features, logits) for features, logits in zip(*parts, strict=True)]

    @staticmethod
    def concatenate(parts: list[Features]) -> Features:
        """Join batches in order."""
        return Features(
            torch.cat([p.features for p in parts]), torch.cat([p.logits for p in parts])
        )


_ON_CUDA = 4


class FeatureExtractor(ABC):
    """A fixed classifier whose inner layer is the space in which images are compared.

    Args:
        device: where it computes and where the features stay.
        batch_size: images in one forward pass; bounds the memory, not the number of images. A CUDA
            device takes four times as many at once (256 where a CPU takes 64), to be busy.
        precision: ``"float32"`` (strict: TF32 is off on CUDA), or the faster ``"tf32"`` and
            ``"bfloat16"``, which move the scores and therefore have their own protocol names.

    Attributes:
        name: under which it is registered (`nasgan.extractors`); protocol ids hold it.
        version: raised when preprocessing or network change the numbers.
        dim: width of the features.
        num_logits: number of classes; 0 where there are no logits, and then no IS.
        checksum: of all weights.
        fingerprint: hash of weights, preprocessing, precision and version; part of cache keys.
            The device is not part of it: float32 features differ by rounding only.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    dim: ClassVar[int]
    num_logits: ClassVar[int]

    def __init__(
        self, *, device: torch.device | str, batch_size: int, precision: str = "float32"
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size of the {self.name} features must be >= 1: {batch_size}")
        if precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}: {precision!r}")
        self.device = torch.device(device)
        self.batch_size = batch_size * (_ON_CUDA if self.device.type == "cuda" else 1)
        self.precision = precision
        self.checksum = state_digest(self.weights())
        described = f"{self.name}|{self.version}|{self.preprocessing()}|{precision}|{self.checksum}"
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    @staticmethod
    def availability() -> tuple[bool, str]:
        """See `nasgan.metrics.is_available`; override it where weights have to be got."""
        return True, "needs no weights"

    @property
    def protocol_name(self) -> str:
        """The name in protocol ids: `name`, marked with every setting that moves the numbers."""
        return self.name if self.precision == "float32" else f"{self.name}_{self.precision}"

    def __call__(self, images: Tensor) -> Features:
        """Extract in batches, without gradients.

        Args:
            images: uint8 (N, 1 or 3, H, W) on any device.

        Returns:
            `Features` in float32 on this extractor's device.

        Raises:
            MetricError: ``images`` is not such a tensor.
        """
        check_images(images)
        count = len(images)
        features = torch.empty((count, self.dim), dtype=torch.float32, device=self.device)
        logits = torch.empty((count, self.num_logits), dtype=torch.float32, device=self.device)
        with torch.inference_mode(), self._arithmetic():
            for start in range(0, count, self.batch_size):
                rows = slice(start, start + self.batch_size)
                features[rows], logits[rows] = self.extract(images[rows].to(self.device))
        return Features(features, logits)

    @abstractmethod
    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of one batch of uint8 images on `device`."""

    @abstractmethod
    def weights(self) -> Mapping[str, Tensor]:
        """Every tensor that the features depend on."""

    @abstractmethod
    def preprocessing(self) -> str:
        """What happens to the pixels, in words; a change gives another fingerprint."""

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Precision of the convolutions; cuDNN's settings are put back afterwards."""
        with contextlib.ExitStack() as stack:
            if self.device.type == "cuda":
                cudnn = torch.backends.cudnn
                stack.enter_context(
                    cudnn.flags(
                        enabled=True,
                        benchmark=False,
                        deterministic=True,
                        allow_tf32=self.precision == "tf32",
                    )
                )
            if self.precision == "bfloat16":
                stack.enter_context(torch.autocast(self.device.type, dtype=torch.bfloat16))
            yield


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, in name order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def resized(images: Tensor, side: int) -> Tensor:
    """Images (N, C, H, W) as a new float32 tensor of ``side`` pixels, in 0..255.

    Bicubic and antialiased like the image libraries that networks are trained with (their cubic
    coefficient, -0.5); overshoot beyond the 8-bit range is cut as they cut it.
    """
    pixels = images.float()
    if pixels.shape[2:] == (side, side):
        return pixels
    return F.interpolate(
        pixels, size=(side, side), mode="bicubic", align_corners=False, antialias=True
    ).clamp_(0.0, 255.0)


def to_rgb(images: Tensor) -> Tensor:
    """Repeat a single channel three times; three channels pass through."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def linear_float64(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A classifier's last layer in float64, out of reach of TF32, autocast and bf16 settings."""
    with torch.autocast(inputs.device.type, enabled=False):
        out = inputs.double() @ weight.double().T
        return out if bias is None else out + bias.double()


def make_features(name: str, *, device: torch.device | str, **settings: Any) -> FeatureExtractor:
    """Load a feature extractor with its weights.

    Args:
        name: ``"inceptionv3"``, ``"lite0"``, ``"digits"``, or a plugin's.
        device: where it computes.
        settings: keyword arguments of the extractor's class, e.g. ``batch_size``, ``precision``.

    Raises:
        UnknownNameError: there is no such extractor.
        ConfigError: a setting is unknown or wrong, or the weights are missing or damaged.
        MissingDependencyError: the extractor needs an optional package.
        PluginError: the package that brings the extractor is broken.
    """
    extractor = _load_class(name)
    known = [
        p for p in inspect.signature(extractor).parameters if p not in ("self", "device", "kwargs")
    ]
    for setting in settings:
        if setting not in known:
            near = nearest_names(setting, known)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"the {name} features have no setting {setting!r}.{hint} Known: {', '.join(known)}."
            )
    made: FeatureExtractor = extractor(device=device, **settings)
    return made


def is_available(name: str) -> tuple[bool, str]:
    """Whether an extractor's weights and packages are here, and how to get them if not.

    No weights are loaded and nothing is downloaded.

    Returns:
        (True, where the weights are) or (False, what to do).

    Raises:
        UnknownNameError: there is no such extractor.
        PluginError: the package that brings the extractor is broken.
    """
    return _load_class(name).availability()


def _load_class(name: str) -> type[FeatureExtractor]:
    made = load_plugin(EXTRACTORS, name)
    if not (isinstance(made, type) and issubclass(made, FeatureExtractor)):
        raise PluginError(f"feature extractor {name!r} is registered as {made!r}")
    if made.name != name:
        raise PluginError(
            f"feature extractor {name!r}: the class {made.__module__}.{made.__qualname__} calls "
            f"itself {made.name!r}; protocol ids hold the name: it has to be the entry point's"
        )
    return made
