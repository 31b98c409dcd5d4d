"""From a generator's output to 8-bit images."""

from __future__ import annotations

import pytest
import torch

from nasgan.errors import ConfigError
from nasgan.metrics.images import MetricError, check_images, to_uint8


def test_images_are_truncated_as_published_or_rounded() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 5.0]).view(1, 1, 2, 3)
    assert to_uint8(values).flatten().tolist() == [0, 0, 127, 254, 255, 255]
    assert to_uint8(values, "round").flatten().tolist() == [0, 0, 128, 255, 255, 255]


def test_every_8_bit_image_survives_the_round_trip_when_rounded() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_uint8(pixels.float() / 127.5 - 1.0, "round"), pixels)


def test_half_precision_images_are_converted_in_float32() -> None:
    values = torch.linspace(-1, 1, 99).view(1, 1, 9, 11).to(torch.bfloat16)
    assert torch.equal(to_uint8(values), to_uint8(values.float()))


def test_images_with_nan_are_refused() -> None:
    with pytest.raises(MetricError, match="diverged"):
        to_uint8(torch.tensor([[[[0.0, float("nan")]]]]))


def test_an_unknown_rounding_is_refused() -> None:
    with pytest.raises(ConfigError, match="truncate"):
        to_uint8(torch.zeros(1, 1, 2, 2), "floor")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 4, 4),
        torch.zeros(2, 4, 4, 4, dtype=torch.uint8),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.zeros(0, 3, 4, 4, dtype=torch.uint8),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images: torch.Tensor) -> None:
    with pytest.raises(MetricError, match="shape"):
        check_images(images)
