"""Paths among the settings, flags among the overrides, and folders that cannot be made."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasgan.atomic import storage_error
from nasgan.cli.compose import compose, compose_run, flags_last, with_homes
from nasgan.cli.console import is_refusal
from nasgan.cli.main import main
from nasgan.engine.parts import load_splits
from nasgan.errors import ConfigError, NasganError, StorageError

TINY = ["+experiment=debug/tiny", "progress=false", "threads=1", "device=cpu"]
DCGAN = ["train", "architecture=dcgan", *TINY]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ([*DCGAN, "run_dir="], "run_dir"),
        ([*DCGAN, "output_root="], "output_root"),
        ([*DCGAN, "-m", "seed=0,1", "output_root="], "output_root"),
        ([*DCGAN, "-m", "seed=0,1", "run_dir=' '"], "run_dir"),
        ([*DCGAN, "hydra.run.dir="], "hydra.run.dir"),
        (["search", "-m", "hydra.sweep.dir=", "seed=0,1"], "hydra.sweep.dir"),
        ([*DCGAN, "dataset=npz", "dataset.path="], "dataset.path"),
        ([*DCGAN, "dataset=npz", "dataset.path=${oc.env:NOT_SET,''}"], "dataset.path"),
        ([*DCGAN, "dataset=image_folder", "dataset.path=x", "dataset.test_path="], "test_path"),
        (["search", "dataset=cifar10", "dataset.root="], "dataset.root"),
        (["search", "metrics=inception", "metrics.features.weights="], "metrics.features.weights"),
        (["train", "architecture=", *TINY], "architecture"),
        (["evaluate", "run="], "run"),
        (["sample", "run=x", "out="], "out"),
        (["leaderboard", "runs="], "runs"),
        (["leaderboard", "runs=[a,'']"], "runs"),
        (["leaderboard", "out="], "out"),
        (["leaderboard", "verify", "x.csv", "runs="], "runs"),
        (["report", "out="], "out"),
        (["publish", "to="], "to"),
        (["watch", "runs="], "runs"),
        (["tabulate", "out="], "out"),
    ],
)
def test_an_empty_text_is_no_path(
    command: list[str],
    setting: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    message = capsys.readouterr().err
    assert f"{setting}= is empty where a path is needed" in message
    assert files(tmp_path) == [], "nothing was made"


def test_a_file_in_the_way_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("x")
    long = f"new/{'n' * 300}"
    for place in ("run_dir=taken", "run_dir=taken/sub", "output_root=taken", f"run_dir={long}"):
        assert main([*DCGAN, place]) == 2, place
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert "cannot be used" in message
        assert "choose a" in message
        assert len(message) < 500, "a long name is cut"
        assert files(tmp_path) == [tmp_path / "taken"], "nothing is left behind"
    assert main([*DCGAN, "-m", "seed=0,1", "output_root=taken"]) == 2
    assert "a file stands where a folder is needed" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["npz", "image_folder"])
def test_data_that_cannot_be_looked_at_leave_nothing_behind(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DCGAN, f"dataset={data}", f"dataset.path={'n' * 300}"]) == 2
    assert "File name too long" in capsys.readouterr().err
    assert files(tmp_path) == []


def test_other_jobs_of_a_sweep_run_where_one_has_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    runs = tmp_path / "outputs" / "train" / "dcgan-digits-debug_tiny"
    runs.mkdir(parents=True)
    (runs / "seed0").write_text("in the way")
    assert main([*DCGAN, "-m", "seed=0,1"]) == 1
    told = capsys.readouterr()
    assert "1 completed, 1 REFUSED" in told.out
    told_place = (runs / "seed0").relative_to(tmp_path)
    assert f"error: {told_place}: this folder cannot be made: File exists" in told.err
    assert (runs / "seed1" / "record.json").exists()
    assert (runs / "seed0").read_text() == "in the way"
    assert not list((tmp_path / "tmp").glob("nasgan*")), "what Hydra was given instead is gone"


def test_a_full_disk_fails_a_run_and_a_bad_place_refuses_it() -> None:
    full = storage_error(Path("x"), OSError(28, "No space left on device"))
    taken = storage_error(Path("x"), OSError(20, "Not a directory"))
    assert (is_refusal(full), is_refusal(taken)) == (False, True)
    assert str(taken).startswith("cannot write x: Not a directory: a file stands")
    assert str(StorageError("only words")) == "only words"


def test_home_is_understood_in_every_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    (tmp_path / "here").mkdir()
    home.mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(home))
    drawn = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    np.savez(home / "x.npz", images=drawn)
    data = ["dataset=npz", "dataset.path=~/x.npz", "dataset.image_channels=1", "metrics=digits"]
    data += ["metrics.num_images=64", "trainer=small"]
    assert main([*DCGAN, *data, "run_dir=~/run"]) == 0
    assert main(["sample", "run=~/run", "num=4", "out=~/grid.png"]) == 0
    assert main(["leaderboard", "runs=~/run,~/run", "out=~/t.csv"]) == 0
    assert main(["leaderboard", "verify", "~/t.csv", "runs=~/run"]) == 0
    assert main(["report", "runs=[~/run]", "out=~/r.html"]) == 0
    made = {path.name for path in home.iterdir()}
    assert made >= {"run", "grid.png", "t.csv", "r.html"}
    assert files(tmp_path / "here") == []
    again = compose("train", ["architecture=~/run", "output_root=~/o"])
    assert (again["architecture"], again["output_root"]) == (str(home / "run"), str(home / "o"))
    assert compose_run("train", ["architecture=dcgan", "output_root=~/o"])[1].is_relative_to(home)
    with pytest.raises(ConfigError, match="Write it out"):
        compose("train", ["architecture=dcgan", "run_dir=~nobody_of_this_name/x"])
    capsys.readouterr()


def test_homes_are_quoted_wherever_hydra_would_not_read_them() -> None:
    written = ["runs=[~/a,b,~/c]", "run=~/a,~/b", "~budget", "x='~/a'", "tuning=a~/b", "run=~"]
    read = ["runs=['~/a',b,'~/c']", "run='~/a','~/b'", "~budget", "x='~/a'", "tuning=a~/b"]
    assert with_homes(written) == [*read, "run='~'"]


def test_hydras_own_settings_can_be_referred_to_without_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = ["dataset=npz", "dataset.path=${hydra:runtime.cwd}/x.npz"]
    config, folder = compose_run(
        "train", ["architecture=dcgan", *place, "run_dir=out/${hydra:job.name}"]
    )
    assert config["dataset"]["path"] == str(tmp_path / "x.npz")
    assert folder == Path("out/train")


def test_relative_paths_are_those_of_the_start_where_hydra_changes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [*DCGAN, "dataset=npz", "dataset.path=x.npz", "dataset.image_channels=1"]
    command += ["metrics=digits", "metrics.num_images=64", "trainer=small"]
    drawn = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    np.savez("x.npz", images=drawn)
    assert main([*command, "hydra.job.chdir=true", "run_dir=run"]) == 0


@pytest.mark.parametrize(
    ("pattern", "named"),
    [("seed=range(0,0)", "seed=range(0,0)"), ("trainer=glob(zz*)", "trainer=glob(zz*)")],
)
def test_a_sweep_of_no_jobs_is_an_error_that_names_the_pattern(
    pattern: str,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DCGAN, "-m", pattern]) == 2
    assert f"error: {named} stands for no value" in capsys.readouterr().err
    assert files(tmp_path) == []


def test_flags_may_stand_anywhere_among_overrides() -> None:
    given = ["a=1", "-m", "b=2", "--config-dir", "c", "d=3"]
    assert flags_last(given) == ["a=1", "b=2", "d=3", "-m", "--config-dir", "c"]
    assert flags_last(["--cfg", "job", "a=1"]) == ["a=1", "--cfg", "job"]
    assert flags_last(["a=1", "--info", "config", "b=2"]) == ["a=1", "b=2", "--info", "config"]
    assert flags_last(["-x", "a=1"]) == ["a=1", "-x"], "an unknown one is refused later"
    assert flags_last([]) == []


def test_a_flag_between_overrides_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "architecture=dcgan", "--cfg", "job", "seed=17"]) == 0
    assert "seed: 17" in capsys.readouterr().out
    assert main([*DCGAN, "--nonsense", "seed=1"]) == 2
    assert "unknown flag --nonsense" in capsys.readouterr().err


def test_a_missing_folder_of_configurations_is_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*DCGAN, "--config-dir", "nowhere"]) == 2
    assert "--config-dir nowhere: there is no such folder" in capsys.readouterr().err


def test_warnings_of_libraries_go_to_the_log_and_not_to_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(node: Any) -> Any:
        warnings.warn("this will be gone in version 9", FutureWarning, stacklevel=1)
        return load_splits(node)

    monkeypatch.setattr("nasgan.engine.parts.load_splits", load)
    before = warnings.showwarning
    monkeypatch.chdir(tmp_path)
    assert main([*DCGAN, "run_dir=run"]) == 0
    assert "version 9" not in "".join(capsys.readouterr())
    assert "version 9" in Path("run/train.log").read_text()
    assert warnings.showwarning is before
    assert logging.getLogger("py.warnings").handlers, "else logging writes to the terminal itself"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run_dir=${oc.env:NOT_SET_ANYWHERE}", "Environment variable 'NOT_SET_ANYWHERE' not found"),
        ("seed=${nothing.here}", "refers to 'nothing.here' not found"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told_plainly(override: str, message: str) -> None:
    with pytest.raises(NasganError) as raised:
        compose("train", ["architecture=dcgan", override])
    assert message in str(raised.value)
    assert "raised while" not in str(raised.value)


def test_a_missing_primary_configuration_is_said_to_be_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*DCGAN, "--config-name", "nowhere"]) == 2
    assert "--config-name nowhere: there is no such configuration" in capsys.readouterr().err
