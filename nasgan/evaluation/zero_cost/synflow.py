"""SynFlow (Tanaka et al. 2020): how much flows through a network, whatever the data."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from nasgan.evaluation.zero_cost.untrained import Half
from nasgan.networks.spectral_norm import SpectralNormLayer

__all__ = ["has_foreign_norms", "synflow"]

_LEFT_OUT = {
    F.batch_norm,
    F.instance_norm,
    F.group_norm,
    F.layer_norm,
    torch.batch_norm,
    torch.instance_norm,
    torch.group_norm,
    torch.layer_norm,
    F.tanh,
    torch.tanh,
    Tensor.tanh,
    F.sigmoid,
    torch.sigmoid,
    Tensor.sigmoid,
}


class _Unnormalised(TorchFunctionMode):
    """Norms and squashing functions pass their input on: what flows would end in them."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _LEFT_OUT:
            return args[0] if args else kwargs["input"]
        return func(*args, **(kwargs or {}))


def synflow(half: Half) -> float:
    """Log of sum(theta x dR / dtheta), R = 1^T f(|theta|)(1), without norms; in float64.

    Tanaka et al. 2020 Batch, instance and spectral norm are off, and so is the tanh of
    the images, whose slope at such values would be 0. The logarithm keeps the order.
    """
    network = copy.deepcopy(half.network)
    for layer in network.modules():
        if isinstance(layer, SpectralNormLayer):
            _leave_as_it_is(layer)
    parameters = tuple(network.parameters())
    with torch.no_grad():
        for parameter in parameters:
            parameter.abs_()
    ones = torch.ones_like(half.inputs[0][:1])
    labels = None if half.labels[0] is None else half.labels[0][:1]
    with _Unnormalised():
        flow = Half(network, (ones,), (labels,)).batch().sum()
    slopes = torch.autograd.grad(flow, parameters, allow_unused=True)
    pairs = zip(parameters, slopes, strict=True)
    total = sum((value.detach() * slope).sum() for value, slope in pairs if slope is not None)
    return float(torch.log(torch.as_tensor(total)))


def has_foreign_norms(network: nn.Module) -> bool:
    """Whether weights are made by torch's parametrizations or hooks, which cannot be left out."""
    return any(
        parametrize.is_parametrized(module) or bool(module._forward_pre_hooks)
        for module in network.modules()
    )


def _leave_as_it_is(layer: SpectralNormLayer) -> None:
    vars(layer)["normalised_weight"] = lambda _: (layer.weight_orig, None)
