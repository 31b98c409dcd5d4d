"""Health of an adversarial search, and the architectures derived in its course."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from nasgan.contracts import Decision
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.gradient.derivation import Derivations
from nasgan_strategies.gradient.health import collapse, entropy, health_values, margin
from nasgan_strategies.gradient.logits import ArchitectureLogits

EDGE = ("none", "skip_connect", "conv")
EDGES = [Decision(f"edge{k}", EDGE) for k in range(4)]


def _logits(decisions, seed=0):
    return ArchitectureLogits(
        decisions,
        np.random.default_rng(seed),
        device=torch.device("cpu"),
        make_optimiser=partial(torch.optim.Adam, lr=0.1),
    )


def test_entropy_and_margin_tell_decided_from_undecided() -> None:
    assert entropy([0.25] * 4) == pytest.approx(1)
    assert entropy([1.0, 0.0, 0.0]) == 0
    expected = -(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)) / math.log(3)
    assert entropy([0.7, 0.2, 0.1]) == pytest.approx(expected)
    assert margin([0.2, 0.7, 0.1]) == pytest.approx(0.5)
    assert (entropy([1.0]), margin([1.0])) == (0.0, 1.0)


def test_the_values_name_every_decision_and_sum_up_the_part() -> None:
    decisions = [EDGES[0], Decision("up", ("nearest", "bilinear"))]
    values = health_values("generator", decisions, [[0.2, 0.3, 0.5], [0.9, 0.1]])
    assert values["margin/edge0"] == pytest.approx(0.2)
    assert values["margin/up"] == pytest.approx(0.8)
    assert values["margin_generator_mean"] == pytest.approx(0.5)
    assert values["margin_generator_min"] == pytest.approx(0.2)
    assert values["entropy_generator_min"] == pytest.approx(entropy([0.9, 0.1]))
    assert (values["none_generator"], values["identity_generator"]) == (0.2, 0.3)


def test_none_counts_as_nothing_only_beside_the_identity() -> None:
    norm = Decision("norm", ("none", "batch"))
    values = health_values("generator", [norm], [[0.99, 0.01]])
    assert not {"none_generator", "identity_generator"} & set(values)
    assert collapse([norm], [[0.99, 0.01]]) == ""


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[0.8, 0.1, 0.1]] * 3 + [[0.1, 0.8, 0.1]], "3 of its 4 operations are none, 1 the identi"),
        ([[0.1, 0.8, 0.1]] * 3 + [[0.1, 0.1, 0.8]], "0 of its 4 operations are none, 3 the identi"),
        ([[0.1, 0.8, 0.1]] * 2 + [[0.1, 0.1, 0.8]] * 2, ""),
        ([[0.34, 0.33, 0.33]] * 4, ""),
    ],
)
def test_a_collapse_is_three_quarters_of_nothing_and_identity(rows, found) -> None:
    assert collapse(EDGES, rows).startswith(found)
    assert bool(collapse(EDGES, rows)) == bool(found)


def test_logits_start_as_published_and_keep_the_order_of_mixed_decisions() -> None:
    decisions = [
        Decision(f"d{k}", tuple(map(str, range(2 + k % 3))), part="generator") for k in range(300)
    ]
    logits = _logits(decisions)
    flat = torch.cat([p.detach().flatten() for p in logits.parameters])
    assert len(flat) == sum(len(d.options) for d in decisions)
    assert float(flat.std()) == pytest.approx(1e-3, rel=0.1)
    rng = np.random.default_rng(0)
    rows = logits.weights(lambda x: x)
    for decision, row in zip(decisions, rows, strict=True):
        drawn = 1e-3 * rng.standard_normal(len(decision.options))
        np.testing.assert_allclose(row.detach().numpy(), drawn, rtol=1e-6)
    p = torch.softmax(rows[4].detach().double(), dim=0)
    assert logits.probabilities()[4] == pytest.approx(p.tolist(), rel=1e-12)


def test_one_architecture_is_named_once_and_the_latest_comes_first() -> None:
    space = ToySpace()

    def scores(*indices: int) -> list[list[float]]:
        return [
            [0.6 if k == i else 0.4 / (len(d.options) - 1) for k in range(len(d.options))]
            for i, d in zip(indices, space.decisions, strict=True)
        ]

    derived = Derivations(space)
    assert derived.add(scores(0, 0, 0, 0)) == 0
    assert derived.add(scores(1, 0, 2, 0)) == 2
    assert derived.add(scores(0, 0, 0, 0)) == 2
    assert derived.add(scores(0, 1, 0, 0)) == 1
    found = [space.encode(a) for a in derived.ranked(scores(2, 2, 2, 1), 4)]
    assert found == [(2, 2, 2, 1), (0, 1, 0, 0), (0, 0, 0, 0), (1, 0, 2, 0)]
    assert derived.ranked(scores(2, 2, 2, 1), 0) == []

    other = Derivations(space)
    other.load_state_dict(derived.state_dict())
    assert other.ranked(scores(2, 2, 2, 1), 4) == derived.ranked(scores(2, 2, 2, 1), 4)


def test_without_earlier_ones_the_next_most_probable_follow() -> None:
    space = ToySpace()
    scores = [[0.5, 0.2, 0.3], [0.1, 0.45, 0.45], [0.9, 0.05, 0.05], [0.3, 0.7]]
    found = [space.encode(a) for a in Derivations(space).ranked(scores, 4)]
    assert found == [(0, 1, 0, 1), (0, 2, 0, 1), (2, 1, 0, 1), (0, 1, 0, 0)]
    everything = Derivations(space).ranked(scores, 1000)
    assert len(everything) == len(set(everything)) == 1 + 2 + 2 + 2 + 1
