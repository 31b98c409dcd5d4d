from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as load_scans

from nasgan.data import load_digits
from nasgan.errors import ConfigError


def test_digits_are_split_every_fifth() -> None:
    splits = load_digits()
    assert splits.test is not None
    targets = load_scans().target
    assert (len(splits.train), len(splits.test)) == (1438, 359)
    assert splits.test.labels is not None
    assert splits.test.labels.tolist() == targets[4::5].tolist()
    assert splits.train.images.shape == (1438, 1, 16, 16)
    assert splits.train.num_classes == splits.test.num_classes == 10
    assert (splits.train.split, splits.test.split) == ("train", "test")


def test_enlargement_is_the_bilinear_formula_in_float64() -> None:
    scan = load_scans().images[0] * (255 / 16)
    centres = np.clip((np.arange(16) + 0.5) / 2 - 0.5, 0, 7)
    low = np.floor(centres).astype(int)
    high, weight = np.minimum(low + 1, 7), centres - low
    rows = scan[low] * (1 - weight)[:, None] + scan[high] * weight[:, None]
    both = rows[:, low] * (1 - weight) + rows[:, high] * weight
    found = load_digits().train.images[0, 0].numpy()
    np.testing.assert_array_equal(found, np.rint(both).astype(np.uint8))


def test_pixels_never_change_between_releases() -> None:
    splits = load_digits()
    assert splits.test is not None
    assert splits.train.checksum.startswith("0d56d55d1ae6e35d")
    assert splits.test.checksum.startswith("16b86642218cab57")


def test_only_the_published_size_goes_by_the_plain_name() -> None:
    assert load_digits().train.identity == "digits"
    small = load_digits(image_size=8).train
    assert small.identity == f"digits@{small.checksum[:8]}"
    scans = np.rint(load_scans().images[:4] * (255 / 16)).astype(np.uint8)
    assert torch.equal(small.images[:4, 0], torch.from_numpy(scans))


def test_an_impossible_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="image_size"):
        load_digits(image_size=0)


def test_importing_the_package_imports_no_heavy_library() -> None:
    code = (
        "import sys, nasgan.data as data; data.probe('cifar10', {'root': '.'}); dir(data)\n"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'PIL', 'numpy'} & set(sys.modules)))\n"
        "data.ImageSet, data.ShuffledBatches, data.load_cifar10\n"
        "print(sorted({'torchvision', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == ["[]", "[]"]


def test_every_public_name_resolves() -> None:
    import nasgan.data

    assert all(hasattr(nasgan.data, name) for name in nasgan.data.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nasgan.data.no_such_name
