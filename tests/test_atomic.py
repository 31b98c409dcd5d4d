"""Files are there whole or not at all."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from nasgan import atomic
from nasgan.errors import StorageError


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_a_file_is_created_with_its_folders_and_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    atomic.write_file(path, "première")
    atomic.write_file(path, "second")
    assert path.read_text(encoding="utf-8") == "second"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_json_is_readable_and_strict(tmp_path):
    path = tmp_path / "value.json"
    atomic.write_json(path, {"a": [1, 2.5, None, "é"]})
    assert json.loads(path.read_text()) == {"a": [1, 2.5, None, "é"]}
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            atomic.write_json(path, {"a": bad})
    assert json.loads(path.read_text()) == {"a": [1, 2.5, None, "é"]}


@pytest.mark.parametrize("stage", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch, stage):
    path = tmp_path / "file"
    atomic.write_file(path, b"old")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if stage == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    if stage == "rename":
        monkeypatch.setattr(Path, "replace", full)
    write = full if stage == "write" else (lambda stream: stream.write(b"new"))
    with pytest.raises(StorageError, match=r"disk .* is full; free some space") as caught:
        atomic.write_file(path, write)
    assert caught.value.errno == errno.ENOSPC
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_line_that_does_not_fit_is_an_error(tmp_path):
    path = tmp_path / "history.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(StorageError, match="full"):
        atomic.append_line(path, "{}")


def test_a_line_that_fits_in_part_is_an_error(tmp_path):
    """The operating system reports a nearly full disk by a short write, not by an error."""
    resource = pytest.importorskip("resource")
    context = multiprocessing.get_context("fork")
    found = context.Queue()

    def append() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (15, 15))
        try:
            atomic.append_line(tmp_path / "file", "0123456789")
            atomic.append_line(tmp_path / "file", "0123456789")
            found.put("no error")
        except StorageError as error:
            found.put(str(error))

    process = context.Process(target=append)
    process.start()
    process.join()
    assert "free some space" in found.get()


def test_any_other_error_leaves_the_old_file_too(tmp_path):
    path = tmp_path / "file"
    atomic.write_file(path, b"old")

    def interrupted(stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic.write_file(path, interrupted)
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*taken/file"):
        atomic.write_file(tmp_path / "taken" / "file", b"")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "choose another with run_dir="),
        (errno.EROFS, "choose another with run_dir="),
        (errno.EIO, "check the folder"),
    ],
)
def test_errors_say_what_to_do(code, advice):
    error = atomic.storage_error(Path("x"), OSError(code, os.strerror(code)))
    assert error.errno == code
    assert advice in str(error)


def _write_many(path: Path, letter: str) -> None:
    for length in range(1, 60):
        atomic.write_file(path, letter * (length * 997))
        atomic.append_line(path.with_name("lines"), letter * 300)


def test_writers_at_once_never_tear_a_file_or_a_line(tmp_path):
    path = tmp_path / "file"
    atomic.write_file(path, "a")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(path, letter)) for letter in "abcd"]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        text = path.read_text()
        assert len(set(text)) == 1
        assert len(text) == 1 or len(text) % 997 == 0
        reads += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert reads > 0
    lines = (tmp_path / "lines").read_text().splitlines()
    assert len(lines) == 4 * 59
    assert {(len(line), len(set(line))) for line in lines} == {(300, 1)}
    assert leftovers(tmp_path) == []
