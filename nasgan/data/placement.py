"""Images that are too large for a device stay on the host, and batches are copied ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from nasgan.data.image_set import ImageSet
from nasgan.errors import DatasetError
from nasgan.machine import available_memory

__all__ = ["HostRows", "Rows", "check_memory", "fits", "resident"]

# Of a device's memory, what images may take: networks and their maps need the rest.
_SHARE = 0.25

#: Images and labels of a batch, on the device; labels are None where there are none.
Rows: TypeAlias = tuple[Tensor, Tensor | None]


def resident(image_set: ImageSet, device: torch.device | str) -> ImageSet:
    """``image_set`` on ``device``, or where it is if it takes more than a quarter of its memory."""
    return image_set.to(device) if fits(image_set, device) else image_set


def fits(image_set: ImageSet, device: torch.device | str) -> bool:
    """Whether the images take no more than a share of the memory of ``device``."""
    memory = _memory(torch.device(device))
    return memory is None or image_set.images.nbytes <= _SHARE * memory


def check_memory(needed: int, what: str) -> None:
    """Refuse images of ``needed`` bytes that this machine has no memory for.

    Raises:
        DatasetError: so it is; ``what`` they are stands before the number of bytes.
    """
    there = available_memory()
    if there is not None and needed > there:
        raise DatasetError(
            f"{what} take {needed:,} bytes, and {there:,} bytes of memory are free here; take "
            "smaller or fewer images"
        )


def _memory(device: torch.device) -> int | None:
    """Bytes of the device, where that is not the memory that images are read into."""
    if device.type != "cuda":
        return None
    return int(torch.cuda.get_device_properties(device).total_memory)


class HostRows:
    """Rows of images that stay on the host, copied while the device computes.

    Args:
        image_set: the images.
        device: where the rows go.
    """

    def __init__(self, image_set: ImageSet, device: torch.device | str) -> None:
        self._set = image_set
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def fetch(self, index: Tensor) -> Callable[[], Rows]:
        """Begin to copy the rows ``index``, and give a function that waits for them."""
        labels = self._set.labels
        images = self._set.images.index_select(0, index)
        own = None if labels is None else labels.index_select(0, index)
        if self._stream is None:
            return lambda: (images.to(self._device), None if own is None else own.to(self._device))
        stream = self._stream
        with torch.cuda.stream(stream):
            copies = [self._copied(part) for part in (images, own) if part is not None]
        event = stream.record_event()

        def wait() -> Rows:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(event)
            for copy in copies:
                # Its memory is the other stream's, which must not take it back too early.
                copy.record_stream(current)
            return copies[0], copies[1] if len(copies) > 1 else None

        return wait

    def _copied(self, part: Tensor) -> Tensor:
        return part.pin_memory().to(self._device, non_blocking=True)
