"""What zero-cost proxies measure: distinctions, gradients, kernels, images, synaptic flow."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nasgan.evaluation.zero_cost.untrained import Gradients, Half, eigenvalues
from nasgan.networks.spectral_norm import SpectralNormLayer

__all__ = [
    "Rectifiers",
    "conditioning",
    "gradient_norm",
    "has_foreign_norms",
    "jacobian_correlation",
    "ntk_condition",
    "ntk_mmd",
    "nwot",
    "radial_spectrum",
    "snip",
    "spectrum_distance",
    "synflow",
    "zico",
]

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


_STEP = 1e-2


def conditioning(half: Half, directions: Tensor) -> float:
    """Standard deviation of the logarithm of norm(G(z + d) - G(z)) / norm(d) over the first batch.

    0 where each step in the latents moves the images equally far (Odena et al. 2018).
    The logarithm makes it the same for a generator of more contrast.

    Args:
        half: the generator.
        directions: (B, latent_dim), of length 1; ``d`` is a hundredth of them.
    """
    z, labels = half.inputs[0], half.labels[0]
    with torch.no_grad():
        moved = half.run(z + _STEP * directions, labels) - half.run(z, labels)
    return float(torch.log(moved.flatten(1).norm(dim=1) / _STEP).std())


def spectrum_distance(generated: Tensor, real: Tensor) -> float:
    """Root mean square of the difference of the log radial spectra of two sets of images.

    After Chen et al. 2022 (ISNAS-DIP). Each spectrum is divided by its sum, so that an
    untrained generator's low contrast does not count.

    Args:
        generated: (N, C, H, W).
        real: (M, C, H, W).
    """
    logs = [torch.log(radial_spectrum(images)) for images in (generated, real)]
    return float((logs[0] - logs[1]).square().mean().sqrt())


def radial_spectrum(images: Tensor) -> Tensor:
    """The mean power at each distance from frequency 0, without that one; adds up to 1.

    Args:
        images: (N, C, S, S).

    Returns:
        (S // 2,): at distances rounded to 1, 2, ..., S // 2.
    """
    side = images.shape[-1]
    power = torch.fft.fft2(images).abs().square().mean(dim=(0, 1))
    frequency = torch.fft.fftfreq(side, 1 / side, device=images.device, dtype=images.dtype)
    distance = torch.hypot(frequency[:, None], frequency[None, :]).round()
    rings = [power[distance == radius].mean() for radius in range(1, side // 2 + 1)]
    spectrum = torch.stack(rings)
    return spectrum / spectrum.sum()


def snip(gradients: Gradients) -> float:
    """Sum of |parameter x gradient| on the first batch.

    Lee et al. 2019; of a whole network: Abdelfattah et al. 2021
    """
    pairs = zip(gradients.parameters, gradients.batches[0], strict=True)
    return float(sum((value * slope).abs().sum() for value, slope in pairs))


def gradient_norm(gradients: Gradients) -> float:
    """Sum of the norms of the gradients of all parameters (Abdelfattah et al. 2021)."""
    return float(sum(torch.linalg.vector_norm(slope) for slope in gradients.batches[0]))


def zico(gradients: Gradients) -> float:
    """Sum over layers of log sum of mean |g| / std g over the batches.

    Of the weights of convolutions and linear layers (Li et al. 2023, with the standard
    deviation of the signed gradients, as in the published code). Weights whose gradient does not
    differ between the batches are left out, and so are layers of nothing else.
    """
    layers = zip(gradients.parameters, *gradients.batches, strict=True)
    found = [_coefficients(torch.stack(slopes)) for value, *slopes in layers if value.dim() > 1]
    return float(sum(torch.log(each) for each in found if each > 0))


def _coefficients(slopes: Tensor) -> Tensor:
    """Of one layer, from its gradients (K, ...) on K batches; a scalar."""
    spread = slopes.std(dim=0, correction=0)
    varies = spread > 0
    return (slopes.abs().mean(dim=0)[varies] / spread[varies]).sum()


def ntk_condition(real: Tensor, fake: Tensor) -> float:
    """Decimal logarithm of the condition number of the NTK on real and generated images.

    Chen et al. 2021 (TE-NAS). At most what float64 can tell: 15.65.

    Args:
        real: gradients of the discriminator at real images, (N, P).
        fake: at generated ones, (M, P).
    """
    rows = torch.cat([real, fake])
    values = eigenvalues(rows @ rows.T)
    least = values[-1] * torch.finfo(values.dtype).eps
    return float(torch.log10(values[-1] / values[0].clamp(min=least)))


def ntk_mmd(real: Tensor, fake: Tensor) -> float:
    """Squared maximum mean discrepancy of real and generated images under the NTK.

    With k(x, y) the inner product of the gradients it is the squared distance of their means
    (Franceschi et al. 2022: what the discriminator's first steps see).

    Args:
        real: as `ntk_condition`.
        fake: as `ntk_condition`.
    """
    return float((real.mean(dim=0) - fake.mean(dim=0)).square().sum())


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
