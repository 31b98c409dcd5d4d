from __future__ import annotations

import logging
import math
import os
from pathlib import Path

import pytest

from nasgan.errors import CheckpointError, ConfigError, RunDirectoryError, StorageError
from nasgan.runs.history import History, finite, read_history


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "history.jsonl"


def test_lines_are_numbered_and_read_back(path: Path) -> None:
    history = History(path)
    assert [history.append({"loss": i / 2, "text": "é\n"}) for i in range(3)] == [0, 1, 2]
    assert read_history(path) == [{"index": i, "loss": i / 2, "text": "é\n"} for i in range(3)]
    assert history.offset == path.stat().st_size
    assert len(History(path)) == 3


def test_a_run_resumed_from_an_offset_writes_the_same_bytes(path: Path) -> None:
    history = History(path)
    history.append({"a": 0})
    offset = history.offset
    history.append({"a": 1})
    whole = path.read_bytes()
    resumed = History(path)
    resumed.truncate(offset)
    assert path.stat().st_size == offset
    assert resumed.append({"a": 1}) == 1
    assert path.read_bytes() == whole


def test_any_torn_last_line_is_skipped_and_overwritten(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(path)
    history.append({"a": 0})
    first = history.offset
    history.append({"a": 1})
    whole = path.read_bytes()
    for length in range(first + 1, len(whole)):
        path.write_bytes(whole[:length])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert read_history(path) == [{"index": 0, "a": 0}]
        assert "skipped line 2" in caplog.text
        resumed = History(path)
        assert resumed.offset == first
        resumed.append({"a": 1})
        assert path.read_bytes() == whole


def test_a_damaged_line_before_the_last_is_an_error(path: Path) -> None:
    history = History(path)
    for i in range(3):
        history.append({"a": i})
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in ([lines[0], b"{\n", lines[2]], [lines[1], lines[2]], [b"3\n", lines[1]]):
        path.write_bytes(b"".join(damaged))
        with pytest.raises(RunDirectoryError, match=r"line [12] is damaged"):
            read_history(path)


def test_nan_is_refused_unless_turned_to_null(path: Path) -> None:
    history = History(path)
    values = {"loss": math.nan, "grid": [1.0, -math.inf, {"x": (math.inf,)}], "name": "a"}
    with pytest.raises(ConfigError, match=r"finite\(\)"):
        history.append(values)
    with pytest.raises(ConfigError, match="index"):
        history.append({"index": 3})
    assert not path.exists()
    history.append(finite(values))
    expected = {"index": 0, "loss": None, "grid": [1.0, None, {"x": [None]}], "name": "a"}
    assert read_history(path) == [expected]


def test_a_foreign_offset_is_refused(path: Path) -> None:
    history = History(path)
    history.append({"a": 0})
    for offset in (-1, 3, history.offset + 1):
        with pytest.raises(CheckpointError, match="cannot go back"):
            history.truncate(offset)
    history.truncate(0)
    assert read_history(path) == []


def test_a_missing_history_is_an_error(path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no such history"):
        read_history(path)


def test_a_full_disk_keeps_the_lines_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(path)
    history.append({"a": 0})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="full"):
            history.append({"a": 1})
    # The line may or may not have reached the file; the next one takes its place.
    assert history.append({"a": 2}) == 1
    assert read_history(path) == [{"index": 0, "a": 0}, {"index": 1, "a": 2}]
