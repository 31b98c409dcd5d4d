"""Simulated searches are read as the runs that they stand for: one file, not a folder each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from record_samples import record
from simulation_samples import search, some_searches, write_simulations

from nasgan.cli.main import main
from nasgan.errors import ConfigError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.study import Study
from nasgan.publishing.bundle import publish
from nasgan.publishing.bundle_check import verify_bundle
from nasgan.publishing.verification import verify_table
from nasgan.runs.parts import UNITS
from nasgan.runs.simulations import MANIFEST_FILE, SEARCHES_FILE, SimulationFile


def _board(*roots: Path, **settings: Any) -> dict[str, dict[str, Any]]:
    found, problems = find_records(roots)
    assert problems == []
    return {row["strategy"]: dict(row) for row in build_leaderboard(found, **settings).rows}


def _edit(folder: Path, name: str, change: Any) -> None:
    path = folder / name
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def test_a_leaderboard_ranks_them_over_seeds(tmp_path):
    write_simulations(tmp_path, some_searches())
    rows = _board(tmp_path)
    assert list(rows) == ["good", "random"]
    good = rows["good"]
    assert (good["rank"], good["n_seeds"], good["fid_mean"]) == (1, 4, 12.5)
    assert good["protocol"] == "table:toy-v1"
    assert good["search_generator_steps"] == 1000
    assert good["budget"] == (
        "search 1000 generator steps; final 1 by table_mean, 100 steps, exact scores of 12ab12ab"
    )
    assert good["hardware"] == ("simulated",)


def test_a_search_that_found_nothing_is_a_failed_seed(tmp_path):
    searches = [*some_searches(3), search("good", 3, []), search("good", 4, [20.0, None])]
    write_simulations(tmp_path, searches)
    row = _board(tmp_path)["good"]
    assert (row["n_seeds"], row["n_failed"], row["fid_mean"]) == (3, 2, 12.0)
    failures = Study(tmp_path).runs.set_index(["strategy", "seed"])["failure"]["good"]
    assert failures[3] == "no architecture was scored: the budget is spent"
    assert failures[4] == "what it found breaks down in the table"


def test_equal_scores_of_seeds_are_no_copies(tmp_path):
    write_simulations(tmp_path, [search("random", seed, [12.0]) for seed in range(3)])
    found, _ = find_records([tmp_path])
    assert build_leaderboard(found).problems == ()


def test_a_table_of_theirs_never_stands_with_trained_scores(tmp_path):
    write_simulations(tmp_path / "simulated", some_searches())
    record().write(tmp_path / "trained" / "record.json")
    with pytest.raises(ConfigError, match="table:toy-v1 \\(8 runs\\); choose one with protocol=ID"):
        _board(tmp_path)
    assert list(_board(tmp_path, protocol="table:toy-v1")) == ["good", "random"]


def test_exact_and_surrogate_scores_are_other_tasks(tmp_path):
    write_simulations(tmp_path / "exact", some_searches())
    write_simulations(
        tmp_path / "surrogate", some_searches(), scores="surrogate", checksum="cd34" * 16
    )
    found, _ = find_records([tmp_path])
    rows = build_leaderboard(found).rows
    assert len({row["budget"] for row in rows}) == 2
    assert [row["rank"] for row in rows if row["strategy"] == "good"] == [1, 1]


def test_a_copy_of_the_file_counts_once_in_one_sentence(tmp_path):
    for name in ("here", "there"):
        write_simulations(tmp_path / name, some_searches())
    found, problems = find_records([tmp_path])
    assert len(found) == 8
    (problem,) = problems
    first = tmp_path / "here" / SEARCHES_FILE
    assert problem.message == f"holds the searches of {first}: they count once"


def test_the_file_itself_can_be_named(tmp_path):
    write_simulations(tmp_path, some_searches())
    assert len(find_records([tmp_path / SEARCHES_FILE])[0]) == 8


def test_a_study_shows_what_was_known_when(tmp_path):
    write_simulations(tmp_path, some_searches())
    study = Study(tmp_path).where(strategy="good", seed=1)
    assert len(study) == 1
    frame = study.incumbents
    assert list(frame["judged"]) == [21.0, 12.0]
    assert list(frame["regret"]) == [11.0, 2.0]
    assert list(frame["spent/generator_steps"]) == [100, 200]
    assert set(frame["baseline"]) == {"random"}
    assert study.history.empty


def test_regret_is_above_zero_where_more_is_better(tmp_path):
    file = write_simulations(tmp_path, some_searches(), metric="is", best_known=40.0)
    assert file.regret(30.0) == 10.0


def test_a_budget_without_a_limit_is_none_to_compare_at(tmp_path):
    file = write_simulations(tmp_path, some_searches(), budget=dict.fromkeys(UNITS))
    with pytest.raises(ConfigError, match=r"budget must be a budget with a limit"):
        SimulationFile.open(file.path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: a search must be an object, got []"),
        ('{"seed": 1}', "line 2: search lacks strategy"),
        ({"seed": -1}, "line 2: search.seed must be a whole number of at least 0, got -1"),
        ({"strategy": "other"}, "line 2: simulations.json names no strategy 'other'"),
        ({"judged": 1.0}, "line 2: architecture and judged are not those of its last incumbent"),
        (
            {"architecture": None, "judged": 1.0, "incumbents": []},
            "line 2: architecture and judged are not those of its last incumbent",
        ),
        ({"spent": {"generator_steps": 1}}, "line 2: its costs fall"),
        ({"seed": 0}, "line 2: the search of good with seed 0 is there already, in line 1"),
    ],
)
def test_a_damaged_line_is_told_and_the_others_count(tmp_path, line, message):
    write_simulations(tmp_path, some_searches())

    def damage(text: str) -> str:
        lines = text.splitlines()
        if isinstance(line, str):
            lines[1] = line
        else:
            whole = json.loads(lines[1])
            changes = {k: {**whole[k], **v} if k == "spent" else v for k, v in line.items()}
            lines[1] = json.dumps({**whole, **changes})
        return "\n".join(lines)

    _edit(tmp_path, SEARCHES_FILE, damage)
    found, problems = find_records([tmp_path])
    assert len(found) == 7
    assert problems[0].message.startswith(message)
    assert problems[0].message.endswith("; it is left out")
    assert problems[1].message == "7 of 8 searches can be read"


def test_many_damaged_lines_are_few_sentences(tmp_path):
    write_simulations(tmp_path, some_searches())
    _edit(tmp_path, SEARCHES_FILE, lambda text: text.replace('"strategy"', '"method"'))
    found, problems = find_records([tmp_path])
    assert found == []
    assert len(problems) == 4
    assert problems[-1].message == "0 of 8 searches can be read"


def test_a_line_without_an_end_is_not_read_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("nasgan.runs.simulations._LONGEST_LINE", 100)
    write_simulations(tmp_path, some_searches())
    assert find_records([tmp_path])[0] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"version": 1', '"version": 9'), "simulate them again"),
        (lambda text: "[]", "simulate them again"),
        (lambda text: "", "simulations.json: not JSON"),
        (
            lambda text: text.replace('"exact"', '"guessed"'),
            "scores must be 'exact' or 'surrogate'",
        ),
    ],
)
def test_a_damaged_description_is_told(tmp_path, change, message):
    write_simulations(tmp_path, some_searches())
    _edit(tmp_path, MANIFEST_FILE, change)
    _, (problem,) = find_records([tmp_path])
    assert message in problem.message


def test_searches_without_their_description_are_told(tmp_path):
    write_simulations(tmp_path, some_searches())
    (tmp_path / MANIFEST_FILE).unlink()
    _, (problem,) = find_records([tmp_path])
    assert "cannot read this description of the searches: No such file" in problem.message


def test_a_table_verifies_and_an_edited_search_does_not(tmp_path):
    write_simulations(tmp_path, some_searches())
    found, _ = find_records([tmp_path])
    build_leaderboard(found).write(tmp_path / "board.csv")
    assert verify_table(tmp_path / "board.csv", found).differences == ()
    _edit(tmp_path, SEARCHES_FILE, lambda text: text.replace("11.0", "10.5"))
    edited, _ = find_records([tmp_path])
    first, second = verify_table(tmp_path / "board.csv", edited).differences
    assert "is not the file that was written" in first
    assert "fid_mean 12.5 / 12.375" in second
    with pytest.raises(ConfigError, match="cannot be trusted"):
        publish([tmp_path], tmp_path / "bundle")


def test_a_bundle_holds_one_file_of_them_and_verifies(tmp_path):
    write_simulations(tmp_path / "simulated", some_searches())
    bundle = publish([tmp_path], tmp_path / "bundle")
    assert (bundle.num_runs, bundle.remarks) == (8, ())
    held = [path for path in (tmp_path / "bundle" / "runs").rglob("*") if path.is_file()]
    assert sorted(path.name for path in held) == [MANIFEST_FILE, SEARCHES_FILE]
    before = tmp_path / "simulated" / SEARCHES_FILE
    (searches,) = (path for path in held if path.name == SEARCHES_FILE)
    assert searches.read_bytes() == before.read_bytes()
    found = verify_bundle(tmp_path / "bundle")
    assert (found.differences, found.num_runs) == ((), 8)
    checklist = (tmp_path / "bundle" / "CHECKLIST.md").read_text(encoding="utf-8")
    assert checklist.endswith("Simulated searches alone: the points are about runs that train.\n")


def test_a_bundle_of_chosen_ones_holds_only_these(tmp_path):
    write_simulations(tmp_path / "simulated", some_searches())
    bundle = publish([tmp_path], tmp_path / "bundle", where={"seed": [0, 2]})
    assert bundle.num_runs == 4
    assert verify_bundle(tmp_path / "bundle").differences == ()
    (path,) = (tmp_path / "bundle").rglob(SEARCHES_FILE)
    lines = [search["seed"] for search, _ in SimulationFile.open(path).read(print)]
    assert lines == [0, 2, 0, 2]


@pytest.mark.parametrize("name", [SEARCHES_FILE, MANIFEST_FILE])
def test_a_bundle_with_an_edited_search_does_not_verify(tmp_path, name):
    write_simulations(tmp_path / "simulated", some_searches())
    publish([tmp_path], tmp_path / "bundle")
    (path,) = (tmp_path / "bundle").rglob(name)
    _edit(path.parent, name, lambda text: text.replace('"seed": 3', '"seed": 7').rstrip())
    differences = verify_bundle(tmp_path / "bundle").differences
    assert f"{path.relative_to(tmp_path / 'bundle').as_posix()}: was edited after publication" in (
        differences
    )


def test_the_verbs_read_them(tmp_path, capsys):
    write_simulations(tmp_path, some_searches())
    out = tmp_path / "board.csv"
    assert main(["leaderboard", f"runs={tmp_path}", f"out={out}"]) == 0
    assert "8 of 8 runs in 2 rows" in capsys.readouterr().out
    assert main(["leaderboard", "verify", str(out), f"runs={tmp_path}"]) == 0
    assert main(["report", f"runs={tmp_path}", f"out={tmp_path / 'report.html'}"]) == 0
    assert main(["publish", f"runs={tmp_path}", f"to={tmp_path / 'bundle'}"]) == 0
    assert main(["leaderboard", "verify", str(tmp_path / "bundle")]) == 0
