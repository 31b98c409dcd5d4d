from __future__ import annotations

import csv
import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_samples import (
    DIGITS,
    average_random,
    cost,
    evaluation,
    failed_record,
    record,
)

from nasgan.errors import ConfigError
from nasgan.leaderboard import finding
from nasgan.leaderboard.bootstrap import summarise
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.rows import AVERAGE_RANDOM, Row, Task
from nasgan.leaderboard.texts import safe_cell
from nasgan.runs.record import RunRecord
from nasgan.runs.status import Status

INCEPTION = "cifar10-train-50k-inceptionv3-v1"


def seeds(strategy: str, *fids: float, **changes: Any) -> list[RunRecord]:
    return [record(strategy, seed, fid, **changes) for seed, fid in enumerate(fids)]


def cells(board: Leaderboard) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(board.to_csv())))


def row_of(board: Leaderboard, strategy: str) -> Row:
    (row,) = [row for row in board.rows if row["strategy"] == strategy]
    return row


def test_seeds_of_one_setting_make_one_row() -> None:
    board = build_leaderboard(seeds("random", 20.0, 22.0, 27.0))
    (line,) = cells(board)
    summary = summarise([20.0, 22.0, 27.0])
    assert summary.std is not None
    assert float(line["fid_mean"]) == pytest.approx(23.0)
    assert float(line["fid_std"]) == pytest.approx(np.std([20, 22, 27], ddof=1))
    assert [float(line["fid_ci_low"]), float(line["fid_ci_high"])] == [20.0, 27.0]
    assert (line["fid_median"], line["fid_best"], line["is_best"]) == ("22", "20", "7.5")
    assert (line["n_seeds"], line["n_failed"], line["rank"]) == ("3", "0", "1")
    assert line["is_within_run_std"] == "0.1"
    assert (line["generator_parameters_m"], line["macs_g"]) == ("4.405251", "1.765015552")
    assert (line["search_device_seconds"], line["final_generator_steps"]) == ("60", "200")
    assert line["run_ids"] == "random-0; random-1; random-2"
    assert line["hardware"] == "A CPU (2 cores)"
    environment = {**record().environment, "device": "A GPU", "devices": 4}
    (line,) = cells(build_leaderboard([record(environment=environment)]))
    assert line["hardware"] == "4 x A GPU"
    assert line["commit"] == "abc123"
    assert "torch 2.15.0" in line["versions"]


def test_the_columns_are_those_of_the_protocol() -> None:
    header = build_leaderboard(seeds("random", 20.0)).to_csv().splitlines()[0]
    assert header == (
        "rank,rank_low,rank_high,strategy,search_space,num_classes,architecture,dataset,budget,"
        "protocol,source,n_seeds,n_failed,"
        "is_mean,is_std,is_ci_low,is_ci_high,is_median,is_best,is_within_run_std,"
        "fid_mean,fid_std,fid_ci_low,fid_ci_high,fid_median,fid_best,"
        "generator_parameters_m,discriminator_parameters_m,macs_g,"
        "search_architectures,search_generator_steps,search_images,search_device_seconds,"
        "final_generator_steps,final_images,final_device_seconds,"
        "hardware,versions,commit,config_hash,dataset_checksum,run_ids,tuning_budget,"
        "paper_result,paper_protocol,ranked_by,selection,note"
    )


def test_the_order_of_the_records_does_not_matter() -> None:
    records = seeds("random", 20.0, 22.0, 27.0) + seeds("rl", 20.0, 22.0, 27.0)
    assert build_leaderboard(records[::-1]).to_csv() == build_leaderboard(records).to_csv()


def test_overlapping_intervals_share_a_rank() -> None:
    records = (
        seeds("clear", 10.0, 11.0, 12.0)
        + seeds("tied", 11.5, 12.0, 12.5)
        + seeds("worse", 30.0, 31.0, 32.0)
        + seeds("wide", 5.0, 40.0, 60.0)
        + seeds("worst", 80.0, 80.0, 81.0)
    )
    board = build_leaderboard(records)
    ranks = {row["strategy"]: row["rank"] for row in board.rows}
    assert ranks == {"clear": 1, "tied": 1, "wide": 1, "worse": 4, "worst": 5}


def test_fewer_than_three_seeds_are_not_ranked() -> None:
    board = build_leaderboard(seeds("two", 1.0, 2.0) + seeds("three", 20.0, 21.0, 22.0))
    assert [(row["strategy"], row["rank"]) for row in board.rows] == [
        ("three", 1),
        ("two", None),
    ]
    assert cells(board)[1]["rank"] == ""
    assert "fewer than 3 seeds" in cells(board)[1]["note"]


def test_more_is_better_where_it_is() -> None:
    records = [
        record(name, seed, metrics={"is": value + seed / 10}, run_id=f"{name}{seed}")
        for name, value in (("low", 5.0), ("high", 8.0))
        for seed in range(3)
    ]
    board = build_leaderboard(records, rank_by="is")
    assert [row["strategy"] for row in board.rows] == ["high", "low"]
    assert board.rows[0]["is_best"] == 8.2
    assert build_leaderboard(records).ranked_by == "fid"
    with pytest.raises(ConfigError, match="unknown metric"):
        build_leaderboard(records, rank_by="fdi")


def test_failed_seeds_are_counted_and_named() -> None:
    records = [*seeds("random", 20.0, 22.0, 27.0), failed_record("random", 7), failed_record("rl")]
    board = build_leaderboard(records)
    assert (row_of(board, "random")["n_seeds"], row_of(board, "random")["n_failed"]) == (3, 1)
    assert "failed seeds: 7" in row_of(board, "random")["note"]
    assert "random-7" in row_of(board, "random")["run_ids"]
    assert (row_of(board, "rl")["n_seeds"], row_of(board, "rl")["n_failed"]) == (0, 1)
    assert cells(board)[1]["fid_mean"] == ""


def test_settings_are_not_mixed() -> None:
    one = seeds("random", 20.0, 21.0, 22.0)
    other = seeds("random", 20.0, 21.0, config_hash="other")
    other = [RunRecord.from_json({**r.to_json(), "run_id": f"o{r.seed}"}) for r in other]
    assert [row["n_seeds"] for row in build_leaderboard(one + other).rows] == [3, 2]


def test_protocols_are_not_mixed() -> None:
    records = [*seeds("random", 20.0, 21.0), record("rl", protocol=INCEPTION, dataset="cifar10")]
    with pytest.raises(ConfigError) as caught:
        build_leaderboard(records)
    message = str(caught.value)
    assert f"{INCEPTION} (1 runs), {DIGITS} (2 runs)" in message
    assert "protocol=ID" in message
    assert [row["strategy"] for row in build_leaderboard(records, protocol=INCEPTION).rows] == [
        "rl"
    ]
    with pytest.raises(ConfigError, match="Did you mean"):
        build_leaderboard(records, protocol="digits-train-2k-digits-v2")


def test_images_of_one_name_but_other_content_are_ranked_apart() -> None:
    records = seeds("random", 20.0, 21.0, 22.0)
    other = {"checksum": "ffff", "num_images": 10}
    records += seeds("rl", 1.0, 2.0, 3.0, dataset_info=other)
    board = build_leaderboard(records)
    assert [row["rank"] for row in board.rows] == [1, 1]
    assert "different image sets" in board.problems[0].message


def test_a_run_found_twice_counts_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        record().write(tmp_path / folder / "record.json")
    found, problems = find_records([tmp_path])
    assert (len(found), problems) == (2, [])
    board = build_leaderboard(found)
    assert board.rows[0]["n_seeds"] == 1
    (problem,) = board.problems
    assert problem.source == "random-0"
    assert "2 times, counted once" in problem.message
    assert "contents differ" not in problem.message


def test_of_two_contents_of_a_run_the_later_counts() -> None:
    later = record(fid=99.0, ended="2026-11-22T11:00:00.000+00:00")
    for records in ([record(), later], [later, record()]):
        board = build_leaderboard(records)
        assert board.rows[0]["fid_mean"] == 99.0
        assert "contents differ" in board.problems[0].message


def test_of_two_runs_of_a_seed_the_later_counts_even_if_it_failed() -> None:
    end = "2026-11-22T11:00:00.000+00:00"
    again = record(fid=99.0, run_id="again", ended=end)
    broken = failed_record(run_id="broken", ended=end.replace("11:00", "12:00"))
    board = build_leaderboard([again, record()])
    assert board.rows[0]["fid_mean"] == 99.0
    assert [problem.source for problem in board.problems] == ["random-0"]
    board = build_leaderboard([broken, again, record()])
    assert (board.rows[0]["n_seeds"], board.rows[0]["n_failed"]) == (0, 1)
    assert [problem.source for problem in board.problems] == ["random-0", "again"]


def test_trainings_that_broke_down_count_and_are_named_with_step_and_reason() -> None:
    mark = {"phase": "final", "reason": "the loss exploded", "generator_step": 7}
    lost = {**evaluation(2, fid=60.0), "breakdown": {"reason": "NaN", "generator_step": 3}}
    tried = average_random(evaluation(1, fid=40.0), lost)
    records = [record("random", 0, 20.0), record("random", 1, 30.0, breakdowns=[mark])]
    board = build_leaderboard([*records, record("random", 2, 40.0, average_random=tried)])
    row = row_of(board, "random")
    assert (row["n_seeds"], row["n_failed"], row["fid_mean"]) == (3, 0, 30.0)
    told = "the training broke down at generator step 7 (the loss exploded)"
    assert f"seed 1: {told}; its best moment before counts" in row["note"]
    assert [note for note in row["note"] if "broke down" in note] == list(row["note"][:1])
    average = row_of(board, AVERAGE_RANDOM)
    assert average["fid_mean"] == 50.0
    assert any(note.startswith("1 of 2 architectures broke down") for note in average["note"])


def test_the_average_random_architecture_is_a_row_of_its_own() -> None:
    records = [
        record("random", 0, average_random=average_random(evaluation(1, fid=40.0))),
        record("random", 1, average_random=average_random(evaluation(2, failure="NaN"))),
        # The same architecture of the same seed in another strategy's run, and a further one.
        record(
            "rl",
            0,
            average_random=average_random(evaluation(1, fid=40.0), evaluation(3, fid=50.0)),
        ),
    ]
    row = row_of(build_leaderboard(records), AVERAGE_RANDOM)
    assert (row["n_seeds"], row["n_failed"]) == (1, 1)
    assert row["fid_mean"] == 45.0
    assert row["final_generator_steps"] == 100
    assert not [name for name in row if name.startswith("search_") and name != "search_space"]
    assert "1 of 3 architectures failed" in row["note"]
    assert row["note"][0] == "mean of 2 random architectures; costs are of one of them"
    one = row_of(build_leaderboard(records[:1]), AVERAGE_RANDOM)
    assert one["note"][0] == "one random architecture, trained without a search"


def test_random_architectures_trained_otherwise_make_another_row() -> None:
    same = average_random(evaluation(1, fid=40.0))
    records = [
        record("random", 0, average_random=same, config={"strategy": 1, "trainer": {"lr": 1}}),
        record("rl", 0, average_random=same, config={"strategy": 2, "trainer": {"lr": 1}}),
        record("rl", 1, average_random=same, config={"strategy": 2, "trainer": {"lr": 2}}),
    ]
    rows = [row for row in build_leaderboard(records).rows if row["strategy"] == AVERAGE_RANDOM]
    assert [row["n_seeds"] for row in rows] == [1, 1]


def test_trained_architectures_are_rows_beside_the_papers_number() -> None:
    board = build_leaderboard(
        [
            record(
                "train", 0, kind="train", architecture_name=name, run_id=str(name),
                dataset="cifar10", protocol=INCEPTION, config_hash="one",
            )
            for name in ("autogan_a", "sngan", None)
        ]
    )  # fmt: skip
    lines = {line["architecture"]: line for line in cells(board) if line["n_seeds"]}
    assert set(lines) == {"autogan_a", "sngan", record().to_json()["architecture"]["id"]}
    assert "12.42" in lines["autogan_a"]["paper_result"]
    assert "50,000" in lines["autogan_a"]["paper_protocol"]
    assert lines["sngan"]["paper_result"] == "FID 21.7"
    assert lines[record().to_json()["architecture"]["id"]]["paper_result"] == ""
    assert lines["sngan"]["search_device_seconds"] == ""


def test_completed_runs_without_metrics_are_told() -> None:
    board = build_leaderboard([*seeds("random", 20.0), record("random", 1, metrics=None)])
    assert board.rows[0]["n_seeds"] == 1
    assert "1 completed without metrics" in board.rows[0]["note"]


def test_only_inception_scores_are_called_fid_without_a_qualifier() -> None:
    digits = build_leaderboard(seeds("random", 20.0, 21.0, 22.0)).to_markdown()
    assert "| FID (digits) |" in digits
    assert "| FID |" not in digits
    assert "**21 ± 1 (20 to 22)**" in digits
    inception = build_leaderboard(seeds("random", 20.0, protocol=INCEPTION)).to_markdown()
    assert "| FID |" in inception
    odd = build_leaderboard(seeds("random", 20.0, protocol="odd")).to_markdown()
    assert "| fid (odd) |" in odd


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_is_a_formula(start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    board = build_leaderboard(
        [record(text, search_space=text, tuning_budget=text, config_hash=text, run_id=text)]
    )
    (line,) = csv.DictReader(io.StringIO(board.to_csv(), newline=""))
    for column in ("strategy", "search_space", "tuning_budget", "config_hash", "run_ids"):
        assert line[column] == f"'{text}".translate(dict.fromkeys(map(ord, "\t\r\n"), " "))
    assert safe_cell(-1.5) == "-1.5"
    assert safe_cell(-3) == "-3"
    assert safe_cell("-3") == "'-3"
    assert safe_cell(" =1") == "' =1"
    assert safe_cell("\u00a0=1") == "'\u00a0=1"
    assert safe_cell("\x00=1") == "' =1"
    assert safe_cell("a\r\nb=1") == "a  b=1"


def test_markdown_cells_stay_in_their_cells() -> None:
    table = build_leaderboard([record("a|b\n<script>*")]).to_markdown()
    assert "| a\\|b &lt;script>\\* |" in table


def test_no_records_make_an_empty_leaderboard() -> None:
    board = build_leaderboard([])
    assert board.rows == ()
    assert board.to_markdown() == "No runs.\n"
    assert board.to_csv().startswith("rank,rank_low,")


def test_the_file_is_what_its_ending_says(tmp_path: Path) -> None:
    board = build_leaderboard(seeds("random", 20.0))
    board.write(tmp_path / "board.csv")
    board.write(tmp_path / "board.md")
    assert (tmp_path / "board.csv").read_text() == board.to_csv()
    assert (tmp_path / "board.md").read_text() == board.to_markdown()


def test_records_are_found_at_any_depth_and_once_each(tmp_path: Path) -> None:
    record(seed=0).write(tmp_path / "record.json")
    record(seed=1).write(tmp_path / "a" / "b" / "c" / "record.json")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "a" / "b", target_is_directory=True)
    found, problems = find_records([tmp_path, tmp_path / "a", tmp_path / "record.json"])
    assert sorted(run.seed for run in found) == [0, 1]
    assert problems == []


def test_a_looping_link_is_walked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    visits: list[Path] = []
    first_visit = finding._first_visit
    monkeypatch.setattr(finding, "_first_visit", lambda p, v: visits.append(p) or first_visit(p, v))
    find_records([tmp_path])
    assert visits == [tmp_path, tmp_path / "a", tmp_path / "a" / "loop"]


def test_a_record_that_takes_a_replaced_ones_inode_is_found(tmp_path: Path) -> None:
    """Runs go on while their records are read: the number of an inode is soon another file's."""
    first = tmp_path / "a" / "record.json"
    record(seed=0).write(first)
    found = finding.iter_record_files([first, tmp_path / "b"])
    (tmp_path / "b").mkdir()
    assert next(found) == first
    second = tmp_path / "b" / "record.json"
    second.hardlink_to(first)  # of the same number, as the file system may give it
    first.unlink()
    assert list(found) == [second]


def test_links_out_of_the_folder_are_followed(tmp_path: Path) -> None:
    record().write(tmp_path / "elsewhere" / "record.json")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert len(find_records([tmp_path / "results"])[0]) == 1


def test_what_cannot_be_counted_is_told(tmp_path: Path) -> None:
    record().write(tmp_path / "good" / "record.json")
    for name, content in (("torn", "{"), ("foreign", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(content)
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "record.json").symlink_to(tmp_path / "nowhere")
    Status("search").write(tmp_path / "killed" / "status.json")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "status.json").write_text("")
    found, problems = find_records([tmp_path])
    assert len(found) == 1
    told = {Path(p.source).relative_to(tmp_path).parts[0]: p.message for p in problems}
    assert set(told) == {"torn", "foreign", "dangling", "killed", "odd"}
    assert told["torn"].startswith("not JSON")
    assert "'running'" in told["killed"]
    with pytest.raises(ConfigError, match="no such results folder"):
        find_records([tmp_path / "missing"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    _, problems = find_records([tmp_path])
    closed.chmod(0o700)
    assert [problem.source for problem in problems] == [str(closed)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter everything")
def test_a_folder_that_may_be_listed_but_not_entered_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    record().write(closed / "record.json")
    closed.chmod(0o600)
    found, problems = find_records([tmp_path])
    closed.chmod(0o700)
    assert not found
    assert [problem.source for problem in problems] == [str(closed / "record.json")]


def test_a_record_that_cannot_be_looked_at_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record().write(tmp_path / "open" / "record.json")
    record().write(tmp_path / "closed" / "record.json")
    original = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        if "closed/" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        found, problems = find_records([tmp_path])
    assert [run.path for run in found] == [tmp_path / "open" / "record.json"]
    assert [(p.source, p.message) for p in problems] == [
        (str(tmp_path / "closed" / "record.json"), "cannot be read: Permission denied")
    ]


def test_costs_of_failed_runs_do_not_lower_the_mean() -> None:
    none = {"search": cost(), "final": cost()}
    board = build_leaderboard([record(seed=0), failed_record(seed=1, cost=none)])
    assert board.rows[0]["search_device_seconds"] == 60.0


def test_the_leaderboard_is_made_without_torch(tmp_path: Path) -> None:
    record().write(tmp_path / "record.json")
    program = (
        "import sys, nasgan.runs.environment, nasgan.runs.history, nasgan.runs.folder\n"
        "import nasgan.runs.loggers, nasgan.runs.record, nasgan.runs.status\n"
        "from nasgan.leaderboard.build import build_leaderboard\n"
        "from nasgan.leaderboard.finding import find_records\n"
        f"build_leaderboard(find_records([{str(tmp_path)!r}])[0]).to_markdown()\n"
        "nasgan.runs.environment.collect_environment('cpu')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_conditional_runs_are_a_task_of_their_own() -> None:
    plain = seeds("random", 20.0, 22.0, 27.0)
    settings = {"image_size": 16, "generator_channels": 32, "num_classes": 10}
    classes = seeds("adversarial", 10.0, 11.0, 12.0, space_settings=settings)
    board = build_leaderboard([*plain, *classes])
    assert {line["strategy"]: line["num_classes"] for line in cells(board)} == {
        "random": "0",
        "adversarial": "10",
    }
    assert [row["rank"] for row in board.rows] == [1, 1], "neither is ranked against the other"
    assert [Task.of(row).space for row in board.rows] == ["autogan", "autogan, conditional"]


def test_random_architectures_of_a_run_that_does_not_count_do_not_count() -> None:
    tried = [average_random(evaluation(0, fid=fid)) for fid in (90.0, 40.0)]
    older = record("rl", 0, average_random=tried[0])
    later = record(
        "rl", 0, run_id="again", average_random=tried[1], ended="2026-11-22T10:09:00.000+00:00"
    )
    rows = build_leaderboard([older, later]).rows
    average = next(row for row in rows if row["strategy"] == AVERAGE_RANDOM)
    assert average["fid_mean"] == 40.0
    assert average["run_ids"] == ("again",)


def test_a_score_that_some_seeds_lack_is_told() -> None:
    scores = [{"fid": 20.0}, {"fid": 21.0, "kid": 0.1}]
    (row,) = build_leaderboard(
        [record("rl", seed, metrics=of_seed) for seed, of_seed in enumerate(scores)]
    ).rows
    assert "kid: 1 of 2 seeds" in row["note"]


def test_a_pipe_is_no_record_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "record.json")
    records, (problem,) = find_records([tmp_path])
    assert records == []
    assert "is no plain file" in str(problem)
