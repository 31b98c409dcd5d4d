"""Experiments of one's own: several at once keep their names, files without effect are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasgan.cli.compose import compose_run
from nasgan.cli.main import main
from nasgan.errors import NasganError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records

GLOBAL = "# @package _global_\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "experiment").mkdir(parents=True)
    for name, number in (("two", 2), ("four", 4)):
        text = f"{GLOBAL}budget:\n  architectures: {number}\n"
        (folder / "experiment" / f"{name}.yaml").write_text(text)
    return folder


def composed(mine: Path, *overrides: str) -> tuple[dict[str, object], str]:
    config, folder = compose_run("search", [f"hydra.searchpath=[file://{mine}]", *overrides])
    return config, folder.as_posix()


def test_several_experiments_keep_their_names(mine: Path) -> None:
    two, in_two = composed(mine, "+experiment=[debug/tiny,two]")
    four, in_four = composed(mine, "+experiment=[debug/tiny,four]")
    assert (two["experiment"], four["experiment"]) == ("debug/tiny+two", "debug/tiny+four")
    assert in_two == "outputs/search/random-autogan-digits-debug_tiny+two/seed0"
    assert in_four == "outputs/search/random-autogan-digits-debug_tiny+four/seed0"
    # One in brackets is one, and none is none.
    assert composed(mine, "+experiment=[two]") == composed(mine, "+experiment=two")
    assert composed(mine, "+experiment=[]")[0]["experiment"] is None


def test_a_sweep_over_lists_of_experiments_has_a_folder_a_record_and_a_row_for_each(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lists = "+experiment=[debug/tiny,two],[debug/tiny,four]"
    more = ["search_space=baselines", "progress=false", "threads=1", "device=cpu"]
    assert main(["search", "-m", "--config-dir", str(mine), lists, *more]) == 0
    names = {
        record.parent.parent.name: json.loads(record.read_text())["experiment"]
        for record in tmp_path.glob("outputs/search/*/seed0/record.json")
    }
    assert names == {
        "random-baselines-digits-debug_tiny+two": "debug/tiny+two",
        "random-baselines-digits-debug_tiny+four": "debug/tiny+four",
    }
    runs, _ = find_records(["outputs"])
    board = build_leaderboard(runs, where={"experiment": ["debug/tiny+two"]})
    assert sum(row["n_seeds"] for row in board.rows if row["strategy"] == "random") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"budget:\n  architectures: 2\n", r"bad\.yaml: .*'# @package _global_'"),
        (b"# @package other\nseed: 2\n", r"bad\.yaml: .*'# @package _global_'"),
        (b"# @package _global_\n- budget.architectures: 2\n", r"bad\.yaml holds a list"),
        (b"# @package _global_\nseed: [\n", r"bad\.yaml cannot be read: .*line"),
        ("# @package _global_\n# für\nseed: 2\n".encode("latin-1"), r"bad\.yaml is not .* UTF-8"),
        (f"{GLOBAL}seed: 2\n".encode("utf-16"), r"bad\.yaml is not .* UTF-8"),
    ],
)
def test_an_experiment_file_that_would_change_nothing_is_refused_by_name(
    mine: Path, content: bytes, message: str
) -> None:
    (mine / "experiment" / "bad.yaml").write_bytes(content)
    for chosen in ("+experiment=bad", "+experiment=[debug/tiny,bad]"):
        with pytest.raises(NasganError, match=message):
            composed(mine, chosen)


def test_a_file_that_begins_with_a_byte_order_mark_is_read(mine: Path) -> None:
    text = f"{GLOBAL}seed: 7\n"
    (mine / "experiment" / "marked.yaml").write_text(text, encoding="utf-8-sig")
    assert composed(mine, "+experiment=marked")[0]["seed"] == 7


def test_an_option_of_another_group_is_named_too(mine: Path) -> None:
    (mine / "trainer").mkdir()
    (mine / "trainer" / "bad.yaml").write_text("- n_critic\n")
    with pytest.raises(NasganError, match=r"trainer/bad\.yaml holds a list"):
        composed(mine, "trainer=bad")
