"""Spectral normalisation that survives two passes, `torch.compile` and joint real-fake batches.

The weight is divided by its largest singular value sigma, tracked by one power iteration per
training pass (Miyato et al. 2018, section 2.2 and algorithm 1). Parameter and buffer names are
those of the classic `torch.nn.utils.spectral_norm`, so published checkpoints fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm as _ParametrizedSpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm as _HookSpectralNorm

from nasgan.errors import ConfigError
from nasgan.networks.passes import full_precision
from nasgan.networks.resampling import pooled_conv2d

__all__ = [
    "SNConv2d",
    "SNLinear",
    "SpectralNormLayer",
    "divisors",
    "joint_pass_is_exact",
    "sample_groups",
    "scale_spectral_norms",
]

_START_ITERATIONS = 15
_LAYERS = "_spectral_norm_layers"


class SpectralNormLayer(nn.Module):
    """Base of layers whose weight is divided by its spectral norm.

    ``weight_orig`` is trained; ``weight_u`` and ``weight_v`` hold the running estimate of its top
    singular pair. A training pass advances the estimate by one power iteration, an evaluation pass
    uses it as it is. Gradients flow through ``sigma = u^T W v`` with u and v constant. The estimate
    starts converged, so a network that was never trained can be evaluated.

    Attributes:
        scale: the spectral norm that the weight gets; set by `scale_spectral_norms`.
        groups: sizes of the successive parts of the batch that count as passes of their own; set
            by `sample_groups`.
        prepared: what the next `normalised_weight` gives; set by
            `nasgan.networks.batched_spectral_norm.normalised_together`.
        observer: told each time that the weight is normalised.
    """

    weight_orig: nn.Parameter
    weight_u: Tensor
    weight_v: Tensor
    bias: nn.Parameter | None
    pool: bool = False

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight_orig = weight
        self.register_parameter("bias", bias)
        rows, columns = weight.flatten(1).shape
        self.register_buffer("weight_u", F.normalize(torch.randn(rows), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(columns), dim=0))
        self.scale = 1.0
        self.groups: tuple[int, ...] | None = None
        self.prepared: tuple[Tensor, Tensor | None] | None = None
        self.observer: Callable[[SpectralNormLayer], object] | None = None
        if not weight.is_meta:
            self.update_singular_pair(_START_ITERATIONS)

    @torch.no_grad()
    def update_singular_pair(self, iterations: int) -> None:
        """Bring u and v closer to the top singular pair, e.g. after the weight was replaced."""
        self._power_iterations(self.weight_orig.flatten(1), iterations)

    def normalised_weight(self, batch_size: int) -> tuple[Tensor, Tensor | None]:
        """The weight to apply, and a factor per sample (batch_size,) for its output, or None.

        With `groups`, sample n of group g must see ``W / sigma_g``. It gets ``W / c`` and then the
        factor ``c / sigma_g``, where the constant c is the last group's sigma: factors close to 1
        lose nothing in reduced precision.

        Raises:
            ConfigError: the groups do not add up to the batch.
        """
        if self.observer is not None:
            self.observer(self)
        groups = self.groups if self.training else None
        if groups is not None and sum(groups) != batch_size:
            raise ConfigError(
                f"sample_groups{groups} describe {sum(groups)} samples, but the batch has "
                f"{batch_size}; give the sizes of the parts that were concatenated"
            )
        if self.prepared is not None:
            prepared, self.prepared = self.prepared, None
            return prepared
        if groups is None:
            return self.weight_orig / self._sigmas(1)[0], None
        sigmas = self._sigmas(len(groups))
        reference = sigmas[-1].detach()
        factors = [
            (reference / sigma).expand(size) for sigma, size in zip(sigmas, groups, strict=True)
        ]
        return self.weight_orig / reference, torch.cat(factors)

    def _sigmas(self, passes: int) -> list[Tensor]:
        """What to divide the weight by, at each of successive passes."""
        with full_precision(self.weight_orig.device):
            matrix = self.weight_orig.flatten(1)
            if self.training:
                with torch.no_grad():
                    pairs = self._power_iterations(matrix, passes)
            else:
                # Cloned: a later training pass overwrites the buffers that autograd has saved.
                pairs = [(self.weight_u.clone(), self.weight_v.clone())]
            return [divisors(torch.dot(u, torch.mv(matrix, v)), self.scale) for u, v in pairs]

    def _power_iterations(self, matrix: Tensor, count: int) -> list[tuple[Tensor, Tensor]]:
        pairs = []
        u, v = self.weight_u, self.weight_v
        for _ in range(count):
            v = F.normalize(torch.mv(matrix.t(), u), dim=0)
            u = F.normalize(torch.mv(matrix, v), dim=0)
            pairs.append((u, v))
        self.weight_u.copy_(u)
        self.weight_v.copy_(v)
        return pairs

    def _finish(self, output: Tensor, factor: Tensor) -> Tensor:
        """Apply the factor per sample, then the bias."""
        ones = (1,) * (output.ndim - 2)
        factor = factor.to(output.dtype).view(-1, 1, *ones)
        if self.bias is None:
            return output * factor
        # Not addcmul: its backward reads the maps once more than these two operations do.
        return (output * factor).add_(self.bias.to(output.dtype).view(1, -1, *ones))


class SNConv2d(SpectralNormLayer):
    """A spectrally normalised 2-d convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the kernel, pixels.
        stride: step of the kernel, pixels.
        padding: zeros around the input, pixels; by default those that keep its size.
        dilation: distance of the kernel's taps, pixels.
        bias: whether to add one.
        pool: average the output over 2x2 windows, computed as in `pooled_conv2d`; for stride and
            dilation 1, odd kernels and the default padding.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        bias: bool = True,
        pool: bool = False,
    ) -> None:
        plain_kernel = stride == dilation == 1 and padding is None and kernel_size % 2 == 1
        if pool and not plain_kernel:
            raise ConfigError(
                "SNConv2d(pool=True) needs an odd kernel, stride 1, dilation 1 and the default "
                "padding"
            )
        padding = dilation * (kernel_size // 2) if padding is None else padding
        plain = nn.Conv2d(in_channels, out_channels, kernel_size, bias=bias)
        super().__init__(*_weight_and_bias(plain))
        self.pool = pool
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.published_order = False

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, in_channels, H, W)."""
        weight, factor = self.normalised_weight(x.shape[0])
        bias = self.bias if factor is None else None
        if self.pool:
            y = pooled_conv2d(x, weight, bias, published_order=self.published_order)
        else:
            y = F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation)
        return y if factor is None else self._finish(y, factor)


class SNLinear(SpectralNormLayer):
    """A spectrally normalised linear layer.

    Args:
        in_features: length of an input vector.
        out_features: length of an output vector.
        bias: whether to add one.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__(*_weight_and_bias(nn.Linear(in_features, out_features, bias=bias)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_features) to (N, out_features)."""
        weight, factor = self.normalised_weight(x.shape[0])
        if factor is None:
            return F.linear(x, weight, self.bias)
        return self._finish(F.linear(x, weight), factor)


def scale_spectral_norms(network: nn.Module, scale: float) -> None:
    """Let the weights of ``network`` that are normalised have spectral norm ``scale``.

    Activations and residual sums shrink what passes through them; a constant per layer makes up for
    it (Wang et al. 2019 for a loss on distances, which 1 leaves too small). Not part of a
    checkpoint.
    """
    for layer in _layers_of(network):
        layer.scale = scale


def divisors(sigmas: Tensor, scale: float) -> Tensor:
    """What weights of spectral norms ``sigmas`` are divided by to have ``scale``."""
    return sigmas if scale == 1 else sigmas / scale


@contextmanager
def sample_groups(discriminator: nn.Module, sizes: Sequence[int]) -> Iterator[None]:
    """Let one training pass over a concatenated batch equal successive passes over its parts.

    Inside the block, each spectral norm advances once per part and normalises each part by its own
    estimate: logits, gradients and buffers are those of the passes one after the other. Exact only
    where `joint_pass_is_exact`.

    Args:
        discriminator: a network with layers of this module (compiled or not).
        sizes: samples of each part in the order of the batch, e.g. ``(n_real, n_fake)``.

    Raises:
        ConfigError: a size is not positive.
    """
    groups = tuple(sizes)
    if not groups or any(size < 1 for size in groups):
        raise ConfigError(f"sample groups must be positive sizes, got {groups}")
    layers = _layers_of(discriminator)
    before = [layer.groups for layer in layers]
    for layer in layers:
        layer.groups = groups
    try:
        yield
    finally:
        for layer, previous in zip(layers, before, strict=True):
            layer.groups = previous


def _layers_of(network: nn.Module) -> tuple[SpectralNormLayer, ...]:
    """Those of ``network``, looked for once: no network gets others later."""
    found: tuple[SpectralNormLayer, ...] | None = getattr(network, _LAYERS, None)
    if found is None:
        found = tuple(m for m in network.modules() if isinstance(m, SpectralNormLayer))
        setattr(network, _LAYERS, found)
    return found


def joint_pass_is_exact(discriminator: nn.Module) -> bool:
    """Whether real and fake images may share one pass under `sample_groups` without any change.

    Not so with layers that let samples of a batch see each other (batch norm), that draw random
    numbers (dropout), or that keep a spectral norm of another kind, whose state advances once per
    pass. A layer of your own that does such a thing says so: ``couples_samples = True``.
    """
    return not any(_depends_on_batch(module) for module in discriminator.modules())


def _depends_on_batch(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.instancenorm._InstanceNorm):
        return bool(module.track_running_stats)
    if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)):
        return True
    hooks = module._forward_pre_hooks.values()
    if isinstance(module, _ParametrizedSpectralNorm) or any(
        isinstance(hook, _HookSpectralNorm) for hook in hooks
    ):
        return True
    return bool(getattr(module, "couples_samples", False))


def _weight_and_bias(plain: nn.Module) -> tuple[nn.Parameter, nn.Parameter | None]:
    """The initial values of a plain layer."""
    parameters = dict(plain.named_parameters())
    return parameters["weight"], parameters.get("bias")
