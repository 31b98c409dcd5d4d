"""Ranks of simulated searches: tests by the book, and intervals that do not claim too much."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest

from nasgan.leaderboard.searches import (
    FRACTIONS,
    critical_difference,
    over_time,
    summary_of,
)
from nasgan.report.simulated import critical_difference_svg, sentence

# Demšar (2006), table 5 (a): critical values of the two-tailed Nemenyi test at 0.05.
CRITICAL = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 10: 3.164}


def _record(strategy: str, seed: int, *found: tuple[int, float | None]) -> dict[str, Any]:
    """A search whose incumbents were known from these costs on."""
    return {
        "strategy": strategy,
        "seed": seed,
        "judged": found[-1][1] if found else None,
        "incumbents": [{"spent": {"generator_steps": s}, "judged": j} for s, j in found],
        "spent": {"generator_steps": 100},
    }


def _table(scores: dict[str, list[float | None]]) -> list[dict[str, Any]]:
    return [
        _record(name, seed, (100, score))
        for name, found in scores.items()
        for seed, score in enumerate(found)
    ]


@pytest.mark.parametrize(("count", "q"), CRITICAL.items())
def test_the_critical_difference_is_that_of_the_published_table(count, q):
    rng = np.random.default_rng(0)
    scores = {f"s{k}": list(rng.random(14)) for k in range(count)}
    found = critical_difference(_table(scores), "fid")
    assert found is not None
    assert found.difference == pytest.approx(q * np.sqrt(count * (count + 1) / (6 * 14)), abs=1e-3)
    assert (found.friedman is None) == (count == 2)


def test_average_ranks_and_what_they_do_not_tell_apart():
    # Always first, and three that take turns: of 4 strategies over 14 seeds 1.25 ranks differ.
    turns = [[2.0, 3.0, 4.0], [3.0, 4.0, 2.0], [4.0, 2.0, 3.0]]
    scores = {"best": [1.0] * 14, **{f"t{k}": [turns[k][n % 3] for n in range(14)] for k in (0, 1)}}
    scores["t2"] = [9.0 - scores["t0"][n] - scores["t1"][n] for n in range(14)]
    found = critical_difference(_table(scores), "fid")
    assert found is not None
    assert next(iter(found.ranks.items())) == ("best", 1.0)
    assert sum(found.ranks.values()) == pytest.approx(1 + 2 + 3 + 4)
    assert found.difference == pytest.approx(1.25, abs=0.01)
    assert [set(names) for names in found.alike] == [{"t0", "t1", "t2"}]
    assert found.friedman is not None
    assert found.friedman < 1e-3
    assert "not told apart: " in sentence(found)


def test_sets_that_overlap_are_both_named_and_none_twice():
    rng = np.random.default_rng(1)
    scores = {f"s{k}": list(0.25 * k + rng.random(20)) for k in range(4)}
    found = critical_difference(_table(scores), "fid")
    assert found is not None
    for names in found.alike:
        ranks = [found.ranks[name] for name in names]
        assert ranks[-1] - ranks[0] <= found.difference
        assert not any(set(names) < set(other) for other in found.alike)


def test_one_strategy_or_one_seed_is_too_few():
    assert critical_difference(_table({"a": [1.0, 2.0]}), "fid") is None
    assert critical_difference(_table({"a": [1.0], "b": [2.0]}), "fid") is None
    assert "too few" in sentence(None)


def test_a_hundred_wins_in_a_hundred_are_not_certainty():
    lines = summary_of(_table({"new": [1.0] * 100, "random": [2.0] * 100}), "fid", "random")
    better = lines[0].better
    assert better is not None
    # Wilson (1927) of 100 in 100: n / (n + z^2).
    assert (better.mean, better.ci_low) == (1.0, pytest.approx(100 / (100 + 1.959964**2)))
    assert better.ci_high == pytest.approx(1.0)
    half = summary_of(_table({"new": [1.0, 3.0] * 50, "random": [2.0] * 100}), "fid", "random")
    found = next(line.better for line in half if line.strategy == "new")
    assert found is not None
    assert (found.ci_low, found.ci_high) == (
        pytest.approx(0.4038, abs=1e-4),
        pytest.approx(0.5962, abs=1e-4),
    )


def test_the_gain_is_of_the_seeds_in_which_both_found_something():
    records = _table({"new": [1.0, 1.0, None], "random": [2.0, 4.0, 9.0]})
    line = next(line for line in summary_of(records, "fid", "random") if line.strategy == "new")
    assert line.gain is not None
    assert (line.gain.mean, line.gain.n) == (2.0, 2)
    more = next(line for line in summary_of(records, "is", "random") if line.strategy == "new")
    assert more.gain is not None
    assert more.gain.mean == -2.0


def test_a_strategy_with_few_seeds_takes_none_from_the_others():
    scores = {"new": [1.0, 1.5, 1.0, 3.0], "random": [2.0] * 4, "late": [3.0]}
    lines = {line.strategy: line for line in summary_of(_table(scores), "fid", "random")}
    assert {name: line.judged.n for name, line in lines.items()} == {
        "new": 4,
        "random": 4,
        "late": 1,
    }
    assert (lines["new"].better.mean, lines["new"].better.n) == (0.75, 4)
    assert (lines["new"].gain.mean, lines["late"].gain.mean) == (0.375, -1.0)
    # Ranks are among all, so of the seed that all have.
    assert {name: (line.rank.mean, line.rank.n) for name, line in lines.items()} == {
        "new": (1.0, 1),
        "random": (2.0, 1),
        "late": (3.0, 1),
    }


def test_over_time_counts_what_was_known_then():
    records = [
        *(_record("early", seed, (1, 6.0), (40, 5.0)) for seed in range(3)),
        *(_record("random", seed, (30, 4.0)) for seed in range(3)),
    ]
    moments = over_time(records, "fid", "random", "generator_steps", 100)
    assert [moment.fraction for moment in moments] == list(FRACTIONS)
    best = {moment.spent: moment.lines[0] for moment in moments}
    assert best[2.0].strategy == best[20.0].strategy == "early"
    assert best[30.0].strategy == best[100.0].strategy == "random"
    assert moments[0].lines[0].judged is not None
    assert moments[0].lines[0].judged.mean == 6.0
    assert moments[-1].lines[1].judged is not None
    assert moments[-1].lines[1].judged.mean == 5.0
    # Before its first result a search has none.
    assert moments[0].lines[1].without_result == 3


def test_the_diagram_is_a_picture_with_every_name():
    scores = {"a<b": [1.0, 1.0, 2.0], "b": [2.0, 3.0, 1.0], "c": [3.0, 2.0, 3.0]}
    found = critical_difference(_table(scores), "fid")
    assert found is not None
    drawing = critical_difference_svg(found)
    root = ElementTree.fromstring(drawing)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(root.itertext())
    assert all(f"{name} {rank:.2f}" in words for name, rank in found.ranks.items())
