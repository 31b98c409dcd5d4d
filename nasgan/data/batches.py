"""An endless, exactly resumable stream of shuffled batches from an image set on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from nasgan.data.image_set import ImageSet, to_float
from nasgan.data.placement import HostRows, Rows, fits, resident
from nasgan.errors import CheckpointError, ConfigError
from nasgan.randomness import torch_generator

__all__ = ["Batch", "ShuffledBatches"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Images as a network takes them, and their labels.

    Attributes:
        images: (N, C, H, W) in [-1, 1].
        labels: int64 (N,), or None where the set has none.
    """

    images: Tensor
    labels: Tensor | None


#: Epoch, position, and the order and mirroring of the epoch.
_Standing: TypeAlias = tuple[int, int, Tensor, Tensor | None]


class _Ahead(NamedTuple):
    """A batch under way, and where the stream stands after it."""

    wait: Callable[[], Rows]
    mirrored: Tensor | None
    after: _Standing


class ShuffledBatches:
    """Batches of a set's images in an order that depends only on ``(seed, epoch, position)``.

    Each epoch is a permutation without replacement. All batches have the same size: one that
    crosses an epoch's end takes the rest from the next epoch's permutation, where the published
    loaders deal a short last batch (16 images of 64 on CIFAR-10). Static shapes are what compiled
    networks and CUDA graphs want; every image still comes exactly once an epoch. A batch larger
    than the set spans several epochs.

    Permutations are made on the CPU, so that the order is the same on every device.

    Args:
        image_set: the images; moved to ``device`` whole, as uint8, if they take no more than a
            share of its memory. Else they stay, and each batch is copied while the one before it is
            used.
        batch_size: images in each batch.
        seed: the run's seed.
        device: where the batches are made.
        dtype: of the images; the arithmetic is float32 and cast at the end.
        channels_last: memory format of the images.
        horizontal_flip: mirror each image with probability 1/2 (off in the published systems).
        own: which rows of each batch are made, of what indexes them; by default all.

    Raises:
        ConfigError: ``batch_size`` is below 1, or ``dtype`` is not a floating-point type.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        *,
        seed: int,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
        horizontal_flip: bool = False,
        own: Callable[[Tensor], Tensor] = lambda whole: whole,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, not {batch_size}")
        if not dtype.is_floating_point:
            raise ConfigError(f"batches must have a floating-point dtype, not {dtype}")
        self.image_set = resident(image_set, device)
        stays = not fits(image_set, device)
        self._rows = HostRows(self.image_set, device) if stays else None
        self._ahead: _Ahead | None = None
        self._device = torch.device(device)
        self.batch_size = batch_size
        self._seed = seed
        self._own = own
        self._dtype = dtype
        self._channels_last = channels_last
        self._horizontal_flip = horizontal_flip
        self._mirrored: Tensor | None = None
        self._begin(epoch=0)

    @property
    def epoch(self) -> int:
        """Index of the epoch that the next image comes from or has just ended."""
        return self._epoch

    def next(self) -> Batch:
        """The next ``batch_size`` images and labels, or one's own of them."""
        if self._rows is None:
            index, mirrored = self._deal_own()
            labels = self.image_set.labels
            pixels = self.image_set.images.index_select(0, index)
            return self._batch(
                pixels, None if labels is None else labels.index_select(0, index), mirrored
            )
        due = self._ahead or self._begin_copy(self._rows)
        self._epoch, self._position, self._order, self._mirrored = due.after
        # The next copy runs beside what is done with this batch.
        self._ahead = self._begin_copy(self._rows)
        return self._batch(*due.wait(), due.mirrored)

    def _batch(self, pixels: Tensor, labels: Tensor | None, mirrored: Tensor | None) -> Batch:
        if mirrored is not None:
            pixels = torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)
        images = to_float(pixels, dtype=self._dtype, channels_last=self._channels_last)
        return Batch(images=images, labels=labels)

    def _begin_copy(self, rows: HostRows) -> _Ahead:
        """The batch that comes, while the stream stays where it stands."""
        before = self._standing()
        index, mirrored = self._deal_own()
        after = self._standing()
        self._epoch, self._position, self._order, self._mirrored = before
        coins = None if mirrored is None else mirrored.to(self._device)
        return _Ahead(rows.fetch(index), coins, after)

    def _standing(self) -> _Standing:
        return self._epoch, self._position, self._order, self._mirrored

    def _deal_own(self) -> tuple[Tensor, Tensor | None]:
        """The next indices and coins, or one's own of them."""
        index, mirrored = self._deal(self.batch_size)
        return self._own(index), None if mirrored is None else self._own(mirrored)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, and what it must be loaded into."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "seed": self._seed,
            "checksum": self.image_set.checksum,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken; the batch size may be another.

        Raises:
            CheckpointError: the state is of another seed or of other data, or malformed.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise CheckpointError(
                f"a data stream's state has {sorted(own)}, the checkpoint has {sorted(state)}"
            )
        for key, what in (("seed", "with the seed"), ("checksum", "on data with the checksum")):
            if state[key] != own[key]:
                raise CheckpointError(
                    f"the checkpoint was made {what} {state[key]}, this run has {own[key]}; "
                    "resume with the settings of the run that wrote it"
                )
        epoch, position = int(state["epoch"]), int(state["position"])
        if epoch < 0 or not 0 <= position <= len(self.image_set):
            raise CheckpointError(
                f"a data stream cannot stand at image {position} of epoch {epoch}: the set has "
                f"{len(self.image_set)} images"
            )
        self._begin(epoch)
        self._position = position
        self._ahead = None

    def _deal(self, count: int) -> tuple[Tensor, Tensor | None]:
        """The next ``count`` image indices, and which of them to mirror."""
        parts: list[Tensor] = []
        mirrored: list[Tensor] = []
        while count:
            if self._position == len(self.image_set):
                self._begin(self._epoch + 1)
            stop = min(self._position + count, len(self.image_set))
            parts.append(self._order[self._position : stop])
            if self._mirrored is not None:
                mirrored.append(self._mirrored[self._position : stop])
            count -= stop - self._position
            self._position = stop
        return _joined(parts), _joined(mirrored) if mirrored else None

    def _begin(self, epoch: int) -> None:
        """Stand at the first image of ``epoch``, with its permutation on the device."""
        count, device = len(self.image_set), self.image_set.device
        self._epoch, self._position = epoch, 0
        order = torch.randperm(count, generator=torch_generator(self._seed, "data order", epoch))
        self._order = order.to(device)
        self._mirrored = None
        if self._horizontal_flip:
            # Drawn per position of the epoch: independent of the batch size, exact on resume.
            coins = torch_generator(self._seed, "horizontal flip", epoch)
            self._mirrored = (torch.rand(count, generator=coins) < 0.5).to(device)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
