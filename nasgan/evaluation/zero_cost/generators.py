"""Proxies of the generator's map: its conditioning, and the spectrum of its images."""

from __future__ import annotations

import torch
from torch import Tensor

from nasgan.evaluation.zero_cost.untrained import Half

__all__ = ["conditioning", "radial_spectrum", "spectrum_distance"]

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
