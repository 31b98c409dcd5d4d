"""Scores after a short training from weights that are there: of the supernet, or of a parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasgan.contracts import Budget, Evaluation, Proposal
from nasgan.contracts.supernet import inherit_fitting
from nasgan.errors import ConfigError
from nasgan.evaluation import InheritEvaluator, SharedEvaluator
from nasgan.testing import ToyRun, ToySpace, check_evaluator

OLD, CHILD = [0, 1, 2, 1], [0, 1, 0, 1]


def inherit_run(folder: Path, evaluator: Any = None) -> ToyRun:
    evaluator = evaluator or InheritEvaluator(generator_steps=3, num_images=16)
    run = ToyRun(ToySpace(), Budget(), evaluator=evaluator, seed=5, folder=folder)
    run.shared_weights.train(lambda: run.space.sample(run.rng("paths")), generator_steps=2)
    return run


def scored(run: ToyRun, choices: list[int], **asked: Any) -> Evaluation:
    run.pool.submit(Proposal(run.space.architecture(choices), **asked))
    (evaluation,) = run.pool.advance()
    return evaluation


def trained_by_hand(run: ToyRun, choices: list[int], parent: list[int] | None = None) -> Any:
    """The same, in the steps of the contract; `parent`'s training comes first."""
    architecture = run.space.architecture(choices)
    pair = run.networks(architecture, inherit=True)
    if parent is not None:
        old = trained_by_hand(run, parent)
        inherit_fitting(pair.generator, old.generator.state_dict())
        inherit_fitting(pair.discriminator, old.discriminator.state_dict())
    run.trainer(pair, name=architecture.id).train(generator_steps=3)
    return pair


def test_it_keeps_the_contract_of_evaluators() -> None:
    check_evaluator(lambda: InheritEvaluator(generator_steps=2, num_images=16))


@pytest.mark.parametrize("parent", [None, OLD])
def test_the_score_is_that_of_the_pair_after_its_training(
    tmp_path: Path, parent: list[int] | None
) -> None:
    run = inherit_run(tmp_path)
    asked = {}
    if parent is not None:
        scored(run, parent, keep=True)
        asked["parent"] = run.space.architecture(parent)
    before = run.ledger.spent()
    evaluation = scored(run, CHILD, **asked)
    assert run.ledger.spent().generator_steps - before.generator_steps == 3
    by_hand = trained_by_hand(run, CHILD, parent)
    expected = run.harness.evaluate(run.sample(by_hand.generator), num_images=16)
    assert dict(evaluation.metrics) == dict(expected)


def test_a_parents_weights_make_another_score_and_survive_a_resumption(tmp_path: Path) -> None:
    run = inherit_run(tmp_path)
    alone = scored(run, CHILD).score
    scored(run, OLD, keep=True)
    state = run.state_dict()
    resumed = inherit_run(tmp_path)
    resumed.load_state_dict(state)
    parent = run.space.architecture(OLD)
    first, again = (scored(each, CHILD, parent=parent) for each in (run, resumed))
    assert first.score == again.score != alone
    assert first.parent == parent.id


def test_scores_depend_on_the_discriminator_where_shared_ones_do_not(tmp_path: Path) -> None:
    run = inherit_run(tmp_path)
    assert scored(run, [0, 1, 2, 0]).score != scored(run, [0, 1, 2, 1]).score
    shared = inherit_run(tmp_path, SharedEvaluator(num_images=16))
    assert scored(shared, [0, 1, 2, 0]).score == scored(shared, [0, 1, 2, 1]).score


def test_a_training_that_breaks_down_is_a_failed_candidate(tmp_path: Path) -> None:
    run = inherit_run(tmp_path)
    with torch.no_grad():
        run.shared_weights.supernet.generator.end.weight.fill_(torch.nan)
    evaluation = scored(run, CHILD)
    assert evaluation.score is None
    assert "not finite" in evaluation.failure


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [({"parent": OLD}, "no trained weights"), ({"stage": 0}, "scores whole networks")],
)
def test_what_it_cannot_score_is_refused_before_anything_is_trained(
    tmp_path: Path, asked: dict[str, Any], complaint: str
) -> None:
    run = inherit_run(tmp_path)
    if "parent" in asked:
        asked = {"parent": run.space.architecture(asked["parent"])}
    spent = run.ledger.spent()
    with pytest.raises(ConfigError, match=complaint):
        scored(run, CHILD, **asked)
    assert run.ledger.spent() == spent


def test_too_few_images_for_the_scores_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluator\.num_images must be at least"):
        inherit_run(tmp_path, InheritEvaluator(num_images=1))
