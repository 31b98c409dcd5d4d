"""``nasgan leaderboard``, its ``verify``, and ``nasgan publish``, as a user types them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from record_samples import DIGITS, sound_record

from nasgan.cli.compose import compose
from nasgan.cli.key_values import settings_of
from nasgan.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line beside the folders ``here`` and ``there`` of two machines."""
    monkeypatch.chdir(tmp_path)
    for k, space in enumerate(("agan", "autogan")):
        for seed in range(3):
            sound_record("rl", seed, 20.0 + seed + k / 2, search_space=space).write(
                tmp_path / "here" / space / f"seed{seed}" / "record.json"
            )
            sound_record("random", seed, 40.0 + seed + k / 2, search_space=space).write(
                tmp_path / "there" / space / f"seed{seed}" / "record.json"
            )

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("runs", ["here,there", "[here,there]", "."])
def test_records_of_several_machines_make_one_table(run: Run, tmp_path: Path, runs: str) -> None:
    code, out, err = run("leaderboard", f"runs={runs}")
    assert code == 0, err
    assert "12 of 12 runs in 4 rows" in out
    assert "Average ranks over 2 tasks" in out
    assert files(tmp_path) == {"leaderboard.csv", "leaderboard.md", "leaderboard-ranks.csv"}


def test_the_endings_of_out_say_what_is_written(run: Run, tmp_path: Path) -> None:
    assert run("leaderboard", "runs=here", "out=a.json")[0] == 0
    assert files(tmp_path) == {"a.json"}
    assert run("leaderboard", "runs=here", "out=t/b.md,t/b.CSV")[0] == 0
    assert files(tmp_path / "t") == {"b.md", "b.CSV"}
    assert json.loads((tmp_path / "a.json").read_text())["format"] == "nasgan-leaderboard"


def test_filters_and_groups(run: Run) -> None:
    code, out, _ = run(
        "leaderboard", "runs=here,there", "where.seed=0,1", "where.conditional=false",
        "group_by=strategy",
    )  # fmt: skip
    assert code == 0
    assert "8 of 12 runs in 4 rows" in out
    assert "\nrandom\n" in out
    assert '"seed": [0, 1]' in out
    code, _, err = run("leaderboard", "runs=here,there", "where.strategy=lr")
    assert code == 2
    assert "Did you mean 'rl'" in err


def test_several_protocols_get_a_table_each_and_one_comparison(run: Run, tmp_path: Path) -> None:
    other = "faces-train-2k-digits-v1"
    for strategy, fid in (("rl", 50.0), ("random", 90.0)):
        for seed in range(3):
            sound_record(
                strategy, seed, fid + seed, protocol=other, dataset="faces", run_id=f"{fid}{seed}"
            ).write(tmp_path / "here" / f"faces-{strategy}-{seed}" / "record.json")
    code, _, err = run("leaderboard", "runs=here,there")
    assert code == 2
    assert "2 protocols, whose numbers do not compare" in err
    code, out, err = run("leaderboard", "runs=here,there", f"protocol={DIGITS},{other}")
    assert code == 0, err
    assert out.count("Average ranks over 3 tasks") == 1
    assert files(tmp_path) == {
        f"leaderboard-{DIGITS}.csv", f"leaderboard-{DIGITS}.md",
        f"leaderboard-{other}.csv", f"leaderboard-{other}.md", "leaderboard-ranks.csv",
    }  # fmt: skip
    assert (tmp_path / "leaderboard-ranks.csv").read_text().splitlines()[1].startswith("rl,3,1,")
    for name in (DIGITS, other):
        assert run("leaderboard", "verify", f"leaderboard-{name}.csv", "runs=here,there")[0] == 0


def test_verify_says_what_differs_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    run("leaderboard", "runs=here,there")
    for roots in ("runs=here,there", "runs=[here, there]"):
        code, out, err = run("leaderboard", "verify", "leaderboard.csv", roots)
        assert (code, err) == (0, "")
        assert "cells are what 12 run records give" in out
    table = tmp_path / "leaderboard.csv"
    table.write_text(table.read_text().replace(",21,", ",19,", 1))
    code, out, err = run("leaderboard", "verify", "leaderboard.csv", "runs=here,there")
    assert (code, err) == (1, "")
    assert "row 2 (rl · agan · digits), column fid_mean: 19 in the file, 21.0 from" in out
    assert "does not verify, 1 difference (12 run records)" in out


def test_verify_of_a_table_without_one_of_its_runs_is_a_few_lines(run: Run, tmp_path: Path) -> None:
    run("leaderboard", "runs=here,there", "out=board.json")
    (tmp_path / "here" / "agan" / "seed1" / "record.json").unlink()
    code, out, _ = run("leaderboard", "verify", "board.json", "runs=here,there")
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith("  run rl-agan-1 has no record (it was removed, or the run is")
    assert len(lines) <= 5
    (row,) = [line for line in lines if line.startswith("  row 2 (rl ")]
    assert "columns differ, as its runs do (file / records): rank 1 / nothing, n_seeds 3 / 2" in row


def test_a_text_that_nobody_named_is_not_replaced(run: Run, tmp_path: Path) -> None:
    notes = Path("notes.md")
    notes.write_text("precious")
    code, _, err = run("leaderboard", "runs=here", "out=notes.csv")
    assert code == 2
    assert "notes.md is where the table would go" in err
    assert notes.read_text() == "precious"
    assert not Path("notes.csv").exists()
    assert run("leaderboard", "runs=here", "out=notes.csv,notes.md")[0] == 0
    assert run("leaderboard", "runs=here,there", "out=notes.csv")[0] == 0
    assert notes.read_text().startswith("Protocol `digits")


def test_older_ranks_are_told_of(run: Run) -> None:
    assert "older" not in run("leaderboard", "runs=here,there")[1]
    _, out, _ = run("leaderboard", "runs=here,there", "where.search_space=autogan")
    assert "leaderboard-ranks.csv is older" in out


def test_the_terminal_shows_what_decides_in_100_columns(run: Run) -> None:
    code, out, err = run("leaderboard", "runs=here,there")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "|" not in out
    header = next(line for line in lines if line.startswith("  rank"))
    assert " ".join(header.split()) == "rank strategy FID (digits) seeds failed search steps"
    first = lines[lines.index(header) + 1]
    assert " ".join(first.split()) == "1 rl 21 ± 1 (20 to 22) 3 0 600 in 1 min"
    assert first.index("21 ±") == header.index("FID (digits)")
    assert "Also in the files: is." in out
    assert "no pair (with 2 tasks no p can be below 0.5)" in " ".join(out.split())


def trial(folder: Path, protocol: str, seed: int, experiment: str) -> None:
    sound_record(
        "rl", seed, 5.0, protocol=protocol, dataset="faces", experiment=experiment,
        run_id=f"trial-{seed}",
    ).write(folder / f"trial{seed}" / "record.json")  # fmt: skip


def test_trial_runs_of_another_protocol_are_left_out(run: Run, tmp_path: Path) -> None:
    other = "faces-train-64-digits-v1"
    trial(tmp_path / "here", other, 0, "debug/tiny")
    trial(tmp_path / "here", other, 1, "benchmark/digits+debug/tiny")
    code, out, err = run("leaderboard", "runs=here,there")
    assert (code, err) == (0, "")
    text = " ".join(out.split())
    assert f"{other}: 2 trial runs of +experiment=debug/... are left out; " in text
    assert f"protocol={other} shows them" in text
    assert "12 of 14 runs in 4 rows" in out
    assert run("leaderboard", "verify", "leaderboard.csv", "runs=here,there")[0] == 0
    for chosen in (f"protocol={other}", "where.experiment=debug/tiny", "where.dataset=faces"):
        code, out, err = run("leaderboard", "runs=here,there", chosen)
        assert (code, err) == (0, "")
        assert f"Protocol {other}" in out
        assert "left out" not in out
    trial(tmp_path / "here", other, 2, "benchmark/faces")
    assert "2 protocols" in run("leaderboard", "runs=here,there")[2]


def test_trial_runs_alone_are_no_choice(run: Run, tmp_path: Path) -> None:
    for seed, protocol in enumerate(("faces-train-64-digits-v1", DIGITS)):
        trial(tmp_path / "trials", protocol, seed, "debug/tiny")
    assert "2 protocols" in run("leaderboard", "runs=trials")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rank_by=fdi"], "unknown metric among these runs 'fdi'. Did you mean 'fid'"),
        (["where.strategy=rando"], "'rando'. Did you mean 'random'"),
        (["verfy", "x.csv"], "'verfy'. Did you mean 'verify'?"),
        ([], "2 protocols"),
    ],
)
def test_a_slip_is_told_before_several_protocols(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    trial(tmp_path / "here", "faces-train-64-digits-v1", 0, "benchmark/faces")
    roots = [] if "x.csv" in arguments else ["runs=here,there"]
    code, _, err = run("leaderboard", *arguments, *roots)
    assert code == 2
    assert message in err


def test_verify_alone_is_told_to_be_a_part_of_leaderboard(run: Run) -> None:
    code, _, err = run("verify", "leaderboard.csv")
    assert (code, "Did you mean 'leaderboard verify'?" in err) == (2, True)


def test_the_beginning_of_a_hash_stands_for_it(run: Run) -> None:
    whole = sound_record("rl", search_space="agan").config_hash
    code, out, err = run("leaderboard", "runs=here,there", f"where.config_hash='{whole[:6]}'")
    assert (code, err) == (0, "")
    assert "3 of 12 runs in 1 rows" in out
    assert f'{{"config_hash": ["{whole}"]}}' in out
    assert run("leaderboard", "verify", "leaderboard.csv", "runs=here,there")[0] == 0
    code, _, err = run("leaderboard", "runs=here,there", f"where.config_hash='{whole[:5]}'")
    assert (code, "at least 6 characters" in err) == (2, True)


def test_verify_looks_into_outputs_unless_told_otherwise(run: Run, tmp_path: Path) -> None:
    run("leaderboard", "runs=here")
    code, _, err = run("leaderboard", "verify", "leaderboard.csv")
    assert code == 2
    assert "outputs" in err
    (tmp_path / "here").rename(tmp_path / "outputs")
    assert run("leaderboard", "verify", "leaderboard.csv")[0] == 0


def test_verify_takes_folders_with_a_comma_in_quotes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "here").rename(tmp_path / "a, b")
    roots = "runs=['a, b',there]"
    assert run("leaderboard", roots)[0] == 0
    assert run("leaderboard", "verify", "leaderboard.csv", roots)[0] == 0


def test_verify_takes_its_folders_as_they_are_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "here").rename(tmp_path / "1.10")
    (tmp_path / "there").rename(tmp_path / "null")
    assert run("leaderboard", "runs=['1.10','null']")[0] == 0
    assert run("leaderboard", "verify", "leaderboard.csv", "runs=1.10,null")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["leaderboard", "verify", "b.csv", "runs='a"],
        ["leaderboard", "verify", "b.csv", "runs=[[a]"],
        ["report", "--cfg", "job", "out=${"],
        ["report", "--help", "out=${"],
        ["report", "out=${a"],
    ],
)
def test_words_that_cannot_be_read_are_refused_in_one_sentence(run: Run, words: list[str]) -> None:
    code, _, err = run(*words)
    assert (code, f"cannot read {words[-1]!r}" in err or f'"{words[-1]}"' in err) == (2, True), err
    assert "Traceback" not in err


def test_help_of_verify_shows_examples(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run("leaderboard", "verify", "--help")
    assert end.value.code == 0
    assert "runs=here,there" in capsys.readouterr().out


def test_publish_and_verify(run: Run, tmp_path: Path) -> None:
    code, out, err = run("publish", "runs=here,there", "to=out/bundle", "title='Two: methods'")
    assert code == 0, err
    assert "12 runs in 4 rows" in out
    digest = next(line.split()[1] for line in out.splitlines() if line.startswith("digest"))
    (tmp_path / "out" / "bundle").rename(tmp_path / "moved")
    code, out, err = run("leaderboard", "verify", "moved")
    assert (code, err) == (0, "")
    assert f"digest {digest}" in out
    assert run("leaderboard", "verify", "moved/leaderboard.json")[0] == 0
    assert (tmp_path / "moved" / "README.md").read_text().startswith("# Two: methods\n")
    (tmp_path / "moved" / "README.md").write_text("mine")
    code, out, _ = run("leaderboard", "verify", "moved")
    assert code == 1
    assert "README.md: was edited after publication" in out
    code, _, err = run("leaderboard", "verify", "moved", "runs=here")
    assert code == 2
    assert "leave out runs=" in err
    code, _, err = run("publish", "runs=here", "to=moved")
    assert code == 2
    assert "moved exists already" in err


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (["runs=a,b"], {"runs": ["a", "b"]}),
        (["runs=[a,b]"], {"runs": ["a", "b"]}),
        (["runs=[a]"], {"runs": ["a"]}),
        (["runs=a"], {"runs": "a"}),
        (["runs='a,b'"], {"runs": "a,b"}),
        (["runs=['a, b',\"c\"]"], {"runs": ["a, b", "c"]}),
        (["where.seed=0,1", "rank_by=is"], {"where.seed": [0, 1], "rank_by": "is"}),
        (["where.conditional=false"], {"where.conditional": False}),
        (["where.config_hash='012345'"], {"where.config_hash": "012345"}),
        (["title=a,b"], {"title": "a,b"}),
        (["title='It\\'s: 1'"], {"title": "It's: 1"}),
        (["title=Search on digits"], {"title": "Search on digits"}),
        (["runs=a", "runs=b"], {"runs": "b"}),
    ],
)
def test_several_values_need_no_brackets(given: list[str], seen: dict[str, Any]) -> None:
    made = settings_of("publish", ["to=x", *given])
    flat = {**made, **{f"where.{key}": value for key, value in made["where"].items()}}
    assert {key: flat[key] for key in seen} == seen


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m", "runs=a,b"], "unknown flag -m"),
        (["runs=here", "rank_by"], "a setting is written key=value"),
        (["runs=[a,'b]"], "cannot read"),
        (["runs=[a,[b]]"], "cannot read"),
        (["where=x"], "has no setting 'where'"),
        (["+rank_by=is"], "Did you mean rank_by"),
        (["published=maybe"], "published must be true or false, got 'maybe'"),
        (["runs=${oc.env:NOT_SET_ANYWHERE}"], "NOT_SET_ANYWHERE"),
        (["runs=here", "job"], "cannot read 'job'"),
        (["--cfg"], "--cfg job"),
        (["--cfg=all"], "--cfg job"),
        (["--resolve=no"], "unknown flag --resolve=no"),
    ],
    ids=lambda found: " ".join(found) if isinstance(found, list) else None,
)
def test_words_that_are_no_settings_are_refused(run: Run, words: list[str], message: str) -> None:
    code, _, err = run("leaderboard", *words)
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err


def test_a_number_with_a_zero_before_it_is_a_text() -> None:
    where = {"config_hash": "012345", "seed": [0, -7, 10], "dataset": "00.5"}
    words = ["config_hash=012345", "seed=0,-7,10", "dataset=00.5"]
    held = settings_of("leaderboard", [f"where.{word}" for word in words])["where"]
    assert {name: held[name] for name in where} == where


def test_the_settings_are_shown_by_either_spelling(run: Run) -> None:
    spelt = [run("leaderboard", *words)[:2] for words in (["--cfg", "job"], ["--cfg=job"])]
    assert spelt[0] == spelt[1]
    assert spelt[0][0] == 0


def test_verbs_that_read_results_start_without_hydra(run: Run) -> None:
    assert run("leaderboard", "--cfg", "job", "runs=here,there")[1].startswith("runs:\n- here\n")
    program = (
        "import sys; from nasgan.cli.main import main; code = main(['leaderboard', 'runs=here']); "
        "sys.exit(code or 3 * ('hydra' in sys.modules) or 4 * ('torch' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


ROOT = Path(__file__).resolve().parents[2]
SHOWN = [ROOT / "docs" / "leaderboard.md"] + [
    ROOT / "conf" / "hydra" / "help" / f"{verb}.yaml" for verb in ("leaderboard", "publish")
]
COMMANDS = [
    line.partition("  ")[0].split(" #")[0]
    for path in SHOWN
    for line in map(str.strip, path.read_text("utf-8").splitlines())
    if line.startswith(("nasgan leaderboard", "nasgan publish")) and "FILE" not in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_guide_and_the_help_is_one(command: str, run: Run) -> None:
    _, verb, *arguments = shlex.split(command)
    if arguments[:1] == ["verify"]:
        code, _, err = run(verb, *arguments)
        assert (code, "there is no such leaderboard or bundle" in err) == (2, True)
    else:
        assert compose(verb, arguments)


def test_there_are_commands_in_the_guide() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize(("metric", "value"), [("fid", -5.0), ("precision", 7.0)])
def test_a_record_with_a_score_that_cannot_be_is_counted_nowhere(
    run: Run, tmp_path: Path, metric: str, value: float
) -> None:
    assert run("leaderboard", "runs=here", "out=before.csv")[0] == 0
    path = tmp_path / "here" / "agan" / "seed0" / "record.json"
    data = json.loads(path.read_text())
    data["metrics"][metric] = data["finalists"][0]["metrics"][metric] = value
    path.write_text(json.dumps(data))
    code, out, _ = run("leaderboard", "runs=here", "out=after.csv")
    assert code == 0
    assert "5 of 5 runs" in out
    words = "from 0 to 1" if metric == "precision" else "at least 0"
    assert f"{path.relative_to(tmp_path)}: metrics.{metric} must be {words}, got {value}" in out
    code, out, _ = run("leaderboard", "verify", "before.csv", "runs=here")
    assert code == 1
    assert f"metrics.{metric} must be {words}" in out
