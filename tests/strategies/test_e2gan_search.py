"""E2GAN as a strategy: conformance, what it sees, does and is rewarded by, its plan, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nasgan.cli.compose import compose
from nasgan.contracts import Budget, Evaluator
from nasgan.engine.parts import bind
from nasgan.errors import ConfigError
from nasgan.evaluation import GapEvaluator, ScratchEvaluator, SharedEvaluator
from nasgan.testing import StagedToySpace, ToyRun, ToySpace, check_strategy
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_strategies.e2gan.plan import Plan, plan_trajectories
from nasgan_strategies.e2gan.process import Actions, pooled
from nasgan_strategies.e2gan.strategy import E2GANSearch

SMALL: dict[str, Any] = {
    "hidden": 8,
    "least_memory": 3,
    "batch_size": 4,
    "updates_exploiting": 2,
    "feature_images": 2,
}


def started(
    space: ToySpace | None = None, evaluator: Evaluator | None = None, **settings: Any
) -> tuple[ToyRun, E2GANSearch]:
    run = ToyRun(space or StagedToySpace(), Budget(), evaluator=evaluator, shared=True, seed=4)
    strategy = E2GANSearch(**{**SMALL, "trajectories": 4, "stage_steps": 2, **settings})
    strategy.setup(run)
    return run, strategy


def finish(strategy: E2GANSearch) -> E2GANSearch:
    while not strategy.finished:
        strategy.step()
    return strategy


@pytest.mark.parametrize("space", [ToySpace, StagedToySpace])
def test_it_keeps_the_contract(space: type[ToySpace]) -> None:
    check_strategy(lambda: E2GANSearch(**SMALL), space=space())


def test_every_decision_has_a_slice_of_the_action_and_the_largest_entry_is_its_option() -> None:
    space = AutoGANSpace(image_size=16, generator_channels=4, discriminator_channels=4)
    actions = Actions(space)
    # Block 2, norm 3, upsampling 3, shortcut 2, and up to 4 skips: as many as published.
    assert (actions.stages, actions.size) == (3, 14)
    action = [0.1, 0.2, *(0.3, 0.1, 0.2), *(-0.3, -0.2, -0.1), *(0.9, 0.8), *(0.0, 0.5, 0.9, 0.7)]
    assert actions.chosen(0, action) == {0: 1, 1: 0, 2: 2, 3: 0}
    # The second stage has two kinds of skips: what lies behind them does not count.
    assert actions.chosen(1, action) == {4: 1, 5: 0, 6: 2, 7: 0, 8: 1}
    assert actions.chosen(2, action) == {9: 1, 10: 0, 11: 2, 12: 0, 13: 2}
    choices = actions.chosen(0, action) | actions.chosen(1, action)
    architecture = actions.architecture(choices)
    assert space.encode(architecture) == (1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 0, 0, 0, 0)


def test_a_state_is_131_numbers_whatever_the_width() -> None:
    features = torch.tensor([[1.0, 3.0], [3.0, 5.0]])
    assert pooled(features) == [2.0] * 64 + [4.0] * 64
    exact = torch.rand(4, 128, generator=torch.Generator().manual_seed(0))
    assert pooled(exact) == exact.mean(0).tolist()
    _, strategy = started()
    assert len(strategy._state()) == 131


def test_what_is_remembered_is_what_was_seen_done_and_gained() -> None:
    run, strategy = started(exploiting=0.0, least_memory=1000)
    seen: list[torch.Tensor] = []
    features = run.features

    def watched(*given: Any, **stage: Any) -> torch.Tensor:
        seen.append(features(*given, **stage))
        return seen[-1]

    run.features = watched  # type: ignore[method-assign]
    finish(strategy)
    assert len(strategy._memory) == len(strategy.evaluations) == 4 * 3
    assert len(seen) == 4 * 2, "of each stage but the last"
    size = strategy._actions.size
    before = [0.0, 1.0, 0.0, *[0.0] * 128]
    for k, (row, evaluation) in enumerate(zip(strategy._memory, strategy.evaluations, strict=True)):
        stage = k % 3
        assert evaluation.stage == (None if stage == 2 else stage)
        if stage == 0:
            before = [0.0, 1.0, 0.0, *[0.0] * 128]
        assert row[:131] == before
        action, gained = row[131 : 131 + size], row[131 + size]
        chosen = strategy._actions.chosen(stage, action)
        indices = run.space.encode(evaluation.architecture)
        assert {i: indices[i] for i in chosen} == chosen
        inception, distance = evaluation.metrics["is"], evaluation.metrics["fid"]
        fall = 0.01 * distance - before[2]
        assert gained == pytest.approx(inception - before[1] - fall, abs=1e-12)
        after = row[132 + size : -1]
        assert after[:3] == pytest.approx([stage + 1, inception, 0.01 * distance])
        assert row[-1] == (0.0 if stage == 2 else 1.0)
        if stage < 2:
            assert after[3:] == pooled(seen.pop(0))
        before = after


def test_the_networks_are_trained_along_each_stage_and_made_anew_after_each_trajectory() -> None:
    run, strategy = started(trajectories=2)
    finish(strategy)
    events = [(kind, stage) for kind, _, stage in run.trace.events]
    one = [
        event
        for stage, scored in ((0, 0), (1, 1), (2, None))
        for event in (("path", stage), ("path", stage), ("score", scored))
    ]
    assert events == [*one, ("reset", None), *one]
    assert run.ledger.spent().generator_steps == 2 * 3 * 2
    assert run.ledger.spent().architectures == 2 * 3


def test_it_explores_first_and_exploits_then() -> None:
    _, strategy = started(trajectories=10, exploiting=0.3, least_memory=1)
    drawn: list[bool] = []
    learned: list[int] = []
    act, update = strategy._agent.act, strategy._agent.update

    def watched_act(state: Any, noise: Any) -> list[float]:
        drawn.append(noise is not None)
        return act(state, noise)

    def watched_update(batch: Any, noise: Any) -> dict[str, float]:
        learned.append(len(batch.states))
        return update(batch, noise)

    strategy._agent.act = watched_act  # type: ignore[method-assign]
    strategy._agent.update = watched_update  # type: ignore[method-assign]
    finish(strategy)
    assert drawn == [True] * 7 * 3 + [False] * 3 * 3
    assert len(learned) == 7 * (3 * 1 + 1) + 3 * (3 * 2 + 1)
    assert max(learned[:-1]) <= 27
    assert learned[-1] == 30, "the whole memory after the last trajectory"
    assert sorted(set(learned[:3])) == [1, 2, 3]


def test_a_stage_that_breaks_down_ends_its_trajectory() -> None:
    run, strategy = started(trajectories=8)
    run.scores._failures = True
    finish(strategy)
    failed = [k for k, each in enumerate(strategy.evaluations) if each.score is None]
    assert failed, "another seed"
    for k in failed:
        assert strategy._memory[k][-1] == 0.0
        inception, distance = strategy._memory[k][1], strategy._memory[k][2]
        gained = strategy._memory[k][131 + strategy._actions.size]
        assert gained == pytest.approx(1.0 - inception + distance - 10.0)
        if k + 1 < len(strategy._memory):
            assert strategy._memory[k + 1][:3] == [0.0, 1.0, 0.0]
    assert len(strategy.evaluations) < 8 * 3


@pytest.mark.parametrize(
    ("asked", "budget", "stages", "expected"),
    [
        ((100, 157, 0.3), Budget(), 3, Plan(100, 70, 157)),
        ((None, None, 0.3), Budget(generator_steps=47_100), 3, Plan(100, 70, 157)),
        ((None, None, 0.3), Budget(generator_steps=500), 3, Plan(33, 23, 5)),
        ((None, 10, 0.3), Budget(generator_steps=500), 3, Plan(16, 11, 10)),
        ((None, None, 0.3), Budget(generator_steps=500, architectures=20), 3, Plan(6, 4, 27)),
        ((None, None, 0.0), Budget(generator_steps=12, architectures=3), 3, Plan(1, 1, 4)),
        ((None, None, 1.0), Budget(generator_steps=7), 1, Plan(1, 0, 7)),
    ],
)
def test_a_budget_is_divided_into_trajectories(
    asked: tuple[Any, Any, float], budget: Budget, stages: int, expected: Plan
) -> None:
    plan = plan_trajectories(*asked, budget=budget, stages=stages)
    assert plan == expected
    spent = plan.trajectories * stages * plan.stage_steps
    assert spent <= (budget.generator_steps or spent)


@pytest.mark.parametrize(
    ("budget", "settings", "message"),
    [
        (Budget(), {}, "needs its length"),
        (Budget(generator_steps=2), {}, "within the first trajectory"),
        (Budget(generator_steps=29), {"stage_steps": 10}, "within the first trajectory"),
        (Budget(generator_steps=60, architectures=2), {}, r"architectures \(now 2\)"),
    ],
)
def test_a_budget_without_a_trajectory_is_refused(
    budget: Budget, settings: dict[str, Any], message: str
) -> None:
    run = ToyRun(StagedToySpace(), budget, shared=True, seed=0)
    with pytest.raises(ConfigError, match=message):
        E2GANSearch(**settings).setup(run)


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        (ScratchEvaluator(num_images=16), "evaluator=scratch does not"),
        (GapEvaluator(), "evaluator=gap does not"),
        (SharedEvaluator(num_images=16), "gives no is: set evaluator.metrics"),
    ],
)
def test_evaluators_that_do_not_score_stages_by_both_are_refused(
    evaluator: Evaluator, message: str
) -> None:
    run = ToyRun(StagedToySpace(), Budget(generator_steps=60), evaluator=evaluator, seed=0)
    with pytest.raises(ConfigError, match=message):
        E2GANSearch().setup(run)
    assert run.ledger.spent().images == 0


@pytest.mark.parametrize(("name", "value"), [("exploiting", 1.5), ("lr", 0.0), ("batch_size", 0)])
def test_settings_out_of_their_range_are_named(name: str, value: float) -> None:
    config = compose("search", ["strategy=e2gan", f"strategy.{name}={value}"])
    with pytest.raises(ConfigError, match=rf"strategy\.{name}"):
        bind(config)


def test_the_preset_takes_the_published_numbers() -> None:
    config = compose("search", ["+experiment=e2gan/search"])
    strategy = config["strategy"]
    assert (strategy["trajectories"], strategy["exploiting"]) == (100, 0.3)
    # An epoch of batches, and a generator step with every fifth.
    batches = -(-50_000 // config["trainer"]["discriminator_batch_size"])
    assert strategy["stage_steps"] == -(-batches // config["trainer"]["n_critic"])
    agent = {"hidden": 128, "lr": 3e-4, "entropy_weight": 0.1, "discount": 1.0, "batch_size": 256}
    assert {name: strategy[name] for name in agent} == agent
    assert config["evaluator"]["metrics"] == ["is", "fid"]
    assert config["evaluator"]["num_images"] == 5000
    assert config["search_space"]["generator_channels"] == 128
    assert isinstance(bind(config).strategy, E2GANSearch)
