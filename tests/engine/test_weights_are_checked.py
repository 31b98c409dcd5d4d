"""The files of a finished run are those that it wrote, or nothing is made of them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import nasgan
from nasgan.cli.main import main
from nasgan.errors import CheckpointError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.publishing.contradictions import record_faults

GENERATOR = "checkpoints/generator.safetensors"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    nasgan.search("+experiment=debug/tiny", run_dir=str(folder))
    return folder


@pytest.fixture
def run_dir(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def to_half(path: Path) -> None:
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)


def with_nan(path: Path) -> None:
    tensors = load_file(path)
    first = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[first] = torch.full_like(tensors[first], float("nan"))
    save_file(tensors, path)


def into_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def forget_digests(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    del record["files"]
    (folder / "record.json").write_text(json.dumps(record))


def test_a_record_holds_the_digests_of_what_the_run_left(finished: Path) -> None:
    files = json.loads((finished / "record.json").read_text())["files"]
    assert set(files) == {
        "architecture.json",
        GENERATOR,
        "checkpoints/discriminator.safetensors",
        "history.jsonl",
        "samples/final.png",
    }
    assert nasgan.load(finished).sample(2).shape[0] == 2


@pytest.mark.parametrize("damage", [flip, to_half, with_nan, into_a_pipe])
def test_damaged_weights_make_no_images_and_no_scores(
    run_dir: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run_dir / GENERATOR)
    with pytest.raises(CheckpointError, match=r"generator\.safetensors"):
        nasgan.load(run_dir)
    for verb in ("sample", "evaluate"):
        assert main([verb, f"run={run_dir}"]) == 2
        assert "generator.safetensors" in capsys.readouterr().err
    assert not list(run_dir.glob("samples/sample-*"))


@pytest.mark.parametrize("name", [GENERATOR, "history.jsonl", "samples/final.png"])
def test_verify_refuses_a_table_of_runs_whose_files_are_others(
    run_dir: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    records, _ = find_records([run_dir])
    table = run_dir.parent / "table.csv"
    build_leaderboard(records).write(table)
    assert main(["leaderboard", "verify", str(table), f"runs={run_dir}"]) == 0
    flip(run_dir / name)
    assert main(["leaderboard", "verify", str(table), f"runs={run_dir}"]) == 1
    assert f"{name} is not the file that the run wrote" in capsys.readouterr().out
    (run_dir / name).unlink()
    assert record_faults(records) == [], "who removes large files has changed nothing"


def test_a_record_without_digests_is_read_as_before(run_dir: Path) -> None:
    before = nasgan.load(run_dir).sample(2)
    forget_digests(run_dir)
    assert torch.equal(nasgan.load(run_dir).sample(2), before)
    flip(run_dir / GENERATOR)
    assert nasgan.load(run_dir).sample(2).shape == before.shape
    records, problems = find_records([run_dir])
    assert (len(records), problems, record_faults(records)) == (1, [], [])
