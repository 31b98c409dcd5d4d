"""The conformance suite of feature extractors: built-in ones and plugins run the same checks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nasgan.metrics import FeatureExtractor
from nasgan.randomness import torch_generator
from nasgan.testing.expectations import expect, own_randomness_only

__all__ = ["check_feature_extractor"]

_BATCH = 6


def check_feature_extractor(
    factory: Callable[[int], FeatureExtractor],
    *,
    sides: tuple[int, ...] = (16, 32),
    tolerance: float = 1e-4,
) -> None:
    """Check that a feature extractor keeps the contract of `nasgan.metrics.FeatureExtractor`.

    A test of a plugin is one line::

        def test_conformance():
            check_feature_extractor(lambda batch_size: Mine(device="cpu", batch_size=batch_size))

    Args:
        factory: makes a new instance with the same settings each time, of a given batch size.
        sides: of the square images that it is tried with, in pixels.
        tolerance: largest difference between features of one image in batches of different sizes,
            relative to the largest feature.

    Raises:
        AssertionError: a check failed; says what the extractor's author should change.
    """
    extractor, other = factory(_BATCH), factory(2)
    expect(
        isinstance(extractor, FeatureExtractor), "the factory must make a nasgan FeatureExtractor"
    )
    name = getattr(type(extractor), "name", None)
    expect(
        isinstance(name, str) and name.isidentifier(),
        "set the class attribute `name`, one word: protocol ids hold it",
    )
    expect(
        extractor.fingerprint == other.fingerprint,
        "two instances have different fingerprints: `weights` must give the same tensors each "
        "time; load them, or draw them from a torch.Generator of a fixed seed",
    )
    for side in sides:
        for channels in (1, 3):
            shape = (_BATCH, channels, side, side)
            pixels = torch.randint(256, shape, generator=torch_generator(0, "images", side))
            _check_images(extractor, other, pixels.to(torch.uint8), tolerance)


def _check_images(
    extractor: FeatureExtractor, other: FeatureExtractor, images: Tensor, tolerance: float
) -> None:
    before = images.clone()
    with own_randomness_only("`extract`", advice="features must not be random"):
        found = extractor(images)
    where = f"of images {tuple(images.shape)}"
    expect(torch.equal(images, before), f"`extract` changes the images {where}: work on a copy")
    for what, values, width in (
        ("features", found.features, extractor.dim),
        ("logits", found.logits, extractor.num_logits),
    ):
        expect(
            values.shape == (len(images), width),
            f"the {what} {where} are {tuple(values.shape)}, not {(len(images), width)}",
        )
        expect(bool(values.isfinite().all()), f"the {what} {where} are not finite")
    again = extractor(images)
    expect(
        torch.equal(found.features, again.features) and torch.equal(found.logits, again.logits),
        f"two passes over the same images differ {where}: put the network into eval mode",
    )
    apart = other(images)
    largest = float(found.features.abs().max()) or 1.0
    difference = float((found.features - apart.features).abs().max()) / largest
    expect(
        difference <= tolerance,
        f"features {where} depend on the other images of a batch (by {difference:.1e} of the "
        "largest): put the network into eval mode, and leave out statistics of the batch",
    )
    expect(
        float((found.features[0] - found.features[1:]).abs().max()) > 0,
        f"all images have the same features {where}",
    )
