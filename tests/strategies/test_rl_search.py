"""Search by reinforcement learning: conformance, phases, growth, resets, limits, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from nasgan.architecture import Architecture
from nasgan.contracts import Budget, Cost, Decision, Evaluation, Objective, Proposal, StepLosses
from nasgan.errors import ConfigError, TrainingDiverged
from nasgan.evaluation import GapEvaluator
from nasgan.testing import check_strategy
from nasgan.testing.toy_evaluator import ToyEvaluator
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import StagedToySpace, ToySpace
from nasgan_strategies.rl import learner
from nasgan_strategies.rl.candidates import by_score
from nasgan_strategies.rl.plan import Phase, Schedule, plan_search
from nasgan_strategies.rl.strategy import RLSearch


class StagedSpace(ToySpace):
    """The toy space, decided in three stages; its networks do not grow."""

    name = "staged"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        options = ("pointwise", "convolution", "identity")
        return (
            Decision("layer1", options, stage=0),
            Decision("layer2", options, stage=1),
            Decision("layer3", options, stage=2),
            Decision("critic", options[:2], part="discriminator", stage=0),
        )

    def build_supernet(self) -> Any:
        from nasgan.contracts import Supernet

        supernet = super().build_supernet()
        for half in (supernet.generator, supernet.discriminator):
            run = half.run_layers
            # Later layers stand still until their stage: the first option of each.
            half.run_layers = lambda x, weights, half=half, run=run: run(
                x,
                [
                    *weights,
                    *[_first(layer) for layer in list(half.layers.values())[len(weights) :]],
                ],
            )
        assert isinstance(supernet, Supernet)
        return supernet


def _first(layer: Any) -> Any:
    import torch

    return torch.eye(len(layer))[0]


def small(**settings: Any) -> RLSearch:
    defaults = {"controller_steps": 2, "children": 2, "num_candidates": 3, "kept": 2, "hidden": 8}
    return RLSearch(**{**defaults, **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"update": "published", "children": 1, "finalists": "last"},
        {"reset_window": 4, "reset_threshold": 1e9},
    ],
    ids=["corrected", "published", "resetting"],
)
def test_it_keeps_the_contract_with_shared_weights(settings: dict[str, Any]) -> None:
    check_strategy(lambda: small(**settings), evaluators=("shared",))


@pytest.mark.parametrize(
    "settings", [{}, {"update": "published", "children": 1}], ids=["corrected", "published"]
)
def test_it_keeps_the_contract_over_stages(settings: dict[str, Any]) -> None:
    check_strategy(lambda: small(**settings), evaluators=("shared",), space=StagedSpace())


@pytest.mark.parametrize(
    "settings", [{}, {"update": "published", "children": 1}], ids=["corrected", "published"]
)
def test_it_keeps_the_contract_from_scratch(settings: dict[str, Any]) -> None:
    check_strategy(lambda: small(**settings), evaluators=("scratch",))


@pytest.mark.parametrize(("update", "children"), [("corrected", 5), ("published", 1)])
def test_the_policy_learns_the_best_architecture(update: Any, children: int) -> None:
    """Against scores that are known; what random choices would give is 1 in 54."""
    run = ToyRun(ToySpace(), Budget(architectures=700), shared=False, seed=1)
    run.scores._failures = False
    strategy = RLSearch(update=update, children=children, lr=0.01, hidden=32, reward="negative")
    strategy.setup(run)
    while run.ledger.remaining("architectures") > 0:
        strategy.step()
    late = strategy.evaluations[-100:]
    hits = sum(evaluation.architecture == run.scores.best for evaluation in late)
    assert strategy.incumbent() == run.scores.best
    assert hits > 40


def test_the_networks_grow_and_keep_the_best_prefixes() -> None:
    space = StagedSpace()
    run = ToyRun(space, Budget(generator_steps=30, architectures=60), shared=True, seed=0)
    strategy = small(iterations=6, num_candidates=4, kept=2)
    strategy.setup(run)
    prefixes = []
    stages = []
    while not strategy.finished:
        before = strategy._stage
        report = strategy.step()
        stages += [evaluation.stage for evaluation in report.evaluations]
        if strategy._stage != before:
            scored = sorted(strategy.evaluations[-4:], key=lambda e: -run.objective.reward(e.score))
            kept = [choices for choices, _ in strategy._policy.prefixes]
            best = scored[0].architecture
            width = len(kept[0])
            names = ["layer1", "critic", "layer2"][:width]
            assert kept[0] == tuple(
                d.index(best[name]) for name in names for d in space.decisions if d.name == name
            )
            assert 1 <= len(kept) <= 2
            prefixes.append(kept)
    assert [len(kept[0]) for kept in prefixes] == [2, 3]
    assert stages == sorted(stages, key=lambda stage: 2 if stage is None else stage)
    last = [e for e in strategy.evaluations if e.stage is None]
    for evaluation in last:
        chosen = tuple(
            next(d for d in space.decisions if d.name == name).index(evaluation.architecture[name])
            for name in ("layer1", "critic", "layer2")
        )
        assert chosen in prefixes[-1]


def test_a_stalled_training_begins_anew_after_the_policy_has_learned() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=40, architectures=30), shared=True, seed=0)
    strategy = small(iterations=2, reset_window=3, reset_threshold=1e9)
    strategy.setup(run)
    events = []
    while not strategy.finished:
        strategy.step()
    events = [kind for kind, *_ in run.trace.events]
    assert strategy._resets == events.count("reset") == 2
    first = events.index("reset")
    assert "score" in events[:first]
    assert "path" in events[first:]
    quiet = small(iterations=2, dynamic_reset=False)
    assert quiet._windows is None


def break_supernet(run: ToyRun) -> None:
    with torch.no_grad():
        run.shared_weights.supernet.generator.end.weight.fill_(torch.nan)


def test_dynamic_reset_begins_a_supernet_anew_that_is_not_finite() -> None:
    """At once: a reset for stalled losses waits until its window is full, and for the policy."""
    run = ToyRun(ToySpace(), Budget(generator_steps=60, architectures=30), shared=True, seed=0)
    strategy = small(iterations=2)
    strategy.setup(run)
    strategy.step()
    break_supernet(run)
    report = strategy.step()
    assert run.shared_weights.generator_steps == strategy._done == 11
    assert (strategy._resets, report.values["resets"]) == (1, 1)
    assert [kind for kind, *_ in run.trace.events][-1] == "reset"
    while not strategy.finished:
        strategy.step()
    assert strategy._resets == 1
    assert strategy.incumbent() is not None


def test_without_dynamic_reset_a_supernet_that_is_not_finite_ends_the_search() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=60, architectures=30), shared=True, seed=0)
    strategy = small(iterations=2, dynamic_reset=False)
    strategy.setup(run)
    while not strategy.evaluations or strategy._phases[strategy._phase].kind != "train":
        strategy.step()
    break_supernet(run)
    with pytest.raises(TrainingDiverged):
        strategy.step()
    assert strategy.finalists(2), "what was scored before"


def test_the_published_baseline_begins_again_in_each_iteration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the next stage has another number of decisions, to which it could not apply."""
    held: list[tuple[int, bool]] = []
    update = learner.published_loss

    def watched(rollout: Any, reward: Any, weight: Any, baseline: Any, decay: Any) -> Any:
        assert baseline is None or baseline.shape == rollout.entropies[0].shape
        held.append((strategy._phase, baseline is None))
        return update(rollout, reward, weight, baseline, decay)

    monkeypatch.setattr(learner, "published_loss", watched)
    run = ToyRun(StagedSpace(), Budget(generator_steps=30), shared=True, seed=0)
    run.scores._failures = False
    strategy = small(update="published", children=1, iterations=6)
    strategy.setup(run)
    while not strategy.finished:
        strategy.step()
    phases = [phase for phase, _ in held]
    first = [k == 0 or phases[k] != phases[k - 1] for k in range(len(phases))]
    assert [is_new for _, is_new in held] == first
    assert sum(first) == 6


def test_losses_that_move_are_no_reason_to_reset() -> None:
    strategy = small(reset_window=3, reset_threshold=0.01)
    windows = strategy._windows
    assert windows is not None
    moving = StepLosses((0.0, 1.0, 0.0), (1.0, 0.0, 1.0))
    assert not windows.stalled(moving.generator, moving.discriminator)
    assert not windows.stalled([0.0], [1.0])
    # One network is enough.
    assert windows.stalled([0.5, 0.5, 0.5], [0.0, 1.0, 0.0])
    assert not windows.stalled([0.5, 0.5], [0.5, 0.5])  # emptied, and not full again


class WorseEachTime:
    """Scores by their number: the first candidate of a search is its best."""

    def __init__(self) -> None:
        self.count = 0

    def metrics(
        self, architecture: Any, generator_steps: int = 0, stage: Any = None
    ) -> dict[str, float]:
        self.count += 1
        return {"is": -float(self.count)}


def drive(space: ToySpace, *, steps: int | None = None, **settings: Any) -> RLSearch:
    run = ToyRun(space, Budget(generator_steps=30, architectures=60), shared=True, seed=0)
    run.evaluator.scores = WorseEachTime()  # type: ignore[attr-defined]
    strategy = small(iterations=6, num_candidates=5, lr=1e-6, **settings)
    strategy.setup(run)
    while not strategy.finished and steps != 0:
        strategy.step()
        steps = None if steps is None else steps - 1
    return strategy


def distinct(evaluations: Sequence[Evaluation]) -> list[Architecture]:
    return list(dict.fromkeys(evaluation.architecture for evaluation in evaluations))


@pytest.mark.parametrize("space", [ToySpace(), StagedSpace()], ids=["one level", "stages"])
def test_finalists_come_from_the_last_candidates_if_asked(space: ToySpace) -> None:
    scored, last = (drive(space, finalists=name) for name in ("scored", "last"))
    assert [e.architecture for e in scored.evaluations] == [
        e.architecture for e in last.evaluations
    ]
    drawn_last = distinct(last.evaluations[-5:])
    assert last.finalists(10) == drawn_last
    assert last.finalists(2) == drawn_last[:2]
    assert last.incumbent() == drawn_last[0]
    of_all = scored.finalists(100)
    assert set(of_all) == set(distinct([e for e in scored.evaluations if e.stage is None]))
    assert of_all[: len(drawn_last)] != drawn_last, "those have the worst scores of all"


def test_before_the_last_candidates_those_scored_so_far_count() -> None:
    whole = drive(ToySpace(), finalists="last")
    count = len(whole.evaluations)
    scored, last = (drive(ToySpace(), finalists=name, steps=12) for name in ("scored", "last"))
    assert 0 < len(last.evaluations) <= count - 5
    assert last.finalists(100) == scored.finalists(100)


def test_a_candidate_drawn_twice_at_the_end_has_the_rank_of_its_better_score() -> None:
    space, objective = ToySpace(), Objective("fid", "min")
    a, b, c = (space.architecture([k, 0, 0, 0]) for k in range(3))
    scores = [(a, 3.0), (b, 2.0), (c, None), (a, 1.0), (b, 4.0)]
    ranked = by_score([Evaluation(x, {}, score, "table") for x, score in scores], objective)
    assert [(e.architecture, e.score) for e in ranked] == [(a, 1.0), (b, 2.0), (c, None)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"finalists": "last"}, "evaluator=scratch there are none"),
        ({"multi_level": False}, r"multi_level=false .* strategy=rl_scratch"),
    ],
)
def test_what_is_about_shared_weights_is_refused_without(settings, message) -> None:
    run = ToyRun(ToySpace(), Budget(architectures=5), shared=False, seed=0)
    with pytest.raises(ConfigError, match=message):
        small(**settings).setup(run)


def test_candidates_over_a_limit_are_never_trained_or_scored() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=12, architectures=12), shared=True, seed=0)
    strategy = small(max_parameters=3e-4)
    strategy.setup(run)
    costs = strategy._costs
    over = [a for a in map(run.space.sample, [run.rng("x")] * 60) if costs(a)[0] > 3e-4]
    assert over
    while not strategy.finished:
        strategy.step()
    touched = {name for kind, name, _ in run.trace.events if kind in ("path", "score")}
    assert not touched & {a.id for a in over}
    assert all(costs(e.architecture)[0] <= 3e-4 for e in strategy.evaluations)


def test_a_limit_that_nothing_keeps_is_refused_with_the_least() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=12), shared=True, seed=0)
    with pytest.raises(ConfigError, match="the smallest generators have"):
        small(max_parameters=1e-9).setup(run)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update": "best"}, "corrected or published"),
        ({"update": "published"}, r"children=1 \(got 2\)"),
        ({"children": 0}, "children must be at least 1"),
        ({"finalists": "best"}, "finalists must be scored or last"),
        ({"reward": "double"}, "reward must be one of"),
        ({"reset_window": 1}, "reset_window"),
        ({"max_macs": 0}, "max_macs must be above 0"),
        ({"entropy_weight": -1.0}, "entropy_weight"),
        ({"beta1": 1.0}, "beta1 must be in"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(**settings)


def test_a_search_needs_its_length_and_a_reward_that_fits() -> None:
    with pytest.raises(ConfigError, match=r"budget\.generator_steps"):
        small().setup(ToyRun(ToySpace(), Budget(), shared=True, seed=0))
    with pytest.raises(ConfigError, match=r"budget\.architectures"):
        small().setup(ToyRun(ToySpace(), Budget(), shared=False, seed=0))
    run = ToyRun(ToySpace(), Budget(architectures=5), shared=False, seed=0)
    with pytest.raises(ConfigError, match="would reward a worse fid"):
        small(reward="score").setup(run)


def test_a_budget_below_one_candidate_s_training_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cost(self: ToyEvaluator, proposal: Proposal) -> Cost:
        return Cost(architectures=1, generator_steps=900)

    monkeypatch.setattr(ToyEvaluator, "expected_cost", cost)
    run = ToyRun(ToySpace(), Budget(generator_steps=899), shared=False, seed=0)
    with pytest.raises(ConfigError, match=r"budget\.generator_steps=899 .* takes 900"):
        small().setup(run)
    small().setup(ToyRun(ToySpace(), Budget(generator_steps=900), shared=False, seed=0))


def test_the_label_names_what_makes_another_method() -> None:
    def label(space: ToySpace, shared: bool, **settings: Any) -> str:
        strategy = small(**settings)
        strategy.setup(ToyRun(space, Budget(generator_steps=12), shared=shared, seed=0))
        return strategy.label

    assert label(ToySpace(), True) == label(StagedSpace(), True) == "rl"
    assert label(StagedSpace(), True, multi_level=False) == "rl_single_level"
    assert label(ToySpace(), False) == "rl_scratch"
    assert label(ToySpace(), True, dynamic_reset=False) == "rl_no_reset"
    published = label(ToySpace(), True, update="published", children=1)
    assert published == "rl_published"


# The plan


def schedule(**settings: Any) -> Schedule:
    defaults = {
        "iterations": None,
        "controller_steps": 30,
        "children": 1,
        "candidates": 10,
        "grow_at": None,
    }
    return Schedule(**{**defaults, **settings})


def test_the_published_plan() -> None:
    phases = plan_search(schedule(), 3, 65 * 2346, float("inf"))
    assert [p.amount for p in phases if p.kind == "train"] == [2346] * 65
    assert [p.amount for p in phases if p.kind == "control"] == [30] * 65
    before = [k for k, p in enumerate(phases) if p.kind == "keep"]
    assert [sum(p.kind == "train" for p in phases[:k]) for k in before] == [15, 35]
    assert phases[-1] == Phase("select", 2, 10)


@pytest.mark.parametrize("steps", [3, 12, 150, 500])
@pytest.mark.parametrize("architectures", [3, 7, 40, float("inf")])
@pytest.mark.parametrize("stages", [1, 3])
def test_a_plan_spends_its_steps_and_keeps_its_budget(
    steps: int, architectures: float, stages: int
) -> None:
    phases = plan_search(schedule(children=2), stages, steps, architectures)
    assert sum(p.amount for p in phases if p.kind == "train") == steps
    scored = sum(p.amount * (2 if p.kind == "control" else 1) for p in phases if p.kind != "train")
    assert scored <= architectures
    assert sum(p.kind == "keep" for p in phases) == stages - 1
    assert phases[-1].kind == "select"
    assert [p.stage for p in phases] == sorted(p.stage for p in phases)


@pytest.mark.parametrize(
    ("settings", "steps", "architectures", "message"),
    [
        ({}, 2, float("inf"), "at least as many iterations"),
        ({"grow_at": (5, 3)}, 100, float("inf"), "rising"),
        ({"grow_at": (5,)}, 100, float("inf"), "2 rising"),
        ({}, 100, 2, "architectures must be at least 3"),
    ],
)
def test_plans_that_cannot_be_are_refused(
    settings: dict[str, Any], steps: int, architectures: float, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_search(schedule(**settings), 3, steps, architectures)


def test_networks_grow_only_where_the_evaluator_scores_a_stage() -> None:
    evaluator = GapEvaluator(steps=1, num_images=4)
    run = ToyRun(StagedToySpace(), Budget(generator_steps=20), evaluator=evaluator, seed=0)
    strategy = RLSearch(iterations=1, controller_steps=1, children=1, num_candidates=2)
    strategy.setup(run)
    while not strategy.finished:
        strategy.step()
    assert strategy.label == "rl_gap_single_level"
    assert {evaluation.stage for evaluation in strategy.evaluations} == {None}
