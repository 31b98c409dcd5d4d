"""What the leaderboard is written as: columns, JSON, published rows, filters and groups."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from record_samples import DIGITS, average_random, evaluation, record

from nasgan.errors import ConfigError, NasganError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.columns import KEY_COLUMNS, columns
from nasgan.leaderboard.finding import (
    FILTERS,
    find_records,
    read_selection,
    selection_of,
    selection_text,
)
from nasgan.leaderboard.leaderboard import GROUPS, Leaderboard
from nasgan.leaderboard.published import PUBLISHED, paper_of
from nasgan.leaderboard.texts import csv_line, original_text, read_csv, safe_cell
from nasgan.metrics.table import METRICS
from nasgan.runs.record import RunRecord

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "leaderboard.md"
INCEPTION = "cifar10-train-50k-inceptionv3-v1"


def seeds(strategy: str, *fids: float, **changes: object) -> list[RunRecord]:
    space = changes.get("search_space", "autogan")
    return [
        record(strategy, seed, fid, run_id=f"{strategy}-{space}-{seed}", **changes)
        for seed, fid in enumerate(fids)
    ]


def on_cifar(strategy: str = "rl", **changes: object) -> list[RunRecord]:
    return seeds(strategy, 12.0, 13.0, 14.0, dataset="cifar10", protocol=INCEPTION, **changes)


def cells(board: Leaderboard) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(board.to_csv())))


# Columns


def test_the_guide_lists_every_column_with_its_unit_and_meaning() -> None:
    table = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", GUIDE.read_text("utf-8"), re.MULTILINE)
    own = [
        (re.sub("^is_", "METRIC_", name), column.unit, column.meaning)
        for name, column in columns(["is", "is_std"]).items()
    ]
    assert table == own


def test_the_guide_names_every_filter_and_group() -> None:
    text = GUIDE.read_text("utf-8")
    after_groups = text[text.index("`group_by=`") :]
    after_filters = text[text.index("`where.NAME=`") :]
    assert all(f"`{name}`" in after_groups for name in GROUPS)
    assert all(f"`{name}`" in after_filters for name in FILTERS)


def test_rows_differ_in_their_key_columns() -> None:
    board = build_leaderboard(on_cifar() + on_cifar("random"))
    keys = [tuple(line[name] for name in KEY_COLUMNS) for line in cells(board)]
    assert len(set(keys)) == len(keys) > 2


# CSV


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+1", "-1", "@x", "'quoted", "'=1", " =1", "", "a;b", 'a"b,c', "＝1", "plain"),
        *("a;=1", "a; '=1", 'a;" =1', "=1; =2", "a;';=b", "a;''x", ";-1", "a;;+1"),
    ],
)
def test_a_text_is_read_back_as_it_was(text: str) -> None:
    assert original_text(safe_cell(text)) == text
    assert read_csv(csv_line(["a", "b"]) + csv_line([text, 1]), source="x")[1][0]["a"] == text


def test_a_cell_cannot_be_split_by_a_spreadsheet_that_splits_at_semicolons() -> None:
    assert csv_line(["a; =1", "b", 2.5]) == '"a; \'=1",b,2.5\n'
    line = csv_line(["x,y", 'a;"=1', "b; @c", -1.5])
    split = next(csv.reader([line], delimiter=";"))
    assert len(split) == 3
    assert not any(re.match(r"[\s\"]*[=+\-@]", cell) for cell in split)


def test_a_formula_that_lost_its_apostrophe_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"row 2, column b: '=1' is a formula to a spreadsheet"):
        read_csv("a,b\n-1.5,=1\n", source="x.csv")
    assert read_csv("a,b\n-1.5,+2e-05\n", source="x")[1] == [{"a": "-1.5", "b": "+2e-05"}]


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"x\.csv: row 3 has 1 cells, the header has 2"):
        read_csv("a,b\n1,2\n1\n", source="x.csv")
    with pytest.raises(ConfigError, match="same name"):
        read_csv("a,a\n1,2\n", source="x.csv")
    with pytest.raises(ConfigError, match="not a CSV file"):
        read_csv('a,b\n"1,2\n', source="x.csv")
    assert read_csv("\ufeffa,b\r\n1,2\r\n\r\n", source="x") == (["a", "b"], [{"a": "1", "b": "2"}])


# JSON


def test_json_has_the_rows_of_the_csv_and_says_what_they_are(tmp_path: Path) -> None:
    board = build_leaderboard(seeds("random", 20.0, 22.0, 27.0), where={"strategy": "random"})
    board.write(tmp_path / "board.json")
    data = json.loads((tmp_path / "board.json").read_text())
    assert data == board.to_json()
    assert (data["format"], data["protocol"], data["ranked_by"]) == (
        "nasgan-leaderboard", DIGITS, "fid",
    )  # fmt: skip
    assert data["selection"] == {"strategy": ["random"]}
    assert data["rows"][0]["fid_mean"] == pytest.approx(23.0)
    assert list(data["rows"][0]) == list(cells(board)[0])
    assert data["rows"][0]["search_space"] == "autogan"
    assert data["rows"][0]["macs_g"] == 1.765015552


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    board = build_leaderboard(seeds("random", 20.0))
    with pytest.raises(ConfigError, match=r"\.csv, \.md or \.json"):
        board.write(tmp_path / "board.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_no_file_names_a_folder_of_this_machine(tmp_path: Path) -> None:
    from nasgan.leaderboard.finding import find_records

    for folder in ("a", "b"):
        record().write(tmp_path / folder / "record.json")
    board = build_leaderboard(find_records([tmp_path])[0])
    assert board.problems[0].places
    assert str(tmp_path) in str(board.problems[0])
    for suffix in (".csv", ".md", ".json"):
        assert str(tmp_path) not in board.text(suffix)
    assert "2 times, counted once" in board.to_markdown()


# Published numbers


def test_published_numbers_are_marked_rows_without_a_rank() -> None:
    board = build_leaderboard(on_cifar())
    lines = [line for line in cells(board) if line["source"] != "run records"]
    assert {line["strategy"][:11] for line in lines} == {"published: "}
    (top,) = [line for line in lines if "AutoGAN, top 1" in line["strategy"]]
    assert (top["fid_mean"], top["is_mean"], top["is_within_run_std"]) == ("12.42", "8.55", "0.1")
    assert top["source"] == "AutoGAN (ICCV 2019), Table 1"
    assert "truncation" in top["protocol"]
    empty = ("rank", "rank_low", "n_seeds", "n_failed", "fid_std", "fid_ci_low", "fid_best")
    assert {top[name] for name in empty} == {""}
    assert "stl10" not in {line["dataset"] for line in lines}, "only the data of the table"
    assert {row["strategy"] for row in board.rows} == {"rl"}
    ours = cells(board)[0]
    assert ours["paper_result"] == "IS 8.55 ± 0.10, FID 12.42"
    assert "AutoGAN (ICCV 2019), Table 1" in ours["paper_protocol"]


def test_published_numbers_stand_apart_in_markdown_with_their_protocols() -> None:
    text = build_leaderboard(on_cifar()).to_markdown()
    ours, papers = text.split("### Published: ")
    assert "AdversarialNAS" not in ours
    assert "AdversarialNAS" in papers
    assert "10,000 real and 5,000 generated images" in papers


@pytest.mark.parametrize("protocol", ["cifar10-train-50k-lite0-v1", DIGITS, "odd"])
def test_papers_fid_is_not_shown_under_other_features(protocol: str) -> None:
    board = build_leaderboard(seeds("rl", 1.0, 2.0, 3.0, dataset="cifar10", protocol=protocol))
    assert board.published == ()


def test_published_rows_obey_the_filters_and_can_be_left_out() -> None:
    records = on_cifar() + on_cifar("adversarial", search_space="adversarial_nas")
    chosen = build_leaderboard(records, where={"search_space": "adversarial_nas"})
    assert [row["strategy"] for row in chosen.published] == ["published: AdversarialNAS"]
    random = build_leaderboard(on_cifar("random"), where={"strategy": "random"})
    assert {row["search_space"] for row in random.published} == {"autogan"}
    assert len(random.published) == 1
    assert build_leaderboard(records, published=False).published == ()


def test_unconditional_papers_do_not_stand_beside_conditional_runs() -> None:
    settings = {"num_classes": 10}
    board = build_leaderboard(on_cifar(space_settings=settings), where={"conditional": True})
    assert board.published == ()
    assert cells(board)[0]["paper_result"] == ""


def test_published_numbers_name_metrics_spaces_and_sources() -> None:
    for paper in PUBLISHED:
        assert paper.metrics.keys() <= set(METRICS)
        assert paper.protocol
        assert paper.source
        assert not paper.note or paper.note[-1] != "."
    keys = [(p.name, p.dataset) for p in PUBLISHED]
    assert len(set(keys)) == len(keys)
    row = {"strategy": "rl", "architecture": "", "num_classes": 0}
    assert paper_of({**row, "dataset": "cifar10", "search_space": ""}) is None, "in which space?"
    found = paper_of({**row, "dataset": "stl10", "search_space": "agan"})
    assert found is not None
    assert found.result == "IS 9.23 ± 0.08, FID 52.7"


# Which runs, and in which tables


def test_filters_choose_runs() -> None:
    records = seeds("random", 20.0, 21.0, 22.0) + seeds("rl", 1.0, 2.0, 3.0)
    records += seeds("rl", 4.0, 5.0, 6.0, space_settings={"num_classes": 10}, config_hash="c")

    def count(**where: object) -> int:
        return sum(row["n_seeds"] for row in build_leaderboard(records, where=where).rows)

    records = [
        RunRecord.from_json({**r.to_json(), "run_id": str(i)}) for i, r in enumerate(records)
    ]
    assert count() == 9
    assert count(strategy="rl") == 6
    assert count(strategy=["rl", "random"], seed=[0, 2]) == 6
    assert count(conditional=False, strategy="rl") == 3
    assert count(num_classes=10) == 3
    assert count(config_hash="c", seed=None) == 3


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"strategy": "randm"}, "Did you mean 'random'"),
        ({"stratgy": "random"}, "Did you mean 'strategy'"),
        ({"seed": "0"}, "where.seed must be int"),
        ({"conditional": 1}, "where.conditional must be bool"),
        ({"seed": []}, "where.seed must be int"),
        ({"strategy": 1.5}, "where.strategy must be str"),
        ({"experiment": "benchmark/digits"}, "among these runs: 'benchmark/digits'. Known: ''."),
    ],
)
def test_a_wrong_filter_is_refused(where: dict[str, object], message: str) -> None:
    with pytest.raises(NasganError, match=re.escape(message)):
        build_leaderboard(seeds("random", 20.0), where=where)


def test_beginnings_of_hashes_are_those_of_one_configuration() -> None:
    hashes = ("abcdef01", "abcdef02", "abc00001")
    records = [record(seed=k, config_hash=name, run_id=name) for k, name in enumerate(hashes)]
    board = build_leaderboard(records, where={"config_hash": ["abc0000", "abcdef02"]})
    assert board.selection == {"config_hash": ("abc00001", "abcdef02")}
    with pytest.raises(ConfigError, match="2 configurations begin so"):
        build_leaderboard(records, where={"config_hash": "abcdef"})
    with pytest.raises(ConfigError, match="unknown value of where"):
        build_leaderboard(records, where={"config_hash": "abcdee"})
    with pytest.raises(ConfigError, match="needs quotes"):
        build_leaderboard(records, where={"config_hash": 1e10})


def test_the_average_random_architecture_of_changed_code_says_so() -> None:
    changed = {"nasgan": {"version": "0.1.0", "commit": "abc123", "dirty": True}}
    tried = average_random(evaluation(1, fid=40.0))
    board = build_leaderboard([record(average_random=tried, environment=changed)])
    assert ["uncommitted changes" in row["note"] for row in board.rows] == [True, True]


def test_a_selection_is_one_line_that_is_read_back() -> None:
    selection = selection_of({"seed": [2, 0], "budget": "a, b; c=d", "dataset": None})
    assert selection == {"seed": (0, 2), "budget": ("a, b; c=d",)}
    assert read_selection(selection_text(selection)) == selection
    assert read_selection(selection_text({})) == {}
    for odd in ("[1]", "{", '{"seed": "x"}', '{"sed": 1}'):
        with pytest.raises(ConfigError):
            read_selection(odd)


def test_groups_split_the_tables_and_leave_the_ranks_alone() -> None:
    records = []
    for space in ("autogan", "agan"):
        records += seeds("random", 20.0, 21.0, 22.0, search_space=space)
        records += seeds("rl", 1.0, 2.0, 3.0, search_space=space)
    by_task, by_strategy = (
        build_leaderboard(records, group_by=group) for group in ((), ("strategy", "conditional"))
    )
    titles = re.findall("^### (.*)$", by_strategy.to_markdown(), re.MULTILINE)
    assert titles[:2] == ["random · unconditional", "rl · unconditional"]
    assert [row["strategy"] for row in by_strategy.rows] == ["random", "random", "rl", "rl"]
    assert {(r["strategy"], r["search_space"]): r["rank"] for r in by_task.rows} == {
        (r["strategy"], r["search_space"]): r["rank"] for r in by_strategy.rows
    }
    assert by_strategy.to_json()["group_by"] == ["strategy", "conditional"]
    with pytest.raises(ConfigError, match="Did you mean 'dataset'"):
        build_leaderboard(records, group_by=["datset"])


# Copies


def test_a_run_under_another_name_and_seed_is_told() -> None:
    original = record("random", 0, 20.0)
    copy = RunRecord.from_json({**original.to_json(), "run_id": "copy", "seed": 1})
    board = build_leaderboard([original, copy])
    (problem,) = board.problems
    assert problem.is_grave
    assert "one of them is a copy" in problem.message
    # Other moments do not make it a run of its own, other durations may.
    later = {**copy.to_json(), "started": "2026-11-22T10:01:00.000+00:00"}
    (problem,) = build_leaderboard([original, RunRecord.from_json(later)]).problems
    assert problem.is_grave


def test_equal_scores_of_two_seeds_are_told_but_prove_nothing() -> None:
    first, second = (record("random", seed, 20.0) for seed in range(2))
    (problem,) = build_leaderboard([first, second]).problems
    assert not problem.is_grave
    assert "has exactly the scores of run random-0 (seed 0), as seed 1" in problem.message
    # Two strategies may find one architecture with one seed.
    assert build_leaderboard([first, record("rl", 0, 20.0)]).problems == ()


def test_which_of_two_contents_counts_does_not_depend_on_where_they_lie(tmp_path: Path) -> None:
    for place, folders in enumerate((("a", "b"), ("b", "a"))):
        for folder, fid in zip(folders, (1.0, 2.0), strict=True):
            record("random", 0, fid).write(tmp_path / str(place) / folder / "record.json")
    boards = [
        build_leaderboard(find_records([tmp_path / place])[0]).to_csv() for place in ("0", "1")
    ]
    assert boards[0] == boards[1]


# Odd texts


def test_a_text_that_utf_8_cannot_say_is_written_in_plain_letters(tmp_path: Path) -> None:
    board = build_leaderboard([record(run_id="odd\udcff", search_space="space\udcff")])
    for suffix in (".csv", ".md", ".json"):
        board.write(tmp_path / f"board{suffix}")
        written = (tmp_path / f"board{suffix}").read_text("utf-8")
        assert "space\\udcff" in written.replace("\\\\", "\\")


def test_the_names_of_thousands_of_runs_are_read_back() -> None:
    cell = "; ".join(f"{number:032x}" for number in range(5000))
    _, rows = read_csv(csv_line(["run_ids"]) + csv_line([cell]), source="a.csv")
    assert rows == [{"run_ids": cell}]
    assert csv.field_size_limit() < len(cell)


def test_a_column_that_looks_like_a_formula_is_read_back() -> None:
    header, _ = read_csv(csv_line(["=x_mean", "rank"]), source="a.csv")
    assert header == ["=x_mean", "rank"]


def test_a_protocol_cannot_leave_its_place_in_markdown() -> None:
    board = build_leaderboard([record(protocol="p` <b>\n# title")])
    assert "Protocol `p' <b> # title`, ranked by" in board.to_markdown()


# Rows that look alike


def test_markdown_shows_the_configuration_where_rows_would_look_alike() -> None:
    def rows(board: Leaderboard) -> list[list[str]]:
        lines = [line for line in board.to_markdown().splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    other = [
        record("rl", seed, 15.0 + seed, run_id=f"other-{seed}", config_hash="0123456789")
        for seed in range(3)
    ]
    alike = build_leaderboard([*seeds("rl", 12, 13, 14), *other])
    assert len(alike.rows) == 2
    header, _, *found = rows(alike)
    place = header.index("Config")
    shown = [row[place] for row in found[:2]]
    assert shown == [row["config_hash"][:6] for row in alike.rows]
    assert len(set(shown)) == 2
    header = rows(build_leaderboard([*seeds("rl", 12, 13, 14), *seeds("random", 15, 16, 17)]))[0]
    assert "Config" not in header
