"""STL-10 as the papers use it: train and unlabelled images together, 105,000 resized to 48x48."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasgan.atomic import write_file
from nasgan.data.image_set import ImageSet, Splits
from nasgan.data.npz import read_arrays
from nasgan.data.pixels import resize_images
from nasgan.data.sources import STL10, file_md5
from nasgan.errors import ConfigError, DatasetError

__all__ = ["load_stl10"]

_SIDE = 96
_PUBLISHED_SIZE = 48

_LOGGER = logging.getLogger(__name__)


def load_stl10(
    root: str | Path, image_size: int = _PUBLISHED_SIZE, download: bool = False
) -> Splits:
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
    _LOGGER.info("resizing STL-10 to %d pixels; done once, kept in %s", image_size, folder.parent)
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
        published=image_size == _PUBLISHED_SIZE,
    )
