"""States that could not be read again are never written, and what cannot be read is never lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_comparison import fingerprint

from nasgan.engine import run_config
from nasgan.engine.loop import RunLoop
from nasgan.engine.workers import open_evaluator
from nasgan.errors import NasganError, PluginError
from nasgan.evaluation import ScratchEvaluator, SharedEvaluator, TrainingTask
from nasgan.evaluation.executors.candidate import score
from nasgan.runs.history import read_history
from nasgan.runs.status import Status
from nasgan.state_files import Checkpoints
from nasgan_strategies.random.strategy import RandomSearch

Tiny = Callable[..., dict[str, Any]]

_OFTEN = "checkpoint.every_seconds=0"
_SCRATCH = ("strategy=random_scratch", "evaluator.generator_steps=2")


class Stopped(Exception):
    """Stands for a kill between two steps."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny search that nothing stopped."""
    from run_comparison import TINY

    from nasgan.cli.compose import compose

    folder = tmp_path_factory.mktemp("whole") / "run"
    run_config(compose("search", [*TINY, _OFTEN]), folder)
    return folder


def stop_after(saves: int, config: dict[str, Any], folder: Path) -> None:
    """Run until ``saves`` checkpoints have been written."""
    save, done = RunLoop._save, 0

    def stopped(loop: RunLoop) -> None:
        nonlocal done
        save(loop)
        done += 1
        if done == saves:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLoop, "_save", stopped)
        with pytest.raises(Stopped):
            run_config(config, folder)


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").glob("resume-*.pt"))


@pytest.mark.parametrize(
    ("owner", "method", "overrides", "names"),
    [
        (
            RandomSearch,
            "proposer_state",
            (),
            r"strategy nasgan_strategies\.random\.strategy\.RandomSearch: "
            r"state_dict\(\)\['proposer'\]\['position'\] is a numpy\.int64: keep plain numbers",
        ),
        (
            SharedEvaluator,
            "state_dict",
            (),
            r"evaluator nasgan\.evaluation\.shared\.SharedEvaluator: .*'position'.* is a numpy",
        ),
        (
            TrainingTask,
            "state_dict",
            _SCRATCH,
            r"evaluation nasgan\.evaluation\.scratch\._ScratchTask: .*'position'.* is a numpy",
        ),
    ],
)
def test_a_plugins_state_that_could_not_be_read_again_is_refused_when_saved(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    method: str,
    overrides: tuple[str, ...],
    names: str,
) -> None:
    position = np.random.default_rng(0).integers(9)
    monkeypatch.setattr(owner, method, lambda self: {"position": position})
    # A training parted after each step, so that one is under way when the run is saved.
    monkeypatch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", -1.0)
    with pytest.raises(PluginError, match=names):
        run_config(tiny("search", _OFTEN, *overrides), tmp_path / "run")
    assert checkpoints(tmp_path / "run") == []
    assert Status.read(tmp_path / "run" / "status.json").state == "failed"


def test_what_a_workers_evaluator_keeps_is_held_to_the_same(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"trained": np.int64(3)}
    monkeypatch.setattr(ScratchEvaluator, "kept", lambda self, architecture: kept)
    config = tiny("search", *_SCRATCH)
    order = {
        "builder": "nasgan.engine.workers:open_evaluator",
        "settings": {"config": config, "folder": str(tmp_path)},
        "device": "cpu",
        "threads": 1,
        "folder": None,
        "every_seconds": 0.0,
    }
    evaluator, _ = open_evaluator(order["settings"], device="cpu", threads=1)
    architecture = evaluator.run.space.sample(np.random.default_rng(0))  # type: ignore[attr-defined]
    proposal = {"architecture": architecture.to_json(), "generator_steps": 1, "stage": None}
    complaint = r"ScratchEvaluator: kept\(\)\['trained'\] is a numpy.int64"
    with pytest.raises(PluginError, match=complaint):
        score({**order, "proposal": proposal, "kept": {}})


def test_checkpoints_that_cannot_be_read_are_kept_and_the_run_says_that_it_begins_anew(
    whole: Path, tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search", _OFTEN)
    stop_after(4, config, tmp_path)
    damaged = {path.name: path.read_bytes()[:-9] for path in checkpoints(tmp_path)}
    assert len(damaged) == 2
    for name, content in damaged.items():
        (tmp_path / "checkpoints" / name).write_bytes(content)
    caplog.clear()
    assert run_config(config, tmp_path).status == "completed"
    assert caplog.text.count("truncated or damaged") == 2
    assert "it BEGINS ANEW" in caplog.text
    for name, content in damaged.items():
        assert (tmp_path / "checkpoints" / f"unusable-{name}").read_bytes() == content
    assert fingerprint(tmp_path) == fingerprint(whole)


def test_a_first_run_and_a_resumed_one_do_not_say_that_they_begin_anew(
    whole: Path, tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search", _OFTEN)
    stop_after(3, config, tmp_path)
    run_config(config, tmp_path)
    assert "ANEW" not in caplog.text
    assert fingerprint(tmp_path) == fingerprint(whole)


def test_a_history_that_lost_its_last_lines_goes_on_from_the_older_checkpoint(
    whole: Path, tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search", _OFTEN)
    stop_after(4, config, tmp_path)
    history = tmp_path / "history.jsonl"
    held = Checkpoints(tmp_path / "checkpoints")
    (_, newest), (older_path, older) = held.newest_first()
    assert newest["history_offset"] > older["history_offset"] > 0
    history.write_bytes(history.read_bytes()[: newest["history_offset"] - 5])
    caplog.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLoop, "run", _stop_at_once)
        with pytest.raises(Stopped):
            run_config(config, tmp_path)
    assert "has lost lines" in caplog.text
    assert "ANEW" not in caplog.text
    assert checkpoints(tmp_path) == [older_path]
    assert len(read_history(history)) == history.read_bytes().count(b"\n")
    assert history.stat().st_size == older["history_offset"]
    run_config(config, tmp_path)
    assert fingerprint(tmp_path) == fingerprint(whole)


def test_a_history_that_is_gone_begins_anew_and_keeps_the_checkpoints(
    whole: Path, tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search", _OFTEN)
    stop_after(4, config, tmp_path)
    (tmp_path / "history.jsonl").unlink()
    names = [path.name for path in checkpoints(tmp_path)]
    run_config(config, tmp_path)
    assert "it BEGINS ANEW" in caplog.text
    for name in names:
        assert (tmp_path / "checkpoints" / f"unusable-{name}").exists()
    assert fingerprint(tmp_path) == fingerprint(whole)


def test_a_plain_value_that_is_no_checkpoint_is_set_aside(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search", _OFTEN)
    stop_after(3, config, tmp_path)
    Checkpoints(tmp_path / "checkpoints").save(["no", "run"])
    assert run_config(config, tmp_path).status == "completed"
    assert "not the checkpoint of a run" in caplog.text
    assert "ANEW" not in caplog.text


def test_a_checkpoint_that_cannot_be_renamed_stops_the_run(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", _OFTEN)
    stop_after(3, config, tmp_path)
    for path in checkpoints(tmp_path):
        path.write_bytes(b"")
    held = shutil.copytree(tmp_path, tmp_path.with_name("held"))

    def refused(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refused)
        with pytest.raises(NasganError, match=r"cannot write .*unusable"):
            Checkpoints(tmp_path / "checkpoints").load_newest()
    assert checkpoints(tmp_path) != []
    assert [p.name for p in checkpoints(tmp_path)] == [p.name for p in checkpoints(held)]


def _stop_at_once(loop: RunLoop) -> None:
    raise Stopped
