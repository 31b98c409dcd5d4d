"""The conformance suite of search spaces: built-in ones and plugins run the same checks."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nasgan.architecture import Architecture, Part
from nasgan.contracts import SearchSpace, Supernet, inherit_weights
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.graph import Graph
from nasgan.randomness import numpy_generator
from nasgan.testing.expectations import (
    BATCH,
    TOLERANCE,
    build_in_double,
    draw_images,
    draw_latents,
    expect,
    expect_equal,
    expect_error,
    expect_images,
    expect_logits,
    expect_reached,
    expect_same_values,
    label_arguments,
    move_away,
    repeated,
    uniform_weights,
)

__all__ = ["check_search_space"]


def check_search_space(
    space: SearchSpace, *, architectures: int = 4, classes: int = 3, seed: int = 0
) -> None:
    """Check that ``space`` keeps the contract of `nasgan.contracts.SearchSpace`.

    Give it a small space (16 px images, a few channels): it builds networks and runs them on the
    CPU in float64. A test of a plugin is one line::

        def test_conformance():
            check_search_space(MySpace(image_size=16, generator_channels=8, ...))

    Args:
        space: the space to check.
        architectures: how many architectures are drawn for the checks that build networks.
        classes: how many classes ``space``, if it ``supports_classes`` and has none now, gets for a
            second round of those checks, on one architecture; 0 leaves that round out.
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
        _check_drawings(space, architecture)
    _check_networks(space, distinct, seed)
    if not space.supports_classes:
        expect_error(
            lambda: space.with_settings(num_classes=3),
            ConfigError,
            "num_classes > 0 is accepted although `supports_classes` is false",
        )
    elif classes and not space.network.num_classes:
        _check_networks(space.with_settings(num_classes=classes), distinct[:1], seed)
    _check_outputs(space, distinct[0], seed)


@dataclass(frozen=True)
class _Probe:
    """A supernet in float64 and inputs for it."""

    space: SearchSpace
    supernet: Supernet
    seed: int

    def latents(self) -> Tensor:
        return draw_latents(self.space, self.seed)

    def images(self, side: int) -> Tensor:
        return draw_images(self.space, side, self.seed)


def _check_networks(space: SearchSpace, architectures: Sequence[Architecture], seed: int) -> None:
    for architecture in architectures:
        _check_derived(space, architecture, seed)
        _check_classes(space, architecture, seed)
    supernet = build_in_double(space.build_supernet, seed)
    if space.network.num_classes:
        move_away(supernet, seed)
    probe = _Probe(space, supernet, seed)
    for architecture in architectures:
        _check_paths(probe, architecture)
        _check_stages(probe, architecture)
    _check_mixture(probe)


def _check_decisions(space: SearchSpace) -> None:
    decisions = space.decisions
    names = [decision.name for decision in decisions]
    expect(len(decisions) > 0, "`decisions` is empty")
    expect(len(set(names)) == len(names), f"decision names repeat: {repeated(names)}")
    expect(decisions == space.decisions, "`decisions` changes between two reads: make it constant")
    size = math.prod(len(decision.options) for decision in decisions)
    expect(
        isinstance(space.size, int) and 1 <= space.size <= size,
        f"`size` must be an int between 1 and the product of the options, {size}; got {space.size}",
    )
    stages = sorted({decision.stage for decision in decisions})
    expect(
        stages == list(range(space.num_stages)),
        f"`num_stages` is {space.num_stages}, but the decisions have the stages {stages}; number "
        f"the stages 0, 1, 2, ... without gaps",
    )
    last = space.stage_image_size(space.num_stages - 1)
    expect(
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
    expect(len(graphs) > 0, "`describe` gives no drawing")
    expect(back == list(graphs), "a drawing of `describe` does not survive JSON")


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
    expect(
        again == space.sample(numpy_generator(3, "again")),
        "`sample` gives two architectures for one generator state: draw only from its argument",
    )
    foreign = Architecture("another space", space.version, drawn[0].choices)
    expect_error(
        lambda: space.validate(foreign),
        ArchitectureError,
        "`validate` accepts a foreign architecture",
    )
    short = space.encode(drawn[0])[:-1]
    expect_error(
        lambda: space.architecture(short),
        ArchitectureError,
        "`architecture` accepts too few choices",
    )


def _check_value(space: SearchSpace, architecture: Architecture) -> None:
    indices = tuple(d.index(architecture[d.name]) for d in space.decisions)
    expect(
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
        expect(
            space.architecture(choices) == architecture,
            f"`architecture` does not give back {architecture.id} from {form}: {choices}",
        )


def _check_settings(space: SearchSpace) -> None:
    settings = json.loads(json.dumps(space.settings))
    rebuilt = space.with_settings(**settings)
    expect(
        rebuilt.settings == space.settings and rebuilt.decisions == space.decisions,
        f"`settings` {settings} do not rebuild the space: return the arguments of your own "
        f"from `space_settings`",
    )


def _check_derived(space: SearchSpace, architecture: Architecture, seed: int) -> None:
    generator = build_in_double(lambda: space.build_generator(architecture), seed)
    discriminator = build_in_double(lambda: space.build_discriminator(architecture), seed)
    for build, network in (
        (space.build_generator, generator),
        (space.build_discriminator, discriminator),
    ):
        expect_same_values(
            network, build_in_double(partial(build, architecture), seed), build.__name__
        )
    labels = label_arguments(space)
    images = generator(draw_latents(space, seed), **labels)
    expect_images(space, images, space.network.image_size, f"the generator of {architecture.id}")
    # Two passes before one backward: the discriminator step of most trainers.
    logits = discriminator(images, **labels) + discriminator(-images, **labels)
    expect_logits(space, logits, f"the discriminator of {architecture.id}")
    logits.sum().backward()
    for half, network in (("generator", generator), ("discriminator", discriminator)):
        expect_reached(network, f"the {half} of {architecture.id}")


def _check_outputs(space: SearchSpace, architecture: Architecture, seed: int) -> None:
    """Discriminators of several outputs are built, or refused."""
    if not space.supports_outputs:
        expect_error(
            lambda: space.with_settings(discriminator_outputs=3),
            ConfigError,
            "discriminator_outputs > 1 is accepted although `supports_outputs` is false",
        )
        return
    wide = space.with_settings(discriminator_outputs=3, num_classes=0)
    images = draw_images(wide, wide.network.image_size, seed)
    derived = build_in_double(lambda: wide.build_discriminator(architecture), seed)
    shared = build_in_double(lambda: wide.build_supernet().discriminator, seed)
    path = wide.one_hot(architecture).discriminator
    for what, logits in (
        (f"the discriminator of {architecture.id}", derived(images)),
        ("the super-discriminator", shared(images, path)),
    ):
        expect_logits(wide, logits, f"{what} with discriminator_outputs=3")


def _check_classes(space: SearchSpace, architecture: Architecture, seed: int) -> None:
    """Networks with classes need labels and heed them; those without refuse them."""
    side, count = space.network.image_size, space.network.num_classes
    labels = torch.arange(BATCH) % max(count, 1)
    for half, build, x in (
        ("generator", space.build_generator, draw_latents(space, seed)),
        ("discriminator", space.build_discriminator, draw_images(space, side, seed)),
    ):
        network = build_in_double(partial(build, architecture), seed).eval()
        what = f"the {half} of {architecture.id}"
        if not count:
            # A network that has never heard of labels raises TypeError, as Python does.
            expect_error(
                partial(network, x, labels=labels),
                (ConfigError, TypeError),
                f"{what} accepts labels with num_classes=0",
            )
            continue
        expect_error(
            partial(network, x), (ConfigError, TypeError), f"{what} accepts a batch without labels"
        )
        move_away(network, seed)
        with torch.no_grad():
            found, other = network(x, labels=labels), network(x, labels=(labels + 1) % count)
        same = (found - other).abs().flatten(1).amax(1) < TOLERANCE
        expect(
            count == 1 or not bool(same.any()),
            f"{what} gives two classes the same output: it must depend on `labels`",
        )


def _check_paths(probe: _Probe, architecture: Architecture) -> None:
    """One-hot weights run the derived networks exactly."""
    space, side = probe.space, probe.space.network.image_size
    weights, labels = space.one_hot(architecture), label_arguments(space)
    halves = (
        ("generator", space.build_generator, probe.latents(), weights.generator),
        ("discriminator", space.build_discriminator, probe.images(side), weights.discriminator),
    )
    for half, build, x, path in halves:
        shared = getattr(probe.supernet, half).eval()
        derived = build(architecture).double().eval()
        inherit_weights(derived, shared)
        with torch.no_grad():
            expected, found = derived(x, **labels), shared(x, path, **labels)
        expect_equal(
            found,
            expected,
            f"the super-{half} with the one-hot weights of {architecture.id} differs from the "
            f"derived {half} with its weights",
        )
        tracked = [weight.clone().requires_grad_() for weight in path]
        expect_equal(
            shared(x, tracked, **labels).detach(),
            expected,
            f"the super-{half} with one-hot weights that require gradients differs from the "
            f"derived {half}: soft weights must continue the one-hot ones",
        )


def _check_stages(probe: _Probe, architecture: Architecture) -> None:
    space, labels = probe.space, label_arguments(probe.space)
    generator, discriminator = probe.supernet.generator.train(), probe.supernet.discriminator
    for stage in range(space.num_stages):
        weights = space.one_hot(architecture, stage=stage)
        images = generator(probe.latents(), weights.generator, stage=stage, **labels)
        what = f"the super-generator at stage {stage}"
        expect_images(space, images, space.stage_image_size(stage), what)
        inferred = generator(probe.latents(), weights.generator, **labels)
        expect(
            inferred.shape == images.shape,
            f"{what}: without `stage` it must go by the number of weights",
        )
        logits = discriminator(images, weights.discriminator, stage=stage, **labels)
        expect_logits(space, logits, f"the super-discriminator at stage {stage}")
        logits.sum().backward()
    probe.supernet.zero_grad()


def _check_mixture(probe: _Probe) -> None:
    """Soft weights carry gradients to every weight vector and every parameter."""
    space, labels = probe.space, label_arguments(probe.space)
    supernet = probe.supernet.train()
    parts: tuple[Part, ...] = ("generator", "discriminator")
    halves: list[list[Tensor]] = []
    for part in parts:
        decisions = space.part_decisions(part)
        halves.append([uniform_weights(len(d.options)).requires_grad_() for d in decisions])
    images = supernet.generator(probe.latents(), halves[0], **labels)
    expect_images(space, images, space.network.image_size, "the super-generator with soft weights")
    logits = supernet.discriminator(images, halves[1], **labels)
    expect_logits(space, logits, "the super-discriminator with soft weights")
    (logits.sum() + images.square().sum()).backward()
    for part, weights in zip(parts, halves, strict=True):
        decisions = space.part_decisions(part)
        for decision, weight in zip(decisions, weights, strict=True):
            if len(decision.options) > 1:
                expect(
                    weight.grad is not None and bool(weight.grad.isfinite().all()),
                    f"soft weights of {decision.name!r} get no finite gradient: mix its options "
                    f"(`nasgan.contracts.mix_options`)",
                )
        what = f"the super-{part} with soft weights"
        expect_reached(getattr(supernet, part), what)
