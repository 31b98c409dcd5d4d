"""CIFAR-10 from its binary version: 50,000 + 10,000 images of 32x32 in 10 classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nasgan.data.image_set import ImageSet, Splits
from nasgan.data.sources import CIFAR10, Archive

__all__ = ["load_cifar10"]

_PIXELS = 3 * 32 * 32


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
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, 1 + _PIXELS)
    largest = int(records[:, 0].max())
    if largest > 9:
        finding = f"is not a CIFAR-10 batch (it has a label {largest}; labels are 0 to 9)"
        raise archive.damaged(path, finding, path.parents[1])
    return records
