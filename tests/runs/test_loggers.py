from __future__ import annotations

import json
import logging
import os
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nasgan.errors import ConfigError, MissingDependencyError
from nasgan.runs.loggers import (
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


def use(logger: RunLogger, run_dir: Path, run_id: str = "random-0") -> None:
    picture, architecture = run_dir / "grid.png", run_dir / "architecture.json"
    Image.new("L", (8, 8)).save(picture)
    architecture.write_text("{}")
    config = {"seed": 0, "trainer": {"lr": 2e-4}}
    logger.start({"run_id": run_id, "run_dir": str(run_dir), "config": config})
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


def use_until_killed(logger: RunLogger, run_dir: Path) -> None:
    """What a killed process did of a run."""
    logger.start({"run_id": "random-0", "run_dir": str(run_dir), "config": {}})
    logger.log({"fid": 12.5}, 0)
    logger.log({"fid": 99.0}, 10)
    logger.log({"fid": 99.0}, 20)


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_tensorboard_events_hold_what_was_logged(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    use(TensorBoardLogger(), tmp_path)
    assert scalars(tmp_path / "tensorboard") == {"fid": [(0, 12.5), (10, 11.5)]}
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["images"] == ["samples"]
    assert set(events.Tags()["tensors"]) == {
        "architecture.json/text_summary",
        "status/text_summary",
    }


def test_a_resumed_run_is_in_tensorboard_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    killed = TensorBoardLogger()
    use_until_killed(killed, tmp_path)
    killed._writer.flush()
    folder = tmp_path / "tensorboard"
    (other,) = folder.iterdir()
    other = other.rename(folder / "events.out.tfevents.1.another-run")
    use_until_killed(killed, tmp_path)
    killed._writer.flush()
    use(TensorBoardLogger(), tmp_path)
    assert other.exists()
    other.unlink()
    assert scalars(folder) == {"fid": [(0, 12.5), (10, 11.5)]}


@pytest.fixture
def wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


def wandb_file(run_dir: Path) -> Path:
    """The offline file, once its background process has written it to the end."""
    (file,) = (run_dir / "wandb").glob("offline-run-*/*.wandb")
    deadline = time.monotonic() + 20
    while not any(record.HasField("exit") for record in wandb_records(file)):
        assert time.monotonic() < deadline, "the offline file does not hold the run's end"
        time.sleep(0.05)
    return file


def wandb_records(file: Path) -> list[Any]:
    """The records of an offline file: a log in blocks of 32 KiB, after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts, records = file.read_bytes(), 7, b"", []
    while position + 7 <= len(data):
        left = 32_768 - position % 32_768
        if left < 7:
            position += left
            continue
        _, size, kind = struct.unpack("<IHB", data[position : position + 7])
        if kind == 0:
            break
        parts += data[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):  # whole, or the last part
            records.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return records


def wandb_history(file: Path) -> list[tuple[int, dict[str, Any]]]:
    lines = [record.history for record in wandb_records(file) if record.HasField("history")]
    return [
        (
            line.step.num,
            {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in line.item
            },
        )
        for line in lines
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("wandb_offline")
def test_wandb_keeps_everything_offline(tmp_path: Path) -> None:
    use(WandbLogger(group="sweep", tags=["a"]), tmp_path)
    file = wandb_file(tmp_path)
    (run,) = [record.run for record in wandb_records(file) if record.HasField("run")]
    assert (run.project, run.run_group, run.run_id) == ("nasgan", "sweep", "random-0")
    assert list(run.tags) == ["a"]
    logged = wandb_history(file)
    assert [(step, row["fid"]) for step, row in logged if "fid" in row] == [(0, 12.5), (10, 11.5)]
    assert [row["samples/_type"] for _, row in logged if "samples/_type" in row] == ["image-file"]
    assert list(file.parent.rglob("media/images/samples*.png"))
    assert any(
        record.request.HasField("log_artifact") or record.HasField("artifact")
        for record in wandb_records(file)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("wandb_offline")
def test_a_resumed_run_is_in_wandb_once_and_of_the_same_id(tmp_path: Path) -> None:
    folder = str(Path(__file__).parent)
    program = (
        f"import os, sys; sys.path.insert(0, {folder!r}); from pathlib import Path; "
        "from test_loggers import WandbLogger, use_until_killed; "
        f"use_until_killed(WandbLogger(), Path({str(tmp_path)!r})); os.kill(os.getpid(), 9)"
    )
    end = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    assert end.returncode == -9
    assert len(list((tmp_path / "wandb").glob("offline-run-*-random-0"))) == 1
    use(WandbLogger(), tmp_path)
    file = wandb_file(tmp_path)
    assert file.parent.name.endswith("-random-0")
    assert [step for step, row in wandb_history(file) if "fid" in row] == [0, 10]


@pytest.mark.slow
@pytest.mark.usefixtures("wandb_offline")
def test_a_run_whose_logger_failed_does_not_take_up_the_next_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    use_until_killed(WandbLogger(), first)
    use(WandbLogger(), second, "random-1")
    assert [row["fid"] for _, row in wandb_history(wandb_file(second)) if "fid" in row] == [
        12.5,
        11.5,
    ]


def test_an_unknown_wandb_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="offline"):
        WandbLogger(mode="sometimes")  # type: ignore[arg-type]


def test_one_tag_is_one_tag() -> None:
    assert WandbLogger(tags="baseline").tags == ("baseline",)
    assert WandbLogger(tags=["a", "b"]).tags == ("a", "b")
