from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nasgan.errors import ConfigError, MissingDependencyError
from nasgan.results.loggers import (
    NullLogger,
    RunLogger,
    SafeLogger,
    TensorBoardLogger,
    WandbLogger,
)


class Faulty(NullLogger):
    def __init__(self, at: str) -> None:
        self.at = at
        self.calls: list[str] = []

    def start(self, info: Mapping[str, Any]) -> None:
        self._call("start")

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._call("log")

    def finish(self, status: str) -> None:
        self._call("finish")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.at:
            raise RuntimeError("server gone")


def use(logger: RunLogger, run_dir: Path) -> None:
    picture, architecture = run_dir / "grid.png", run_dir / "architecture.json"
    Image.new("L", (8, 8)).save(picture)
    architecture.write_text("{}")
    config = {"seed": 0, "trainer": {"lr": 2e-4}}
    logger.start({"run_id": "random-0", "run_dir": str(run_dir), "config": config})
    logger.log({"fid": 12.5}, 0)
    logger.log({"fid": 11.5}, 10)
    logger.image("samples", picture)
    logger.artifact(architecture)
    logger.finish("completed")


@pytest.mark.parametrize("at", ["start", "log", "finish"])
def test_a_failing_logger_is_warned_of_once_and_switched_off(
    at: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = Faulty(at)
    safe = SafeLogger(inner)
    with caplog.at_level(logging.WARNING):
        use(safe, tmp_path)
    assert inner.calls[-1] == at
    assert inner.calls.count(at) == 1
    assert not safe.active
    (warning,) = caplog.records
    assert "Faulty" in warning.getMessage()
    assert "RuntimeError: server gone" in warning.getMessage()


def test_stopping_a_run_by_hand_still_works() -> None:
    class Interrupted(NullLogger):
        def start(self, info: Mapping[str, Any]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SafeLogger(Interrupted()).start({})


@pytest.mark.parametrize(
    ("logger", "package"), [(WandbLogger(), "wandb"), (TensorBoardLogger(), "tensorboard")]
)
def test_a_missing_package_says_how_to_get_it_and_stops_no_run(
    logger: RunLogger,
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hidden = {"wandb": "wandb", "tensorboard": "torch.utils.tensorboard"}[package]
    monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install nasgan\[{package}\]"):
        logger.start({"run_id": "a", "run_dir": str(tmp_path)})
    with caplog.at_level(logging.WARNING):
        use(SafeLogger(logger), tmp_path)
    assert len(caplog.records) == 1


def test_nothing_is_logged_by_the_null_logger(tmp_path: Path) -> None:
    safe = SafeLogger(NullLogger())
    use(safe, tmp_path)
    assert safe.active
    assert sorted(p.name for p in tmp_path.iterdir()) == ["architecture.json", "grid.png"]


def test_tensorboard_events_hold_what_was_logged(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    use(TensorBoardLogger(), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("fid")] == [(0, 12.5), (10, 11.5)]
    assert events.Tags()["images"] == ["samples"]
    assert set(events.Tags()["tensors"]) == {
        "architecture.json/text_summary",
        "status/text_summary",
    }


@pytest.mark.slow
def test_wandb_works_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    use(WandbLogger(group="sweep"), tmp_path)
    (content,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    # Its background process may still be writing on a busy machine.
    deadline = time.monotonic() + 20
    while b"samples" not in content.read_bytes():
        assert time.monotonic() < deadline, "the offline file does not hold the picture"
        time.sleep(0.05)


def test_an_unknown_wandb_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="offline"):
        WandbLogger(mode="sometimes")  # type: ignore[arg-type]
