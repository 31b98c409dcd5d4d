"""What an outside logger hears of a run: all that the history keeps, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from run_comparison import fingerprint

from nasgan.engine import run_config
from nasgan.engine.loop import RunLoop
from nasgan.engine.search_job import SearchJob
from nasgan.runs.history import read_history
from nasgan.runs.loggers import NullLogger, SafeLogger

Tiny = Callable[..., dict[str, Any]]


class Stopped(Exception):
    """Stands for a crash between two steps."""


class Recorder(NullLogger):
    """Keeps what it is told; fails at its call number ``fails_at``."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.info: Mapping[str, Any] = {}
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.images: list[str] = []
        self.artifacts: list[str] = []
        self.ends: list[str] = []
        self._fails_at = fails_at

    def start(self, info: Mapping[str, Any]) -> None:
        self.info = info

    def log(self, values: Mapping[str, float], step: int) -> None:
        if len(self.logged) == self._fails_at:
            raise ConnectionError("server gone")
        self.logged.append((step, dict(values)))

    def image(self, name: str, path: Path) -> None:
        assert path.is_file()
        self.images.append(name)

    def artifact(self, path: Path) -> None:
        assert path.is_file()
        self.artifacts.append(path.name)

    def finish(self, status: str) -> None:
        self.ends.append(status)


def use(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> Recorder:
    monkeypatch.setattr("nasgan.engine.parts.make_logger", lambda config: SafeLogger(recorder))
    return recorder


def test_a_logger_hears_each_line_of_the_history_under_names_of_its_own(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = use(monkeypatch, Recorder())
    run_config(tiny("search"), tmp_path)
    lines = read_history(tmp_path / "history.jsonl")
    assert [step for step, _ in told.logged] == list(range(len(lines)))
    of = {line["index"]: line for line in lines}
    names = set()
    for step, values in told.logged:
        line = of[step]
        names |= set(values)
        for name, value in line.get("values", {}).items():
            assert values[f"search/{name}"] == value
        if line["kind"] == "evaluation":
            assert values[f"{line['phase']}/evaluation/score"] == line["score"]
            steps = values[f"{line['phase']}/evaluation/cost/generator_steps"]
            assert steps == line["cost"]["generator_steps"]
        if line["kind"] == "checkpoint":
            assert values["final/checkpoint/metrics/fid"] == line["metrics"]["fid"]
    assert {"search/loss_generator", "search/spent/images", "final/spent/images"} <= names
    assert not any("architecture/" in name for name in names)
    assert (told.images, told.artifacts, told.ends) == (
        ["samples"],
        ["architecture.json"],
        ["completed"],
    )
    assert set(told.info) >= {"run_id", "run_dir", "config"}


def test_after_a_crash_it_hears_the_run_from_its_first_line_and_nothing_twice(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", "checkpoint.every_seconds=0")
    whole = use(monkeypatch, Recorder())
    run_config(config, tmp_path / "whole")

    first = use(monkeypatch, Recorder())
    step, save = SearchJob.step, RunLoop._save

    def stop_in_the_final_phase(job: SearchJob) -> Any:
        if job.final is not None and job.final.evaluations:
            raise Stopped
        return step(job)

    def save_until_the_search_ends(loop: RunLoop) -> None:
        # The history then runs ahead of the last checkpoint.
        if loop._job.final is None:  # type: ignore[attr-defined]
            save(loop)

    with monkeypatch.context() as patched:
        patched.setattr(SearchJob, "step", stop_in_the_final_phase)
        patched.setattr(RunLoop, "_save", save_until_the_search_ends)
        with pytest.raises(Stopped):
            run_config(config, tmp_path / "cut")
    assert first.ends == ["failed"]
    assert any("final/evaluation/score" in values for _, values in first.logged)

    second = use(monkeypatch, Recorder())
    run_config(config, tmp_path / "cut")
    assert second.info["run_id"] == first.info["run_id"]
    assert [(step, without_seconds(values)) for step, values in second.logged] == [
        (step, without_seconds(values)) for step, values in whole.logged
    ]


def without_seconds(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if "seconds" not in name}


def test_a_run_whose_logger_breaks_down_ends_as_any_other(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny("search")
    run_config(config, tmp_path / "without")
    broken = use(monkeypatch, Recorder(fails_at=2))
    outcome = run_config(config, tmp_path / "broken")
    assert outcome.status == "completed"
    assert len(broken.logged) == 2
    assert caplog.text.count("switched off") == 1
    assert fingerprint(tmp_path / "broken") == fingerprint(tmp_path / "without")
