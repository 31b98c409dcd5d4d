"""The embedded default: scikit-learn's 1,797 scans of handwritten digits, no download."""

from __future__ import annotations

import torch

from nasgan.data.image_set import ImageSet, Splits
from nasgan.errors import ConfigError, MissingDependencyError

__all__ = ["load_digits"]

_PUBLISHED_SIZE = 16
_FOLDS = 5


def load_digits(image_size: int = _PUBLISHED_SIZE) -> Splits:
    """The digits, enlarged from 8x8 to ``image_size``: 1,438 to train on, 359 to test.

    Grey values 0..16 become 0..255, are interpolated bilinearly (corners not aligned) and rounded.
    Every fifth image (index % 5 == 4) is a test image. The name ``digits`` stands for 16x16; other
    sizes carry their checksum in `ImageSet.identity`.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (test
    part, as scikit-learn ships it).

    Args:
        image_size: side of the images in pixels, at least 1.

    Raises:
        ConfigError: ``image_size`` is below 1.
        MissingDependencyError: scikit-learn is not installed.
    """
    if image_size < 1:
        raise ConfigError(f"dataset.image_size must be at least 1, not {image_size}")
    try:
        from sklearn.datasets import load_digits as load_scans
    except ImportError as error:
        raise MissingDependencyError(
            "dataset=digits comes with scikit-learn, which cannot be imported "
            f"({error}); run: pip install scikit-learn"
        ) from error
    scans = load_scans()
    grey = torch.from_numpy(scans.images).to(torch.float32)[:, None] * (255 / 16)
    size = (image_size, image_size)
    enlarged = torch.nn.functional.interpolate(grey, size, mode="bilinear", align_corners=False)
    images = enlarged.round().to(torch.uint8)
    labels = torch.from_numpy(scans.target).to(torch.int64)
    held_out = torch.arange(len(images)) % _FOLDS == _FOLDS - 1

    def part(split: str, chosen: torch.Tensor) -> ImageSet:
        return ImageSet(
            name="digits",
            images=images[chosen],
            labels=labels[chosen],
            split=split,
            num_classes=10,
            published=image_size == _PUBLISHED_SIZE,
        )

    return Splits(train=part("train", ~held_out), test=part("test", held_out))
