from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from report_samples import write_run

from nasgan.leaderboard.bootstrap import summarise
from nasgan.report.curves import incumbent_curve, mean_curve, training_curve
from nasgan.report.histories import (
    Checkpoint,
    RunHistory,
    Scored,
    read_run_history,
)
from nasgan.report.options import course_of, mean_course


def spent(steps: float) -> dict[str, float]:
    units = ("architectures", "generator_steps", "images", "device_seconds")
    return {**dict.fromkeys(units, 0.0), "generator_steps": steps}


def scored(
    steps: float, name: str, score: float | None, incumbent: str | None, **more: Any
) -> Scored:
    values = {"choices": {}, "stage": None, "fidelity": "shared", **more}
    return Scored(architecture=name, score=score, incumbent=incumbent, spent=spent(steps), **values)


def checkpoint(steps: float, name: str, **metrics: float) -> Checkpoint:
    return Checkpoint(name, metrics, spent(steps))


# Curves


def test_the_incumbent_has_the_score_that_was_seen_last() -> None:
    history = RunHistory(
        (
            scored(1, "a", None, None),  # failed: nothing is known yet
            scored(2, "b", 50.0, "b"),
            scored(3, "c", 60.0, "b"),
            scored(4, "d", 30.0, "d"),
            scored(5, "d", 33.0, "d"),  # scored again, longer
        )
    )
    curve = incumbent_curve(history, "generator_steps", stage=None)
    assert curve == [(2, 50.0), (3, 50.0), (4, 30.0), (5, 33.0)]


def test_of_several_scores_at_one_cost_the_last_counts() -> None:
    history = RunHistory((scored(2, "a", 9.0, "a"), scored(2, "b", 5.0, "b")))
    assert incumbent_curve(history, "generator_steps", stage=None) == [(2, 5.0)]


def test_stages_of_progressive_search_do_not_mix() -> None:
    lines = [scored(k, f"a{k}", 10.0 * k, f"a{k}", stage=k // 2) for k in range(6)]
    history = RunHistory(tuple(lines))
    assert history.last_stage == 2
    curve = incumbent_curve(history, "generator_steps", stage=2)
    assert curve == [(4, 40.0), (5, 50.0)]
    unstaged = RunHistory((scored(1, "a", 1.0, "a"),))
    assert unstaged.last_stage is None
    assert len(incumbent_curve(unstaged, "generator_steps", stage=2)) == 1


@pytest.mark.parametrize(
    ("smaller", "expected"),
    [(True, [(105, 9.0), (110, 7.0), (115, 7.0)]), (False, [(105, 9.0), (110, 9.0), (115, 9.0)])],
)
def test_a_training_curve_is_the_best_so_far_of_the_finalists(
    smaller: bool, expected: list[tuple[float, float]]
) -> None:
    history = RunHistory(
        checkpoints=(
            checkpoint(5, "winner", fid=9.0),
            checkpoint(10, "winner", fid=7.0),
            checkpoint(12, "winner", other=1.0),
            checkpoint(15, "second", fid=8.0),
            checkpoint(20, "random", fid=1.0),
        ),
        finalists=frozenset({"winner", "second"}),
    )
    curve = training_curve(
        history, "generator_steps", "fid", smaller_is_better=smaller, before=100.0
    )
    assert curve == expected


def test_a_given_architecture_needs_no_finalists() -> None:
    history = RunHistory(checkpoints=(checkpoint(5, "x", fid=3.0),))
    curve = training_curve(history, "generator_steps", "fid", smaller_is_better=True)
    assert curve == [(5, 3.0)]


def test_the_mean_is_of_step_functions_on_a_common_grid() -> None:
    curves = [[(0.0, 10.0), (4.0, 6.0)], [(2.0, 20.0), (3.0, 2.0)]]
    bands = mean_curve(curves)
    assert [(band.x, band.mean) for band in bands] == [(2, 15.0), (3, 6.0), (4, 4.0)]
    interval = summarise([10.0, 20.0])
    assert (bands[0].low, bands[0].high) == (interval.ci_low, interval.ci_high)


def test_the_grid_of_long_curves_is_thinned_and_keeps_the_ends() -> None:
    rng = random.Random(0)
    curves = [
        [(rng.uniform(0, 9), 1.0), *((10.0 + k + rng.random(), rng.random()) for k in range(500))]
        for _ in range(3)
    ]
    bands = mean_curve(curves)
    assert len(bands) <= 120
    assert bands[0].x == max(curve[0][0] for curve in curves)
    assert bands[-1].x == max(curve[-1][0] for curve in curves)
    ends = [curve[-1][1] for curve in curves]
    assert bands[-1].mean == pytest.approx(sum(ends) / 3)
    for band in bands[1:-1]:  # against the definition
        values = [max(p for p in curve if p[0] <= band.x)[1] for curve in curves]
        assert band.mean == pytest.approx(sum(values) / 3)
        assert band.low <= band.mean <= band.high


def test_one_seed_has_a_line_without_a_band_and_none_no_line() -> None:
    assert all(b.low == b.mean == b.high for b in mean_curve([[(1.0, 2.0), (2.0, 1.0)]]))
    assert mean_curve([[], []]) == []
    assert len(mean_curve([[], [(1.0, 1.0)]])) == 1


# Files


def test_a_history_is_read_from_what_a_run_writes(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "rl", "autogan", 0)
    history = read_run_history(tmp_path / "run" / "history.jsonl")
    assert history is not None
    assert (len(history.scored), len(history.checkpoints), history.damaged) == (48, 11, 0)
    assert len(history.finalists) == 1
    assert len(history.options) == 48
    assert history.scored[0].spent["generator_steps"] > 0
    assert read_run_history(tmp_path / "nothing.jsonl") is None


def test_damaged_lines_are_counted_and_one_being_written_is_not(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    good = {
        "kind": "checkpoint",
        "architecture": "a",
        "metrics": {"fid": 1.0, "is": None},
        "spent": spent(1),
    }
    lines = [
        json.dumps(good),
        '{"kind": "evaluation", "phase": "search"}',
        "not json",
        '{"kind": "checkpoint", "architecture": "a", "metrics": 3, "spent": {}}',
        "[1, 2]",
        '{"kind": "finalists", "architectures": null}',
        json.dumps(good)[:20],
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    history = read_run_history(path)
    assert history is not None
    assert (len(history.checkpoints), history.damaged) == (1, 5)
    assert history.checkpoints[0].metrics == {"fid": 1.0}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(good)[20:] + "\n")
    grown = read_run_history(path)
    assert grown is not None
    assert len(grown.checkpoints) == 2, "a file that has changed is read anew"


def test_long_histories_keep_few_option_lines_and_the_last(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    lines = [
        json.dumps(
            {"kind": "values", "options": {"d": [1 - k / 5000, k / 5000]}, "spent": spent(k)}
        )
        for k in range(5000)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    history = read_run_history(path)
    assert history is not None
    steps = [steps for steps, _ in history.options]
    assert 40 <= len(steps) <= 98
    assert (steps[0], steps[-1]) == (0, 4999)
    gaps = {b - a for a, b in pairwise(steps[:-1])}
    assert len(gaps) == 1, "evenly spread"


# Options


def options_line(steps: float, **shares: Any) -> tuple[float, dict[str, Any]]:
    return steps, shares


def test_learned_shares_are_placed_by_their_cost_and_add_up_to_one() -> None:
    history = RunHistory(
        options=(
            options_line(0, d=[2.0, 2.0]),
            options_line(75, d=[1.0, 3.0]),
            options_line(100, d=[0, 5]),
        )
    )
    course = course_of(history, {"d": ["left", "right"]})
    assert course is not None
    assert course.is_learned
    assert course.places == (0.0, 0.75, 1.0)
    assert course.shares["d"] == ((0.5, 0.5), (0.25, 0.75), (0.0, 1.0))
    assert course.options == {"d": ("left", "right")}


def test_shares_may_name_their_options_and_unknown_names_are_numbered() -> None:
    named = RunHistory(options=(options_line(0, d={"b": 0.25, "a": 0.75}),))
    course = course_of(named, {})
    assert course is not None
    assert course.options["d"] == ("b", "a")
    assert course_of(named, {"d": ["a", "b"]}).shares["d"] == ((0.75, 0.25),)  # type: ignore[union-attr]
    listed = course_of(RunHistory(options=(options_line(0, d=[1, 1]),)), {"d": ["only one"]})
    assert listed is not None
    assert listed.options["d"] == ("option 1", "option 2")


@pytest.mark.parametrize(
    "row", [[], [0, 0], ["x"], [-1, 2], [float("nan"), 1], [float("inf"), 1], 3, None, {"a": "b"}]
)
def test_what_is_no_share_is_left_out(row: Any) -> None:
    history = RunHistory(options=(options_line(0, d=row, e=[1.0]),))
    course = course_of(history, {})
    assert course is not None
    assert list(course.options) == ["e"]
    assert course_of(RunHistory(options=(options_line(0, d=row),)), {}) is None


def test_a_decision_that_opens_later_is_unknown_before() -> None:
    history = RunHistory(options=(options_line(0, a=[1, 1]), options_line(10, a=[1, 1], b=[1, 3])))
    course = mean_course([course_of(history, {})])  # type: ignore[list-item]
    assert course is not None
    assert course.shares["b"][0] is None
    assert course.shares["b"][-1] == (0.25, 0.75)


def test_scored_architectures_are_counted_in_windows() -> None:
    lines = [
        scored(k, f"a{k}", 1.0, None, choices={"d": "x" if k < 16 else "y"}) for k in range(32)
    ]
    course = course_of(RunHistory(tuple(lines)), {"d": ["y", "x", "never"]})
    assert course is not None
    assert not course.is_learned
    assert course.shares["d"] == ((0, 1, 0), (0, 1, 0), (1, 0, 0), (1, 0, 0))
    assert course_of(RunHistory(tuple(lines[:10])), {}) is None, "too few to tell"


def test_the_mean_course_is_over_the_seeds() -> None:
    courses = [
        course_of(
            RunHistory(options=(options_line(0, d=a), options_line(9, d=b))), {"d": ["x", "y"]}
        )
        for a, b in (([1, 1], [1, 0]), ([1, 3], [0, 1]))
    ]
    mean = mean_course([course for course in courses if course is not None])
    assert mean is not None
    assert mean.shares["d"][0] == (0.375, 0.625)
    assert mean.shares["d"][-1] == (0.5, 0.5)
    assert mean_course([]) is None
