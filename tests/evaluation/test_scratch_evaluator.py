"""Trainings from scratch that wait in files to be continued."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
import torch
from set_up import set_up

from nasgan.contracts import Proposal
from nasgan.errors import ConfigError
from nasgan.evaluation import ScratchEvaluator
from nasgan.training import HealthSettings

CHOICES = [[0, 1, 2, 0], [1, 1, 0, 1]]


def run(task):
    while task.result is None:
        task.advance()
    return task.result


@pytest.fixture
def evaluator(make_context):
    return set_up(make_context(), ScratchEvaluator(generator_steps=3, num_images=10))


def test_a_continued_training_equals_one_long_training(make_context, space, assert_same):
    architecture, other = (space.architecture(choices) for choices in CHOICES)
    context = make_context()
    halving = set_up(context, ScratchEvaluator(num_images=10))
    run(halving.begin(Proposal(architecture, 2)))
    run(halving.begin(Proposal(other, 2)))
    continued = halving.begin(Proposal(architecture, 7))
    assert continued.generator_steps == 2
    result = run(continued)
    at_once = set_up(make_context(), ScratchEvaluator(num_images=10)).begin(
        Proposal(architecture, 7)
    )
    expected = run(at_once)
    assert_same(continued.trainer.state_dict(), at_once.trainer.state_dict())
    assert_same(continued.kept, at_once.kept)
    assert (result.score, result.generator_steps) == (expected.score, 7)
    assert result.cost.generator_steps == 5
    assert context.ledger.spent().generator_steps == 2 + 2 + 5
    assert context.ledger.spent().architectures == 3


def test_the_length_is_the_evaluators_unless_the_strategy_says(evaluator, space):
    architecture = space.architecture(CHOICES[0])
    assert run(evaluator.begin(Proposal(architecture))).generator_steps == 3
    assert run(evaluator.begin(Proposal(architecture, 4))).generator_steps == 4
    assert evaluator.fidelity == "scratch"
    assert not evaluator.needs_shared_weights


@pytest.mark.parametrize("damage", ["truncated", "missing", "empty"])
def test_a_damaged_file_means_training_again_with_a_warning(
    make_context, space, caplog, damage, assert_same
):
    context = make_context()
    evaluator = set_up(context, ScratchEvaluator(num_images=10))
    architecture = space.architecture(CHOICES[0])
    run(evaluator.begin(Proposal(architecture, 2)))
    (path,) = context.folder.glob(f"{architecture.id}-2.*.pt")
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:300] if damage == "truncated" else b"")
    with caplog.at_level(logging.WARNING):
        task = evaluator.begin(Proposal(architecture, 5))
    assert "trained again from the start" in caplog.text
    assert path.name in caplog.text
    assert task.generator_steps == 0
    result = run(task)
    fresh = set_up(make_context(), ScratchEvaluator(num_images=10)).begin(Proposal(architecture, 5))
    assert result.score == run(fresh).score
    assert_same(task.trainer.state_dict(), fresh.trainer.state_dict())


def test_what_was_trained_survives_in_the_state(make_context, space):
    context = make_context()
    first = set_up(context, ScratchEvaluator(num_images=10))
    architecture = space.architecture(CHOICES[0])
    run(first.begin(Proposal(architecture, 2)))
    second = set_up(context, ScratchEvaluator(num_images=10))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.begin(Proposal(architecture, 5)).generator_steps == 2
    assert second.state_dict() == first.state_dict()


def test_what_was_trained_elsewhere_is_continued_here(make_context, space, assert_same):
    context = make_context()
    worker = set_up(context, ScratchEvaluator(num_images=10))
    architecture, other = (space.architecture(choices) for choices in CHOICES)
    assert worker.kept(architecture) == {}
    run(worker.begin(Proposal(architecture, 2)))
    run(worker.begin(Proposal(other, 2)))
    kept = json.loads(json.dumps(worker.kept(architecture)))
    another = set_up(context, ScratchEvaluator(num_images=10))
    another.adopt(architecture, kept)
    continued = another.begin(Proposal(architecture, 5))
    assert continued.generator_steps == 2
    assert another.begin(Proposal(other, 5)).generator_steps == 0
    at_once = set_up(make_context(), ScratchEvaluator(num_images=10)).begin(
        Proposal(architecture, 5)
    )
    assert run(continued).score == run(at_once).score
    assert_same(continued.trainer.state_dict(), at_once.trainer.state_dict())


def test_a_shorter_training_does_not_replace_a_longer_one(make_context, space):
    """Else a still longer one would cost more than was reserved for it."""
    context = make_context()
    evaluator = set_up(context, ScratchEvaluator(num_images=10))
    architecture = space.architecture(CHOICES[0])
    worker = set_up(context, ScratchEvaluator(num_images=10))
    run(worker.begin(Proposal(architecture, 2)))
    run(evaluator.begin(Proposal(architecture, 4)))
    run(evaluator.begin(Proposal(architecture, 3)))
    evaluator.adopt(architecture, worker.kept(architecture))
    assert evaluator.expected_cost(Proposal(architecture, 6)).generator_steps == 2
    assert run(evaluator.begin(Proposal(architecture, 6))).cost.generator_steps == 2


def test_the_expected_cost_is_the_cost(make_context, space):
    context = make_context()
    evaluator = set_up(context, ScratchEvaluator(generator_steps=3, num_images=10))
    architecture = space.architecture(CHOICES[0])
    for steps in (None, 7, 7):
        proposal = Proposal(architecture, steps)
        expected = evaluator.expected_cost(proposal)
        cost = run(evaluator.begin(Proposal(architecture, steps))).cost
        assert expected == replace(cost, device_seconds=0.0)
    with pytest.raises(ConfigError, match="evaluator=shared"):
        evaluator.expected_cost(Proposal(architecture, stage=0))


def test_a_task_under_way_that_continued_another_resumes(make_context, space, assert_same):
    context = make_context()
    evaluator = set_up(context, ScratchEvaluator(num_images=10))
    architecture = space.architecture(CHOICES[0])
    run(evaluator.begin(Proposal(architecture, 2)))
    task = evaluator.begin(Proposal(architecture, 6))
    resumed = evaluator.begin(Proposal(architecture, 6))
    resumed.load_state_dict(task.state_dict())
    assert resumed.generator_steps == 2
    assert run(resumed).score == run(task).score


def test_trainings_that_no_longer_one_can_follow_are_not_kept(make_context, space):
    context = make_context()
    evaluator = set_up(context, ScratchEvaluator(generator_steps=3, num_images=10))
    architecture = space.architecture(CHOICES[0])
    assert run(evaluator.begin(Proposal(architecture))).score is not None
    assert evaluator.kept(architecture) == {}
    assert list(context.folder.iterdir()) == [], "a thousand candidates would fill a disk"


def test_failed_trainings_are_not_kept(make_context, space):
    health = HealthSettings(check_every=1, max_loss=1e-6)
    context = make_context(trainer={"health": health})
    evaluator = set_up(context, ScratchEvaluator(num_images=10))
    assert run(evaluator.begin(Proposal(space.architecture(CHOICES[0]), 2))).failure
    assert evaluator.state_dict() == {"trained": {}}
    assert list(context.folder.iterdir()) == []


def test_a_survivor_that_breaks_down_keeps_its_best_score(make_context, space):
    context = make_context()
    evaluator = set_up(context, ScratchEvaluator(num_images=10))
    architecture = space.architecture(CHOICES[0])
    before = run(evaluator.begin(Proposal(architecture, 2)))
    task = evaluator.begin(Proposal(architecture, 6))
    with torch.no_grad():
        task.trainer.generator.end.weight.fill_(torch.nan)
    broken = run(task)
    assert (broken.score, broken.metrics, broken.failure) == (before.score, before.metrics, "")
    assert "not finite" in broken.breakdown.reason
    assert (broken.generator_steps, broken.breakdown.generator_step) == (6, 3)
    again = run(evaluator.begin(Proposal(architecture, 18)))
    assert (again.score, again.breakdown) == (before.score, broken.breakdown)
    assert again.cost.generator_steps == 0, "it would break down again"
    assert again.cost.architectures == 1


def test_a_training_of_no_steps_is_refused(make_context):
    with pytest.raises(ConfigError, match=r"evaluator\.generator_steps"):
        set_up(make_context(), ScratchEvaluator(generator_steps=0))
