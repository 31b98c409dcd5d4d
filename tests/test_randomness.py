"""Named streams of one seed."""

from __future__ import annotations

import json

import numpy as np
import torch

from nasgan.randomness import RandomStreams, derive_seed, numpy_generator, seeded, torch_generator


def test_derived_seeds_never_change():
    """Pinned: another value would change every published result."""
    assert derive_seed(0, "latents") == 6_487_711_161_483_894_718
    assert 0 <= derive_seed(123, "a", 4) < 2**63


def test_names_and_seeds_part_the_streams():
    seeds = {
        derive_seed(seed, *names)
        for seed in range(20)
        for names in [(), ("a",), ("b",), ("a", "b"), ("ab",), ("a", 1), ("a", 11), ("a1",)]
    }
    assert len(seeds) == 20 * 8
    assert derive_seed(1, "1") != derive_seed(11)


def test_a_stream_does_not_depend_on_what_was_drawn_before():
    streams = RandomStreams(3, "strategy")
    streams["other"].random(100)
    assert streams["own"].random() == RandomStreams(3, "strategy")["own"].random()
    assert streams["own"].random() != RandomStreams(3, "final")["own"].random(2)[1]


def test_streams_continue_from_their_state_through_json():
    streams = RandomStreams(3, "strategy")
    streams["a"].random(7)
    streams["b"].standard_normal(3)
    state = json.loads(json.dumps(streams.state_dict()))
    expected = streams["a"].random(5), streams["b"].standard_normal(5), streams["new"].random()
    loaded = RandomStreams(3, "strategy")
    loaded["stale"].random()
    loaded.load_state_dict(state)
    found = loaded["a"].random(5), loaded["b"].standard_normal(5), loaded["new"].random()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert set(loaded.state_dict()) == {"a", "b", "new"}


def test_seeded_rules_the_block_and_puts_the_global_generator_back():
    torch.manual_seed(1)
    expected_after = torch.rand(3)
    torch.manual_seed(1)
    with seeded(0, "networks"):
        inside = torch.rand(4)
    assert torch.equal(torch.rand(3), expected_after)
    with seeded(0, "networks"):
        assert torch.equal(torch.rand(4), inside)
    with seeded(0, "other"):
        assert not torch.equal(torch.rand(4), inside)


def test_seeded_puts_the_generator_back_after_an_error():
    before = torch.random.get_rng_state()
    try:
        with seeded(0):
            torch.rand(1)
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.random.get_rng_state(), before)


def test_generators_of_one_name_agree_and_are_their_own():
    a, b = numpy_generator(5, "x"), numpy_generator(5, "x")
    assert a.random() == b.random()
    first = torch.rand(2, generator=torch_generator(5, "x"))
    assert torch.equal(first, torch.rand(2, generator=torch_generator(5, "x")))
    assert not torch.equal(first, torch.rand(2, generator=torch_generator(6, "x")))
