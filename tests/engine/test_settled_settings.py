"""What a configuration leaves to the device is decided once: computed, recorded and hashed so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_comparison import fingerprint

from nasgan.engine import run_config
from nasgan.engine.device import settled
from nasgan.engine.run_directory import RunDirectory
from nasgan.engine.search_job import SearchJob
from nasgan.errors import RunDirectoryError
from nasgan.runs.record import RunRecord, hash_config

Tiny = Callable[..., dict[str, Any]]
Pretend = Callable[..., None]

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
AS_ON_CPU = {"precision": "float32", "joint_discriminator_pass": False}
LEFT_OPEN = {"precision": "auto", "joint_discriminator_pass": None}


class Stopped(Exception):
    """Stands for a kill."""


def _stop(*_: object, **__: object) -> None:
    raise Stopped


def _of_trainer(config: Any) -> dict[str, Any]:
    return {name: config["trainer"][name] for name in LEFT_OPEN}


def _leave_open(run_dir: Path) -> None:
    """Make the folder one of before, when the words stayed as they were asked."""
    path = run_dir / "config.json"
    held = json.loads(path.read_text())
    held["trainer"] |= LEFT_OPEN
    path.write_text(json.dumps(held))


def test_record_and_hash_hold_what_the_cpu_decides(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("search", "strategy=random_scratch")
    assert _of_trainer(config) == LEFT_OPEN
    run_config(config, tmp_path)
    record = RunRecord.read(tmp_path / "record.json")
    assert _of_trainer(record.config) == AS_ON_CPU
    explicit = {**config, "trainer": {**config["trainer"], **AS_ON_CPU}}
    assert record.config_hash == hash_config(explicit, content=record.content)
    assert record.config_hash != hash_config(config, content=record.content)
    assert _of_trainer(json.loads((tmp_path / "config.json").read_text())) == AS_ON_CPU


def test_a_run_claims_its_folder_with_what_the_gpu_decides(
    tiny: Tiny, tmp_path: Path, pretend_cuda: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda()
    monkeypatch.setattr("nasgan.engine.parts.load_splits", _stop)
    config = {**tiny("search"), "device": "auto"}
    with pytest.raises(Stopped):
        run_config(config, tmp_path)
    held = json.loads((tmp_path / "config.json").read_text())
    assert held["device"] == "cuda"
    assert _of_trainer(held) == {"precision": "bf16", "joint_discriminator_pass": True}
    assert hash_config(held) != hash_config(settled(config, CPU))


def test_emulated_bf16_does_not_count(tiny: Tiny, pretend_cuda: Pretend) -> None:
    pretend_cuda(has_bf16=False)
    decided = _of_trainer(settled(tiny("search"), CUDA))
    assert decided == {"precision": "float32", "joint_discriminator_pass": True}


def test_the_joint_pass_is_for_accelerators_and_for_compiled_networks(tiny: Tiny) -> None:
    compiled = tiny("search", "trainer.compile=default")
    assert _of_trainer(settled(compiled, CPU)) == {**AS_ON_CPU, "joint_discriminator_pass": True}


def test_what_is_set_stays(tiny: Tiny, pretend_cuda: Pretend) -> None:
    pretend_cuda()
    config = tiny("search", "trainer=published")
    assert settled(config, CUDA) == config


def test_a_run_under_way_keeps_what_it_began_with(tiny: Tiny, pretend_cuda: Pretend) -> None:
    config = tiny("search")
    pretend_cuda()
    begun = settled(config, CUDA)
    pretend_cuda(has_bf16=False)
    assert settled(config, CUDA, begun) == begun
    asked = tiny("search", "trainer.precision=float32")
    assert settled(asked, CUDA, begun)["trainer"]["precision"] == "float32"


def test_a_run_that_ended_on_another_device_stands(
    tiny: Tiny, tmp_path: Path, pretend_cuda: Pretend
) -> None:
    config = tiny("search", "strategy=random_scratch")
    run_config(config, tmp_path)
    pretend_cuda()
    left_to_the_gpu = {**config, "device": "auto"}
    assert run_config(left_to_the_gpu, tmp_path).status == "already_completed"
    left_to_the_gpu["trainer"] = {**config["trainer"], "precision": "bf16"}
    with pytest.raises(RunDirectoryError, match="'float32' -> 'bf16'"):
        run_config(left_to_the_gpu, tmp_path)


def test_a_run_of_before_ends_with_the_same_bits_and_stands(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", "strategy=random_scratch", "checkpoint.every_seconds=0")
    run_config(config, tmp_path / "whole")
    old = tmp_path / "old"
    with monkeypatch.context() as patch:
        steps = iter(range(3))
        original = SearchJob.step
        patch.setattr(SearchJob, "step", lambda job: original(job) if next(steps) < 2 else _stop())
        with pytest.raises(Stopped):
            run_config(config, old)
    _leave_open(old)
    folder = RunDirectory(old)
    elsewhere = {**settled(config, CUDA, folder.began_with()), "device": "cuda"}
    with pytest.raises(RunDirectoryError, match="other settings of the machine"):
        folder.claim(elsewhere)
    other = {**config, "trainer": {**config["trainer"], "precision": "bf16"}}
    with pytest.raises(RunDirectoryError, match="'float32' -> 'bf16'"):
        run_config(other, old)
    assert run_config(config, old).status == "completed"
    assert fingerprint(old) == fingerprint(tmp_path / "whole")
    _leave_open(old)
    assert run_config(config, old).status == "already_completed"


def test_a_failed_run_is_run_again_as_its_device_decides(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("search", "strategy=random_scratch", "trainer.health.max_loss=1e-9")
    begun = {**config, "trainer": {**config["trainer"], "precision": "bf16"}}
    run_config(begun, tmp_path)
    assert RunRecord.read(tmp_path / "record.json").status == "failed"
    run_config({**config, "retry_failed": True}, tmp_path)
    record = RunRecord.read(tmp_path / "record.json")
    assert record.config["trainer"]["precision"] == "float32"
