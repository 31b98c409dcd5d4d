"""Torch's threads: by a fixed rule of the networks' size, never by the machine; recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nasgan.cli.compose import compose
from nasgan.engine import device, run_config
from nasgan.engine.finished import _threads
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]
CIFAR = "dataset=cifar10"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], None]:
    """Pretend a machine of so many cores, with so many processes on it."""

    def pretend(cores: int, load: float) -> None:
        monkeypatch.setattr(device, "usable_cores", lambda: cores)
        monkeypatch.setattr(device, "load", lambda: load)

    return pretend


@pytest.mark.parametrize(
    ("overrides", "threads"),
    [
        ([], 1),
        (["dataset.suggested.final_generator_channels=64"], 1),
        (["dataset.suggested.final_generator_channels=65"], 4),
        ([CIFAR], 4),
        ([CIFAR, "+experiment=debug/tiny"], 1),
        (["dataset=image_folder", "dataset.path=x", "+experiment=debug/tiny"], 1),
        (["dataset.suggested.discriminator_channels=256"], 4),
        ([CIFAR, "threads=3"], 3),
    ],
)
@pytest.mark.parametrize(("cores", "load"), [(1, 0.0), (64, 80.0)])
def test_they_follow_the_size_of_the_networks_and_not_the_machine(
    overrides: list[str],
    threads: int,
    cores: int,
    load: float,
    machine: Callable[[int, float], None],
) -> None:
    machine(cores, load)
    assert device.with_threads(compose("search", overrides))["threads"] == threads


def test_a_training_of_wide_networks_has_several() -> None:
    config = compose("train", ["architecture=autogan_a", CIFAR])
    assert device.threads_for(config) == 4


def test_the_record_and_the_folder_hold_them(tiny: Tiny, tmp_path: Path) -> None:
    config = {**tiny("train", "architecture=autogan_a"), "threads": None}
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    run_config(config, tmp_path)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert RunRecord.read(tmp_path / "record.json").config["threads"] == 1
    assert json.loads((tmp_path / "config.json").read_text())["threads"] == 1


def test_a_run_goes_on_with_those_it_began_with(tiny: Tiny, tmp_path: Path) -> None:
    config = {**tiny("search", "strategy=random_scratch"), "threads": None}
    begun = {**config, "threads": 2}
    assert device.with_threads(config, begun)["threads"] == 2
    # A nasgan of before left them to torch: its runs go on so.
    assert device.with_threads(config, {**config})["threads"] is None


def test_more_than_needed_on_a_busy_machine_is_said(
    tiny: Tiny,
    tmp_path: Path,
    machine: Callable[[int, float], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tiny("search", "strategy=random_scratch")
    machine(2, 3.6)
    run_config({**config, "threads": 2, "progress": True}, tmp_path)
    err = capsys.readouterr().err
    assert "threads=2: others keep this machine busy (a load of 3.6 on 2 cores)" in err
    assert "without threads= it is 1" in err


@pytest.mark.parametrize(
    ("asked", "cores", "load"), [(None, 2, 9.0), (1, 2, 9.0), (2, 2, 0.0), (2, 8, 5.0)]
)
def test_nothing_is_said_where_there_is_room(
    asked: int | None, cores: int, load: float, machine: Callable[[int, float], None]
) -> None:
    machine(cores, load)
    assert device.crowded(compose("search", []), asked) == ""


@pytest.mark.parametrize(
    ("asked", "own", "threads"), [(None, 2, 2), (3, 2, 3), (None, 10**6, None), (None, "2", None)]
)
def test_a_finished_run_is_scored_with_its_own(
    asked: int | None, own: object, threads: int | None
) -> None:
    assert _threads({"threads": asked}, {"threads": own}) == threads
