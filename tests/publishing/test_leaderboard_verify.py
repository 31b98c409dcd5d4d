"""`verify` finds whatever was changed in a leaderboard or in the records behind it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from record_samples import architecture, average_random, evaluation, failed_record, sound_record

from nasgan.errors import ConfigError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.texts import csv_line, read_csv
from nasgan.publishing.verification import Verification, verify_table
from nasgan.runs.proxy import proxy_correlation
from nasgan.runs.record import RunRecord

SPACES = ("agan", "autogan")
SEEDS = 3
EDITS = 120
SCORED = {"a": (3.0, 2.0), "b": (1.0, 1.0), "c": (2.0, 3.0)}
PROXY = proxy_correlation(
    {name: {("weights", 9): before} for name, (before, _) in SCORED.items()},
    {name: after for name, (_, after) in SCORED.items()},
    "fid",
)
assert PROXY is not None

Table = list[dict[str, Any]]


def judge(*, regret: float | None) -> dict[str, Any]:
    return {"table": "T", "scores": "exact", "best_known": 19.0, "regret": regret}


def front(index: int, fid: float, *, phase: str = "final") -> list[dict[str, Any]]:
    return [{"phase": phase, "architecture": architecture(index), "values": {"fid": fid}}]


TWO = [evaluation(0, **{"is": 7.5, "is_std": 0.1, "fid": 20.0}), evaluation(1, fid=25.0)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two strategies in two spaces, with random architectures and a failed run."""
    root = tmp_path_factory.mktemp("runs")
    rng = random.Random(1)
    for space in SPACES:
        for strategy in ("random", "rl"):
            for seed in range(SEEDS):
                tried = average_random(evaluation(seed, fid=rng.uniform(40, 50)))
                record = sound_record(
                    strategy, seed, rng.uniform(10, 30), search_space=space, average_random=tried,
                    tuning_budget="=none", cost=costs(rng),
                )  # fmt: skip
                record.write(root / space / strategy / f"seed{seed}" / "record.json")
    config = sound_record("rl", 9, search_space="agan").config
    failed = failed_record("rl", 9, search_space="agan", run_id="rl-agan-9", config=config)
    changed = {"config_hash": sound_record("rl", search_space="agan").config_hash}
    failed = RunRecord.from_json({**failed.to_json(), **changed})
    failed.write(root / "agan" / "rl" / "seed9" / "record.json")
    return root


def costs(rng: random.Random) -> dict[str, Any]:
    amounts = {"architectures": 1, "generator_steps": rng.randrange(99), "images": 5}
    return {
        phase: {**amounts, "device_seconds": rng.uniform(1, 9)} for phase in ("search", "final")
    }


def written(runs: Path, folder: Path, suffix: str, **settings: Any) -> Path:
    path = folder / f"board{suffix}"
    build_leaderboard(find_records([runs])[0], **settings).write(path)
    return path


def verified(path: Path, *roots: Path) -> Verification:
    return verify_table(path, find_records(roots)[0])


def edited(path: Path, change: Callable[[Table], object]) -> Path:
    """``path`` with its rows changed."""
    if path.suffix == ".json":
        data = json.loads(path.read_text("utf-8"))
        change(data["rows"])
        path.write_text(json.dumps(data), "utf-8")
        return path
    header, rows = read_csv(path.read_text("utf-8"), source="x")
    table: Table = [dict(row) for row in rows]
    change(table)
    header = list(dict.fromkeys(name for row in table for name in row))
    lines = [csv_line(row.get(name, "") for name in header) for row in table]
    path.write_text(csv_line(header) + "".join(lines), "utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".json"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rank_by": "is", "group_by": ["strategy"]},
        {"where": {"seed": [0, 1], "strategy": "rl"}},
    ],
    ids=["plain", "grouped", "filtered"],
)
def test_what_was_written_verifies(
    runs: Path, tmp_path: Path, suffix: str, settings: dict[str, Any]
) -> None:
    found = verified(written(runs, tmp_path, suffix, **settings), runs)
    assert found.differences == ()
    assert found.num_rows > 0
    assert found.num_cells > 40 * found.num_rows
    assert found.num_runs == (4 if "where" in settings else 13)


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_any_edited_cell_is_found_and_named(runs: Path, tmp_path: Path, suffix: str) -> None:
    path = written(runs, tmp_path, suffix)
    original = path.read_text("utf-8")
    rng = random.Random(2)
    records = find_records([runs])[0]
    for _ in range(EDITS):
        path.write_text(original, "utf-8")
        where: dict[str, Any] = {}

        def change(rows: Table, where: dict[str, Any] = where) -> None:
            row = rng.randrange(len(rows))
            column = rng.choice(list(rows[row]))
            before = rows[row][column]
            rows[row][column] = _another(before, rng)
            where.update(row=row, column=column, before=before, after=rows[row][column])

        found = verify_table(edited(path, change), records, check_records=False)
        own = [
            text
            for text in found.differences
            if f"row {where['row'] + 2} " in text and f"column {where['column']}:" in text
        ]
        assert own, where
        # Of the runs of a row, each that is missing is named as well.
        assert len(found.differences) <= (8 if where["column"] == "run_ids" else 1), where
        for value in (where["before"], where["after"]):
            assert (str(value)[:9] if value not in (None, "") else "nothing") in own[0]


def _another(value: Any, rng: random.Random) -> Any:
    """A value that a person might put in its place."""
    if isinstance(value, float) or (isinstance(value, str) and "." in value and _is_number(value)):
        changed = float(value) * rng.choice([0.9, 1 + 1e-7, -1]) + 1e-6
        return changed if isinstance(value, float) else f"{changed:.10g}"
    if isinstance(value, int):
        return value + rng.choice([-1, 1])
    if value in (None, ""):
        return rng.choice(["x", "0"])
    if _is_number(value):
        return str(int(float(value)) + 1)
    return rng.choice([f"{value}x", value[1:] or "x", "random", ""])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_rows_that_were_added_removed_or_repeated_are_found(
    runs: Path, tmp_path: Path, suffix: str
) -> None:
    path = edited(written(runs, tmp_path, suffix), lambda rows: rows.pop(1))
    (difference,) = verified(path, runs).differences
    assert "the row is missing in the file" in difference
    path = edited(written(runs, tmp_path, suffix), lambda rows: rows.append(dict(rows[0])))
    (difference,) = verified(path, runs).differences
    assert difference.startswith("row 8 (")
    assert "is there twice" in difference

    def invent(rows: Table) -> None:
        rows.insert(0, {**dict.fromkeys(rows[0], "7"), "strategy": "mine", "source": "run records"})

    path = edited(written(runs, tmp_path, suffix), invent)
    differences = verified(path, runs).differences
    assert any(d.startswith("row 2 (mine") and "not among the records" in d for d in differences)
    assert len(differences) == 1


def test_columns_that_were_added_or_removed_are_found(runs: Path, tmp_path: Path) -> None:
    def change(rows: Table) -> None:
        for row in rows:
            del row["fid_ci_low"]
            row["fid_adjusted"] = "1"

    differences = verified(edited(written(runs, tmp_path, ".csv"), change), runs).differences
    assert differences == (
        "column fid_ci_low is missing",
        "column fid_adjusted is none of a leaderboard",
    )


def test_the_comparison_in_json_is_verified(runs: Path, tmp_path: Path) -> None:
    path = written(runs, tmp_path, ".json")
    data = json.loads(path.read_text())
    data["comparison"]["pairs"][0]["p_holm"] = 0.01
    data["ranked_by"] = "is"
    path.write_text(json.dumps(data))
    differences = verified(path, runs).differences
    assert any(d.startswith("comparison.pairs[0].p_holm: 0.01 in the file") for d in differences)
    assert any(d.startswith("ranked_by: is in the file, fid") for d in differences)


def test_a_seed_that_was_left_out_of_the_file_is_found(runs: Path, tmp_path: Path) -> None:
    """The table made from all but one run, as if that had never been."""
    records, _ = find_records([runs])
    path = tmp_path / "board.csv"
    build_leaderboard([run for run in records if run.run_id != "rl-agan-1"]).write(path)
    differences = verified(path, runs).differences
    assert any(
        "run rl-agan-1 (seed 1) is among the records, but was removed" in d for d in differences
    )
    assert any("(file / records): rank nothing / 1, n_seeds 2 / 3, " in d for d in differences)
    assert differences[0].startswith("run rl-agan-1 ")


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_several_edited_cells_of_a_row_make_one_line(
    runs: Path, tmp_path: Path, suffix: str
) -> None:
    def change(rows: Table) -> None:
        rows[0].update(dict.fromkeys(["fid_mean", "is_mean", "is_std", "fid_best", "macs_g"], 1))

    path = edited(written(runs, tmp_path, suffix), change)
    (difference,) = verified(path, runs).differences
    assert difference.startswith("row 2 (")
    assert ": 5 columns differ (file / records): fid_mean 1 / " in difference
    assert difference.endswith(", fid_best, macs_g")


def test_a_record_that_was_removed_or_made_up_is_found(runs: Path, tmp_path: Path) -> None:
    path = written(runs, tmp_path, ".csv")
    records = [run for run in find_records([runs])[0] if run.run_id != "rl-agan-1"]
    differences = verify_table(path, records).differences
    assert any("run rl-agan-1 has no record" in d for d in differences)


def test_a_run_that_is_named_twice_or_in_a_wrong_row_is_found(runs: Path, tmp_path: Path) -> None:
    def change(rows: Table) -> None:
        row = next(row for row in rows if row["strategy"] == "random")
        row["run_ids"] += f"; {row['run_ids'].split('; ')[0]}; rl-agan-0"

    differences = verified(edited(written(runs, tmp_path, ".csv"), change), runs).differences
    assert any("run random-agan-0 is named 2 times" in d for d in differences)
    assert any("run rl-agan-0 (seed 0) does not belong here: row" in d for d in differences)


def test_a_copied_run_with_another_name_and_seed_is_found(runs: Path, tmp_path: Path) -> None:
    """Two seeds made three: the table agrees with the records, and the records are at fault."""
    data = RunRecord.read(runs / "agan/rl/seed0/record.json").to_json()
    config = {**data["config"], "seed": 5}
    copy = RunRecord.from_json({**data, "seed": 5, "run_id": "new", "config": config})
    copy.write(tmp_path / "more" / "record.json")
    records, _ = find_records([runs, tmp_path / "more"])
    path = tmp_path / "board.csv"
    build_leaderboard(records).write(path)
    (difference,) = verify_table(path, records).differences
    assert "one of them is a copy" in difference


def test_a_run_found_on_two_machines_is_no_difference(runs: Path, tmp_path: Path) -> None:
    path = written(runs, tmp_path, ".csv")
    RunRecord.read(runs / "agan/rl/seed0/record.json").write(tmp_path / "b" / "record.json")
    found = verified(path, runs, tmp_path / "b")
    assert found.differences == ()
    assert any("found 2 times, counted once" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {"is": 9.0, "is_std": 0.1, "fid": 1.0}}, "not those of one of its finalists"),
        ({"config": {"strategy": {"name": "rl", "trick": True}}}, "does not match its hash"),
        ({"seed": 7}, "the seed is not that of its configuration"),
        ({"proxy_correlation": {**PROXY, "kendall": 1.0}}, "not that of its points"),
        ({"search_result": evaluation(4, fid=20.0)}, "(search_result) is of another architecture"),
        ({"judge": judge(regret=5.0)}, "the regret (judge) is not that of its score"),
        ({"judge": judge(regret=None)}, "the regret (judge) is not that of its score"),
        ({"front": front(3, 20.0)}, "on its Pareto front (front) is none of its finalists"),
        ({"front": front(0, 19.0)}, "on its Pareto front (front) are not those of its finalist"),
        ({"front": front(1, 25.0), "finalists": TWO}, "its result is not the best on its Pareto"),
    ],
    ids=[
        "metrics",
        "config",
        "seed",
        "proxy",
        "search result",
        "regret",
        "no regret",
        "foreign front",
        "values on the front",
        "beaten front",
    ],
)
def test_a_record_that_contradicts_itself_is_found(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    data = sound_record("rl", 0, 20.0).to_json()
    RunRecord.from_json({**data, **change}).write(tmp_path / "runs" / "record.json")
    records, _ = find_records([tmp_path / "runs"])
    build_leaderboard(records).write(tmp_path / "board.csv")
    (difference,) = verify_table(tmp_path / "board.csv", records).differences
    assert message in difference
    assert "record.json" in difference


def test_a_front_and_a_judge_that_fit_the_result_are_no_fault(tmp_path: Path) -> None:
    """Also a front in the search, whose scores no record repeats."""
    found = [*front(0, 20.0), *front(7, 3.0, phase="search")]
    record = sound_record("rl", 0, 20.0, judge=judge(regret=1.0), front=found, finalists=TWO)
    record.write(tmp_path / "runs" / "record.json")
    records, _ = find_records([tmp_path / "runs"])
    build_leaderboard(records).write(tmp_path / "board.csv")
    assert verify_table(tmp_path / "board.csv", records).differences == ()


def test_how_a_program_writes_numbers_and_orders_rows_does_not_matter(
    runs: Path, tmp_path: Path
) -> None:
    path = written(runs, tmp_path, ".csv")

    def rewrite(rows: Table) -> None:
        rows.reverse()
        for row in rows:
            row["fid_mean"] = f"{float(row['fid_mean']):.12e}"
            row["n_seeds"] += ".0"

    edited(path, rewrite)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert verified(path, runs).differences == ()


def test_papers_rows_are_verified_too(tmp_path: Path) -> None:
    protocol = "cifar10-train-50k-inceptionv3-v1"
    sound_record(dataset="cifar10", protocol=protocol).write(tmp_path / "r" / "record.json")
    path = written(tmp_path / "r", tmp_path, ".csv")
    assert verified(path, tmp_path / "r").differences == ()
    edited(path, lambda rows: rows[-1].update(fid_mean="3.1"))
    (difference,) = verified(path, tmp_path / "r").differences
    assert "published: " in difference
    assert "fid_mean: 3.1 in the file" in difference
    written(tmp_path / "r", tmp_path, ".csv", published=False)
    assert verified(path, tmp_path / "r").differences == ()


def test_a_metric_of_a_package_that_is_missing_here_is_told(tmp_path: Path) -> None:
    metrics = {"fid": 20.0, "sharpness": 3.0}
    own = sound_record(metrics=metrics, finalists=[evaluation(0, **metrics)])
    own.write(tmp_path / "r" / "record.json")
    found = verified(written(tmp_path / "r", tmp_path, ".csv"), tmp_path / "r")
    assert found.differences == ()
    assert any("metric sharpness is unknown here" in remark for remark in found.remarks)


def test_other_records_do_not_verify(runs: Path, tmp_path: Path) -> None:
    path = written(runs, tmp_path, ".csv")
    other = "digits-train-9-digits-v1"
    sound_record(protocol=other).write(tmp_path / "other" / "record.json")
    with pytest.raises(ConfigError, match="is of the protocol"):  # nothing can be told
        verified(path, tmp_path / "other")
    sound_record("mine").write(tmp_path / "same" / "record.json")
    assert len(verified(path, tmp_path / "same").differences) >= 7


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"\.csv or \.json"),
        ("a.csv", "", "lacks the columns"),
        ("a.csv", "strategy,fid\nrandom,1\n", "lacks the columns"),
        ("a.csv", b"\xff\xfe", "UTF-8"),
        ("a.json", "{", "not JSON"),
        ("a.json", '{"format": "nasgan-leaderboard", "version": 1, "x": NaN}', "not JSON"),
        ("a.json", "[]", "not a leaderboard"),
        ("a.json", '{"format": "nasgan-leaderboard", "version": 2}', "version 2"),
        ("a.json", '{"format": "nasgan-leaderboard", "version": 1, "rows": [1]}', "list of obj"),
        ("a.json", '{"format": "nasgan-leaderboard", "version": 1, "rows": []}', "lacks"),
    ],
)
def test_what_is_no_leaderboard_is_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        verify_table(tmp_path / name, [])
    with pytest.raises(ConfigError, match="cannot be read"):
        verify_table(tmp_path / "none.csv", [])


def test_a_number_is_what_a_spreadsheet_reads(runs: Path, tmp_path: Path) -> None:
    path = written(runs, tmp_path, ".csv")
    before = read_csv(path.read_text("utf-8"), source="")[1][0]["final_images"]
    edited(path, lambda rows: rows[0].update(final_images=f"0_{before}"))
    (difference,) = verified(path, runs).differences
    assert "column final_images" in difference


def test_a_selection_of_seeds_is_told(runs: Path, tmp_path: Path) -> None:
    path = written(runs, tmp_path, ".csv", where={"seed": [0, 1]})
    found = verified(path, runs)
    assert (found.differences, found.num_runs) == ((), 8)
    assert 'only runs of the selection {"seed": [0, 1]}' in found.remarks


def test_a_proxy_correlation_of_its_points_verifies(tmp_path: Path) -> None:
    sound_record(proxy_correlation=PROXY).write(tmp_path / "r" / "record.json")
    assert verified(written(tmp_path / "r", tmp_path, ".csv"), tmp_path / "r").differences == ()
