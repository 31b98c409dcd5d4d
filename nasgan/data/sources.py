"""Published archives of plain binary files: where they are, how they are checked and unpacked.

Nothing here needs torch until a download starts, so that `probe` can look without it. Nothing is
unpickled: of CIFAR-10 the binary version is read, not the one in Python pickles.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType

from nasgan.atomic import write_file
from nasgan.errors import DatasetError
from nasgan.reading import open_file

__all__ = ["CIFAR10", "STL10", "Archive", "Member", "file_md5"]


@dataclass(frozen=True)
class Member:
    """One file of an archive: its size in bytes and, where published, its MD5."""

    size: int
    md5: str | None = None


@dataclass(frozen=True)
class Archive:
    """A data set's ``.tar.gz`` and the files that are read from it.

    Args:
        dataset: the data set's name in nasgan.
        url: where it is published.
        md5: of the archive.
        folder: its top folder, made under the data root when it is unpacked.
        members: the files that are needed; anything else in the archive is left alone.
    """

    dataset: str
    url: str
    md5: str
    folder: str
    members: Mapping[str, Member]

    @property
    def filename(self) -> str:
        """The archive's own file name."""
        return self.url.rsplit("/", 1)[1]

    def missing(self, root: Path) -> list[Path]:
        """The needed files that are not under ``root``."""
        paths = [root / self.folder / name for name in self.members]
        return [path for path in paths if not path.is_file()]

    def wrong_size(self, root: Path) -> list[Path]:
        """The files under ``root`` whose size is not the published one: truncated, or others."""
        sizes = {root / self.folder / name: member.size for name, member in self.members.items()}
        return [path for path, size in sizes.items() if path.stat().st_size != size]

    def cache(self, root: Path, split: str, image_size: int) -> Path:
        """Where a loader that resizes keeps the result of one split."""
        return root / f"{self.dataset}-{split}-{image_size}px.npz"

    def obtain(self, root: Path, *, download: bool) -> Path:
        """The folder with all members under ``root``, unpacked (and downloaded) where needed.

        Raises:
            DatasetError: a file is missing, truncated or another one; the message names it.
        """
        if self.missing(root):
            if download:
                self._download(root)
            self._unpack(root)
        for path in self.wrong_size(root):
            found, expected = path.stat().st_size, self.members[path.name].size
            finding = f"is truncated or another file ({found} bytes instead of {expected})"
            raise self.damaged(path, finding, root)
        return root / self.folder

    def remedy(self, root: Path) -> str:
        """How to get the data, in words."""
        return (
            f"set dataset.download=true, or put {self.filename} (from {self.url}) into {root} "
            "(dataset.root)"
        )

    def damaged(self, path: Path, finding: str, root: Path) -> DatasetError:
        """The error for a file that is there but wrong."""
        return DatasetError(f"{self.dataset}: {path} {finding}; delete it and {self.remedy(root)}")

    def _download(self, root: Path) -> None:
        """Fetch the archive unless a good one is there; a broken download leaves nothing behind."""
        from torchvision.datasets.utils import check_integrity, download_url

        target = root / self.filename
        if check_integrity(str(target), self.md5):
            return
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
                download_url(self.url, folder, self.filename, self.md5)
                (Path(folder) / self.filename).replace(target)
        except (HTTPException, OSError, RuntimeError) as error:
            raise DatasetError(
                f"{self.dataset}: the download of {self.url} to {target} failed ({error}); try "
                f"again, or fetch the file on another machine and put it into {root}"
            ) from error

    def _unpack(self, root: Path) -> None:
        """Write the needed members, and only those, each whole or not at all."""
        archive = root / self.filename
        if not archive.is_file():
            raise DatasetError(
                f"{self.dataset}: {self.missing(root)[0]} is missing, and so is the archive "
                f"{archive}; {self.remedy(root)}"
            )
        if file_md5(archive) != self.md5:
            raise self.damaged(
                archive, f"is truncated or not the published one (its MD5 is not {self.md5})", root
            )
        try:
            with tarfile.open(archive) as bundle:
                for path in self.missing(root):
                    stream = bundle.extractfile(f"{self.folder}/{path.name}")
                    if stream is None:
                        raise KeyError(path.name)
                    write_file(path, partial(shutil.copyfileobj, stream))
        except (KeyError, EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
            raise self.damaged(archive, f"cannot be unpacked ({error})", root) from error


def file_md5(path: Path) -> str:
    """The MD5 of a file, read a piece at a time (it guards against damage, not against forgery)."""
    digest = hashlib.md5(usedforsecurity=False)
    with open_file(path) as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


_CIFAR10_BATCH = Member(size=10_000 * (1 + 3 * 32 * 32))

CIFAR10 = Archive(
    dataset="cifar10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    members=MappingProxyType(
        {
            **{f"data_batch_{number}.bin": _CIFAR10_BATCH for number in range(1, 6)},
            "test_batch.bin": _CIFAR10_BATCH,
        }
    ),
)

_STL10_IMAGE = 3 * 96 * 96

# Unlike CIFAR-10's, the single files' MD5s are published (torchvision lists them too).
STL10 = Archive(
    dataset="stl10",
    url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    md5="91f7769df0f17e558f3565bffb0c7dfb",
    folder="stl10_binary",
    members=MappingProxyType(
        {
            "train_X.bin": Member(5_000 * _STL10_IMAGE, "918c2871b30a85fa023e0c44e0bee87f"),
            "unlabeled_X.bin": Member(100_000 * _STL10_IMAGE, "5242ba1fed5e4be9e1e742405eb56ca4"),
            "test_X.bin": Member(8_000 * _STL10_IMAGE, "7f263ba9f9e0b06b93213547f721ac82"),
            "test_y.bin": Member(8_000, "36f9794fa4beb8a2c72628de14fa638e"),
        }
    ),
)
