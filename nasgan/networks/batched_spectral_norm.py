"""Spectral norms of many layers at once, batched by the shape of their weights.

The same numbers as layer by layer (`nasgan.networks.spectral_norm`), in a few batched operations: a
supernet's discriminator holds more than a hundred small convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nasgan.networks.spectral_norm import SpectralNormLayer, full_precision

__all__ = ["batched_spectral_norms"]

_LEAST_LENGTH = 1e-12


def batched_spectral_norms(layers: Sequence[SpectralNormLayer], stacked: Tensor) -> Tensor:
    """The spectral norm of each of ``layers``, advancing those that are in training.

    One power iteration in training, none in evaluation; gradients flow through
    ``sigma = u^T W v`` with u and v constant.

    Args:
        layers: convolutions of equal weight shape (O, I, k, k), all in the same mode.
        stacked: their weights (G, O, k, k, I); see `merged_convolution.stack_kernels`.

    Returns:
        (G,).
    """
    with full_precision(stacked.device):
        matrices = stacked.flatten(2)
        with torch.no_grad():
            u = torch.stack([layer.weight_u for layer in layers]).unsqueeze(1)
            if layers[0].training:
                v = _normalised(torch.bmm(u, matrices))
                u = _normalised(torch.bmm(v, matrices.transpose(1, 2)))
                _store(layers, u, v, stacked.shape)
            else:
                v = _in_memory_order(torch.stack([layer.weight_v for layer in layers]), stacked)
        # In this order the gradient of the weights is laid out as they are.
        return (torch.bmm(u, matrices) * v).sum((1, 2))


def _normalised(rows: Tensor) -> Tensor:
    """As `torch.nn.functional.normalize`: (G, 1, n) rows of length 1."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=2, keepdim=True)
    return rows / lengths.clamp_min_(_LEAST_LENGTH)


def _store(layers: Sequence[SpectralNormLayer], u: Tensor, v: Tensor, shape: Sequence[int]) -> None:
    """Write the singular pairs (G, 1, n) back, v in the order (I, k, k) of the layers."""
    count, _, height, width, channels = shape
    v = v.view(count, height, width, channels).permute(0, 3, 1, 2).flatten(1)
    torch._foreach_copy_([layer.weight_u for layer in layers], list(u.squeeze(1).unbind()))
    torch._foreach_copy_([layer.weight_v for layer in layers], list(v.unbind()))


def _in_memory_order(v: Tensor, stacked: Tensor) -> Tensor:
    count, _, height, width, channels = stacked.shape
    return v.view(count, channels, height, width).permute(0, 2, 3, 1).reshape(count, 1, -1)
