"""What the conformance suite of search spaces feeds to networks, and what it expects of them."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.contracts import SearchSpace
from nasgan.randomness import seeded, torch_generator

__all__ = [
    "BATCH",
    "TOLERANCE",
    "build_in_double",
    "draw_images",
    "draw_latents",
    "expect",
    "expect_equal",
    "expect_error",
    "expect_images",
    "expect_logits",
    "expect_reached",
    "expect_same_values",
    "label_arguments",
    "move_away",
    "own_randomness_only",
    "repeated",
    "through_a_file",
    "uniform_weights",
]

NetworkT = TypeVar("NetworkT", bound=nn.Module)

#: Largest difference of numbers in float64 that should be equal.
TOLERANCE = 1e-9
#: Samples in every batch.
BATCH = 2


def build_in_double(build: Callable[[], NetworkT], seed: int) -> NetworkT:
    """Build a network from ``seed``, in float64."""
    with seeded(seed, "check_search_space"):
        return build().double()


def draw_latents(space: SearchSpace, seed: int) -> Tensor:
    """Latents (N, latent_dim)."""
    shape = (BATCH, space.network.latent_dim)
    return torch.randn(shape, generator=torch_generator(seed, "latents"), dtype=torch.float64)


def draw_images(space: SearchSpace, side: int, seed: int) -> Tensor:
    """Images (N, image_channels, side, side) in [-1, 1]."""
    shape = (BATCH, space.network.image_channels, side, side)
    generator = torch_generator(seed, "images")
    return 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1


def label_arguments(space: SearchSpace) -> dict[str, Tensor]:
    """What the networks take beside latents or images: different classes, if there are any."""
    count = space.network.num_classes
    return {"labels": torch.arange(BATCH) % count} if count else {}


@torch.no_grad()
def move_away(network: nn.Module, seed: int) -> None:
    """Away from the initial values, which may be the same for all classes."""
    with seeded(seed, "check_search_space", "move"):
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def uniform_weights(count: int) -> Tensor:
    """The weight vector of a decision that mixes all options alike."""
    return torch.full((count,), 1.0 / count, dtype=torch.float64)


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once."""
    listed = list(names)
    return sorted({name for name in listed if listed.count(name) > 1})


def expect_error(
    act: Callable[[], object],
    expected: type[Exception] | tuple[type[Exception], ...],
    message: str,
) -> None:
    """Fail with ``message`` unless ``act`` raises one of the ``expected``."""
    try:
        act()
    except expected:
        return
    first = expected[0] if isinstance(expected, tuple) else expected
    raise AssertionError(f"{message}; it must raise {first.__name__}")


def expect_images(space: SearchSpace, images: Tensor, side: int, what: str) -> None:
    """Fail unless ``images`` are images of ``side``."""
    shape = (BATCH, space.network.image_channels, side, side)
    expect(images.shape == shape, f"{what} makes {tuple(images.shape)}, expected {shape}")
    inside = bool((images.abs() <= 1).all())
    expect(inside, f"{what} makes values outside [-1, 1] or not finite: end it with tanh")


def expect_logits(space: SearchSpace, logits: Tensor, what: str) -> None:
    """Fail unless ``logits`` are as many finite numbers per sample as the space has outputs."""
    shape = (BATCH, space.network.discriminator_outputs)
    expect(logits.shape == shape, f"{what} gives {tuple(logits.shape)}, expected {shape}")
    expect(bool(logits.isfinite().all()), f"{what} gives logits that are not finite")


def expect_reached(network: nn.Module, what: str) -> None:
    """Fail if a parameter has no gradient."""
    idle = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    expect(
        not idle,
        f"{what} holds parameters that no gradient reaches: {', '.join(idle[:5])}; build only what "
        f"is used",
    )


def expect_same_values(first: nn.Module, second: nn.Module, what: str) -> None:
    """Fail unless two networks of one seed are equal; ``what`` builds them."""
    other = second.state_dict()
    differing = [k for k, v in first.state_dict().items() if not torch.equal(v, other[k])]
    expect(
        not differing,
        f"`{what}` gives different values for one seed, e.g. in {differing[:3]}: draw them from "
        f"torch's global generator on the CPU",
    )


def expect_equal(found: Tensor, expected: Tensor, message: str) -> None:
    """Fail with ``message`` unless both are equal in float64."""
    error = float((found - expected).abs().max())
    expect(error <= TOLERANCE, f"{message}: by {error:.1e} in float64")


def expect(condition: bool, message: str) -> None:
    """Fail with ``message``, which says what to change, unless ``condition``."""
    if not condition:
        raise AssertionError(message)


@contextmanager
def own_randomness_only(
    what: str, *, advice: str = "draw from `self.run.rng(...)`"
) -> Iterator[None]:
    """Fail if the block draws from a global random generator."""
    before = _global_randomness()
    yield
    for name, state in _global_randomness().items():
        expect(state == before[name], f"{what} drew from the global generator of {name}: {advice}")


def _global_randomness() -> dict[str, object]:
    kind, keys, position, *_ = np.random.get_state(legacy=True)
    return {
        "python's random": random.getstate(),
        "numpy": (kind, np.asarray(keys).tobytes(), position),
        "torch": torch.random.get_rng_state().numpy().tobytes(),
    }


def through_a_file(state: dict[str, Any]) -> Any:
    """``state`` as a checkpoint gives it back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
