"""What torch.compile is given, on the CPU with backends that do nothing."""

from __future__ import annotations

import weakref
from typing import ClassVar

import pytest
import torch
from torch._inductor import list_mode_options

from nasgan.engine.device import prepared_torch
from nasgan.evaluation import DerivedPair
from nasgan.randomness import numpy_generator
from nasgan.testing.toy_space import ToySpace

ORIGINAL = torch.compile


class Graph:
    """A compiled graph; counts those that are held."""

    held: ClassVar[weakref.WeakSet[Graph]] = weakref.WeakSet()
    made = 0

    def __init__(self, module: torch.fx.GraphModule, _example: object) -> None:
        self.module = module
        Graph.held.add(self)
        Graph.made += 1

    def __call__(self, *inputs: torch.Tensor) -> object:
        return self.module.forward(*inputs)


@pytest.fixture
def compiled_by_graphs(monkeypatch):
    monkeypatch.setattr(
        torch,
        "compile",
        lambda network, *, mode, dynamic: ORIGINAL(network, backend=Graph, dynamic=dynamic),
    )
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_each_of_many_networks_is_compiled_and_the_last_one_s_graphs_are_freed(
    make_trainer, tiny, compiled_by_graphs, monkeypatch
):
    limit = torch._dynamo.config.recompile_limit
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    for width in range(4, limit + 5):
        space = ToySpace(generator_channels=width, discriminator_channels=width)
        architecture = space.sample(numpy_generator(0, "pair"))
        pair = DerivedPair(space, architecture, seed=1, initialisation="xavier_uniform")
        before = Graph.made
        trainer = make_trainer(tiny(compile="default"), pair=pair)
        trainer.iteration()
        made = Graph.made - before
        assert made >= 2
        del trainer
        assert len(Graph.held) == made


def test_graphs_are_freed_when_a_run_ends(make_trainer, tiny, compiled_by_graphs):
    config = {"threads": None, "trainer": {"compile": "default"}}
    with prepared_torch(config, torch.device("cpu")):
        make_trainer(tiny(compile="default")).iteration()
        assert len(Graph.held) >= 2
    assert not Graph.held


@pytest.mark.parametrize("mode", ["off", "default", "reduce-overhead", "max-autotune"])
def test_steps_are_marked_where_cuda_graphs_reuse_their_memory(
    make_trainer, tiny, monkeypatch, mode
):
    marks = []
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marks.append(mode))
    make_trainer(tiny(compile=mode)).iteration()
    uses_graphs = mode != "off" and list_mode_options(mode).get("triton.cudagraphs", False)
    # Two discriminator steps and a generator step.
    assert len(marks) == (3 if uses_graphs else 0)
