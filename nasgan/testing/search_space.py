"""The conformance suite of search spaces: built-in ones and plugins run the same checks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture, Part
from nasgan.contracts import SearchSpace, Supernet, inherit_weights
from nasgan.errors import ArchitectureError
from nasgan.graph import Graph
from nasgan.randomness import numpy_generator, seeded, torch_generator

__all__ = ["check_search_space"]

NetworkT = TypeVar("NetworkT", bound=nn.Module)

_TOLERANCE = 1e-9
_BATCH = 2


def check_search_space(space: SearchSpace, *, architectures: int = 4, seed: int = 0) -> None:
    """Check that ``space`` keeps the contract of `nasgan.contracts.SearchSpace`.

    Give it a small space (16 px images, a few channels): it builds networks and runs them on the
    CPU in float64. A test of a plugin is one line::

        def test_conformance():
            check_search_space(MySpace(image_size=16, generator_channels=8, ...))

    Args:
        space: the space to check.
        architectures: how many architectures are drawn for the checks that build networks.
        seed: seed of everything drawn.

    Raises:
        AssertionError: a check failed; says what the space's author should change.
    """
    rng = numpy_generator(seed, "check_search_space")
    _check_decisions(space)
    drawn = [space.sample(rng) for _ in range(20)]
    _check_values(space, drawn, rng)
    _check_settings(space)
    distinct = list(dict.fromkeys(drawn))[:architectures]
    for architecture in distinct:
        _check_derived(space, architecture, seed)
        _check_drawings(space, architecture)
    probe = _Probe(space, _built(space.build_supernet, seed), seed)
    for architecture in distinct:
        _check_paths(probe, architecture)
        _check_stages(probe, architecture)
    _check_mixture(probe)


@dataclass(frozen=True)
class _Probe:
    """A supernet in float64 and inputs for it."""

    space: SearchSpace
    supernet: Supernet
    seed: int

    def latents(self) -> Tensor:
        return _latents(self.space, self.seed)

    def images(self, side: int) -> Tensor:
        return _images(self.space, side, self.seed)


def _check_decisions(space: SearchSpace) -> None:
    decisions = space.decisions
    names = [decision.name for decision in decisions]
    _expect(len(decisions) > 0, "`decisions` is empty")
    _expect(len(set(names)) == len(names), f"decision names repeat: {_repeated(names)}")
    _expect(decisions == space.decisions, "`decisions` changes between two reads: make it constant")
    size = math.prod(len(decision.options) for decision in decisions)
    _expect(
        isinstance(space.size, int) and 1 <= space.size <= size,
        f"`size` must be an int between 1 and the product of the options, {size}; got {space.size}",
    )
    stages = sorted({decision.stage for decision in decisions})
    _expect(
        stages == list(range(space.num_stages)),
        f"`num_stages` is {space.num_stages}, but the decisions have the stages {stages}; number "
        f"the stages 0, 1, 2, ... without gaps",
    )
    last = space.stage_image_size(space.num_stages - 1)
    _expect(
        last == space.network.image_size,
        f"`stage_image_size` of the last stage must be image_size, got {last}",
    )


def _check_drawings(space: SearchSpace, architecture: Architecture) -> None:
    try:
        graphs = space.describe(architecture)
        back = [Graph.from_json(json.loads(json.dumps(graph.to_json()))) for graph in graphs]
    except ArchitectureError as error:
        raise AssertionError(
            f"`describe` of {architecture.id} gives no drawing: {error}"
        ) from error
    _expect(len(graphs) > 0, "`describe` gives no drawing")
    _expect(back == list(graphs), "a drawing of `describe` does not survive JSON")


def _check_values(
    space: SearchSpace, drawn: Sequence[Architecture], rng: np.random.Generator
) -> None:
    for architecture in drawn:
        _check_value(space, architecture)
        for changed in (
            space.mutate(architecture, rng),
            space.crossover(architecture, drawn[0], rng),
        ):
            _check_value(space, changed)
    again = space.sample(numpy_generator(3, "again"))
    _expect(
        again == space.sample(numpy_generator(3, "again")),
        "`sample` gives two architectures for one generator state: draw only from its argument",
    )
    foreign = Architecture("another space", space.version, drawn[0].choices)
    _expect_error(lambda: space.validate(foreign), "`validate` accepts a foreign architecture")
    short = space.encode(drawn[0])[:-1]
    _expect_error(lambda: space.architecture(short), "`architecture` accepts too few choices")


def _check_value(space: SearchSpace, architecture: Architecture) -> None:
    indices = tuple(d.index(architecture[d.name]) for d in space.decisions)
    _expect(
        space.repair(indices) == indices,
        f"`repair` changes {list(indices)}, which it gave or let pass itself; it must leave valid "
        f"architectures alone",
    )
    space.validate(architecture)
    stored = json.loads(json.dumps(architecture.to_json()))
    for form, choices in {
        "encode": space.encode(architecture),
        "a mapping": dict(architecture.choices),
        "option names": [[option] for _, option in architecture],
        "JSON": Architecture.from_json(stored),
    }.items():
        _expect(
            space.architecture(choices) == architecture,
            f"`architecture` does not give back {architecture.id} from {form}: {choices}",
        )


def _check_settings(space: SearchSpace) -> None:
    settings = json.loads(json.dumps(space.settings))
    rebuilt = type(space)(**settings)
    _expect(
        rebuilt.settings == space.settings and rebuilt.decisions == space.decisions,
        f"`settings` {settings} do not rebuild the space: return the arguments of your own "
        f"from `space_settings`",
    )


def _check_derived(space: SearchSpace, architecture: Architecture, seed: int) -> None:
    generator = _built(lambda: space.build_generator(architecture), seed)
    discriminator = _built(lambda: space.build_discriminator(architecture), seed)
    for build, network in (
        (space.build_generator, generator),
        (space.build_discriminator, discriminator),
    ):
        _expect_same_values(network, _built(partial(build, architecture), seed), build.__name__)
    images = generator(_latents(space, seed))
    _expect_images(space, images, space.network.image_size, f"the generator of {architecture.id}")
    # Two passes before one backward: the discriminator step of most trainers.
    logits = discriminator(images) + discriminator(-images)
    _expect_logits(logits, f"the discriminator of {architecture.id}")
    logits.sum().backward()
    for half, network in (("generator", generator), ("discriminator", discriminator)):
        _expect_reached(network, f"the {half} of {architecture.id}")


def _check_paths(probe: _Probe, architecture: Architecture) -> None:
    """One-hot weights run the derived networks exactly."""
    space, side = probe.space, probe.space.network.image_size
    weights = space.one_hot(architecture)
    halves = (
        ("generator", space.build_generator, probe.latents(), weights.generator),
        ("discriminator", space.build_discriminator, probe.images(side), weights.discriminator),
    )
    for half, build, x, path in halves:
        shared = getattr(probe.supernet, half).eval()
        derived = build(architecture).double().eval()
        inherit_weights(derived, shared)
        with torch.no_grad():
            expected, found = derived(x), shared(x, path)
        _expect_equal(
            found,
            expected,
            f"the super-{half} with the one-hot weights of {architecture.id} differs from the "
            f"derived {half} with its weights",
        )
        tracked = [weight.clone().requires_grad_() for weight in path]
        _expect_equal(
            shared(x, tracked).detach(),
            expected,
            f"the super-{half} with one-hot weights that require gradients differs from the "
            f"derived {half}: soft weights must continue the one-hot ones",
        )


def _check_stages(probe: _Probe, architecture: Architecture) -> None:
    space = probe.space
    generator, discriminator = probe.supernet.generator.train(), probe.supernet.discriminator
    for stage in range(space.num_stages):
        weights = space.one_hot(architecture, stage=stage)
        images = generator(probe.latents(), weights.generator, stage=stage)
        what = f"the super-generator at stage {stage}"
        _expect_images(space, images, space.stage_image_size(stage), what)
        inferred = generator(probe.latents(), weights.generator)
        _expect(
            inferred.shape == images.shape,
            f"{what}: without `stage` it must go by the number of weights",
        )
        logits = discriminator(images, weights.discriminator, stage=stage)
        _expect_logits(logits, f"the super-discriminator at stage {stage}")
        logits.sum().backward()
    probe.supernet.zero_grad()


def _check_mixture(probe: _Probe) -> None:
    """Soft weights carry gradients to every weight vector and every parameter."""
    space = probe.space
    supernet = probe.supernet.train()
    parts: tuple[Part, ...] = ("generator", "discriminator")
    halves: list[list[Tensor]] = []
    for part in parts:
        decisions = space.part_decisions(part)
        halves.append([_uniform(len(d.options)).requires_grad_() for d in decisions])
    images = supernet.generator(probe.latents(), halves[0])
    _expect_images(space, images, space.network.image_size, "the super-generator with soft weights")
    logits = supernet.discriminator(images, halves[1])
    _expect_logits(logits, "the super-discriminator with soft weights")
    (logits.sum() + images.square().sum()).backward()
    for part, weights in zip(parts, halves, strict=True):
        decisions = space.part_decisions(part)
        for decision, weight in zip(decisions, weights, strict=True):
            if len(decision.options) > 1:
                _expect(
                    weight.grad is not None and bool(weight.grad.isfinite().all()),
                    f"soft weights of {decision.name!r} get no finite gradient: mix its options "
                    f"(`nasgan.contracts.mix_options`)",
                )
        what = f"the super-{part} with soft weights"
        _expect_reached(getattr(supernet, part), what)


def _built(build: Callable[[], NetworkT], seed: int) -> NetworkT:
    with seeded(seed, "check_search_space"):
        return build().double()


def _latents(space: SearchSpace, seed: int) -> Tensor:
    shape = (_BATCH, space.network.latent_dim)
    return torch.randn(shape, generator=torch_generator(seed, "latents"), dtype=torch.float64)


def _images(space: SearchSpace, side: int, seed: int) -> Tensor:
    shape = (_BATCH, space.network.image_channels, side, side)
    generator = torch_generator(seed, "images")
    return 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1


def _uniform(count: int) -> Tensor:
    return torch.full((count,), 1.0 / count, dtype=torch.float64)


def _repeated(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return sorted({name for name in listed if listed.count(name) > 1})


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _expect_error(act: Callable[[], object], message: str) -> None:
    try:
        act()
    except ArchitectureError:
        return
    raise AssertionError(f"{message}; it must raise ArchitectureError")


def _expect_images(space: SearchSpace, images: Tensor, side: int, what: str) -> None:
    shape = (_BATCH, space.network.image_channels, side, side)
    _expect(images.shape == shape, f"{what} makes {tuple(images.shape)}, expected {shape}")
    inside = bool((images.abs() <= 1).all())
    _expect(inside, f"{what} makes values outside [-1, 1] or not finite: end it with tanh")


def _expect_logits(logits: Tensor, what: str) -> None:
    shape = (_BATCH, 1)
    _expect(logits.shape == shape, f"{what} gives {tuple(logits.shape)}, expected {shape}")
    _expect(bool(logits.isfinite().all()), f"{what} gives logits that are not finite")


def _expect_reached(network: nn.Module, what: str) -> None:
    idle = [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None]
    _expect(
        not idle,
        f"{what} holds parameters that no gradient reaches: {', '.join(idle[:5])}; build only what "
        f"is used",
    )


def _expect_same_values(first: nn.Module, second: nn.Module, what: str) -> None:
    other = second.state_dict()
    differing = [k for k, v in first.state_dict().items() if not torch.equal(v, other[k])]
    _expect(
        not differing,
        f"`{what}` gives different values for one seed, e.g. in {differing[:3]}: draw them from "
        f"torch's global generator on the CPU",
    )


def _expect_equal(found: Tensor, expected: Tensor, message: str) -> None:
    error = float((found - expected).abs().max())
    _expect(error <= _TOLERANCE, f"{message}: by {error:.1e} in float64")
