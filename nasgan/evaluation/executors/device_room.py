"""How many trainings share a CUDA device: by a fixed rule, never by what is free at the moment."""

from __future__ import annotations

import torch

from nasgan.contracts import SearchSpace, TrainerSettings
from nasgan.data import ImageSet

__all__ = ["memory_of_training", "trainings_on"]

# CUDA, its libraries, and what feature passes keep.
_OF_A_PROCESS = 8 * 2**30
# Maps like the widest at the images' size that a step keeps, with those of the backward pass.
_MAPS = 48
_SHARE = 0.9
# Without more than that a device is not filled by its launches; kernels of processes take turns.
_MOST = 4


def memory_of_training(space: SearchSpace, trainer: TrainerSettings, images: ImageSet) -> int:
    """Bytes of a CUDA device that a training in a process of its own may need at the most.

    Args:
        space: at the widths of the training.
        trainer: gives the batches.
        images: that lie on the device.
    """
    network = space.network
    widest = max(network.generator_channels, network.discriminator_channels)
    batch = max(trainer.generator_batch_size, 2 * trainer.discriminator_batch_size)
    one_map = 4 * batch * widest * network.image_size**2
    return _OF_A_PROCESS + images.images.nbytes + _MAPS * one_map


def trainings_on(device: torch.device | str, memory: int | None) -> int:
    """How many trainings of ``memory`` bytes a CUDA device takes, from 1 to 4; None: one."""
    if memory is None:
        return 1
    total = int(torch.cuda.get_device_properties(device).total_memory)
    return max(1, min(_MOST, int(_SHARE * total / memory)))
