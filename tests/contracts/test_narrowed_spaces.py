"""A space with fixed decisions is a space like any other, and part of the whole one."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import nasgan
from nasgan.cli.compose import compose
from nasgan.contracts import inherit_weights, narrowed
from nasgan.engine import load, run_config
from nasgan.errors import ArchitectureError, ConfigError, UnknownNameError
from nasgan.randomness import numpy_generator
from nasgan.testing import check_search_space

SMALL = {
    "image_size": 16,
    "image_channels": 1,
    "generator_channels": 6,
    "discriminator_channels": 5,
    "latent_dim": 7,
}
FIXED = {
    "autogan": {"cell1.shortcut": "on", "cell3.skip": "cell1", "cell2.upsample": "nearest"},
    "adversarial_nas": {"up1.1-3": "none", "up2.0-1": "bilinear", "down1.0-1": "conv_3x3"},
    "agan": {"up.block1.left.input": "prev", "down.block2.left.operation": "conv_3x3"},
    "baselines": {"discriminator": "dcgan"},
}


@pytest.mark.parametrize("name", FIXED)
def test_a_narrowed_space_conforms(name):
    check_search_space(
        nasgan.make_search_space(name, fixed=FIXED[name], **SMALL), architectures=2, classes=0
    )


@pytest.fixture
def whole():
    return nasgan.make_search_space("autogan", **SMALL)


@pytest.fixture
def narrow(whole):
    return narrowed(whole, FIXED["autogan"])


def test_its_size_is_exact_and_its_architectures_are_those_of_the_whole_space(whole, narrow):
    assert whole.size == 373_248
    assert narrow.size == 373_248 // (2 * 4 * 3)
    rng = numpy_generator(0, "test")
    first = narrow.sample(rng)
    for architecture in (first, narrow.mutate(first, rng, changes=5), narrow.sample(rng)):
        assert {k: architecture[k] for k in FIXED["autogan"]} == FIXED["autogan"]
        assert whole.architecture(dict(architecture.choices)) == architecture
        assert narrow.architecture(architecture).id == architecture.id


def test_an_architecture_with_another_option_is_refused_by_the_decisions_name(whole, narrow):
    first = whole.sample(numpy_generator(0, "test"))
    other = whole.architecture({**dict(first.choices), "cell1.shortcut": "off"})
    with pytest.raises(ArchitectureError, match=r"cell1\.shortcut=off, which .*sets to on"):
        narrow.build_generator(other)


def test_a_small_space_is_enumerated_and_a_large_one_refused(whole):
    keep = {"cell1.block", "cell2.skip", "cell3.norm"}
    fixed = {d.name: d.options[0] for d in whole.decisions if d.name not in keep}
    small = narrowed(whole, fixed)
    every = list(small.enumerate())
    assert small.size == len(set(every)) == len(every) == 2 * 2 * 3
    assert {tuple(a[name] for name in sorted(keep)) for a in every} == {
        (block, skip, norm)
        for block in ("post", "pre")
        for skip in ("none", "cell1")
        for norm in ("none", "batch", "instance")
    }
    with pytest.raises(ConfigError, match=r"3.732e\+05 architectures, too many"):
        next(whole.enumerate())


def test_enumeration_leaves_out_what_would_be_repaired():
    whole = nasgan.make_search_space("adversarial_nas", discriminator="autogan", **SMALL)
    keep = {"up1.1-3", "up1.2-3"}
    fixed = {d.name: d.options[-1] for d in whole.decisions if d.name not in keep}
    small = narrowed(whole, fixed)
    assert small.size == 49
    assert len(list(small.enumerate())) == 48, "none on both edges leaves node 3 unreachable"


def test_repair_keeps_what_is_fixed():
    whole = nasgan.make_search_space("adversarial_nas", **SMALL)
    # The published repair would give these first edges the identity.
    fixed = {"up1.1-3": "none", "up2.1-3": "none", "up3.1-4": "none"}
    narrow = narrowed(whole, fixed)
    nothing = tuple(d.options.index("none") if "none" in d.options else 0 for d in narrow.decisions)
    repaired = narrow.architecture(narrow.repair(nothing))
    assert {name: repaired[name] for name in fixed} == fixed
    rng = numpy_generator(1, "test")
    for _ in range(50):
        scores = [rng.dirichlet(np.full(len(d.options), 0.1)) for d in narrow.decisions]
        for drawn in (narrow.sample(rng), narrow.derive(scores)):
            assert {name: drawn[name] for name in fixed} == fixed


def test_fixing_what_no_architecture_can_have_is_refused():
    whole = nasgan.make_search_space("adversarial_nas", **SMALL)
    with pytest.raises(ConfigError, match=r"no valid architecture with up1\.1-3=none"):
        narrowed(whole, {"up1.1-3": "none", "up1.2-3": "none"})


@pytest.mark.parametrize(
    ("fixed", "error", "message"),
    [
        ({"cell1.shortcuts": "on"}, UnknownNameError, r"Did you mean 'cell1\.shortcut'"),
        ({"cell1.shortcut": "sometimes"}, ConfigError, "it has 0 = off, 1 = on"),
    ],
)
def test_unknown_decisions_and_options_are_named(whole, fixed, error, message):
    with pytest.raises(error, match=message):
        narrowed(whole, fixed)


def test_the_supernet_runs_the_fixed_options_and_trains_no_others(whole, narrow):
    torch.manual_seed(0)
    supernet = narrow.build_supernet()
    architecture = narrow.sample(numpy_generator(0, "test"))
    z = torch.randn(2, 7)
    weights = narrow.one_hot(architecture).generator
    supernet.eval()
    derived = narrow.build_generator(architecture).eval()
    inherit_weights(derived, supernet.generator)
    assert torch.equal(supernet.generator(z, weights), derived(z))
    assert torch.equal(supernet.generator(z, weights=weights), derived(z))
    frozen = {n for n, p in supernet.generator.named_parameters() if not p.requires_grad}
    unread = {n for n in frozen if n.startswith("cell2") and "deconv" in n.lower()}
    trained = [n for n, p in supernet.generator.named_parameters() if p.requires_grad]
    everything = whole.build_supernet().generator.named_parameters()
    assert frozen
    assert len(frozen) + len(trained) == len(list(everything))
    assert not unread & set(trained)
    with pytest.raises(ArchitectureError, match="of that length"):
        supernet.generator(z, whole.one_hot(architecture).generator)


def test_settings_rebuild_it_and_can_widen_and_free_it(narrow, whole):
    settings = json.loads(json.dumps(narrow.settings))
    rebuilt = nasgan.make_search_space("autogan", **settings)
    assert rebuilt.decisions == narrow.decisions
    wider = narrow.with_settings(generator_channels=12)
    assert wider.network.generator_channels == 12
    assert wider.decisions == narrow.decisions
    assert narrow.with_settings(fixed=None).decisions == whole.decisions


@pytest.mark.parametrize("strategy", ["random", "adversarial", "rl"])
def test_searches_in_a_narrowed_space_end_in_it(strategy, tmp_path):
    overrides = ["+experiment=debug/tiny", "progress=false", "threads=1", "device=cpu"]
    narrow = "search_space.fixed={cell1.shortcut: on, cell3.skip: cell1}"
    config = compose("search", [*overrides, f"strategy={strategy}", narrow])
    assert run_config(config, tmp_path).status == "completed"
    run = load(tmp_path)
    assert run.architecture["cell1.shortcut"] == "on"
    assert run.space.settings["fixed"] == {"cell1.shortcut": "on", "cell3.skip": "cell1"}
    trained = [*run.record.finalists, *run.record.average_random["evaluations"]]
    assert len(trained) == 2
    assert all(e["architecture"]["choices"]["cell3.skip"] == "cell1" for e in trained)
