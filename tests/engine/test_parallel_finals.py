"""Final trainings in other processes: the same bits, beside the search, shared, resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from processes import is_running, workers_of
from run_comparison import TINY, fingerprint

from nasgan.cli.compose import compose
from nasgan.engine import final_phase, run_config, trainings, workers
from nasgan.engine.final_phase import FinalPhase, FullTraining
from nasgan.engine.trainings import Trainings
from nasgan.engine.workers import TrainingAttempt
from nasgan.evaluation.executors import AutoExecutor, ProcessExecutor
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord
from nasgan.runs.status import Status
from nasgan.supervisor import Here

Tiny = Callable[..., dict[str, Any]]

FINALS = [
    "strategy=random_scratch",
    "strategy.num_candidates=3",
    "budget=unlimited",
    "budget.architectures=3",
    "final.top_k=2",
    "final.random_architectures=2",
    "final.generator_steps=6",
    "final.eval_every=2",
    "trainer.n_critic=1",
]
WORKERS = ["executor=processes", "executor.workers=2"]
BUILD = {"version": "1", "commit": "abc", "dirty": False}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search with everything in one process."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    run_config(compose("search", [*TINY, *FINALS, "executor=in_process"]), run_dir)
    return run_dir


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` supervises, but its only place is this process."""
    monkeypatch.setattr(AutoExecutor, "pays_for", lambda *_, **__: True)
    monkeypatch.setattr(AutoExecutor, "places", lambda *_: Here())


def assert_same(run_dir: Path, other: Path) -> None:
    """Bit-identical but for the order of the candidates, which several workers have at once."""
    ours, theirs = (fingerprint(folder) for folder in (run_dir, other))
    for made in (ours, theirs):
        final = [line for line in made.pop("history") if line["phase"] == "final"]
        made["final"] = [{k: v for k, v in line.items() if k != "index"} for line in final]
    assert ours == theirs


@pytest.mark.slow
def test_processes_make_what_one_process_makes_to_the_last_bit(
    alone: Path, tiny: Tiny, tmp_path: Path
) -> None:
    run_config(tiny("search", *FINALS, *WORKERS), tmp_path)
    assert_same(tmp_path, alone)
    assert not (tmp_path / "checkpoints" / "candidates").exists()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_a_ray_cluster_makes_what_one_process_makes_to_the_last_bit(
    alone: Path, tiny: Tiny, tmp_path: Path
) -> None:
    run_config(tiny("search", *FINALS, "executor=ray"), tmp_path)
    assert_same(tmp_path, alone)
    assert not sys.modules["ray"].is_initialized()


def test_pieces_make_what_the_final_phase_makes_here(
    here: None, alone: Path, tiny: Tiny, tmp_path: Path
) -> None:
    run_config(tiny("search", *FINALS), tmp_path)
    assert fingerprint(tmp_path) == fingerprint(alone)


def test_short_trainings_stay_in_the_process_of_the_search(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainings, "begin", None)
    assert tiny("search")["executor"]["_target_"].endswith("AutoExecutor")
    assert run_config(tiny("search", *FINALS), tmp_path).status == "completed"


def test_random_architectures_begin_with_the_search(
    here: None, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = []
    begin, enter = Trainings.begin, FinalPhase.__init__

    def note(self: Trainings, architecture: Any, *, shared: bool = False) -> None:
        events.append(("begin", shared))
        begin(self, architecture, shared=shared)

    def note_end(self: FinalPhase, *arguments: Any) -> None:
        events.append(("search over", False))
        enter(self, *arguments)

    monkeypatch.setattr(Trainings, "begin", note)
    monkeypatch.setattr(FinalPhase, "__init__", note_end)
    run_config(tiny("search", *FINALS), tmp_path)
    assert events[:2] == [("begin", True)] * 2
    assert ("search over", False) in events[2:]


def test_without_finalists_no_random_architecture_is_trained(
    here: None, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "Piece", None)
    search = [text for text in FINALS if not text.startswith("final.")]
    settings = ["final.top_k=0", "final.random_architectures=2"]
    outcome = run_config(tiny("search", *search, *settings), tmp_path)
    assert outcome.status == "completed"


# Shared


def _trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The architectures whose training begins from now on."""
    begun: list[str] = []
    original = workers._trained

    def note(order: Any, folder: Path) -> Any:
        if not (folder / "training.json").exists():
            begun.append(order["architecture"]["id"])
        return original(order, folder)

    monkeypatch.setattr(workers, "_trained", note)
    return begun


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """This checkout counts as one without changes."""
    collect = trainings.collect_environment
    monkeypatch.setattr(
        trainings,
        "collect_environment",
        lambda *arguments: {**collect(*arguments), "nasgan": BUILD},
    )


def test_random_architectures_of_a_seed_are_trained_once_for_all_strategies(
    here: None, clean: None, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = _trained(monkeypatch)
    root = f"output_root={tmp_path}"
    runs = [tmp_path / name for name in ("first", "second", "other_seed", "longer")]
    run_config(tiny("search", *FINALS, root), runs[0])
    first, begun[:] = list(begun), []
    run_config(tiny("search", *FINALS, root, "strategy.max_steps=3"), runs[1])
    randoms = [line["architecture"]["id"] for line in _randoms(runs[0])]
    assert len(first) == 4
    assert set(randoms) <= set(first)
    assert not set(randoms) & set(begun), "they were trained a second time"
    assert _randoms(runs[1]) == _randoms(runs[0])
    one, two = (RunRecord.read(run / "record.json").average_random for run in runs[:2])
    assert one == two
    # Another seed, or another length, is another training.
    for more, run in (("seed=1", runs[2]), ("final.generator_steps=8", runs[3])):
        begun.clear()
        run_config(tiny("search", *FINALS, root, more), run)
        assert len(begun) == 4
    assert len(list((tmp_path / "trainings").iterdir())) == 3


def _randoms(run_dir: Path) -> list[dict[str, Any]]:
    lines = read_history(run_dir / "history.jsonl")
    kept = ("architecture", "metrics", "score", "cost")
    return [
        {key: line[key] for key in kept}
        for line in lines
        if line["kind"] == "evaluation" and line.get("role") == "random"
    ]


def test_a_run_outside_the_common_folder_shares_nothing(
    here: None, clean: None, tiny: Tiny, tmp_path: Path
) -> None:
    run_config(tiny("search", *FINALS, f"output_root={tmp_path / 'outputs'}"), tmp_path / "own")
    assert not (tmp_path / "outputs").exists()


def test_a_checkout_with_changes_shares_nothing(
    here: None, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BUILD, "dirty", True)
    collect = trainings.collect_environment
    monkeypatch.setattr(
        trainings, "collect_environment", lambda *a: {**collect(*a), "nasgan": BUILD}
    )
    run_config(tiny("search", *FINALS, f"output_root={tmp_path}"), tmp_path / "run")
    assert not (tmp_path / "trainings").exists()


@pytest.mark.parametrize("harm", ["result", "networks", "number"])
def test_a_damaged_training_is_made_again(
    here: None, clean: None, tiny: Tiny, tmp_path: Path, harm: str
) -> None:
    root = f"output_root={tmp_path}"
    run_config(tiny("search", *FINALS, root), tmp_path / "first")
    file, *_ = sorted(tmp_path.glob("trainings/*/*/training.json"))
    told = json.loads(file.read_text())
    if harm == "result":
        file.write_text(file.read_text()[:-9])
    elif harm == "networks":
        networks = file.parent / told["result"]["networks"]
        networks.write_bytes(networks.read_bytes()[:-9])
    else:
        told["result"]["evaluation"]["score"] = 1.0
        file.write_text(json.dumps(told))
    run_config(tiny("search", *FINALS, root, "strategy.max_steps=3"), tmp_path / "second")
    found = [
        [(line["architecture"], line["metrics"]) for line in _randoms(tmp_path / name)]
        for name in ("first", "second")
    ]
    assert found[0] == found[1]
    assert (file.parent / "unusable-training.json").exists()
    assert json.loads(file.read_text())["result"]["evaluation"]["score"] != 1.0


@pytest.mark.parametrize(
    ("executor", "own"),
    [
        (AutoExecutor(), {}),
        (ProcessExecutor(workers=3), {}),
        (ProcessExecutor(threads=4), {"threads": 4}),
        (ProcessExecutor(devices="cpu"), {"devices": ["cpu"]}),
    ],
)
def test_workers_that_compute_otherwise_share_with_their_like(
    executor: ProcessExecutor, own: dict[str, Any]
) -> None:
    assert executor.own_arithmetic == own


# Stop and go on


PROGRAM = """
import json, sys
from pathlib import Path
from nasgan.engine import run_config
run_config(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""
LONGER = ["final.generator_steps=60", "final.eval_every=20", "checkpoint.every_seconds=0"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_killed_with_trainings_under_way_it_goes_on_from_their_checkpoints_to_the_same_end(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", *FINALS, *WORKERS, *LONGER)
    (tmp_path / "config.json").write_text(json.dumps(config))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "config.json"), str(killed)]
    pieces = killed / "checkpoints" / "candidates" / "final"
    kept: list[Path] = []
    for sign in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            known = set(pieces.glob("*/attempt-*/resume-*.pt"))
            _wait(lambda known=known: set(pieces.glob("*/attempt-*/resume-*.pt")) - known)
            assert process.poll() is None
            workers = workers_of(process.pid)
            if sign == signal.SIGKILL:
                # A worker is killed first: its training goes on in another one.
                os.kill(workers[0], signal.SIGKILL)
                _wait(lambda gone=workers[0]: not is_running(gone))
                time.sleep(0.5)
                workers = workers_of(process.pid)
        finally:
            process.send_signal(sign)
            process.wait()
        _wait(lambda workers=workers: not any(map(is_running, workers)), 30.0)
        kept = list(pieces.glob("*/attempt-*/resume-*.pt"))
    assert Status.read(killed / "status.json").state == "interrupted"
    assert kept, "there is nothing to go on from"
    run_config(tiny("search", *FINALS, *LONGER, "executor=processes", "executor.workers=1"), killed)
    run_config(tiny("search", *FINALS, *LONGER, "executor=in_process"), whole)
    assert_same(killed, whole)


def _wait(condition: Callable[[], object], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_training_begun_here_ends_here_and_the_others_elsewhere(
    here: None, alone: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopError(Exception):
        pass

    original = FinalPhase.step
    steps = 0

    def stop(self: FinalPhase) -> Any:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise StopError
        return original(self)

    config = tiny("search", *FINALS, "executor=in_process", "checkpoint.every_seconds=0")
    with monkeypatch.context() as patch:
        patch.setattr(final_phase.FinalPhase, "step", stop)
        with pytest.raises(StopError):
            run_config(config, tmp_path)
    elsewhere = []
    told = FinalPhase._told

    def note(self: FinalPhase, evaluation: Any) -> Any:
        assert self._trainings is not None
        known = {each.id: self._trainings.steps(each) for each in self._queue}
        elsewhere.append([key for key, steps in known.items() if steps is not None])
        return told(self, evaluation)

    monkeypatch.setattr(FinalPhase, "_told", note)
    run_config(tiny("search", *FINALS, "checkpoint.every_seconds=0"), tmp_path)
    assert fingerprint(tmp_path) == fingerprint(alone)
    first = json.loads((tmp_path / "record.json").read_text())["finalists"][0]["architecture"]["id"]
    assert elsewhere[0], "the others waited for the first one"
    assert first not in elsewhere[-1]
    assert len(elsewhere[-1]) == len(elsewhere) - 1


def test_results_that_a_killed_run_has_left_are_not_made_again(
    here: None, alone: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = _trained(monkeypatch)
    original = FinalPhase._take

    def stop(self: FinalPhase, *arguments: Any) -> Any:
        if len(self.evaluations) == 2:
            raise KeyboardInterrupt
        return original(self, *arguments)

    config = tiny("search", *FINALS, "checkpoint.every_seconds=0")
    with monkeypatch.context() as patch:
        patch.setattr(FinalPhase, "_take", stop)
        with pytest.raises(KeyboardInterrupt):
            run_config(config, tmp_path)
    assert Status.read(tmp_path / "status.json").state == "interrupted"
    assert len(begun) == 4
    begun.clear()
    run_config(config, tmp_path)
    assert begun == []
    assert fingerprint(tmp_path) == fingerprint(alone)


def test_one_process_alone_finds_what_workers_had_trained(
    here: None,
    clean: None,
    alone: Path,
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(self: FinalPhase, *arguments: Any) -> Any:
        raise KeyboardInterrupt

    run_dir = tmp_path / "run"
    settings = [*FINALS, "checkpoint.every_seconds=0", f"output_root={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(FinalPhase, "_take", stop)
        with pytest.raises(KeyboardInterrupt):
            run_config(tiny("search", *settings), run_dir)
    assert len(list(tmp_path.glob("trainings/*/*/training.json"))) == 2, "random ones are shared"
    left = next(run_dir.glob("checkpoints/candidates/final/*/training.json")).parent.name
    begun = []
    begin = FullTraining.begin

    def note(self: FullTraining, architecture: Any) -> Any:
        begun.append(architecture.id)
        return begin(self, architecture)

    monkeypatch.setattr(FullTraining, "begin", note)
    run_config(tiny("search", *settings, "executor=in_process"), run_dir)
    assert left not in begun
    assert len(begun) <= 1, "four are over, or one of them was not begun yet"
    assert fingerprint(run_dir) == fingerprint(alone)


def test_one_process_alone_goes_on_with_what_a_worker_had_half_done(
    here: None,
    alone: Path,
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    advance = TrainingAttempt.advance

    def stop(self: TrainingAttempt) -> None:
        if self.progress == 5:  # of 6 steps, with scores after the second and the fourth
            raise KeyboardInterrupt
        advance(self)

    settings = [*FINALS, "checkpoint.every_seconds=0"]
    with monkeypatch.context() as patch:
        patch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", 0.0)
        patch.setattr(TrainingAttempt, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            run_config(tiny("search", *settings), tmp_path)
    with caplog.at_level("INFO"):
        run_config(tiny("search", *settings, "executor=in_process"), tmp_path)
    assert caplog.text.count("going on from a checkpoint in") == 1
    assert fingerprint(tmp_path) == fingerprint(alone)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([None, None], "0/2 trainings over, 2 waiting"),
        ([0, 40, 700], "1/3 trainings over, 2 under way, at step 0 to 40 of 700"),
        ([700, 40, None], "1/3 trainings over, 1 under way, at step 40 of 700, 1 waiting"),
        ([700, 700], "2/2 trainings over"),
    ],
)
def test_the_progress_line_says_what_all_trainings_do(steps: list[int | None], words: str) -> None:
    assert final_phase._how_far(steps, 700) == words


def test_a_copy_that_was_thought_dead_writes_elsewhere(
    here: None, alone: Path, tiny: Tiny, tmp_path: Path
) -> None:
    # The checkpoint of a foreign attempt is gone on from, and never written to.
    config = tiny("search", *FINALS, *LONGER)
    order = {
        "config": {**config, "logger": None},
        "architecture": json.loads((alone / "architecture.json").read_text()),
        "plan": {"generator_steps": 60, "eval_every": 20, "phase": "final", "fidelity": "final"},
        "folder": str(tmp_path / "training"),
        "shared": False,
        "device": "cpu",
        "threads": 1,
    }
    made = workers.train(order)
    (tmp_path / "training" / "training.json").unlink()
    assert not list((tmp_path / "training").glob("attempt-*"))
    again = workers.train(order)
    assert again["networks"] == made["networks"], "its name is the digest of its content"
    assert again["curve"] == made["curve"]
    shutil.rmtree(tmp_path / "training")


def test_a_training_that_fails_for_good_ends_the_run_with_the_reason(
    here: None, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasgan.errors import NasganError

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(workers, "_trained", broken)
    with pytest.raises(NasganError, match="failed 2 times: ZeroDivisionError: a bug"):
        run_config(tiny("search", *FINALS), tmp_path)


@pytest.mark.parametrize("kind", [AutoExecutor, ProcessExecutor])
def test_the_search_leaves_a_place_for_itself(kind: type[Any]) -> None:
    assert kind.in_process is (kind is AutoExecutor)
