"""Real images: sets held whole as uint8, the streams of batches drawn from them, and their loaders.

Names are resolved on first use, so that a light verb (`nasgan doctor`, `nasgan list`) may import
`probe` without paying for torch, and no loader's library is imported before its data are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasgan.data.availability import Availability, available_datasets, probe
    from nasgan.data.batches import Batch, ShuffledBatches
    from nasgan.data.image_folder import load_image_folder
    from nasgan.data.image_set import ImageSet, Splits, resize_images, to_float
    from nasgan.data.npz import load_npz
    from nasgan.data.published import load_cifar10, load_digits, load_stl10

__all__ = [
    "Availability",
    "Batch",
    "ImageSet",
    "ShuffledBatches",
    "Splits",
    "available_datasets",
    "load_cifar10",
    "load_digits",
    "load_image_folder",
    "load_npz",
    "load_stl10",
    "probe",
    "resize_images",
    "to_float",
]

_MODULE_OF = {
    "Availability": "availability",
    "Batch": "batches",
    "ImageSet": "image_set",
    "ShuffledBatches": "batches",
    "Splits": "image_set",
    "available_datasets": "availability",
    "load_cifar10": "published",
    "load_digits": "published",
    "load_image_folder": "image_folder",
    "load_npz": "npz",
    "load_stl10": "published",
    "probe": "availability",
    "resize_images": "image_set",
    "to_float": "image_set",
}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name when the name is first used (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
