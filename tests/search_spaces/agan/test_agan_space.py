"""AGAN's decisions, repair, sizes, settings and drawings."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasgan.architecture import Architecture
from nasgan.errors import ArchitectureError, ConfigError
from nasgan.randomness import numpy_generator
from nasgan_search_spaces.agan.decisions import agan_decisions
from nasgan_search_spaces.agan.repair import active, reachable_size, repaired
from nasgan_search_spaces.agan.space import AGANSpace

SPACE = AGANSpace(image_size=32)
VARIANTS = {
    "default": {},
    "separate": {"separate_normal": True},
    "attention": {"attention": True},
    "two blocks": {"blocks": 2},
    "no normal modules": {"normals_per_resample": 0, "blocks": 3},
    "many normal modules": {"normals_per_resample": 3},
}


def indices_of(space):
    return st.tuples(*[st.integers(0, len(d.options) - 1) for d in space.decisions])


def options_of(space, indices):
    return {d.name: d.options[i] for d, i in zip(space.decisions, indices, strict=True)}


def test_the_decisions_are_three_segments_of_four_blocks():
    names = [d.name for d in SPACE.decisions]
    assert list(dict.fromkeys(name.split(".")[0] for name in names)) == ["up", "down", "normal"]
    assert len(names) == 62
    assert names[:4] == [
        "up.block1.left.input",
        "up.block1.left.resample",
        "up.block1.right.input",
        "up.block1.right.resample",
    ]
    assert names[-2:] == ["normal.prev.upsample", "normal.prev.downsample"]
    by_name = {d.name: d for d in SPACE.decisions}
    assert by_name["down.block3.right.input"].options == ("input", "prev", "block1", "block2")
    assert {d.part for name, d in by_name.items() if name.startswith("up.")} == {"generator"}
    assert {d.part for name, d in by_name.items() if name.startswith("normal.block")} == {"both"}
    assert by_name["normal.prev.downsample"].part == "discriminator"
    assert len(SPACE.part_decisions("generator")) == len(SPACE.part_decisions("discriminator"))


def test_the_sizes_are_the_exact_ones():
    sources = (2 * 3 * 4 * 5) ** 2
    resampling = sources * 4**8 * 7**6
    assert SPACE.size == resampling**2 * sources * 7**8 * 4**2
    # By hand, of a slot behind k blocks: 4 ways for each module input, 7 for each block, ...
    resampling = (8 * 15 * 22 * 29) ** 2 - (4 * 11 * 18 * 25) ** 2
    # ... in the normal module always 7; without prev, how it is resized does not matter.
    every, one_input_only, blocks_only = ((7 * a) ** 2 for a in (2, 1, 0))
    every *= (7**3 * 3 * 4 * 5) ** 2
    one_input_only *= (7**3 * 2 * 3 * 4) ** 2
    blocks_only *= (7**3 * 1 * 2 * 3) ** 2
    input_only = one_input_only - blocks_only
    normal = (every - one_input_only - input_only) * 4**2 + input_only
    assert SPACE.reachable_size == resampling**2 * normal
    assert f"{SPACE.size:.1e} {SPACE.reachable_size:.1e}" == "1.6e+40 3.7e+31"


@pytest.mark.parametrize(("segment", "normals"), [("up", 1), ("down", 0), ("normal", 1)])
def test_the_reachable_size_counts_what_repair_leaves_alone(segment, normals):
    """All combinations of two options each, in two blocks."""
    decisions = [
        d if d.name.endswith("input") else replace(d, options=d.options[:2])
        for d in agan_decisions(
            blocks=2, separate_normal=False, attention=False, normals_per_resample=normals
        )
        if d.name.split(".")[0] == segment and d.name != "normal.prev.downsample"
    ]
    every = product(*[range(len(d.options)) for d in decisions])
    assert reachable_size(decisions) == sum(repaired(decisions, c) == c for c in every)


@pytest.mark.parametrize("variant", VARIANTS)
def test_repair_changes_nothing_twice_and_nothing_that_matters(variant):
    space = AGANSpace(image_size=32, **VARIANTS[variant])

    @settings(max_examples=40, deadline=None)
    @given(indices_of(space))
    def check(indices):
        fixed = space.repair(indices)
        assert space.repair(fixed) == fixed
        before, after = options_of(space, indices), options_of(space, fixed)
        running = active(after)
        for decision in space.decisions:
            if decision.name not in running:
                assert after[decision.name] == decision.options[0]
            elif not decision.name.endswith(".block1.left.input"):
                assert after[decision.name] == before[decision.name]
        for segment in {name.split(".")[0] for name in after}:
            reads = [o for n, o in after.items() if n.startswith(f"{segment}.block")]
            assert "input" in reads

    check()


def test_an_idle_decision_tells_no_architectures_apart():
    rng = numpy_generator(0, "idle")
    for _ in range(20):
        architecture = SPACE.sample(rng)
        running = active(dict(architecture))
        for k, decision in enumerate(SPACE.decisions):
            changed = list(SPACE.encode(architecture))
            changed[k] = (changed[k] + 1) % len(decision.options)
            same = SPACE.repair(tuple(changed)) == SPACE.encode(architecture)
            assert same == (decision.name not in running) or decision.name.endswith("input")


def test_an_idle_choice_is_refused_with_the_nearest_architecture():
    options = dict(SPACE.sample(numpy_generator(0, "refused")))
    options |= {"up.block2.left.input": "block1", "up.block2.left.resample": "bilinear"}
    with pytest.raises(ArchitectureError, match="the nearest valid one is"):
        SPACE.architecture(options)


def test_a_module_that_does_not_read_its_input_is_repaired():
    options = {d.name: d.options[0] for d in SPACE.decisions}
    options |= {name: "prev" for name in options if name.startswith("normal.") and "input" in name}
    indices = tuple(d.index(options[d.name]) for d in SPACE.decisions)
    fixed = options_of(SPACE, SPACE.repair(indices))
    assert fixed == options | {"normal.block1.left.input": "input"}


def test_mutants_differ_from_their_parent():
    rng = numpy_generator(0, "mutants")
    architecture = SPACE.sample(rng)
    assert all(SPACE.mutate(architecture, rng) != architecture for _ in range(100))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_settings_are_found_from_an_architecture(variant):
    space = AGANSpace(image_size=32, **VARIANTS[variant])
    architecture = space.sample(numpy_generator(3, variant))
    again = AGANSpace(image_size=16, **AGANSpace.settings_for(architecture))
    again.validate(architecture)
    assert [d.name for d in again.decisions] == [d.name for d in space.decisions]
    assert again.setup.attention == ("attention" in dict(architecture).values())


def test_an_architecture_without_attention_needs_no_setting_for_it():
    space = AGANSpace(image_size=32, attention=True)
    architecture = space.architecture([0] * len(space.decisions))
    assert AGANSpace.settings_for(architecture) == {"blocks": 4}
    SPACE.validate(architecture)
    foreign = Architecture("agan", 1, (("a", "b"),))
    assert AGANSpace.settings_for(foreign) == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": 18}, "nearest sizes are 16 and 20"),
        ({"image_size": 4}, "nearest sizes are 8"),
        ({"blocks": 0}, "blocks must be a whole number of at least 1"),
        ({"blocks": True}, "blocks must be"),
        ({"normals_per_resample": -1}, "normals_per_resample must be"),
        ({"output": "mean"}, "output must be one of sum, concat"),
        ({"attention": 1}, "attention must be true or false"),
        ({"image_size": 8, "normals_per_resample": 0}, "use images of 16 px and more"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        AGANSpace(**{"image_size": 32, **wrong})


def test_the_modules_are_drawn():
    options = {d.name: d.options[0] for d in SPACE.decisions} | {
        "normal.block2.left.input": "block1",
        "normal.block2.right.input": "prev",
        "normal.block2.left.operation": "conv_5x5",
        "normal.prev.upsample": "bilinear",
    }
    up, down, normal = SPACE.describe(SPACE.architecture(options))
    assert [g.title for g in (up, down, normal)] == [
        "up-sampling module",
        "down-sampling module",
        "normal module",
    ]
    assert [e.source for e in up.edges if e.target == "output"] == [
        f"block{k}" for k in range(1, 5)
    ]
    ends = [edge.source for edge in normal.edges if edge.target == "output"]
    assert ends == ["block2", "block3", "block4"]
    nodes = {node.id: node for node in normal.nodes}
    assert nodes["block2.left"].label == "conv 5×5"
    assert nodes["prev"].lines[0] == "after a resampling module: bilinear, conv 3×3"
    assert ("block1", "block2.left") in {(edge.source, edge.target) for edge in normal.edges}
    assert "prev" not in {node.id for node in up.nodes}


def test_decisions_repair_and_drawings_import_no_torch():
    code = (
        "import sys, nasgan_search_spaces.agan.repair, nasgan_search_spaces.agan.drawing\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
