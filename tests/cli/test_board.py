"""Leaderboards as the terminal shows them."""

from __future__ import annotations

from record_samples import average_random, evaluation, failed_record, record

from nasgan.cli.board import board_lines, note_lines, ranks_lines
from nasgan.leaderboard.build import build_leaderboard

CIFAR = "cifar10-train-50k-inceptionv3-v1"


def test_rows_of_one_name_show_their_configuration() -> None:
    records = [
        record(seed=seed, fid=20.0 + seed, run_id=f"{name}{seed}", config_hash=name * 8)
        for name in ("ab", "cd")
        for seed in range(3)
    ]
    lines = board_lines(build_leaderboard(records))
    assert [line.split()[:4] for line in lines if line.startswith("  1")] == [
        ["1", "(1", "to", "2)"]
    ] * 2
    assert {"ababab", "cdcdcd"} < {word for line in lines for word in line.split()}


def test_notes_are_told_once_with_their_rows() -> None:
    tried = average_random(evaluation(1, fid=40.0))
    records = [record(average_random=tried), failed_record("rl", 3), record("rl", 1, 9.0)]
    lines = [line.strip() for line in board_lines(build_leaderboard(records))]
    assert "all rows: not ranked: fewer than 3 seeds" in lines
    assert "rl: failed seeds: 3" in lines
    assert "average random: one random architecture, trained without a search" in lines
    (cells,) = [line.split() for line in lines if line.startswith("-  ") and " rl " in line]
    assert cells == ["-", "rl", "9", "1", "1", "600", "in", "1", "min"]


def test_trainings_show_their_architecture_and_papers_stand_below() -> None:
    own = record(
        "train", 0, 15.0, kind="train", architecture_name="sngan", dataset="cifar10",
        protocol=CIFAR,
    )  # fmt: skip
    lines = board_lines(build_leaderboard([own]))
    header = next(line for line in lines if line.startswith("  rank"))
    assert header.split() == ["rank", "strategy", "architecture", "FID", "seeds", "failed"]
    papers = lines[lines.index(next(line for line in lines if line.startswith("Papers"))) :]
    assert papers[1].split() == ["method", "dataset", "FID"]
    assert any("21.7" in line for line in papers)
    assert "published: " not in "\n".join(lines)
    assert max(map(len, lines)) <= 100


def test_long_names_are_shortened_and_never_the_numbers() -> None:
    long = "a_strategy_with_a_name_" * 5
    records = [record(long, seed, 1234.5 + 999 * seed) for seed in range(3)]
    lines = board_lines(build_leaderboard(records))
    assert max(map(len, lines)) <= 100
    (row,) = [line for line in lines if line.startswith("  1 ")]
    assert "a_strategy_with" in row
    assert "... " in row
    assert row.endswith("3      0       600 in 1 min")


def test_what_a_record_holds_stays_in_its_line() -> None:
    (row,) = [x for x in board_lines(build_leaderboard([record("a\n\nb")])) if "600 in" in x]
    assert "a b" in row


def test_a_group_over_several_tasks_says_which_task_a_row_is_of() -> None:
    records = [
        record(seed=seed, search_space=space, dataset=data, run_id=f"{space}{seed}")
        for space, data in (("agan", "digits"), ("autogan", "faces"))
        for seed in range(3)
    ]
    lines = board_lines(build_leaderboard(records, group_by=["strategy"]))
    header = next(line for line in lines if line.startswith("  rank"))
    assert header.split()[:5] == ["rank", "strategy", "search", "space", "dataset"]
    assert "config" not in header


def test_pairs_that_differ_are_named() -> None:
    records = [
        record(name, seed, fid + seed / 9 + k, search_space=f"s{k}", run_id=f"{name}{k}{seed}")
        for name, fid in (("good", 10.0), ("bad", 90.0))
        for k in range(7)
        for seed in range(3)
    ]
    comparison = build_leaderboard(records).comparison
    assert comparison is not None
    lines = ranks_lines(comparison)
    assert lines[0] == "Average ranks over 7 tasks, by fid"
    assert lines[2].split() == ["1", "good", "1", "to", "1", "7"]
    assert "good and bad (p = 0.0156)" in " ".join(lines)


def test_notes_are_told_once_and_nothing_is_no_heading() -> None:
    assert note_lines([]) == []
    assert note_lines(["a", "a", "b"]) == ["Notes", "  a", "  b", ""]


def test_no_runs() -> None:
    assert board_lines(build_leaderboard([])) == ["No runs."]
