"""Proxies of how a network tells samples apart: NWOT and the Jacobian correlation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nasgan.evaluation.zero_cost.untrained import Half, eigenvalues

__all__ = ["Rectifiers", "jacobian_correlation", "nwot"]

_aten = torch.ops.aten
_RECTIFIERS = {
    _aten.relu,
    _aten.relu_,
    _aten.leaky_relu,
    _aten.leaky_relu_,
    _aten._prelu_kernel,
}

# Added to the eigenvalues (Mellor et al. 2020, the published code's k).
_SMALL = 1e-5


class Rectifiers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which units of a pass are on, whatever a rectifier is called by.

    Attributes:
        signs: of each rectifier (B, units), 1 where the pre-activation is above 0.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.signs: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note the input of a rectifier before it runs."""
        if func.overloadpacket in _RECTIFIERS:
            self.signs.append((args[0].detach() > 0).flatten(1).double())
        return func(*args, **(kwargs or {}))


def nwot(half: Half) -> float:
    """Log det K, with K_ij the number of units that are alike on or off for samples i and j.

    Of all rectifiers (ReLU, leaky ReLU, PReLU) on the first batch. Mellor et al. 2021
    NaN without a rectifier.
    """
    with torch.no_grad(), Rectifiers() as seen:
        half.batch()
    if not seen.signs:
        return float("nan")
    kernel = sum(on @ on.T + (1 - on) @ (1 - on).T for on in seen.signs)
    assert isinstance(kernel, Tensor)
    return float(torch.linalg.slogdet(kernel).logabsdet)


def jacobian_correlation(half: Half) -> float:
    """-sum(log(v + e) + 1 / (v + e)), v the eigenvalues of the correlation of slopes, e = 1e-5.

    A slope is the gradient of the sum of a sample's outputs by its input, as in the published code;
    a logit is its own sum. Mellor et al. 2020 (the first version of NASWOT)
    """
    x = half.inputs[0].clone().requires_grad_()
    (slopes,) = torch.autograd.grad(half.run(x, half.labels[0]).sum(), x)
    values = eigenvalues(torch.corrcoef(slopes.flatten(1)))
    return -float((torch.log(values + _SMALL) + 1 / (values + _SMALL)).sum())
