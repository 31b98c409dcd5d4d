"""`evaluator=zero_cost`: what it records, what a search goes by, and what it refuses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from nasgan.cli.compose import compose
from nasgan.contracts import Budget, Cost, Objective, Proposal
from nasgan.engine.parts import bind
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.evaluation import ZeroCostEvaluator
from nasgan.evaluation.zero_cost import PROXIES, evaluator
from nasgan.testing import ToyRun, ToySpace, check_evaluator

SMALL: dict[str, Any] = {"batch_size": 4, "batches": 2, "random_architectures": 3}


def toy_run(seed: int = 0, space: ToySpace | None = None, **settings: Any) -> ToyRun:
    made = ZeroCostEvaluator(**{**SMALL, **settings})
    return ToyRun(space or ToySpace(), Budget(), evaluator=made, seed=seed)


def score(run: ToyRun, *numbers: int) -> list[Any]:
    architectures = list(run.space.enumerate())
    made = []
    for number in numbers:
        run.pool.submit(Proposal(architectures[number]))
        made += run.pool.advance()
    return made


@pytest.mark.parametrize("by", ["nwot_g", "ntk_mmd_d", "rank"])
def test_it_keeps_the_contract(by: str) -> None:
    check_evaluator(lambda: ZeroCostEvaluator(by=by, **SMALL))


def test_all_proxies_are_recorded_and_one_is_the_score() -> None:
    run = toy_run(by="synflow_d")
    (made,) = score(run, 5)
    assert set(made.metrics) == set(PROXIES)
    assert made.score == made.metrics["synflow_d"]
    assert made.fidelity == "zero_cost_synflow_d"
    assert run.objective == Objective("synflow_d", "max")


def test_a_list_is_recorded_alone() -> None:
    run = toy_run(by="macs_d", proxies=["nwot_g", "macs_d"])
    (made,) = score(run, 5)
    assert set(made.metrics) == {"nwot_g", "macs_d"}


def test_its_scores_are_told_to_depend_on_the_networks_that_they_depend_on() -> None:
    assert ZeroCostEvaluator(by="nwot_g").sees == ("generator",)
    assert ZeroCostEvaluator(by="macs_d").sees == ("discriminator",)
    assert set(ZeroCostEvaluator(by="zico_g").sees) == {"generator", "discriminator"}
    assert ZeroCostEvaluator(by="rank", proxies=["nwot_g"]).sees == ("generator",)


def test_architectures_that_differ_in_a_network_differ_in_its_proxies() -> None:
    space = ToySpace()
    architectures = list(space.enumerate())
    number = architectures.index(space.architecture([0, 0, 0, 0]))
    other = architectures.index(space.architecture([0, 0, 0, 1]))
    first, second = score(toy_run(), number, other)
    assert first.metrics["parameters_g"] == second.metrics["parameters_g"]
    assert first.metrics["parameters_d"] < second.metrics["parameters_d"]


def test_the_rank_is_the_mean_share_of_random_architectures_that_are_beaten() -> None:
    names = ["parameters_g", "spectrum_g"]
    run = toy_run(by="rank", proxies=names, random_architectures=5)
    made = score(run, 0, 7, 30)
    others = run.evaluator.state_dict()["others"]
    assert [len(others[name]) for name in names] == [5, 5]
    for evaluation in made:
        shares = []
        for name in names:
            sign = 1 if PROXIES[name].direction == "max" else -1
            own = evaluation.metrics[name]
            shares += [np.mean([np.sign(sign * (own - each)) / 2 + 0.5 for each in others[name]])]
        assert evaluation.score == pytest.approx(np.mean(shares))


def test_a_direction_can_be_learnt() -> None:
    turned = toy_run(by="parameters_g", directions={"parameters_g": "min"})
    assert turned.objective == Objective("parameters_g", "min")
    one = {"by": "rank", "proxies": ["parameters_g"]}
    up = score(toy_run(**one), 0, 30)
    down = score(toy_run(**one, directions={"parameters_g": "min"}), 0, 30)
    assert [each.score for each in down] == pytest.approx([1 - each.score for each in up])


def test_random_architectures_are_paid_for_once() -> None:
    run = toy_run(by="rank")
    proposal = Proposal(next(run.space.enumerate()))
    a_look = 2 * 4 * 2
    assert run.evaluator.expected_cost(proposal) == Cost(architectures=1, images=4 * a_look)
    first, second = score(run, 0, 1)
    assert (first.cost.images, second.cost.images) == (4 * a_look, a_look)
    assert run.evaluator.expected_cost(proposal) == Cost(architectures=1, images=a_look)


def test_workers_rank_among_what_the_search_has_paid_for() -> None:
    run, worker = toy_run(by="rank"), toy_run(by="rank")
    architecture = next(run.space.enumerate())
    kept = json.loads(json.dumps(run.evaluator.kept(architecture)))
    assert run.ledger.spent().images == 3 * 16
    worker.evaluator.adopt(architecture, kept)
    (made,) = score(worker, 0)
    assert made.cost.images == 16
    assert made.score == score(run, 0)[0].score
    run.evaluator.adopt(architecture, worker.evaluator.kept(architecture))
    assert run.ledger.spent().images == 4 * 16
    assert run.evaluator.expected_cost(Proposal(architecture)).images == 16


def test_a_proxy_without_a_value_is_left_out_unless_the_search_goes_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = evaluator.measured

    def without(*given: Any) -> dict[str, float]:
        return {**known(*given), "nwot_g": math.nan}

    monkeypatch.setattr(evaluator, "measured", without)
    (made,) = score(toy_run(by="nwot_d"), 3)
    assert "nwot_g" not in made.metrics
    assert made.score is not None
    (failed,) = score(toy_run(by="nwot_g"), 3)
    assert failed.score is None
    assert "nwot_g is nan" in failed.failure
    (ranked,) = score(toy_run(by="rank", proxies=["nwot_g"]), 3)
    assert ranked.score == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proxies": []}, "proxies is empty"),
        ({"proxies": ["nwot_g", "nwot_g"]}, "nwot_g more than once"),
        ({"by": "zico_g", "proxies": ["nwot_g"]}, "by=.*goes by one of evaluator.proxies"),
        ({"batches": 1}, "batches must be at least 2 for zico_g"),
        ({"directions": {"nwot_g": "up"}}, "directions.nwot_g must be min or max"),
        ({"directions": {"nwot": "max"}}, "directions names 'nwot', which is not among"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ZeroCostEvaluator(**{**SMALL, **settings})


@pytest.mark.parametrize(
    ("word", "least"), [("batch_size=1", 2), ("batches=0", 1), ("random_architectures=0", 1)]
)
def test_numbers_out_of_range_are_refused_before_anything_runs(word: str, least: int) -> None:
    config = compose("search", ["evaluator=zero_cost", f"evaluator.{word}"])
    name = word.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"evaluator\.{name} must be at least {least}"):
        bind(config)


def test_an_unknown_proxy_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"zero-cost proxy 'nwot'.*'nwot_g'"):
        ZeroCostEvaluator(proxies=["nwot"])


def test_more_images_than_there_are_cannot_be_looked_at() -> None:
    with pytest.raises(ConfigError, match="is 34, and there are 16 training images"):
        toy_run(batch_size=17)
