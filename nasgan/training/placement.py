"""Where and how a network computes."""

from __future__ import annotations

import torch
from torch import nn

from nasgan.contracts.trainer_settings import TrainerSettings

__all__ = ["placed"]


def placed(network: nn.Module, settings: TrainerSettings, device: torch.device) -> nn.Module:
    """``network``, moved to ``device`` and into the memory format of ``settings``.

    On CUDA TF32 is switched as they say, for the whole process: torch knows no smaller scope.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = settings.tf32
        torch.backends.cudnn.allow_tf32 = settings.tf32
    layout = torch.preserve_format if settings.channels_last is False else torch.channels_last
    return network.to(device).to(memory_format=layout)
