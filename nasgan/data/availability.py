"""What data are at hand: a look that reads no image and imports neither torch nor scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nasgan.data.sources import CIFAR10, STL10, Archive

__all__ = ["Availability", "available_datasets", "probe"]


class Availability(NamedTuple):
    """Whether a data set can be loaded now.

    Attributes:
        status: ``ready``; ``missing`` (``detail`` says how to get it); ``needs_setting`` (a path
            must be given first); ``unknown`` (not a data set of nasgan's own).
        detail: one line for a person.
    """

    status: Literal["ready", "missing", "needs_setting", "unknown"]
    detail: str


def available_datasets() -> tuple[str, ...]:
    """The names of the built-in data sets."""
    return tuple(sorted(_PROBES))


def probe(name: str, settings: Mapping[str, Any] | None = None) -> Availability:
    """Whether the data set ``name`` could be loaded with ``settings`` (its ``dataset`` config).

    Files are looked for and their sizes compared; nothing is read or downloaded.
    """
    if name not in _PROBES:
        known = ", ".join(available_datasets())
        return Availability("unknown", f"nasgan can only look for {known}")
    return _PROBES[name](settings or {})


def _digits(_: Mapping[str, Any]) -> Availability:
    if find_spec("sklearn") is None:
        return Availability("missing", "scikit-learn is not installed: pip install scikit-learn")
    return Availability("ready", "comes with scikit-learn")


def _cifar10(settings: Mapping[str, Any]) -> Availability:
    return _archive(CIFAR10, settings)


def _stl10(settings: Mapping[str, Any]) -> Availability:
    root, image_size = settings.get("root"), settings.get("image_size", 48)
    if root is not None:
        folder = Path(root).expanduser()
        caches = [STL10.cache(folder, split, image_size) for split in ("train", "test")]
        if all(cache.is_file() for cache in caches):
            return Availability("ready", f"{caches[0]} (resized before)")
    return _archive(STL10, settings)


def _archive(archive: Archive, settings: Mapping[str, Any]) -> Availability:
    if settings.get("root") is None:
        return Availability("needs_setting", "set dataset.root to the folder of the data")
    root = Path(settings["root"]).expanduser()
    if not archive.missing(root):
        wrong = archive.wrong_size(root)
        if wrong:
            return Availability("missing", f"{wrong[0]} is truncated: {archive.remedy(root)}")
        return Availability("ready", str(root / archive.folder))
    packed = root / archive.filename
    if packed.is_file():
        return Availability("ready", f"{packed} (checked and unpacked on first use)")
    return Availability("missing", archive.remedy(root))


def _image_folder(settings: Mapping[str, Any]) -> Availability:
    return _path(settings, "a folder of images", Path.is_dir)


def _npz(settings: Mapping[str, Any]) -> Availability:
    return _path(settings, "an .npz file", Path.is_file)


def _path(settings: Mapping[str, Any], what: str, exists: Callable[[Path], bool]) -> Availability:
    if settings.get("path") is None:
        return Availability("needs_setting", f"set dataset.path to {what}")
    for key in ("path", "test_path"):
        if settings.get(key) is not None and not exists(Path(settings[key]).expanduser()):
            return Availability("missing", f"{settings[key]} is not {what} (dataset.{key})")
    return Availability("ready", str(settings["path"]))


_PROBES: Mapping[str, Callable[[Mapping[str, Any]], Availability]] = {
    "cifar10": _cifar10,
    "digits": _digits,
    "image_folder": _image_folder,
    "npz": _npz,
    "stl10": _stl10,
}
