"""The benchmark of the training step says which of its figures are those of compiled networks."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import training_step
from benchmarks.training_step import Figures, Variant, fault, parsed, table
from nasgan.contracts import Supernet
from nasgan.data import ImageSet

ORIGINAL = torch.compile
ARGUMENTS = ["--batch", "2", "--rounds", "1", "--warm-up", "1"]

Compiler = Callable[..., Any]


def _eager_graphs(network: Any, *, mode: str, dynamic: bool) -> Any:
    del mode
    return ORIGINAL(network, backend="eager", dynamic=dynamic)


def _nothing(network: Any, **_: object) -> Any:
    return network


@pytest.fixture
def images() -> ImageSet:
    return ImageSet("s", torch.zeros(8, 3, 32, 32, dtype=torch.uint8))


def _small_networks(_: object) -> Supernet:
    generator = nn.Sequential(nn.Linear(128, 3 * 32 * 32), nn.Unflatten(1, (3, 32, 32)))
    return Supernet(generator, nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1)))


def _options(*arguments: str) -> argparse.Namespace:
    options = parsed([*ARGUMENTS, *arguments])
    (options.batch_size,) = options.batch
    return options


@pytest.mark.parametrize(("compiler", "honest"), [(_eager_graphs, True), (_nothing, False)])
def test_a_compiled_variant_without_graphs_fails(
    compiler: Compiler,
    honest: bool,
    images: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(training_step, "networks", _small_networks)
    monkeypatch.setattr(training_step, "plain_step", lambda *_: lambda: None)
    figures, remarks, found = table(images, _options(), math.inf)
    assert found == honest
    assert any("no graph" in remark for remark in remarks) == (not honest)
    graphs = {name: int(f.graphs) for name, f in figures.items()}
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name, count in graphs.items():
        (row,) = [words for words in printed if words[:3] == name.split()[:3]]
        assert row[-1] == str(count)
    assert graphs["nasgan, eager, float32"] == 0
    assert (graphs["nasgan, compiled, float32"] >= 4) == honest


def test_graphs_that_were_not_run_as_cuda_graphs_fail_the_variant_named_after_them() -> None:
    cuda, figures = torch.device("cuda"), Figures([1.0], [1.0], 4, 1, 0.0)
    assert "CUDA graphs" in fault(Variant("reduce-overhead", "bf16"), figures, cuda)
    assert not fault(Variant("default", "bf16"), figures, cuda)
    assert not fault(Variant("off", "bf16"), Figures([1.0], [1.0], 0, 0, 0.0), cuda)


def test_a_lease_begins_no_variant_that_would_end_late(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 50))
    monkeypatch.setattr(training_step.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(training_step, "plain_step", lambda *_: None)
    monkeypatch.setattr(training_step, "seconds", lambda *_: 0.0)
    begun = []

    def measured(variant: Variant, *_: object) -> Figures:
        begun.append(variant)
        return Figures([1.0], [1.0], 4, 0, 0.0)

    monkeypatch.setattr(training_step, "measured", measured)
    options = _options("--lease", "--compile", "off", "--precision", "bf16", "tf32", "float32")
    assert options.rounds == 1
    # Begun at 0 and at 100, they take 50 each; the third, at 200, would end at 250.
    _, remarks, _ = table(images, options, ends=training_step.LEASE_SECONDS)
    assert [variant.precision for variant in begun] == ["bf16", "tf32"]
    assert any("float32: left out" in remark for remark in remarks)
    assert training_step.LEASE_SECONDS < 240
