"""A run as a whole: what it leaves, how it resumes, and what it refuses."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_comparison import fingerprint

import nasgan
from nasgan import atomic
from nasgan.engine import evaluate_run, run_config, sample_run
from nasgan.engine.loop import JobReport, RunLoop
from nasgan.engine.run_directory import RunDirectory
from nasgan.engine.search_job import SearchJob
from nasgan.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    NasganError,
    RunDirectoryError,
    StorageError,
    TrainingDiverged,
    UnknownNameError,
)
from nasgan.runs.folder import RunLock
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord
from nasgan.runs.status import Status
from nasgan.state_files import Checkpoints

Tiny = Callable[..., dict[str, Any]]


class Stopped(Exception):
    """Stands for a crash between two steps."""


def test_a_search_leaves_everything_that_the_design_names(finished: Path) -> None:
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*")}
    assert {
        "record.json",
        "status.json",
        "history.jsonl",
        "architecture.json",
        "samples/final.png",
        "checkpoints/generator.safetensors",
        "checkpoints/discriminator.safetensors",
    } <= names
    assert not any("resume-" in name or "candidates" in name for name in names)
    assert Status.read(finished / "status.json").state == "completed"


def test_the_record_holds_the_result_its_costs_and_the_random_architecture(finished: Path) -> None:
    record = RunRecord.read(finished / "record.json")
    assert record.status == "completed"
    assert (record.strategy, record.search_space, record.dataset) == ("random", "autogan", "digits")
    assert record.protocol == "digits-train-64-digits-v1"
    assert record.cost["search"]["generator_steps"] == 12
    assert record.cost["search"]["architectures"] == 3
    per_step = 2 * 2 * 8 + 8
    assert record.cost["search"]["images"] == 12 * per_step + 3 * 32
    assert record.cost["final"]["generator_steps"] == 2 * 4
    assert record.average_random is not None
    assert record.average_random["count"] == 1
    assert record.bound is not None
    best = min(record.finalists, key=lambda item: item["score"])
    assert record.metrics == best["metrics"]


def test_the_history_tells_the_search_and_the_final_phase(finished: Path) -> None:
    lines = read_history(finished / "history.jsonl")
    searched = [x for x in lines if x["kind"] == "evaluation" and x["phase"] == "search"]
    assert len(searched) == 3
    best = min(searched, key=lambda line: line["score"])["architecture"]["id"]
    assert searched[-1]["incumbent"] == best
    retrained = [x for x in lines if x["kind"] == "evaluation" and x["phase"] == "final"]
    assert [line["role"] for line in retrained] == ["finalist", "random"]
    assert retrained[0]["architecture"]["id"] == best
    curve = [x["generator_steps"] for x in lines if x["kind"] == "checkpoint"]
    assert curve == [2, 4, 2, 4]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    finished: Path, tiny: Tiny, tmp_path: Path
) -> None:
    run_config(tiny("search"), tmp_path / "again")
    assert fingerprint(tmp_path / "again") == fingerprint(finished)
    run_config(tiny("search", "seed=1"), tmp_path / "other")
    other = fingerprint(tmp_path / "other")
    assert (
        other["files"]["generator.safetensors"]
        != fingerprint(finished)["files"]["generator.safetensors"]
    )


def test_a_finished_run_says_so_and_computes_nothing(
    finished: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasgan.engine.launch.load_inputs", pytest.fail)
    outcome = run_config(tiny("search"), finished)
    assert outcome.status == "already_completed"
    assert "finished already" in outcome.summary_lines[0]


def test_a_finished_run_is_the_same_run_with_other_threads_but_not_with_another_seed(
    finished: Path, tiny: Tiny
) -> None:
    config = tiny("search")
    other = {**config, "threads": (config["threads"] or 1) + 1}
    assert run_config(other, finished).status == "already_completed"
    with pytest.raises(RunDirectoryError, match=r"another configuration \(seed: 0 -> 1\)"):
        run_config({**other, "seed": 1}, finished)


def test_a_run_under_way_goes_on_with_its_threads_only(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**tiny("search", "checkpoint.every_seconds=0"), "threads": 1}
    with monkeypatch.context() as patch:
        _stop_after(3, patch)
        with pytest.raises(Stopped):
            run_config(config, tmp_path)
    with pytest.raises(RunDirectoryError, match=r"threads: 1 -> 2\)\. It goes on with"):
        run_config({**config, "threads": 2}, tmp_path)


@pytest.mark.parametrize("stop_at", range(1, 8, 2))
def test_a_run_stopped_between_any_two_steps_resumes_bit_identical(
    stop_at: int, finished: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    original = RunLoop._publish

    def publish(self: RunLoop, report: JobReport) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise Stopped
        original(self, report)

    monkeypatch.setattr(RunLoop, "_publish", publish)
    config = tiny("search", "checkpoint.every_seconds=0")
    with pytest.raises(Stopped):
        run_config(config, tmp_path)
    assert Status.read(tmp_path / "status.json").state == "failed"
    run_config(config, tmp_path)
    assert fingerprint(tmp_path) == fingerprint(finished)


def _stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop a search after so many steps, once."""
    left = steps
    original = SearchJob.step

    def step(self: SearchJob) -> JobReport:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped
        return original(self)

    monkeypatch.setattr(SearchJob, "step", step)


def test_a_truncated_newest_checkpoint_falls_back_to_the_one_before(
    finished: Path,
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = tiny("search", "checkpoint.every_seconds=0")
    with monkeypatch.context() as patch:
        _stop_after(5, patch)
        with pytest.raises(Stopped):
            run_config(config, tmp_path)
    newest = max((tmp_path / "checkpoints").glob("resume-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-100])
    run_config(config, tmp_path)
    assert "truncated or damaged" in caplog.text
    assert "falling back" in caplog.text
    assert fingerprint(tmp_path) == fingerprint(finished)


def test_a_full_disk_stops_with_a_clear_error_and_the_run_resumes(
    finished: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", "checkpoint.every_seconds=0")
    original = atomic.write_file
    writes = 0

    def full(path: Path, write: Any) -> None:
        nonlocal writes
        writes += path.name.startswith("resume-")
        if writes > 4:
            raise atomic.storage_error(path, OSError(errno.ENOSPC, "No space left on device"))
        original(path, write)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_file", full)
        with pytest.raises(StorageError, match=r"(?s)resume-.*disk .*full; free some space"):
            run_config(config, tmp_path)
    assert len(list((tmp_path / "checkpoints").glob("resume-*.pt"))) == 2
    run_config(config, tmp_path)
    assert fingerprint(tmp_path) == fingerprint(finished)


def test_a_divergence_ends_the_run_as_failed_with_its_reason(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", "trainer.health.check_every=1", "trainer.health.max_loss=0.0001")
    outcome = run_config(config, tmp_path)
    assert outcome.status == "failed"
    record = RunRecord.read(tmp_path / "record.json")
    assert record.status == "failed"
    assert "loss exploded" in record.failure
    assert record.metrics is None
    assert Status.read(tmp_path / "status.json").state == "failed"

    again = run_config(config, tmp_path)
    assert again.status == "failed"
    assert "failed before" in again.summary_lines[0]
    retried = run_config({**config, "threads": 2, "retry_failed": True}, tmp_path)
    assert retried.status == "failed"
    assert "failed before" not in retried.summary_lines[0]
    assert RunRecord.read(tmp_path / "record.json").config["threads"] == 2
    assert json.loads((tmp_path / "config.json").read_text())["threads"] == 2


def test_one_diverging_finalist_does_not_fail_the_search(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasgan.evaluation import TrainingTask

    original = TrainingTask._train
    broken: list[str] = []

    def train(self: TrainingTask, until: int) -> None:
        if self.plan.fidelity == "final" and (not broken or broken[0] == self.architecture.id):
            broken[:] = [self.architecture.id]
            raise TrainingDiverged("made to fail", generator_step=1)
        original(self, until)

    monkeypatch.setattr(TrainingTask, "_train", train)
    outcome = run_config(tiny("search", "final.top_k=2"), tmp_path)
    record = RunRecord.read(tmp_path / "record.json")
    assert outcome.status == record.status == "completed"
    assert [item["failure"] for item in record.finalists] == ["made to fail", ""]
    assert record.architecture == record.finalists[1]["architecture"]


def test_another_configuration_in_the_same_folder_is_refused(finished: Path, tiny: Tiny) -> None:
    config = tiny("search", "trainer.n_critic=3")
    with pytest.raises(RunDirectoryError, match=r"trainer\.n_critic: 2 -> 3"):
        run_config(config, finished)


def test_a_folder_in_use_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(RunDirectoryError, match="process"):
        run_config(tiny("search"), tmp_path)


def test_a_checkpoint_of_another_space_is_refused(
    finished: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", "checkpoint.every_seconds=0")
    other = tiny("search", "checkpoint.every_seconds=0", "search_space=baselines")
    for folder, settings in (("a", config), ("b", other)):
        with monkeypatch.context() as patch:
            _stop_after(3, patch)
            with pytest.raises(Stopped):
                run_config(settings, tmp_path / folder)
    shutil.rmtree(tmp_path / "a" / "checkpoints")
    shutil.copytree(tmp_path / "b" / "checkpoints", tmp_path / "a" / "checkpoints")
    with pytest.raises(CheckpointError, match="another run"):
        run_config(config, tmp_path / "a")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search_space.generator_channels=0", "generator_channels must be at least 1, got 0"),
        ("dataset.image_size=20", "image_size"),
        ("final.top_k=-1", "top_k must be at least 0"),
        ("device=cuda:99", "CUDA devices"),
        ("objective=fidd", "Did you mean 'fid'"),
        ("checkpoint.keep=1", "at least 2"),
        ("evaluator.num_images=1", "at least 2 for fid"),
        ("metrics.num_images=9", "at least 10 for is, fid"),
        ("strategy.num_candidates=0", "at least 1"),
        ("strategy._target_=os.system", "refused"),
        ("trainer._target_=nasgan.registry.Plugin", "does not make a TrainerSettings"),
    ],
)
def test_bad_input_is_refused_before_any_training(
    override: str, message: str, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasgan.training.trainer.AdversarialTrainer.iteration", pytest.fail)
    with pytest.raises(NasganError, match=message):
        run_config(tiny("search", override), tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_leaves_what_was_there(finished: Path, tiny: Tiny, tmp_path: Path) -> None:
    missing = ["dataset=npz", f"dataset.path={tmp_path / 'missing.npz'}"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError):
        run_config(tiny("search", *missing), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]
    assert run_config(tiny("search"), finished).status == "already_completed"
    # A run that was begun, then refused for what is missing by now, can still be resumed.
    config = tiny("search", *missing)
    RunDirectory(tmp_path / "begun").claim({**config, "device": "cpu"})
    with pytest.raises(DatasetError):
        run_config(config, tmp_path / "begun")
    assert (tmp_path / "begun" / "config.json").exists()


def test_a_run_leaves_torch_with_the_threads_it_had(tiny: Tiny, tmp_path: Path) -> None:
    """Else the number of a sweep's next job would be that of the job before."""
    before = torch.get_num_threads()
    changed = [f"threads={before + 1}", "dataset=npz", f"dataset.path={tmp_path / 'missing.npz'}"]
    with pytest.raises(DatasetError):
        run_config(tiny("search", *changed), tmp_path / "run")
    assert torch.get_num_threads() == before


def test_a_search_whose_budget_allows_no_score_says_what_to_do(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("search", "strategy=random_scratch", "budget.generator_steps=1")
    with pytest.raises(NasganError, match="raise the budget"):
        run_config(config, tmp_path)


def test_a_search_in_which_every_candidate_fails_is_recorded_as_failed(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("search", "strategy=random_scratch", "trainer.health.max_loss=0.0001")
    outcome = run_config(config, tmp_path)
    assert outcome.status == "failed"
    record = RunRecord.read(tmp_path / "record.json")
    assert record.failure.startswith("none of the 3 architectures scored has a score: the")
    assert "loss exploded" in record.failure
    assert record.cost["search"]["architectures"] == 3


def test_a_search_from_scratch_ends_with_its_budget_of_architectures(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny(
        "search",
        "strategy=random_scratch",
        "budget.architectures=2",
        "budget.generator_steps=null",
    )
    run_config(config, tmp_path)
    record = RunRecord.read(tmp_path / "record.json")
    assert record.cost["search"]["architectures"] == 2


def test_successive_halving_runs_through_the_engine(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny(
        "search",
        "strategy=random_scratch",
        "budget.generator_steps=null",
        "budget.architectures=null",
        "strategy.num_candidates=4",
        "strategy.halving_factor=2",
        "strategy.min_steps=2",
        "strategy.max_steps=8",
    )
    run_config(config, tmp_path)
    lines = read_history(tmp_path / "history.jsonl")
    scored = [x for x in lines if x["kind"] == "evaluation" and x["phase"] == "search"]
    assert [line["generator_steps"] for line in scored] == [2] * 4 + [4] * 2 + [8]
    record = RunRecord.read(tmp_path / "record.json")
    assert record.cost["search"]["generator_steps"] == 4 * 2 + 2 * 2 + 1 * 4


def test_a_training_by_name_is_recorded_under_that_name(tiny: Tiny, tmp_path: Path) -> None:
    outcome = run_config(tiny("train", "architecture=sngan"), tmp_path)
    record = RunRecord.read(tmp_path / "record.json")
    assert outcome.status == "completed"
    assert (record.kind, record.strategy, record.architecture_name) == ("train", "train", "sngan")
    assert record.search_space == "baselines"


def test_an_encoding_needs_its_space(tiny: Tiny, tmp_path: Path) -> None:
    encoding = "architecture=[1,0,1,1,1,0,0,1,1,1,0,1,0,3]"
    with pytest.raises(ConfigError, match="search_space=NAME"):
        run_config(tiny("train", encoding), tmp_path / "a")
    run_config(tiny("train", encoding, "search_space=autogan"), tmp_path / "b")
    named = nasgan.load_architecture("autogan_a")
    assert nasgan.load_architecture(tmp_path / "b").id == named.id


def test_a_found_architecture_can_be_trained_again(
    finished: Path, tiny: Tiny, tmp_path: Path
) -> None:
    path = finished / "architecture.json"
    run_config(tiny("train", f"architecture={path}"), tmp_path)
    assert nasgan.load(tmp_path).architecture == nasgan.load(finished).architecture


def test_loading_gives_the_generator_that_was_scored(finished: Path) -> None:
    run = nasgan.load(finished)
    images = run.sample(5, seed=3)
    assert images.shape == (5, 1, 16, 16)
    assert images.abs().max() <= 1
    assert torch.equal(images, run.sample(5, seed=3))
    assert torch.allclose(images, run.sample(9, seed=3)[:5], atol=1e-6)
    assert not torch.equal(images, run.sample(5, seed=4))
    assert run.metrics == RunRecord.read(finished / "record.json").metrics


def test_evaluating_anew_with_the_run_s_seed_gives_the_recorded_scores(finished: Path) -> None:
    config = {
        "run": str(finished),
        "metrics": {},
        "dataset": {},
        "num_images": None,
        "seed": 0,
        "device": "cpu",
        "threads": 1,
    }
    result = evaluate_run(config)
    record = RunRecord.read(finished / "record.json")
    assert result["protocol"] == record.protocol
    assert result["metrics"] == pytest.approx(dict(record.metrics or {}), rel=1e-5)
    more = evaluate_run({**config, "num_images": 100})
    assert more["protocol"] == "digits-train-100-digits-v1"


def test_sampling_writes_a_grid_or_plain_images(finished: Path, tmp_path: Path) -> None:
    config = {
        "run": str(finished),
        "num": 6,
        "seed": 0,
        "out": str(tmp_path / "images.npz"),
        "columns": None,
        "classes": None,
        "device": "cpu",
        "threads": 1,
    }
    with np.load(sample_run(config), allow_pickle=False) as archive:
        assert archive["images"].shape == (6, 16, 16, 1)
        assert archive["images"].dtype == np.uint8
    grid = sample_run({**config, "out": str(tmp_path / "grid.png")})
    assert grid.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match=r"\.png"):
        sample_run({**config, "out": str(tmp_path / "images.txt")})


def test_loading_refuses_what_is_no_finished_run(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no finished run"):
        nasgan.load(tmp_path)
    shutil.copytree(finished, tmp_path / "damaged")
    weights = tmp_path / "damaged" / "checkpoints" / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"generator\.safetensors"):
        nasgan.load(tmp_path / "damaged")


def test_unknown_architectures_are_refused_with_the_nearest_names(
    tiny: Tiny, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="autogan_a"):
        run_config(tiny("train", "architecture=autogan_z"), tmp_path)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for number in range(7):
        checkpoints.save({"number": number})
    assert len(list(tmp_path.iterdir())) == 3
    assert checkpoints.load_newest() == {"number": 6}


def test_the_record_is_written_last(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    config = tiny("search")
    with monkeypatch.context() as patch:
        patch.setattr("nasgan.engine.launch.write_samples", _crash)
        with pytest.raises(Stopped):
            run_config(config, tmp_path)
    assert not (tmp_path / "record.json").exists()
    run_config(config, tmp_path)
    assert json.loads((tmp_path / "record.json").read_text())["status"] == "completed"
    assert fingerprint(tmp_path) == fingerprint(finished)


def _crash(*arguments: object, **settings: object) -> None:
    raise Stopped
