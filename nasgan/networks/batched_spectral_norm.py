"""Spectral norms of many layers at once, batched by the shape of their weights.

The same numbers as layer by layer (`nasgan.networks.spectral_norm`) up to rounding, in a few
batched operations: a discriminator holds dozens of small layers, a supernet more than a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from nasgan.networks.passes import autocast_type, full_precision, launches_are_dear
from nasgan.networks.spectral_norm import SpectralNormLayer, divisors

__all__ = [
    "PassNorms",
    "batched_spectral_norms",
    "layers_used_once",
    "normalised_together",
    "spectral_norm_layers",
]

_LEAST_LENGTH = 1e-12


class PassNorms:
    """Normalises the weights of a network's layers together, pass by pass.

    Which layers a kind of pass uses is found at its first, by running it once in evaluation mode
    on one sample: no state moves, so that a resumed training finds the same.

    Args:
        network: a discriminator without decisions, whose passes of one kind use the same layers.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._pays = all(launches_are_dear(weight) for weight in network.parameters())
        self._layers: dict[Hashable, Sequence[SpectralNormLayer]] = {}

    def during(
        self, kind: Hashable, x: Tensor, labels: Tensor | None = None, **arguments: Any
    ) -> AbstractContextManager[None]:
        """Around a training pass ``network(x, labels=labels, **arguments)`` of that kind."""
        if not self._pays:
            return nullcontext()
        if kind not in self._layers:
            given = arguments if labels is None else {**arguments, "labels": labels[:1]}
            self._layers[kind] = layers_used_once(
                self._network, lambda: self._network(x[:1], **given)
            )
        return normalised_together(self._layers[kind])


def layers_used_once(network: nn.Module, run: Callable[[], object]) -> list[SpectralNormLayer]:
    """The layers of ``network`` that normalise their weight exactly once in ``run()``.

    Found by running it, in evaluation mode and without gradients: no state moves.
    """
    layers = list(spectral_norm_layers([network]))
    uses: list[SpectralNormLayer] = []
    before = network.training
    network.eval()
    try:
        for layer in layers:
            layer.observer = uses.append
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            run()
    finally:
        # Not for the pass to come: what autocast has cast here has no gradients.
        torch.clear_autocast_cache()
        network.train(before)
        for layer in layers:
            layer.observer = None
    return [layer for layer in layers if uses.count(layer) == 1]


def spectral_norm_layers(modules: Iterable[nn.Module]) -> Iterator[SpectralNormLayer]:
    """All such layers in ``modules``."""
    inside = (layer for module in modules for layer in module.modules())
    return (layer for layer in inside if isinstance(layer, SpectralNormLayer))


@contextmanager
def normalised_together(layers: Iterable[SpectralNormLayer]) -> Iterator[None]:
    """Normalise the weights of ``layers`` for one training pass, those of equal shape at once.

    On a CPU, where launches are cheap (it would gain 2 to 3 %), each layer goes on normalising its
    own, and of ``layers`` only the first is asked for.

    Args:
        layers: in training, of one network under the same `sample_groups`. Each that is used
            inside the block is used once; one that is not used keeps its estimate.
    """
    layers = iter(layers)
    first = next(layers, None)
    groups: list[_SameShape] = []
    if first is not None and launches_are_dear(first.weight_orig):
        groups = [_SameShape(members) for members in _by_shape(chain([first], layers))]
    try:
        yield
    finally:
        for group in groups:
            group.store()


def batched_spectral_norms(layers: Sequence[SpectralNormLayer], stacked: Tensor) -> Tensor:
    """The spectral norm of each of ``layers`` over their scale, advancing those in training.

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
                u, v = _iterated(u, matrices)
                _store(layers, u, _by_channel(v, stacked))
            else:
                v = _in_memory_order(torch.stack([layer.weight_v for layer in layers]), stacked)
        return divisors(_sigmas(u, matrices, v), layers[0].scale)


class _SameShape:
    """Layers of equal weight shape and memory format, each of which gets its normalised weight."""

    def __init__(self, layers: Sequence[SpectralNormLayer]) -> None:
        self._layers = layers
        weights: list[Tensor] = [layer.weight_orig for layer in layers]
        # Stacking and unstacking convolutions in the order of their memory moves nothing.
        self._permuted = _is_channels_last(weights[0])
        if self._permuted:
            weights = [weight.permute(0, 2, 3, 1) for weight in weights]
        self._stacked = torch.stack(weights)
        passes = layers[0].groups
        with full_precision(self._stacked.device):
            sigmas = self._advance(1 if passes is None else len(passes))
        reference = sigmas[-1] if passes is None else sigmas[-1].detach()
        shape = (-1, *(1,) * (self._stacked.ndim - 1))
        together = self._stacked / reference.view(shape)
        # Else each layer casts its own, under autocast. A kernel that is averaged is cast later.
        if not any(layer.pool for layer in layers):
            together = autocast_type(together)
        normalised = together.unbind()
        factors = [None] * len(layers) if passes is None else _factors(reference, sigmas, passes)
        for layer, weight, factor in zip(layers, normalised, factors, strict=True):
            layer.prepared = (weight.permute(0, 3, 1, 2) if self._permuted else weight, factor)

    def _advance(self, passes: int) -> list[Tensor]:
        """The norms (G,) at each of successive passes."""
        sigmas = []
        matrices = self._stacked.flatten(2)
        with torch.no_grad():
            u = torch.stack([layer.weight_u for layer in self._layers]).unsqueeze(1)
        for _ in range(passes):
            with torch.no_grad():
                u, v = _iterated(u, matrices)
            sigmas.append(divisors(_sigmas(u, matrices, v), self._layers[0].scale))
        self._pairs = u, v
        return sigmas

    @torch.no_grad()
    def store(self) -> None:
        """Keep the new singular pairs of the layers that were used."""
        u, v = self._pairs
        if self._permuted:
            v = _by_channel(v, self._stacked)
        used = [k for k, layer in enumerate(self._layers) if layer.prepared is None]
        for layer in self._layers:
            layer.prepared = None
        if len(used) < len(self._layers):
            u, v = u[used], v[used]
        if used:
            _store([self._layers[k] for k in used], u, v)


def _by_shape(layers: Iterable[SpectralNormLayer]) -> Iterator[list[SpectralNormLayer]]:
    """Those that have company."""
    groups: dict[object, list[SpectralNormLayer]] = {}
    for layer in layers:
        weight = layer.weight_orig
        groups.setdefault((weight.shape, _is_channels_last(weight)), []).append(layer)
    return (members for members in groups.values() if len(members) > 1)


def _is_channels_last(weight: Tensor) -> bool:
    return (
        weight.ndim == 4
        and not weight.is_contiguous()
        and weight.is_contiguous(memory_format=torch.channels_last)
    )


def _factors(reference: Tensor, sigmas: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
    """Of each layer, ``reference / sigma`` of the part that a sample (batch_size,) belongs to."""
    ratios = [(reference / sigma).unsqueeze(1) for sigma in sigmas]
    parts = [ratio.expand(-1, size) for ratio, size in zip(ratios, sizes, strict=True)]
    return list(torch.cat(parts, dim=1).unbind())


def _iterated(u: Tensor, matrices: Tensor) -> tuple[Tensor, Tensor]:
    """One power iteration: (G, 1, O) and (G, 1, N) for matrices (G, O, N)."""
    v = _normalised(torch.bmm(u, matrices))
    return _normalised(torch.bmm(v, matrices.transpose(1, 2))), v


def _sigmas(u: Tensor, matrices: Tensor, v: Tensor) -> Tensor:
    # In this order the gradient of the weights is laid out as they are.
    return (torch.bmm(u, matrices) * v).sum((1, 2))


def _normalised(rows: Tensor) -> Tensor:
    """As `torch.nn.functional.normalize`: (G, 1, n) rows of length 1."""
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=2, keepdim=True)
    return rows / lengths.clamp_min_(_LEAST_LENGTH)


def _store(layers: Sequence[SpectralNormLayer], u: Tensor, v: Tensor) -> None:
    """Write the singular pairs (G, 1, O) and (G, 1, N) back, v in the order (I, k, k)."""
    kept = [layer.weight_u for layer in layers] + [layer.weight_v for layer in layers]
    torch._foreach_copy_(kept, [*u.squeeze(1).unbind(), *v.squeeze(1).unbind()])


def _by_channel(v: Tensor, stacked: Tensor) -> Tensor:
    """Rows in the order (k, k, I) of ``stacked`` in the order (I, k, k) of the layers' weights."""
    count, _, height, width, channels = stacked.shape
    return v.view(count, height, width, channels).permute(0, 3, 1, 2).reshape(count, 1, -1)


def _in_memory_order(v: Tensor, stacked: Tensor) -> Tensor:
    count, _, height, width, channels = stacked.shape
    return v.view(count, channels, height, width).permute(0, 2, 3, 1).reshape(count, 1, -1)
