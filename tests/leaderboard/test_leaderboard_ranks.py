"""Ranks within tasks, and strategies compared over tasks."""

from __future__ import annotations

import csv
import io
import itertools
import random

import numpy as np
import pytest
from record_samples import DIGITS, average_random, evaluation, record, sound_record
from scipy import stats

from nasgan.errors import ConfigError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.ranks import Comparison, compare_strategies, holm, signed_rank_p_value
from nasgan.leaderboard.rows import AVERAGE_RANDOM, Row, Task
from nasgan.runs.record import RunRecord

OBJECTIVE = {"metric": "sharpness", "direction": "max"}
SPACES = ("agan", "autogan", "adversarial_nas")


def seeds(
    strategy: str, *fids: float, space: str = "autogan", **changes: object
) -> list[RunRecord]:
    return [
        sound_record(strategy, seed, fid, search_space=space, **changes)
        for seed, fid in enumerate(fids)
    ]


def three_tasks() -> list[RunRecord]:
    records = []
    for k, space in enumerate(SPACES):
        records += seeds("rl", 10.0 + k, 11.0, 12.0, space=space)
        records += seeds("random", 30.0, 31.0, 32.0 + k, space=space)
        records += seeds(
            "adversarial", *((5.0, 6.0, 7.0) if k else (50.0, 51.0, 52.0)), space=space
        )
    return records


def comparison_of(board: Leaderboard) -> Comparison:
    assert board.comparison is not None
    return board.comparison


def row(strategy: str, task: str, mean: float) -> Row:
    task_of = Task(task, 0, "d", "c", "", DIGITS)._asdict()
    return {**task_of, "strategy": strategy, "fid_mean": mean, "rank": 1}


@pytest.mark.parametrize(
    "other",
    [
        {"search_space": "agan"},
        {"dataset": "faces"},
        {"dataset_info": {"checksum": "ffff", "num_images": 9}},
        {"space_settings": {"num_classes": 10}},
        {"final": 200},
        {"budget": {**dict.fromkeys(("architectures", "images", "device_seconds")),
                    "generator_steps": 99}},
    ],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_rows_of_different_tasks_are_not_ranked_against_each_other(
    other: dict[str, object],
) -> None:
    records = seeds("random", 20.0, 21.0, 22.0)
    records += [
        sound_record("rl", seed, fid, **other) for seed, fid in enumerate((30.0, 31.0, 32.0))
    ]
    board = build_leaderboard(records)
    assert [r["rank"] for r in board.rows] == [1, 1]
    assert len({Task.of(r) for r in board.rows}) == 2
    assert board.to_markdown().count("| Rank |") == 2, "a table for each"


def test_the_budget_says_limits_and_training() -> None:
    board = build_leaderboard(seeds("random", 20.0))
    assert board.rows[0]["budget"] == "search 10 architectures; final 2 x 100 steps"
    unlimited = {"budget": dict.fromkeys(record().budget)}
    board = build_leaderboard(seeds("random", 20.0, **unlimited))
    assert board.rows[0]["budget"] == "search without limit; final 2 x 100 steps"
    trained = record(
        "train", kind="train", architecture_name="dcgan",
        config={"training": {"generator_steps": 5000}},
    )  # fmt: skip
    assert build_leaderboard([trained]).rows[0]["budget"] == "training 5000 generator steps"


def test_the_average_random_architecture_is_ranked_in_the_task_of_its_runs() -> None:
    records = [
        sound_record("rl", s, 20.0 + s, average_random=average_random(evaluation(s, fid=40.0 + s)))
        for s in range(3)
    ]
    board = build_leaderboard(records)
    assert [(r["strategy"], r["rank"]) for r in board.rows] == [("rl", 1), (AVERAGE_RANDOM, 2)]
    assert len({Task.of(r) for r in board.rows}) == 1


def test_open_ranks_are_those_that_the_intervals_allow() -> None:
    records = [
        *seeds("clear", 10.0, 11.0, 12.0),
        *seeds("tied", 11.5, 12.0, 12.5),
        *seeds("wide", 5.0, 40.0, 60.0),
        *seeds("worse", 30.0, 31.0, 32.0),
        *seeds("worst", 80.0, 80.5, 81.0),
    ]
    board = build_leaderboard(records)
    found = {r["strategy"]: (r["rank"], r["rank_low"], r["rank_high"]) for r in board.rows}
    assert found == {
        "clear": (1, 1, 3),
        "tied": (1, 1, 3),
        "wide": (1, 1, 4),
        "worse": (4, 3, 4),
        "worst": (5, 5, 5),
    }
    assert "| 1 (1 to 3) | clear |" in board.to_markdown()
    assert "| 5 | worst |" in board.to_markdown()


def test_intervals_that_touch_leave_the_ranks_open() -> None:
    rows = build_leaderboard(seeds("a", 10.0, 11.0, 12.0) + seeds("b", 12.0, 13.0, 14.0)).rows
    assert [(r["rank"], r["rank_low"], r["rank_high"]) for r in rows] == [
        (1, 1, 2),
        (1, 1, 2),
    ]


def test_open_ranks_of_a_metric_where_more_is_better() -> None:
    records = [
        sound_record(name, seed, metrics={"is": value + seed / 10}, finalists=[])
        for name, value in (("low", 5.0), ("high", 8.0))
        for seed in range(3)
    ]
    rows = build_leaderboard(records, rank_by="is").rows
    assert [(r["strategy"], r["rank_low"], r["rank_high"]) for r in rows] == [
        ("high", 1, 1),
        ("low", 2, 2),
    ]


def test_average_ranks_are_over_tasks() -> None:
    found = comparison_of(build_leaderboard(three_tasks()))
    assert len(found.tasks) == 3
    ranks = {rank.strategy: rank for rank in found.ranks}
    assert [rank.strategy for rank in found.ranks] == ["adversarial", "rl", "random"]
    assert ranks["rl"].average_rank == pytest.approx((2 + 1 + 2) / 3)
    assert ranks["adversarial"].average_rank == pytest.approx((1 + 3 + 1) / 3)
    assert (ranks["adversarial"].ci_low, ranks["adversarial"].ci_high) == (1.0, 3.0)
    assert [ranks[name].n_best for name in ("rl", "random", "adversarial")] == [1, 0, 2]
    pair = next(p for p in found.pairs if {p.first, p.second} == {"rl", "random"})
    assert (pair.first, pair.n_better, pair.n_worse) == ("rl", 3, 0)
    assert pair.p_value == pytest.approx(0.25), "the least that three tasks allow"
    assert pair.p_holm == pytest.approx(0.75)


def test_equal_means_share_a_rank() -> None:
    rows = [row("a", "t1", 1.0), row("b", "t1", 1.0), row("a", "t2", 1.0), row("b", "t2", 3.0)]
    found = compare_strategies(rows, "fid")
    assert found is not None
    assert [(rank.strategy, rank.average_rank) for rank in found.ranks] == [
        ("a", 1.25),
        ("b", 1.75),
    ]


def test_a_strategy_that_lacks_a_task_or_has_two_settings_is_left_out_and_told() -> None:
    records = three_tasks() + seeds("evolution", 1.0, 1.1, 1.2)
    records += [
        sound_record("rl", seed, 3.0 + seed, lr=1.0, run_id=f"again{seed}") for seed in range(3)
    ]
    board = build_leaderboard(records)
    found = comparison_of(board)
    assert [rank.strategy for rank in found.ranks] == ["adversarial", "random"]
    assert [problem.source for problem in found.left_out] == ["evolution", "rl"]
    assert "in 1 of 3 tasks" in found.left_out[0].message
    assert "several settings" in found.left_out[1].message
    assert "evolution: has ranked rows" in board.to_markdown()


def test_nothing_is_compared_where_there_is_one_task_or_one_strategy() -> None:
    assert build_leaderboard(seeds("rl", 1.0, 2.0, 3.0)).comparison is None
    two = seeds("rl", 1.0, 2.0, 3.0) + seeds("random", 1.0, 2.0, 3.0)
    board = build_leaderboard(two)
    assert board.comparison is None
    with pytest.raises(ConfigError, match="two tasks"):
        board.ranks_csv()
    one = [*seeds("rl", 1.0, 2.0, 3.0), *seeds("rl", 1.0, 2.0, 3.5, space="agan")]
    assert build_leaderboard(one).comparison is None


def test_given_architectures_are_no_strategies() -> None:
    trained = [
        record(
            "train", seed, 5.0 + seed, kind="train", architecture_name="dcgan",
            search_space=space, run_id=f"t{space}{seed}",
        )
        for space in SPACES
        for seed in range(3)
    ]  # fmt: skip
    found = comparison_of(build_leaderboard(three_tasks() + trained))
    assert "train" not in {rank.strategy for rank in found.ranks}


def test_the_comparison_is_written_as_a_file_of_its_own_and_in_the_others() -> None:
    board = build_leaderboard(three_tasks())
    lines = list(csv.DictReader(io.StringIO(board.ranks_csv())))
    assert [line["strategy"] for line in lines] == ["adversarial", "rl", "random"]
    assert lines[1]["n_tasks"] == "3"
    assert lines[1]["p_holm: random"] == lines[2]["p_holm: rl"] == "0.75"
    assert lines[1]["p_holm: rl"] == ""
    assert "### Average ranks over 3 tasks, by fid" in board.to_markdown()
    assert (
        "With 3 tasks and 3 pairs the least corrected p-value there can be is 0.75"
        in board.to_markdown()
    )
    comparison = board.to_json()["comparison"]
    assert [rank["strategy"] for rank in comparison["ranks"]] == ["adversarial", "rl", "random"]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_the_signed_rank_test_is_scipys_exact_one(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(5):
        differences = rng.normal(0.4, 1.0, size=n).tolist()
        expected = stats.wilcoxon(differences, method="exact").pvalue
        assert signed_rank_p_value(differences) == pytest.approx(expected, rel=1e-12)


def test_the_signed_rank_test_is_exact_with_equal_sizes_too() -> None:
    rng = random.Random(5)
    for _ in range(20):
        differences = [rng.choice([-2.0, -1.0, 1.0, 2.0]) for _ in range(6)]
        ranks = stats.rankdata(np.abs(differences))
        observed = ranks[np.array(differences) > 0].sum()
        totals = [
            sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=6)
        ]
        low = sum(total <= observed for total in totals) / len(totals)
        high = sum(total >= observed for total in totals) / len(totals)
        assert signed_rank_p_value(differences) == pytest.approx(min(1.0, 2 * min(low, high)))


def test_no_difference_is_no_evidence() -> None:
    assert signed_rank_p_value([]) == 1.0
    assert signed_rank_p_value([0.0, 0.0]) == 1.0
    assert signed_rank_p_value([0.0, 1.0, 2.0]) == signed_rank_p_value([1.0, 2.0])


def test_holms_correction() -> None:
    # Worked by hand: 4 x 0.01, 3 x 0.02, max(0.06, 2 x 0.03), max(0.06, 0.9).
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_objective_whose_direction_is_unknown_here_ranks_nothing() -> None:
    records = [
        sound_record("rl", seed, metrics={"sharpness": 3.0}, objective=OBJECTIVE)
        for seed in range(3)
    ]
    (only,) = build_leaderboard(records).rows
    assert only["rank"] is None
    assert "whether less or more of sharpness is better is not known" in only["note"][-1]


def test_rows_without_the_metric_say_so() -> None:
    records = seeds("rl", 10.0, 11.0, 12.0)
    records += seeds("random", 1.0, 2.0, 3.0, metrics={"is": 7.0})
    without = next(row for row in build_leaderboard(records).rows if row["strategy"] == "random")
    assert without["note"][-1] == "not ranked: no fid"


def test_a_spread_ranks_nothing() -> None:
    with pytest.raises(ConfigError, match="take is"):
        build_leaderboard(seeds("rl", 10.0, 11.0, 12.0), rank_by="is_std")


def test_why_nothing_could_be_compared_is_told() -> None:
    records = seeds("rl", 1.0, 2.0, 3.0) + seeds("random", 4.0, 5.0, 6.0)
    records += seeds("rl", 1.1, 2.1, 3.1, space="agan") + seeds("cem", 4.0, 5.0, 6.0, space="agan")
    board = build_leaderboard(records)
    assert board.comparison is None
    assert [(p.source, "in 1 of 2 tasks" in p.message) for p in board.problems] == [
        ("cem", True),
        ("random", True),
    ]
