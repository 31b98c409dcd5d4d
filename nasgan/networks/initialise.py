"""Initial values of a network's layers, by the rule of the published trainers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nasgan.errors import UnknownNameError
from nasgan.networks.spectral_norm import SNConv2d

__all__ = ["Scheme", "initialise"]

Scheme = Literal["xavier_uniform", "normal", "orthogonal", "default"]

_STD = 0.02
_POWER_ITERATIONS = 15


@torch.no_grad()
def initialise(
    module: nn.Module,
    scheme: Scheme | str,
    *,
    include_spectral_norm: bool = False,
    generator: torch.Generator | None = None,
) -> None:
    """Give the layers of ``module`` their initial values, in place.

    Convolution weights follow the scheme (gain 1); batch norm weights are drawn from N(1, 0.02),
    their biases are 0. Linear layers, transposed convolutions and biases keep torch's defaults.
    Spectrally normalised convolutions keep them too unless ``include_spectral_norm``: in the
    published code the rule reached only a stale copy of their weight.

    Args:
        module: a network, changed in place.
        scheme: ``"xavier_uniform"``, ``"normal"`` (standard deviation 0.02), ``"orthogonal"``, or
            ``"default"``, which changes nothing.
        include_spectral_norm: also apply the scheme to spectrally normalised convolutions.
        generator: source of the random numbers; torch's global one by default.

    Raises:
        UnknownNameError: no such scheme.
    """
    if scheme not in get_args(Scheme):
        raise UnknownNameError("initialisation", scheme, get_args(Scheme))
    if scheme == "default":
        return
    fillers: dict[str, Callable[[Tensor], Tensor]] = {
        "xavier_uniform": lambda weight: nn.init.xavier_uniform_(weight, generator=generator),
        "normal": lambda weight: nn.init.normal_(weight, 0.0, _STD, generator=generator),
        "orthogonal": lambda weight: nn.init.orthogonal_(weight, generator=generator),
    }
    fill = fillers[scheme]
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fill(layer.weight)
        elif isinstance(layer, SNConv2d) and include_spectral_norm:
            fill(layer.weight_orig)
            layer.update_singular_pair(_POWER_ITERATIONS)
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, _STD, generator=generator)
            nn.init.zeros_(layer.bias)
