"""One architecture's training: the same however it is cut, scored and kept as planned."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nasgan.contracts import Breakdown, Evaluation
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.evaluation import TrainingPlan, TrainingTask, training_task
from nasgan.randomness import numpy_generator
from nasgan.state_files import load_state, save_state
from nasgan.testing.toy_space import ToySpace
from nasgan.training import AdversarialTrainer, HealthSettings
from nasgan.training.replicas import ALONE, Replicas

PER_STEP = 2 * 2 * 4 + 6


@pytest.fixture
def architecture(space):
    return space.sample(numpy_generator(0, "candidate"))


@pytest.fixture
def make_task(make_context, architecture):
    def make(plan, context=None, of=None):
        context = context or make_context()
        return TrainingTask(context, context.space, of or architecture, plan)

    return make


def finish(task):
    pieces = 0
    while task.result is None:
        task.advance()
        pieces += 1
    return pieces


@pytest.fixture
def one_step_a_piece(monkeypatch):
    monkeypatch.setattr(training_task, "_PIECE_SECONDS", -1.0)


@pytest.fixture
def one_score_a_piece(monkeypatch):
    """However busy the machine is."""
    monkeypatch.setattr(training_task, "_PIECE_SECONDS", 1e9)


PLAN = TrainingPlan(generator_steps=10, eval_every=4)


def whole_state(task):
    """What a task leaves behind."""
    return {**task.state_dict(), "result": task.result.to_json()}


def test_the_result_does_not_depend_on_the_pieces(make_task, assert_same, monkeypatch):
    monkeypatch.setattr(training_task, "_PIECE_SECONDS", 1e9)
    long = make_task(PLAN)
    assert finish(long) == 3  # the scores after 4, 8 and 10 steps part it
    monkeypatch.setattr(training_task, "_PIECE_SECONDS", -1.0)
    short = make_task(PLAN)
    assert finish(short) == 10
    assert_same(whole_state(short), whole_state(long))


@pytest.mark.usefixtures("one_step_a_piece")
def test_the_result_does_not_depend_on_what_ran_before(make_context, make_task, assert_same, space):
    alone = make_task(PLAN)
    finish(alone)
    context = make_context()
    other = make_task(PLAN, context, of=space.architecture([1, 1, 1, 1]))
    torch.manual_seed(99)
    late = make_task(PLAN, context)
    for _ in range(5):
        other.advance()
        late.advance()
    finish(late)
    assert_same(whole_state(late), whole_state(alone))


@pytest.mark.usefixtures("one_step_a_piece")
@pytest.mark.parametrize("cut", [0, 1, 4, 9, 10])
def test_a_task_continues_from_its_state(make_task, assert_same, tmp_path, cut):
    whole = make_task(PLAN)
    finish(whole)
    first = make_task(PLAN)
    for _ in range(cut):
        first.advance()
    path = save_state(tmp_path, "task", first.state_dict())
    second = make_task(PLAN)
    second.load_state_dict(load_state(path))
    assert second.generator_steps == cut
    finish(second)
    assert_same(whole_state(second), whole_state(whole))


@pytest.mark.usefixtures("one_score_a_piece")
@pytest.mark.parametrize("direction", ["min", "max"])
@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_networks_of_the_best_or_the_last_score_are_kept(
    make_context, make_task, direction, keep, assert_same
):
    plan = TrainingPlan(generator_steps=12, eval_every=2, keep=keep)
    task = make_task(plan, make_context(direction=direction))
    networks = {}
    while task.result is None:
        task.advance()
        steps = task.curve[-1]["generator_steps"]
        state = task.trainer.evaluated_generator.state_dict()
        networks[steps] = {name: value.clone() for name, value in state.items()}
    scores = {point["generator_steps"]: point["score"] for point in task.curve}
    assert list(scores) == [2, 4, 6, 8, 10, 12]
    best = (min if direction == "min" else max)(scores, key=scores.get)
    expected = best if keep == "best" else 12
    assert task.result.score == scores[expected]
    assert task.result.generator_steps == 12
    assert_same(task.kept["generator"], networks[expected])
    assert set(task.kept) == {"generator", "discriminator"}


def test_the_averaged_generator_is_scored_and_no_mode_is_left_behind(make_task):
    task = make_task(TrainingPlan(generator_steps=2))
    finish(task)
    assert not any(module.training for module in task.trainer.evaluated_generator.modules())
    assert all(module.training for module in task.trainer.generator.modules())


class NormedSpace(ToySpace):
    """The toy space with a batch norm in the generator."""

    def build_generator(self, architecture):
        built = super().build_generator(architecture)
        return nn.Sequential(built, nn.BatchNorm2d(1), nn.Tanh())


@pytest.mark.usefixtures("one_score_a_piece")
def test_the_kept_networks_have_the_batch_norm_statistics_that_were_scored(make_context, make_task):
    task = make_task(
        TrainingPlan(generator_steps=4, eval_every=2, keep="last"),
        make_context(space=NormedSpace(), trainer={"n_critic": 3, "ema_decay": 0.5}),
    )
    live = task.trainer.generator[1]
    while task.result is None:
        task.advance()
        kept = task.kept["generator"]
        assert kept["1.num_batches_tracked"] == 4 * task.generator_steps
        assert torch.equal(kept["1.running_mean"], live.running_mean)
        assert torch.equal(kept["1.running_var"], live.running_var)
        assert not torch.equal(kept["1.weight"], live.weight)


@pytest.mark.usefixtures("one_step_a_piece")
def test_the_ledger_pays_for_steps_and_scores(make_context, make_task):
    context = make_context()
    task = make_task(TrainingPlan(generator_steps=5, eval_every=2, num_images=11), context)
    finish(task)
    spent = context.ledger.spent("search")
    assert (spent.architectures, spent.generator_steps) == (1, 5)
    assert spent.images == 5 * PER_STEP + 3 * 11
    assert task.result.cost == spent
    final = make_task(TrainingPlan(generator_steps=1, phase="final"), context)
    finish(final)
    assert context.ledger.spent("search") == spent
    assert context.ledger.spent("final").images == PER_STEP + 20


def test_the_seconds_of_all_its_devices_are_paid(make_context, make_task, monkeypatch):
    def alone(*given, **named):
        return AdversarialTrainer(*given, **{**named, "replicas": ALONE})

    monkeypatch.setattr(training_task, "AdversarialTrainer", alone)
    spent = []
    for count in (1, 3):
        clock = SimpleNamespace(perf_counter=itertools.count().__next__)
        monkeypatch.setattr(training_task, "time", clock)
        context = make_context()
        context.replicas = Replicas(0, count)
        finish(make_task(PLAN, context))
        spent.append(context.ledger.spent().device_seconds)
    assert spent[0] > 0
    assert spent[1] == 3 * spent[0]


def test_the_budget_ends_a_training_in_the_middle(make_context, make_task):
    context = make_context(generator_steps=3)
    task = make_task(TrainingPlan(generator_steps=10), context)
    with pytest.raises(BudgetExhausted):
        finish(task)
    assert task.generator_steps == context.ledger.spent().generator_steps == 3
    assert task.result is None


@pytest.mark.usefixtures("one_step_a_piece")
def test_a_breakdown_is_a_failed_evaluation(make_context, make_task):
    health = HealthSettings(check_every=1, max_loss=1e-6)
    context = make_context(trainer={"health": health})
    task = make_task(PLAN, context)
    finish(task)
    result = task.result
    assert "exploded" in result.failure
    assert (result.score, result.metrics, result.generator_steps) == (None, {}, 1)
    assert result.breakdown == Breakdown(result.failure, 1)
    assert context.ledger.spent().architectures == 1
    again = make_task(PLAN, make_context(trainer={"health": health}))
    again.load_state_dict(task.state_dict())
    assert again.result == result


def breaking_after(task, steps):
    """Lets the generator of ``task`` become NaN after so many generator steps."""
    step = task.trainer.iteration

    def iteration():
        if task.generator_steps == steps:
            with torch.no_grad():
                task.trainer.generator.end.weight.fill_(torch.nan)
        return step()

    task.trainer.iteration = iteration
    return task


@pytest.mark.usefixtures("one_step_a_piece")
@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_late_breakdown_keeps_the_best_moment_before(make_context, make_task, assert_same, keep):
    plan = TrainingPlan(generator_steps=12, eval_every=2, keep=keep)
    whole = make_task(plan)
    networks = []
    while whole.result is None:
        points = len(whole.curve)
        whole.advance()
        if len(whole.curve) > points:
            networks.append(whole._networks())
    context = make_context()
    task = breaking_after(make_task(plan, context), 9)
    finish(task)
    result, scores = task.result, [point["score"] for point in whole.curve][:4]
    assert [point["score"] for point in task.curve] == scores
    assert result.score == min(scores)
    assert result.metrics == task.kept_point["metrics"]
    assert_same(task.kept, networks[scores.index(min(scores))])
    assert result.breakdown == Breakdown("the discriminator's loss is not finite (nan)", 10)
    assert (result.failure, result.generator_steps) == ("", 10)
    assert Evaluation.from_json(result.to_json()) == result
    assert context.ledger.spent().architectures == 1
    again = make_task(plan)
    again.load_state_dict(task.state_dict())
    assert again.result == result


def test_images_that_are_not_finite_are_a_failed_evaluation(make_context, make_task):
    """The last update may break the generator after the last loss was still finite."""
    task = make_task(TrainingPlan(generator_steps=1))
    step = task.trainer.iteration

    def breaking():
        step()
        with torch.no_grad():
            task.trainer.evaluated_generator.end.weight.fill_(torch.nan)

    task.trainer.iteration = breaking
    finish(task)
    assert task.result.failure == "the generated images are not finite"


@pytest.mark.parametrize(
    ("done", "eval_every", "due"), [(0, None, 10), (0, 4, 4), (3, 4, 4), (4, 4, 8), (8, 4, 10)]
)
def test_scores_are_due_at_multiples_and_at_the_end(done, eval_every, due):
    assert TrainingPlan(generator_steps=10, eval_every=eval_every).next_score(done) == due


@pytest.mark.parametrize(
    "settings",
    [
        {"generator_steps": 0},
        {"generator_steps": 5, "eval_every": 0},
        {"generator_steps": 5, "keep": "first"},
    ],
)
def test_impossible_plans_are_refused(settings):
    with pytest.raises(ConfigError):
        TrainingPlan(**settings)
