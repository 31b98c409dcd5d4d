"""What a network costs: parameters, and multiply-adds in the convention of the papers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nasgan.networks.resampling import set_published_order

__all__ = ["count_macs", "count_parameters"]


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_macs(module: nn.Module, *inputs: Any, **keywords: Any) -> int:
    """Multiply-adds of one evaluation pass: convolutions and linear layers only.

    Counts the operations in their published order, even where this package rearranges them into
    cheaper ones (`nasgan.networks.resampling`): the number that papers call FLOPs. Runs on torch's
    meta device: no arithmetic, no memory, and ``module`` is left alone.

    Args:
        module: a network.
        *inputs: what its forward takes; tensors are replaced by empty ones of their shape, lists
            (weights of a supernet) are passed as they are. A batch of one gives MACs per image.
        **keywords: further arguments of its forward.
    """
    hollow = _hollow_copy(module).eval()
    set_published_order(hollow)
    arguments = [x.to("meta") if isinstance(x, Tensor) else x for x in inputs]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        hollow(*arguments, **keywords)
    return int(counter.get_total_flops()) // 2


def _hollow_copy(module: nn.Module) -> nn.Module:
    """A copy on the meta device, made without copying any values."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, memo)
