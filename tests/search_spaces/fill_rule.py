"""The rule that fills networks and inputs with numbers independent of names and order.

The measured values in the fixtures beside this file were taken from the original networks, filled
this way.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasgan.networks.spectral_norm import SpectralNormLayer


def fill(network: nn.Module) -> nn.Module:
    """Fill ``network`` in float64 and put it in evaluation mode."""
    network = network.double().eval()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    of_norms = {id(p) for norm in norms for p in norm.parameters()}
    with torch.no_grad():
        for parameter in network.parameters():
            if id(parameter) not in of_norms:
                parameter.copy_(_parameter(parameter))
        for norm in norms:
            index = torch.arange(norm.num_features, dtype=torch.float64)
            norm.weight.fill_(1.0)
            norm.bias.zero_()
            norm.running_mean.copy_(0.1 * index.cos())
            norm.running_var.copy_(1 + 0.5 * index.sin() ** 2)
        for layer in network.modules():
            if isinstance(layer, SpectralNormLayer):
                u, _, v = torch.linalg.svd(layer.weight_orig.flatten(1), full_matrices=False)
                layer.weight_u.copy_(u[:, 0])
                layer.weight_v.copy_(v[0])
    return network


def latents(batch: int, latent_dim: int) -> Tensor:
    flat = torch.arange(batch * latent_dim, dtype=torch.float64)
    return (0.7 * flat + 0.3).sin().view(batch, latent_dim)


def images(batch: int, side: int) -> Tensor:
    flat = torch.arange(batch * 3 * side * side, dtype=torch.float64)
    return (0.013 * flat**1.1 + 0.2).sin().view(batch, 3, side, side)


def assert_images(measured: dict[str, Any], output: Tensor) -> None:
    """Hold images against the numbers measured on the original network."""
    assert list(output.shape) == measured["shape"]
    side = output.shape[-1]
    found = {
        "mean": output.mean(),
        "std": output.std(correction=0),
        "px_0_0": output[0, :, 0, 0],
        "px_mid": output[-1, :, side // 2, side // 2],
        "px_last": output[-1, :, -1, -1],
    }
    for key, value in found.items():
        expected = torch.tensor(measured[key], dtype=torch.float64)
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-10, msg=lambda m, k=key: k + m)
    assert output.abs().sum().item() == pytest.approx(measured["abs_sum"], abs=1e-8)


def _parameter(parameter: Tensor) -> Tensor:
    if parameter.ndim == 1:
        return 0.1 * torch.arange(len(parameter), dtype=torch.float64).cos()
    shape = (*parameter.shape, 1, 1)[:4]
    axes = [torch.arange(n, dtype=torch.float64) for n in shape]
    i0, i1, i2, i3 = torch.meshgrid(*axes, indexing="ij")
    phase = 0.37 * (i0 + 1) * (i1 + 2) + 1.3 * (i2 + 1) + 0.7 * (i3 + 1)
    phase = phase + 0.11 * (i2 + 1) * (i3 + 1)
    return (phase.sin() / math.sqrt(math.prod(shape[1:]))).view(parameter.shape)
