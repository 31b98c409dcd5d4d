"""Verbs, exit codes, and one clean message for each mistake."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nasgan.engine
from nasgan.cli import completion, running
from nasgan.cli.hydra_job import HydraJob
from nasgan.cli.main import VERBS, main
from nasgan.errors import RunDirectoryError, StorageError

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in an empty folder; gives exit code, output and error stream."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NASGAN_DEBUG", raising=False)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


class Outcome:
    def __init__(self, status: str) -> None:
        self.status = status
        self.summary_lines = [f"the run is {status}"]
        self.failure = ""


def engine_that(monkeypatch: pytest.MonkeyPatch, behaviour: Callable[..., Any]) -> None:
    engine = lambda parts, folder: behaviour(parts.config, folder)  # noqa: E731
    monkeypatch.setattr(nasgan.engine, "run", engine)


def test_help_names_every_verb(run: Run) -> None:
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        code, out, _ = run(*arguments)
        assert code == 0
        assert all(f"  {verb} " in out for verb in VERBS)


def test_the_version_is_nasgans_for_every_verb(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("nasgan ")
    assert run("search", "--version")[1] == out


def test_an_unknown_verb_gets_the_nearest_names(run: Run) -> None:
    code, _, err = run("serch")
    assert code == 2
    assert "Did you mean 'search'?" in err


MISTAKES = [
    (["search", "strategy=randm"], "unknown strategy 'randm'. Did you mean 'random'"),
    (["search", "dataset=cifar"], "unknown dataset 'cifar'. Did you mean 'cifar10'"),
    (["search", "+experiment=tiny"], "Did you mean 'debug/tiny'?"),
    (["search", "experiment=debug/tiny"], "write +experiment=debug/tiny"),
    (["search", "trainer.n_critc=2"], "Did you mean trainer.n_critic?"),
    (["search", "sed=1"], "Did you mean seed?"),
    (["search", "strategyy=random"], "Did you mean strategy"),
    (["search", "+strategy=random"], "strategy is chosen already"),
    (["search", "~strategy"], "needs a strategy=OPTION"),
    (["search", "trainer.n_critic=five"], "trainer.n_critic must be int, got 'five'"),
    (["search", "+trainer.foo=1"], "unknown setting trainer.foo"),
    (["search", "seed=-1"], "seed must be at least 0"),
    (["search", "seed=x"], "seed must be int"),
    (["search", "strategy=asha", "strategy.factor=nan"], "strategy.factor must be a finite number"),
    (
        ["search", "strategy=optuna", "strategy.sampler_settings={c: inf}"],
        "strategy.sampler_settings.c must be a finite number",
    ),
    (["search", "+trainer.foo=nan"], "trainer.foo must be a finite number"),
    (["search", "objective=fidd"], "unknown objective 'fidd'. Did you mean 'fid'"),
    (["search", "final.top_k=-1"], "final.top_k must be at least 0"),
    (["search", "strategy=[a"], "cannot read 'strategy=[a'"),
    (["search", "seed"], "a setting is written key=value"),
    (["search", "strategy=random,random_scratch"], "add -m"),
    (["search", "dataset=npz"], "dataset.path must be given"),
    (["search", "strategy._target_=os.system"], "outside nasgan and installed plugins"),
    (["search", "+hydra.callbacks.x._target_=os.getcwd"], "outside nasgan and installed plugins"),
    (["search", "device=xpu"], "device=xpu"),
    (["search", "--foo"], "unknown flag --foo"),
    (["search", "--experimental-rerun", "x"], "refused"),
    (["search", "trainer=null"], "must be a string or a list"),
    (["train"], "architecture must be given"),
    (["train", "architecture=autogan_z"], "Did you mean 'autogan_"),
    (["train", "architecture=sngan", "strategy=random"], "does not use the group 'strategy'"),
    (["evaluate"], "run must be given"),
    (["evaluate", "run=nowhere"], "nowhere"),
    (["sample", "run=nowhere", "num=0"], "num must be at least 1"),
    (["leaderboard", "runs=nowhere"], "nowhere"),
    (["leaderboard", "out=table.html"], "is a .csv, .md or .json file"),
    (["leaderboard", "where.stratgy=rl"], "Did you mean where.strategy?"),
    (["leaderboard", "verify", "none.csv"], "none.csv: there is no such leaderboard or bundle"),
    (["leaderboard", "verify", "none.csv", "run=x"], "Did you mean 'runs'?"),
    (["publish"], "to must be given"),
    (["publish", "to=b", "runs=nowhere"], "nowhere"),
    (["report", "runs=nowhere"], "nowhere"),
    (["report", "out=report.csv"], "is an .html file"),
    (["watch", "runs=nowhere"], "nowhere"),
    (["watch", "port=-1"], "port must be at least 0"),
    (["watch", "runs=.", "port=99999"], "choose another port="),
    (["list", "spacs"], "Did you mean 'spaces'?"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES]
)
def test_a_mistake_gets_one_clean_message_and_leaves_nothing(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == [], "a refused command makes no folders"


@pytest.mark.parametrize("place", [[], ["run_dir=new/folder"], ["run_dir=empty"]])
def test_data_that_are_missing_leave_no_folder_of_the_run(
    run: Run, tmp_path: Path, place: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = run("search", "dataset=npz", "dataset.path=missing.npz", *place)
    assert (code, err.count("\n")) == (2, 1)
    assert "missing.npz does not exist" in err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    left = [path.name for path in (tmp_path / "empty").iterdir()]
    assert left == (["search.log"] if "run_dir=empty" in place else [])
    assert run("search", "dataset=npz", "dataset.path=missing.npz", "seed=1", *place)[0] == 2


def test_a_refused_job_of_a_sweep_keeps_its_log_alone(run: Run, tmp_path: Path) -> None:
    assert run("search", "-m", "dataset=npz", "dataset.path=missing.npz", "seed=0,1")[0] == 1
    folders = sorted((tmp_path / "outputs" / "search").glob("random-*/seed*"))
    assert [[path.name for path in folder.iterdir()] for folder in folders] == [["search.log"]] * 2
    assert "missing.npz does not exist" in (folders[1] / "search.log").read_text()


def test_a_user_who_debugs_gets_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASGAN_DEBUG", "1")
    code, _, err = run("search", "trainer.n_critic=five")
    assert code == 2
    assert "Traceback" in err


@pytest.mark.parametrize(
    ("status", "code"), [("completed", 0), ("already_completed", 0), ("failed", 1)]
)
def test_the_exit_code_tells_how_the_run_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    engine_that(monkeypatch, lambda config, folder: Outcome(status))
    assert run("search")[:2] == (code, f"the run is {status}\n")


def test_the_engine_gets_plain_data_and_the_stable_folder(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[dict[str, Any], Path]] = []

    def engine(config: dict[str, Any], folder: Path) -> Outcome:
        seen.append((config, folder))
        return Outcome("completed")

    engine_that(monkeypatch, engine)
    assert run("search", "seed=3", "+experiment=debug/tiny")[0] == 0
    [(config, folder)] = seen
    assert folder == tmp_path / "outputs/search/random-autogan-digits-debug_tiny/seed3"
    assert (config["seed"], config["experiment"]) == (3, "debug/tiny")
    assert type(config["strategy"]) is dict
    assert sorted(p.name for p in (folder / ".hydra").iterdir()) == [
        "config.yaml",
        "hydra.yaml",
        "overrides.yaml",
    ]
    assert (folder / "search.log").is_file()


def test_another_command_in_the_same_folder_does_not_rewrite_its_configuration(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_that(monkeypatch, lambda config, folder: Outcome("completed"))
    run("search", "run_dir=here", "seed=1")

    def refuse(config: dict[str, Any], folder: Path) -> Outcome:
        raise RunDirectoryError("holds another run")

    engine_that(monkeypatch, refuse)
    code, _, err = run("search", "run_dir=here", "seed=2")
    assert (code, err) == (2, "error: holds another run\n")
    assert "seed: 1" in Path("here/.hydra/config.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (StorageError(28, "the disk is full"), 1, "the disk is full"),
        (KeyboardInterrupt(), 130, "interrupted; the same command resumes"),
    ],
)
def test_a_run_that_stops_says_why(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def engine(config: dict[str, Any], folder: Path) -> Outcome:
        raise error

    engine_that(monkeypatch, engine)
    found, _, err = run("search")
    assert found == code
    assert message in err
    assert "Traceback" not in err


def test_a_bug_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def engine(config: dict[str, Any], folder: Path) -> Outcome:
        raise ZeroDivisionError("a bug")

    engine_that(monkeypatch, engine)
    with pytest.raises(ZeroDivisionError):
        run("search")


def test_a_sweep_shows_a_failure_at_once_runs_the_rest_and_exits_with_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def engine(config: dict[str, Any], folder: Path) -> Outcome:
        seeds.append((config["seed"], folder.relative_to(Path.cwd()).as_posix()))
        if config["seed"] == 1:
            raise StorageError(28, "the disk is full")
        return Outcome("completed")

    engine_that(monkeypatch, engine)
    code, out, err = run("search", "-m", "seed=0,1,2", "+experiment=debug/tiny")
    base = "outputs/search/random-autogan-digits-debug_tiny/seed"
    assert seeds == [(i, f"{base}{i}") for i in range(3)]
    assert code == 1
    assert out.count("the run is completed") == 2
    assert err.index("the disk is full") < err.index("#2")
    assert "Traceback" not in err


def test_a_failed_run_fails_its_sweep(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_that(monkeypatch, lambda config, folder: Outcome("failed"))
    assert run("search", "-m", "seed=0,1")[0] == 1


@pytest.mark.parametrize("verb", ["search", "train"])
def test_the_environment_is_as_before(run: Run, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    import os
    import sys

    before = (dict(os.environ), list(sys.argv), Path.cwd())
    run(verb, "seed=x")
    assert (dict(os.environ), list(sys.argv), Path.cwd()) == before


def test_a_job_reaches_a_launchers_process_whole() -> None:
    job = pickle.loads(pickle.dumps(HydraJob("search", running._search)))
    assert (job.verb, job.work, job.exit_code) == ("search", running._search, 0)


LINES = [
    ("nasgan ", set(VERBS)),
    ("nasgan se", {"search"}),
    ("nasgan list sp", {"spaces"}),
    ("nasgan search strategy=", {"strategy=random", "strategy=random_scratch"}),
    ("nasgan search seed=1 strategy=random_", {"strategy=random_scratch"}),
    ("nasgan search trainer.n_", {"trainer.n_critic="}),
    ("nasgan search +experiment=", {"+experiment=debug/tiny"}),
    ("nasgan train archi", {"architecture="}),
]


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_tab_completion(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    expected: set[str],
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert completion.run(["-sc", "query=bash"]) == 0
    assert expected <= set(capsys.readouterr().out.split())


def test_tab_completion_is_installed_for_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "-sc", "install=bash"]) == 0
    by_verb = capsys.readouterr().out
    assert main(["-sc", "install=bash"]) == 0
    assert capsys.readouterr().out == by_verb
    assert by_verb.rstrip().endswith("hydra_bash_completion nasgan")
