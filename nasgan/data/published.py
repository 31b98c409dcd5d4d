"""Published data sets: scikit-learn's digits (the embedded default), CIFAR-10, STL-10."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasgan.atomic import write_file
from nasgan.data.image_set import ImageSet, Splits, resize_images
from nasgan.data.npz import read_arrays
from nasgan.data.sources import CIFAR10, STL10, Archive, file_md5
from nasgan.errors import ConfigError, DatasetError, MissingDependencyError

__all__ = [
    "load_cifar10",
    "load_digits",
    "load_stl10",
]

_DIGITS_SIZE = 16
_FOLDS = 5


def load_digits(image_size: int = _DIGITS_SIZE) -> Splits:
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
    scans = _scans()
    grey = torch.from_numpy(scans[:, :-1]).to(torch.float32).view(-1, 1, 8, 8) * (255 / 16)
    size = (image_size, image_size)
    enlarged = torch.nn.functional.interpolate(grey, size, mode="bilinear", align_corners=False)
    images = enlarged.round().to(torch.uint8)
    labels = torch.from_numpy(scans[:, -1]).to(torch.int64)
    held_out = torch.arange(len(images)) % _FOLDS == _FOLDS - 1

    def part(split: str, chosen: torch.Tensor) -> ImageSet:
        return ImageSet(
            name="digits",
            images=images[chosen],
            labels=labels[chosen],
            split=split,
            num_classes=10,
            published=image_size == _DIGITS_SIZE,
        )

    return Splits(train=part("train", ~held_out), test=part("test", held_out))


def _scans() -> NDArray[np.float64]:
    """Scikit-learn's file, 1,797 rows of 64 grey values and a digit.

    To import scikit-learn takes a second and a half, more than all else that the digits need.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            "dataset=digits comes with scikit-learn, which is not installed; "
            "run: pip install scikit-learn"
        )
    return np.loadtxt(
        Path(found.origin).with_name("datasets") / "data/digits.csv.gz", delimiter=","
    )


_CIFAR10_PIXELS = 3 * 32 * 32


def load_cifar10(root: str | Path, download: bool = False) -> Splits:
    """CIFAR-10 from ``root/cifar-10-batches-bin``, or from ``root/cifar-10-binary.tar.gz``.

    The binary version is read because the more common Python version is a set of pickles, which
    run code when they are loaded.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Args:
        root: the data folder.
        download: fetch the archive (162 MB) if it is not there.

    Raises:
        DatasetError: a file is missing, truncated or wrong.
    """
    folder = CIFAR10.obtain(Path(root).expanduser(), download=download)
    *train, test = [folder / name for name in CIFAR10.members]
    return Splits(train=_read(train, "train", CIFAR10), test=_read([test], "test", CIFAR10))


def _read(paths: list[Path], split: str, archive: Archive) -> ImageSet:
    """Records of one label byte and 3,072 pixel bytes, red plane first."""
    records = np.concatenate([_records(path, archive) for path in paths])
    return ImageSet(
        name="cifar10",
        images=torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()),
        labels=torch.from_numpy(records[:, 0].astype(np.int64)),
        split=split,
        num_classes=10,
        published=True,
    )


def _records(path: Path, archive: Archive) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 1 + _CIFAR10_PIXELS)
    largest = int(records[:, 0].max())
    if largest > 9:
        finding = f"is not a CIFAR-10 batch (it has a label {largest}; labels are 0 to 9)"
        raise archive.damaged(path, finding, path.parents[1])
    return records


_SIDE = 96
_STL10_SIZE = 48

_log = logging.getLogger(__name__)


def load_stl10(root: str | Path, image_size: int = _STL10_SIZE, download: bool = False) -> Splits:
    """STL-10 from ``root/stl10_binary`` or ``root/stl10_binary.tar.gz``, resized once and cached.

    The train part is train + unlabelled (105,000 images, hence no labels), the test part 8,000
    labelled images. Resized as torchvision's ``Resize`` does on PIL images (bilinear, antialiased).
    The result is kept as ``root/stl10-{train,test}-{image_size}px.npz``; with both there, the 3 GB
    of originals are not needed again. The name ``stl10`` stands for 48x48; other sizes carry their
    checksum in `ImageSet.identity`.

    Source: A. Coates, H. Lee, A. Y. Ng, "An Analysis of Single-Layer Networks in Unsupervised
    Feature Learning", AISTATS 2011; the split and size of AutoGAN, ICCV 2019, section 4.

    Args:
        root: the data folder.
        image_size: side of the images in pixels.
        download: fetch the archive (2.6 GB) if it is not there.

    Raises:
        ConfigError: ``image_size`` is below 1.
        DatasetError: a file is missing, truncated or wrong.
    """
    if image_size < 1:
        raise ConfigError(f"dataset.image_size must be at least 1, not {image_size}")
    root = Path(root).expanduser()
    caches = {split: STL10.cache(root, split, image_size) for split in ("train", "test")}
    if not all(path.is_file() for path in caches.values()):
        _resize_to(caches, STL10.obtain(root, download=download), image_size)
    return Splits(
        train=_cached(caches["train"], "train", image_size),
        test=_cached(caches["test"], "test", image_size),
    )


def _resize_to(caches: dict[str, Path], folder: Path, image_size: int) -> None:
    """Check the originals and write the resized images, each file whole or not at all."""
    for name, member in STL10.members.items():
        if file_md5(folder / name) != member.md5:
            finding = f"is not the published file (its MD5 is not {member.md5})"
            raise STL10.damaged(folder / name, finding, folder.parent)
    _log.info("resizing STL-10 to %d pixels; done once, kept in %s", image_size, folder.parent)
    train = torch.cat(
        [_resized(folder / name, image_size) for name in ("train_X.bin", "unlabeled_X.bin")]
    ).numpy()
    write_file(caches["train"], lambda stream: np.savez(stream, images=train))
    test = _resized(folder / "test_X.bin", image_size).numpy()
    labels = np.fromfile(folder / "test_y.bin", dtype=np.uint8).astype(np.int64) - 1
    write_file(caches["test"], lambda stream: np.savez(stream, images=test, labels=labels))


def _resized(path: Path, image_size: int) -> Tensor:
    """One file of 96x96 images, stored by columns, resized a slice at a time."""
    stored: NDArray[np.uint8] = np.memmap(path, dtype=np.uint8, mode="r")
    images = stored.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 1, 3, 2)
    return resize_images(images, image_size)


def _cached(path: Path, split: str, image_size: int) -> ImageSet:
    advice = "delete it, and it is made again from the originals"
    images, labels = read_arrays(path, advice=advice)
    if images.shape[1:] != (3, image_size, image_size):
        raise DatasetError(
            f"stl10: {path} holds images of {images.shape[1:]} instead of "
            f"{(3, image_size, image_size)} (C, H, W); {advice}"
        )
    return ImageSet(
        name="stl10",
        images=torch.from_numpy(images),
        labels=None if labels is None else torch.from_numpy(labels),
        split=split,
        num_classes=0 if labels is None else 10,
        published=image_size == _STL10_SIZE,
    )
