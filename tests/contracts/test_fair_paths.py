"""Fair paths: every option of a decision comes equally often in the supernet's training."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nasgan.contracts import Budget
from nasgan.contracts.supernet import FairPaths
from nasgan.errors import ConfigError
from nasgan.testing import ToyRun, check_strategy
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.random.strategy import RandomSearch


def counts(paths, decision):
    return Counter(path[decision.name] for path in paths)


def test_after_each_round_every_option_has_come_equally_often():
    space, rng = ToySpace(), np.random.default_rng(0)
    fair = FairPaths(space)
    paths = [fair.draw(rng) for _ in range(60)]
    for decision in space.decisions:
        width = len(decision.options)
        for end in range(width, 61, width):
            assert set(counts(paths[:end], decision).values()) == {end // width}
    assert len(set(paths)) > 20  # decisions are drawn independently of each other


def test_the_supernet_is_trained_along_them_where_a_strategy_says_so():
    for kind, is_fair in (("fair", True), ("uniform", False)):
        run = ToyRun(ToySpace(), Budget(generator_steps=18, architectures=1), shared=True, seed=0)
        strategy = RandomSearch(num_candidates=1, supernet_paths=kind)
        strategy.setup(run)
        while not strategy.finished:
            strategy.step()
        drawn = [identifier for what, identifier, _ in run.trace.events if what == "path"]
        by_id = {architecture.id: architecture for architecture in run.space.enumerate()}
        paths = [by_id[identifier] for identifier in drawn]
        even = [len(set(counts(paths, d).values())) == 1 for d in run.space.decisions]
        assert len(paths) == 18
        assert all(even) == is_fair


def test_it_resumes_within_a_round():
    check_strategy(
        lambda: RandomSearch(num_candidates=2, supernet_paths="fair"), evaluators=("shared",)
    )


def test_other_paths_are_refused():
    with pytest.raises(ConfigError, match="supernet_paths must be uniform or fair, got 'even'"):
        RandomSearch(supernet_paths="even")
