"""Disks that are full, for reading only, or without locks: nothing is left half done."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import nasgan
from nasgan import atomic
from nasgan.cli.console import LogFile
from nasgan.cli.main import main
from nasgan.errors import CheckpointError, ConfigError, RunDirectoryError, StorageError
from nasgan.runs import folder
from nasgan.runs.folder import RunLock


def fail_after(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """A disk that is full when ``count`` files are on it."""
    real, done = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal done
        done += 1
        if done > count:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def make_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens a file to write is refused, as on a disk for reading only."""
    real = os.open

    def opened(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(folder.os, "open", opened)


def test_files_that_belong_together_are_all_written_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "table.csv", tmp_path / "table.json"
    old.write_text("old")
    fail_after(monkeypatch, 1)
    with pytest.raises(StorageError, match=r"table\.json: No space left"):
        atomic.write_files({old: "a", new: "b"})
    assert old.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv"]
    monkeypatch.undo()
    atomic.write_files({old: "a", new: "b\udcff"})
    assert (old.read_text(), new.read_text()) == ("a", "b\\udcff")


def test_a_new_package_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fail_after(monkeypatch, 3)
    assert main(["new", "strategy", "tabu"]) == 1
    assert "cannot write nasgan-tabu: No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(["new", "strategy", "tabu"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["nasgan-tabu"]


def test_a_finished_run_is_told_of_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "+experiment=debug/tiny", f"run_dir={tmp_path / 'run'}"]
    assert main(command) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make_read_only(monkeypatch)
    capsys.readouterr()
    assert main(command) == 0
    assert "This run is finished already" in capsys.readouterr().out
    changed = [p for p in tmp_path.rglob("*") if p.suffix != ".log" and p not in before]
    assert changed == []
    monkeypatch.undo()
    (tmp_path / "run" / "record.json").unlink()
    make_read_only(monkeypatch)
    assert main(command) == 2, "the folder is at fault"
    assert "Read-only file system" in capsys.readouterr().err


def test_a_log_that_cannot_be_opened_is_done_without(tmp_path: Path) -> None:
    handler = LogFile(str(tmp_path / "no folder" / "run.log"))
    handler.emit(logging.makeLogRecord({"msg": "lost"}))
    (tmp_path / "no folder").mkdir()
    handler.emit(logging.makeLogRecord({"msg": "kept"}))
    handler.close()
    assert (tmp_path / "no folder" / "run.log").read_text() == "kept\n"


@pytest.mark.parametrize("number", [37, 38, 95])
def test_a_file_system_without_locks_is_said_with_what_to_do(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StorageError, match=r"no locks .*run_dir=.*NASGAN_LOCKS=off"):
        RunLock(tmp_path / "run").acquire()
    monkeypatch.setenv("NASGAN_LOCKS", "off")
    with RunLock(tmp_path / "run"), RunLock(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    monkeypatch.setenv("NASGAN_LOCKS", "perhaps")
    with pytest.raises(ConfigError, match="NASGAN_LOCKS must be on or off, got 'perhaps'"):
        RunLock(tmp_path / "run").acquire()


def test_the_lock_is_used_unless_it_is_switched_off(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(RunDirectoryError, match="process"):
        RunLock(tmp_path).acquire()


def test_a_lost_identity_is_put_back_by_the_command_in_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasgan.engine.loop import RunLoop

    folder = tmp_path / "a run"
    reference = nasgan.search("+experiment=debug/tiny", run_dir=tmp_path / "whole").metrics
    steps = RunLoop._publish

    def killed(loop: RunLoop, report: Any) -> None:
        steps(loop, report)
        loop._save()
        raise KeyboardInterrupt

    monkeypatch.setattr(RunLoop, "_publish", killed)
    with pytest.raises(KeyboardInterrupt):
        nasgan.search("+experiment=debug/tiny", run_dir=folder)
    monkeypatch.undo()
    shutil.copy(folder / "run.json", tmp_path / "run.json")
    (folder / "run.json").write_text("{")
    with pytest.raises(RunDirectoryError, match=r"delete the file \(rm '.*a run/run\.json'\)"):
        nasgan.search("+experiment=debug/tiny", run_dir=folder)
    (folder / "run.json").unlink()
    with pytest.raises(CheckpointError, match="this puts it back: echo") as found:
        nasgan.search("+experiment=debug/tiny", run_dir=folder)
    command = str(found.value).partition("puts it back: ")[2].partition(". Delete")[0]
    assert os.system(command) == 0
    assert nasgan.search("+experiment=debug/tiny", run_dir=folder).metrics == reference
