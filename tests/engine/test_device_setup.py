"""What a run sets up for its device, on pretended CUDA, and leaves as it was."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nasgan.cli.compose import compose
from nasgan.cli.config_options import config_folder
from nasgan.engine import LoadedRun, evaluate_run, run_config, sample_run
from nasgan.engine.device import prepared_torch
from nasgan.engine.tabulate import tabulate

Pretend = Callable[..., None]

TINY = ["+experiment=debug/tiny", "progress=false"]
OVERRIDES = {
    "search": TINY,
    "train": ["architecture=autogan_a", *TINY],
    "tabulate": [*TINY, "out={out}"],
    "evaluate": ["run={run}", "progress=false"],
    "sample": ["run={run}"],
}
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


class Stopped(Exception):
    """Stands for the first thing that needs the device."""


def _switches() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "benchmark": torch.backends.cudnn.benchmark,
        "fills": torch.utils.deterministic.fill_uninitialized_memory,
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "cublas": os.environ.get(CUBLAS),
    }


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Runs a verb up to its data or networks; gives the switches that it has set by then."""
    seen: list[dict[str, Any]] = []

    def stop(*_: object, **__: object) -> None:
        seen.append(_switches())
        raise Stopped

    def run(verb: str, run_dir: Path, *overrides: str) -> dict[str, Any]:
        given = [text.format(run=run_dir, out=tmp_path / "table") for text in OVERRIDES[verb]]
        config = compose(verb, [*given, *overrides])
        work: dict[str, Callable[[], Any]] = {
            "search": lambda: run_config(config, tmp_path / "run"),
            "train": lambda: run_config(config, tmp_path / "run"),
            "tabulate": lambda: tabulate(config),
            "evaluate": lambda: evaluate_run(config),
            "sample": lambda: sample_run(config),
        }
        with monkeypatch.context() as patch:
            for module in ("parts", "tabulate"):
                patch.setattr(f"nasgan.engine.{module}.load_splits", stop)
            patch.setattr(nn.Module, "to", stop)
            with pytest.raises(Stopped):
                work[verb]()
        return seen.pop()

    monkeypatch.delenv(CUBLAS, raising=False)
    before = _switches()
    yield run
    torch.set_num_threads(before["threads"])
    torch.use_deterministic_algorithms(before["deterministic"], warn_only=before["warn_only"])
    torch.backends.cudnn.benchmark = before["benchmark"]
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before["tf32"]


def _with_settings(finished: Path, folder: Path, **settings: Any) -> Path:
    """A copy of a run whose record says that it was done with other ``settings``."""
    shutil.copytree(finished, folder)
    record = json.loads((folder / "record.json").read_text())
    record["config"]["trainer"] |= settings.pop("trainer", {})
    record["config"] |= settings
    (folder / "record.json").write_text(json.dumps(record))
    return folder


def test_every_verb_with_a_device_is_tested_here() -> None:
    files = {path.stem: path.read_text() for path in config_folder().glob("*.yaml")}
    assert {verb for verb, text in files.items() if "\ndevice: " in text} == set(OVERRIDES)


@pytest.mark.parametrize("verb", OVERRIDES)
def test_a_verb_asks_a_gpu_for_algorithms_that_repeat_and_leaves_torch_as_it_was(
    verb: str, finished: Path, pretend_cuda: Pretend, set_up: Callable[..., Any]
) -> None:
    pretend_cuda()
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(2)
    before = _switches()
    # The trainings of a table have one thread each.
    threads = 1 if verb == "tabulate" else 3
    found = set_up(verb, finished, "device=auto", *(["threads=3"] if threads == 3 else []))
    assert found["threads"] == threads
    assert found["deterministic"]
    assert found["warn_only"]
    assert not found["benchmark"]
    assert not found["fills"]
    assert found["cublas"] == ":4096:8"
    assert _switches() == before


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
@pytest.mark.parametrize("tf32", [True, False])
def test_evaluate_and_sample_compute_as_the_run_did(
    verb: str,
    tf32: bool,
    finished: Path,
    tmp_path: Path,
    pretend_cuda: Pretend,
    set_up: Callable[..., Any],
) -> None:
    pretend_cuda()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not tf32
    before = _switches()
    run = _with_settings(finished, tmp_path / "its", trainer={"tf32": tf32}, deterministic=False)
    found = set_up(verb, run, "device=cuda")
    assert found["tf32"] == (tf32, tf32)
    assert not found["deterministic"]
    assert found["benchmark"]
    assert _switches() == before


@pytest.mark.parametrize(("setting", "expected"), [(None, True), (True, True), (False, False)])
def test_images_are_sampled_in_the_memory_format_of_the_run(
    setting: bool | None,
    expected: bool,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []

    def sample(self: LoadedRun, n: int, **_: object) -> torch.Tensor:
        weights = [p for p in self.generator.parameters() if p.ndim == 4 and p.shape[2] > 1]
        found.append({p.is_contiguous(memory_format=torch.channels_last) for p in weights})
        return torch.zeros(n, 1, 16, 16)

    monkeypatch.setattr(LoadedRun, "sample", sample)
    run = _with_settings(finished, tmp_path / "its", trainer={"channels_last": setting})
    sample_run(compose("sample", [f"run={run}", "device=cpu", "num=2"]))
    assert found == [{expected}]


def test_the_current_device_is_put_back(
    pretend_cuda: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda()
    current = [0]

    @contextmanager
    def held(device: torch.device) -> Iterator[None]:
        before, current[0] = current[0], device.index
        yield
        current[0] = before

    monkeypatch.setattr(torch.cuda, "device", held)
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: current.__setitem__(0, device.index)
    )
    with prepared_torch({"threads": None}, torch.device("cuda:1")):
        assert current == [1]
    assert current == [0]


def test_a_run_puts_torch_back_when_it_fails_too(
    pretend_cuda: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda()
    monkeypatch.setenv(CUBLAS, ":16:8")
    before = _switches()
    with suppress(Stopped), prepared_torch({"threads": 3}, torch.device("cuda")):
        torch.backends.cuda.matmul.allow_tf32 = not before["tf32"][0]
        assert _switches()["cublas"] == ":16:8"
        raise Stopped
    assert _switches() == before


@pytest.mark.parametrize(
    ("device", "deterministic", "mode", "warns"),
    [
        ("cuda", True, "max-autotune", True),
        ("cuda", False, "max-autotune", False),
        ("cuda", True, "reduce-overhead", False),
        ("cpu", True, "max-autotune", False),
    ],
)
def test_autotuning_that_is_void_is_told(
    device: str,
    deterministic: bool,
    mode: str,
    warns: bool,
    pretend_cuda: Pretend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pretend_cuda()
    config = {"threads": None, "deterministic": deterministic, "trainer": {"compile": mode}}
    with caplog.at_level(logging.WARNING), prepared_torch(config, torch.device(device)):
        pass
    assert ("max-autotune is void under deterministic=true" in caplog.text) == warns
