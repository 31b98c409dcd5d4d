"""Checkpoint files: exact, verified, never executed."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import random
import time
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from nasgan.errors import CheckpointError, StorageError
from nasgan.state_files import load_state, not_plain, save_state

STATE = {
    "step": 7,
    "texts": ["a", "é"],
    "nothing": None,
    "big": 2**120,
    "nested": {"weights": torch.arange(40.0).reshape(5, 8).t(), "flag": True, 3: 0.1},
    "bytes": torch.arange(9, dtype=torch.uint8),
}


def named(folder: Path, content: bytes) -> Path:
    """A file whose name vouches for its content."""
    path = folder / f"state.{hashlib.sha256(content).hexdigest()[:12]}.pt"
    path.write_bytes(content)
    return path


def test_states_read_back_exactly(tmp_path):
    path = save_state(tmp_path / "new folder", "state", STATE)
    assert path.name.startswith("state.")
    loaded = load_state(path)
    assert torch.equal(loaded["nested"].pop("weights"), STATE["nested"]["weights"])
    assert torch.equal(loaded.pop("bytes"), STATE["bytes"])
    assert loaded["big"] == 2**120
    assert loaded["nested"] == {"flag": True, 3: 0.1}
    assert (loaded["step"], loaded["texts"], loaded["nothing"]) == (7, ["a", "é"], None)


def test_equal_states_have_equal_names(tmp_path):
    assert save_state(tmp_path, "a", STATE) == save_state(tmp_path, "a", STATE)


def test_truncation_anywhere_is_detected(tmp_path):
    path = save_state(tmp_path, "state", STATE)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 100), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="truncated or damaged"):
            load_state(path)
    path.write_bytes(whole)
    load_state(path)


def test_a_flipped_bit_anywhere_is_detected(tmp_path):
    path = save_state(tmp_path, "state", STATE)
    whole = bytearray(path.read_bytes())
    for position in range(0, len(whole), 100):
        whole[position] ^= 1
        path.write_bytes(whole)
        with pytest.raises(CheckpointError, match="truncated or damaged"):
            load_state(path)
        whole[position] ^= 1


class Malicious:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("wrap", ["torch", "legacy", "pickle"])
def test_pickled_code_is_refused_and_does_not_run(tmp_path, wrap):
    trap = tmp_path / "executed"
    buffer = io.BytesIO()
    payload = {"step": 1, "weights": Malicious(trap)}
    if wrap == "pickle":
        pickle.dump(payload, buffer)
    else:
        torch.save(payload, buffer, _use_new_zipfile_serialization=wrap == "torch")
    with pytest.raises(CheckpointError, match="not a checkpoint that nasgan wrote"):
        load_state(named(tmp_path, buffer.getvalue()))
    assert not trap.exists()
    pickle.loads(pickle.dumps(Malicious(trap)))
    assert trap.exists()  # the trap works


def test_objects_are_refused_when_read(tmp_path):
    buffer = io.BytesIO()
    torch.save({"path": Path("x")}, buffer)
    with pytest.raises(CheckpointError, match="not a checkpoint that nasgan wrote"):
        load_state(named(tmp_path, buffer.getvalue()))


class OwnList(list):
    """Looks like a list; its class would have to be imported to read it."""


@pytest.mark.parametrize(
    "value",
    [
        np.int64(3),
        np.float64(3.0),
        np.bool_(True),
        np.arange(3),
        Path("x"),
        {1, 2},
        OwnList([1]),
        Counter("aab"),
        defaultdict(list),
        {(1, 2): 3},
        {np.int64(1): 3},
        torch.nn.Linear(1, 1),
        time.localtime(),
        object(),
        len,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, value):
    with pytest.raises(CheckpointError, match=r"state\['job'\]\[1\].* (keep plain|use texts)"):
        save_state(tmp_path, "state", {"job": [0, value]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=1),
        torch.nn.Parameter(torch.ones(2)),
        torch.Size([1, 2]),
        (1, "a", None, float("nan")),
        torch.nn.Linear(2, 2).state_dict(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_passes_is_read_again(tmp_path, value):
    assert not not_plain(value, "state")
    loaded = load_state(save_state(tmp_path, "state", value))
    assert type(loaded) is type(value)
    assert str(loaded) == str(value)


def foreign_contents() -> list[bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("archive/data.pkl", b"\x80\x02N.")
    rng = random.Random(0)
    whole = io.BytesIO()
    torch.save(STATE, whole)
    damaged = []
    for _ in range(150):
        content = bytearray(whole.getvalue())
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        damaged.append(bytes(content))
    legacy = io.BytesIO()
    torch.save(STATE, legacy, _use_new_zipfile_serialization=False)
    for _ in range(150):
        content = bytearray(legacy.getvalue())
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        damaged.append(bytes(content))
    return [
        b"",
        b"\x00" * 100,
        b"PK\x03\x04",
        b"not a checkpoint",
        b"\x80\x02.",
        b"\x80\x02N.",
        pickle.dumps([1, 2]),
        archive.getvalue(),
        *(rng.randbytes(rng.randint(1, 300)) for _ in range(100)),
        *damaged,
    ]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_foreign_content_under_a_right_name_is_an_error_or_plain_values(tmp_path):
    refused = 0
    for content in foreign_contents():
        try:
            load_state(named(tmp_path, content))
        except CheckpointError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("name", ["state.pt", "state.0123456789ab.pt", "state", "no-such.000.pt"])
def test_other_files_are_refused_by_name(tmp_path, name):
    if not name.startswith("no-such"):
        (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(CheckpointError, match=name):
        load_state(tmp_path / name)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="cannot read"):
        load_state(tmp_path)


def test_a_full_disk_leaves_earlier_states_readable(tmp_path, monkeypatch):
    first = save_state(tmp_path, "state", STATE)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="full"):
        save_state(tmp_path, "state", {"step": 8})
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert load_state(first)["step"] == 7
