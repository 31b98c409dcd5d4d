"""What is read is a file, of a size, and JSON within limits; values are quoted in few letters."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nasgan.errors import ConfigError, NasganError, StorageError, UnknownNameError, quoted
from nasgan.reading import MOST_DEEP, open_file, parse_json, read_bytes, read_json, walk


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_a_pipe_a_device_and_a_folder_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/zero")):
        with pytest.raises(OSError, match="no plain file"):
            open_file(path)
    with pytest.raises(IsADirectoryError, match="folder"):
        read_bytes(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "nothing")
    with pytest.raises(OSError, match="no name of a file"):
        read_bytes("a\0b")


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link") == b"content"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as stream:
        stream.truncate(2**40)  # takes no room
    with pytest.raises(OSError, match=r"too large: it has 1099511627776 bytes, and at most 10"):
        read_bytes(path, most=10)
    path.write_bytes(b"0123456789")
    assert read_bytes(path, most=10) == b"0123456789"


def test_json_is_nested_so_deep_and_no_deeper() -> None:
    assert parse_json(nested(100)) is not None
    for levels in (101, 500, 100_000):
        with pytest.raises(ValueError, match="nested too deeply: 100 levels"):
            parse_json(nested(levels))
    for levels in (51, 101):
        deep = '{"a":[' * levels + "]}" * levels
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(deep)
    # Brackets in texts are no levels.
    text = "[" * 5000 + '"\\'
    assert parse_json(json.dumps([text])) == [text]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b'{"' + b"a" * 5000 + b'": 1, "' + b"a" * 5000 + b'": 2}', "is there twice"),
        (b"NaN", "not a JSON number"),
        (b"[-Infinity]", "not a JSON number"),
        (b"\xff\xfe{\0}\0", "byte 0 is not of a text in UTF-8"),
        (b"1" * 5000, "limit"),
    ],
)
def test_what_is_no_json_is_said_in_few_letters(raw: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as found:
        parse_json(raw)
    assert len(str(found.value)) < 400


def test_a_mark_of_the_byte_order_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_value_is_quoted_in_at_most_200_letters() -> None:
    assert quoted(None) == "null"
    assert quoted("a") == "'a'"
    endless: list[object] = []
    for _ in range(100_000):
        endless = [endless]
    for value in ("x" * 10**6, list(range(10**5)), 10**5000, endless, {"a": "\0" * 999}):
        assert 0 < len(quoted(value)) <= 200


@pytest.mark.parametrize(
    "error",
    [
        NasganError("x" * 10**6),
        StorageError(28, "y" * 10**6),
        UnknownNameError("strategy", "z" * 10**6, ["random"]),
        ConfigError("ok"),
    ],
)
def test_no_message_is_longer_than_2000_letters(error: NasganError) -> None:
    assert len(str(error)) <= 2000


def test_folders_are_walked_to_a_depth_and_no_deeper(tmp_path: Path) -> None:
    deep = tmp_path / "top"
    deep.mkdir()
    (deep / "link").symlink_to(deep)
    folders = [f"{deep}{'/a' * levels}" for levels in range(1, 1500)]
    for folder in folders:
        os.mkdir(folder)
    errors: list[OSError] = []
    found = list(walk(deep, errors.append))
    for folder in reversed(folders):
        os.rmdir(folder)
    assert len(found) == MOST_DEEP + 1
    assert found[0] == (deep, ["a", "link"], [])
    assert "more than 100 folders deep" in str(errors[0].strerror)
    assert len(errors) == 1
