"""Adversarial search as a strategy: conformance, order of updates, costs, results, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasgan.architecture import Architecture
from nasgan.contracts import Budget, Decision, Supernet, mix_options
from nasgan.data import ImageSet
from nasgan.errors import BudgetExhausted, ConfigError, TrainingDiverged
from nasgan.testing import check_strategy
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace
from nasgan.training import SupernetTraining, TrainerSettings
from nasgan_strategies.adversarial.strategy import AdversarialSearch

KINDS = ("softmax", "gumbel_probabilities", "gumbel_log_probabilities", "straight_through")


@pytest.mark.parametrize("kind", ["gumbel_probabilities", "straight_through"])
def test_it_keeps_the_contract(kind: str) -> None:
    check_strategy(
        lambda: AdversarialSearch(generator_steps=8, derive_every=3, relaxation=kind),
        evaluators=("shared",),
    )


def test_a_search_that_is_not_finite_has_what_was_derived_before() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=12), shared=True, seed=0)
    strategy = AdversarialSearch(derive_every=2)
    strategy.setup(run)
    strategy.step()
    before = strategy.finalists(1)
    with torch.no_grad():
        run.shared_weights.supernet.generator.end.weight.fill_(torch.nan)
    with pytest.raises(TrainingDiverged):
        strategy.step()
    assert any(p != p for row in strategy._scores() for p in row), "the logits are lost"
    assert strategy.finalists(3) == before


def options_told(run: ToyRun, strategy: AdversarialSearch) -> list[tuple[int, Any]]:
    """Drives a search; gives what it told of its options, with the generator steps done."""
    strategy.setup(run)
    told = []
    while not strategy.finished:
        report = strategy.step()
        if report.options:
            told.append((run.shared_weights.generator_steps, report.options))
    return told


def test_the_history_holds_the_probabilities_of_all_options_over_time() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=12), shared=True, seed=0)
    strategy = AdversarialSearch(derive_every=5)
    told = options_told(run, strategy)
    assert [steps for steps, _ in told] == [5, 10, 12]
    for _, options in told:
        assert list(options) == [decision.name for decision in run.space.decisions]
        assert all(sum(row) == pytest.approx(1, abs=1e-4) for row in options.values())
    assert told[0][1] != told[-1][1]
    for logits in strategy._logits.values():
        for decision, row in zip(logits.decisions, logits.probabilities(), strict=True):
            assert told[-1][1][decision.name] == pytest.approx(row, abs=1e-5)


def test_probabilities_that_are_not_searched_are_not_told() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=2), shared=True, seed=0)
    (*_, (_, options)) = options_told(run, AdversarialSearch(search_discriminator=False))
    assert list(options) == [d.name for d in run.space.decisions if d.part != "discriminator"]


@pytest.mark.parametrize(("derive_every", "told"), [(1, 102), (101, 3)])
def test_a_search_that_is_looked_at_often_keeps_its_history_short(
    derive_every: int, told: int
) -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=203), shared=True, seed=0)
    assert len(options_told(run, AdversarialSearch(derive_every=derive_every))) == told


# One option of each network is clearly better: the images are bright, and a critic has to see that.


class _BrightSpace(ToySpace):
    name = "bright"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return (
            Decision("output", ("dark", "grey", "bright")),
            Decision("critic", ("blind", "sees"), part="discriminator"),
        )

    def build_supernet(self) -> Supernet:
        return Supernet(_Outputs(), _Critics())


class _Outputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Parameter(torch.tensor(0.05))

    def forward(self, z: Tensor, weights: Sequence[Tensor], **_: Any) -> Tensor:
        noise = (self.spread * z[:, :1, None, None]).expand(-1, 1, 4, 4)
        return mix_options(weights[0], [lambda v=v: v + noise for v in (-0.8, 0.0, 0.8)])


class _Critics(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.1))
        self.level = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor, weights: Sequence[Tensor], **_: Any) -> Tensor:
        mean = x.mean(dim=(1, 2, 3))[:, None]
        options = [
            lambda: self.level + 0 * mean,
            lambda: self.slope * mean + self.level,
        ]
        return mix_options(weights[0], options)


class _BrightRun(ToyRun):
    @property
    def shared_weights(self) -> SupernetTraining:  # type: ignore[override]
        if "made" not in self.__dict__:
            images = torch.full((32, 1, 4, 4), 230, dtype=torch.uint8)
            settings = TrainerSettings(
                n_critic=2,
                generator_batch_size=8,
                discriminator_batch_size=8,
                lr_discriminator=0.02,
                initialisation="default",
            )
            self.made = SupernetTraining(
                self.space,
                ImageSet("bright", images),
                settings,
                ledger=self.ledger,
                seed=0,
                device=self.device,
            )
        return self.made


@pytest.mark.parametrize("kind", KINDS)
def test_every_relaxation_finds_the_better_option_of_both_networks(kind: str) -> None:
    run = _BrightRun(_BrightSpace(), Budget(generator_steps=60), shared=True, seed=1)
    # From 2 rather than 5: at 5 the weights are nearly uniform and 60 steps are few.
    strategy = AdversarialSearch(
        relaxation=kind, tau_max=2.0, architecture_lr=0.05, weight_decay=0.0
    )
    strategy.setup(run)
    while not strategy.finished:
        strategy.step()
    found = strategy.incumbent()
    assert found is not None
    assert [option for _, option in found] == ["bright", "sees"]
    probabilities = dict(zip(("output", "critic"), strategy._scores(), strict=True))
    assert probabilities["output"][2] > 0.5
    assert probabilities["critic"][1] > 0.6


# Order, halves, fresh noise


class _Recorder:
    """Stands for `TrainingSteps`: writes down what is asked, and which weights carry gradients."""

    n_critic = 3

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.drawn: list[tuple[Tensor, Tensor]] = []

    def real_images(self, parts: int = 1) -> list[Any]:
        names = ("first half", "second half") if parts == 2 else ("whole",)
        return [SimpleNamespace(name=name) for name in names]

    def discriminator_loss(self, real: Any, weights: Any, *, for_architecture: bool = False) -> Any:
        return self._loss("D", weights, for_architecture, real.name)

    def generator_loss(self, weights: Any, *, for_architecture: bool = False) -> Any:
        return self._loss("G", weights, for_architecture)

    def _loss(self, network: str, weights: Any, for_architecture: bool, *what: str) -> Tensor:
        halves = {"generator": weights.generator, "discriminator": weights.discriminator}
        learning = [part for part, half in halves.items() if any(w.requires_grad for w in half)]
        self.calls.append((network, "logits" if for_architecture else "weights", *what, learning))
        self.drawn.append((halves["generator"][0].detach(), weights.generator[0].detach()))
        total = sum(w.square().sum() for half in halves.values() for w in half)
        return torch.as_tensor(total)

    def update_discriminator(self, loss: Tensor) -> None:
        self.calls.append(("step D",))

    def update_generator(self, loss: Tensor) -> None:
        self.calls.append(("step G",))


def _set_up(run: ToyRun, **settings: Any) -> AdversarialSearch:
    strategy = AdversarialSearch(**{"generator_steps": 20, **settings})
    strategy.setup(run)
    return strategy


def test_the_updates_come_in_the_published_order_each_on_its_half(toy_run) -> None:
    strategy = _set_up(toy_run("shared"))
    steps = _Recorder()
    strategy._iteration(steps)
    critic = [
        ("D", "logits", "second half", ["discriminator"]),
        ("D", "weights", "first half", []),
        ("step D",),
    ]
    generator = [
        ("G", "logits", ["generator"]),
        ("G", "weights", []),
        ("step G",),
    ]
    assert steps.calls == critic + generator + critic + critic
    assert not any(torch.equal(first, second) for first, second in steps.drawn), "fresh noise"


def test_without_a_searched_discriminator_its_weights_get_the_whole_batch(toy_run) -> None:
    strategy = _set_up(toy_run("shared"), search_discriminator=False)
    steps = _Recorder()
    strategy._iteration(steps)
    critic = [("D", "weights", "whole", []), ("step D",)]
    generator = [("G", "logits", ["generator"]), ("G", "weights", []), ("step G",)]
    assert steps.calls == critic + generator + critic + critic


def test_a_frozen_discriminator_mixes_evenly_and_keeps_its_logits(toy_run) -> None:
    strategy = _set_up(toy_run("shared", generator_steps=6), search_discriminator=False)
    before = [p.detach().clone() for p in strategy._logits["discriminator"].parameters]
    moved = [p.detach().clone() for p in strategy._logits["generator"].parameters]
    weights = strategy._weights(learning="generator")
    (first,), (second,) = weights.discriminator, weights.discriminator
    assert torch.equal(first, second)
    assert not first.requires_grad
    torch.testing.assert_close(first, torch.full((2,), 0.5), atol=2e-3, rtol=0)
    while not strategy.finished:
        strategy.step()
    after = strategy._logits
    for old, new in zip(before, after["discriminator"].parameters, strict=True):
        assert torch.equal(old, new)
    assert not any(
        torch.equal(old, new) for old, new in zip(moved, after["generator"].parameters, strict=True)
    )


def test_the_temperature_falls_over_the_search(toy_run) -> None:
    strategy = _set_up(toy_run("shared"), generator_steps=10, temperature_epochs=5, derive_every=1)
    seen = []
    while not strategy.finished:
        seen.append(strategy.step().values["temperature"])
    expected = [5.0 * (0.1 / 5.0) ** (epoch / 5) for epoch in range(5) for _ in range(2)]
    assert seen == pytest.approx(expected)


class _RepairingSpace(ToySpace):
    """Identity may not follow identity."""

    def repair(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        return (indices[0], 0, *indices[2:]) if indices[:2] == (2, 2) else indices


def test_sampled_paths_are_one_hot_and_valid() -> None:
    space = _RepairingSpace()
    run = ToyRun(space, Budget(), shared=True, seed=0)
    strategy = _set_up(run, relaxation="straight_through")
    weights = strategy._weights(learning="generator")
    drawn = []
    for _ in range(200):
        vectors = weights.generator
        assert all(sorted(w.tolist())[-2:] == [0.0, 1.0] and w.requires_grad for w in vectors)
        drawn.append(tuple(int(w.argmax()) for w in vectors))
    assert all(space.repair((*path, 0)) == (*path, 0) for path in drawn)
    assert len(set(drawn)) == 3**3 - 3
    assert not any(w.requires_grad for w in weights.discriminator)


# Costs


@pytest.mark.parametrize("searched", [True, False])
def test_the_ledger_counts_every_image_of_every_loss(toy_run, searched: bool) -> None:
    run = toy_run("shared", generator_steps=7)
    strategy = _set_up(run, search_discriminator=searched)
    while not strategy.finished:
        strategy.step()
    spent = run.ledger.spent("search")
    assert (spent.generator_steps, spent.architectures) == (7, 0)
    # n_critic 1, 4 real images with as many generated, 2 latents for logits and weights each.
    assert spent.images == 7 * (2 * 4 + 2 * 2)


def test_an_image_limit_ends_with_the_step_that_passes_it(toy_run) -> None:
    run = toy_run("shared", images=30)
    strategy = _set_up(run, generator_steps=1000)
    strategy.step()  # three iterations of 12 images, of the ten asked for
    with pytest.raises(BudgetExhausted, match="30 images"):
        strategy.step()
    assert run.ledger.spent("search").generator_steps == 3
    assert strategy.incumbent() is not None


# Results


@pytest.fixture
def trained(toy_run: Callable[..., ToyRun]) -> AdversarialSearch:
    strategy = _set_up(toy_run("shared"), generator_steps=4, derive_every=1)
    while not strategy.finished:
        strategy.step()
    return strategy


def test_the_result_is_the_most_probable_option_of_each_decision(trained) -> None:
    scores = trained._scores()
    found = trained.incumbent()
    expected = [max(range(len(row)), key=row.__getitem__) for row in scores]
    assert list(trained.run.space.encode(found)) == expected
    assert trained.finalists(3)[0] == found


def test_the_discriminators_logits_are_compared_over_their_options(trained) -> None:
    """The published code normalises over decisions instead, and loses sight of an option."""
    (logits,) = trained._logits["discriminator"].parameters
    space = trained.run.space
    with torch.no_grad():
        for option in range(2):
            logits.zero_()
            logits[:, option] += 5.0
            assert space.encode(trained.incumbent())[-1] == option


def test_the_history_tells_the_changes_and_the_health(toy_run) -> None:
    strategy = _set_up(toy_run("shared"), generator_steps=6, derive_every=3)
    values = strategy.step().values
    assert values["changed_decisions"] == 0
    names = [d.name for d in strategy.run.space.decisions]
    assert {f"{kind}/{name}" for kind in ("entropy", "margin") for name in names} <= set(values)
    assert {"loss_generator", "loss_discriminator", "identity_generator"} <= set(values)
    (logits,) = strategy._logits["generator"].parameters
    with torch.no_grad():
        logits += 10 * torch.eye(3)[logits.argmin(dim=1)]
    assert strategy.step().values["changed_decisions"] == 3


def test_a_collapse_onto_identity_warns_once(toy_run, caplog) -> None:
    strategy = _set_up(toy_run("shared"), generator_steps=6, derive_every=1)
    strategy.step()
    assert "collapsed" not in caplog.text
    with torch.no_grad():
        (logits,) = strategy._logits["generator"].parameters
        logits[:, 2] += 8.0
    while not strategy.finished:
        strategy.step()
    assert caplog.text.count("the search has collapsed") == 1
    assert "in the generator, 0 of its 3 operations are none, 3 the identity" in caplog.text


def test_scores_along_the_way_are_of_the_derived_architecture(toy_run, search) -> None:
    run = toy_run("scratch", generator_steps=20_000, architectures=3)
    strategy = AdversarialSearch(generator_steps=8, score_every=2)
    evaluations = search(strategy, run)
    assert len(evaluations) == 3, "the budget of scores ends, the search goes on"
    assert strategy.finished
    assert run.shared_weights.generator_steps == 8


def test_a_score_under_way_is_resumed(toy_run) -> None:
    def reports(interrupted: bool) -> list[Architecture]:
        run = toy_run("scratch", generator_steps=20_000)
        strategy = _set_up(run, generator_steps=4, score_every=2)
        evaluated = []
        while not strategy.finished:
            if interrupted:
                state, of_run = strategy.state_dict(), run.state_dict()
                run = toy_run("scratch", generator_steps=20_000)
                strategy = _set_up(run, generator_steps=4, score_every=2)
                run.load_state_dict(of_run)
                strategy.load_state_dict(state)
            evaluated += [e.architecture for e in strategy.step().evaluations]
        return evaluated

    assert len(reports(False)) == 2
    assert reports(True) == reports(False)


def test_the_label_tells_other_algorithms_apart(toy_run) -> None:
    labels = [
        _set_up(toy_run("shared"), relaxation=kind, search_discriminator=searched).label
        for kind in ("gumbel_probabilities", "straight_through")
        for searched in (True, False)
    ]
    assert labels == [
        "adversarial",
        "adversarial_generator_only",
        "adversarial_straight_through",
        "adversarial_straight_through_generator_only",
    ]


# Refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"relaxation": "gumble"}, "relaxation must be one of"),
        ({"tau_min": -1.0}, "tau_min must be above 0"),
        ({"tau_max": 0.01}, "at least tau_min"),
        ({"temperature_epochs": 0}, "temperature_epochs"),
        ({"generator_steps": 0}, "generator_steps must be at least 1"),
        ({"derive_every": 0}, "derive_every must be at least 1"),
        ({"score_every": -1}, "score_every must be at least 1"),
        ({"architecture_lr": 0.0}, "architecture_lr"),
        ({"architecture_beta2": 1.0}, "betas"),
        ({"weight_decay": -0.1}, "weight_decay"),
    ],
)
def test_impossible_settings_are_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AdversarialSearch(**settings)


def test_a_batch_too_small_to_halve_is_refused_before_any_step(toy_run, monkeypatch) -> None:
    run = toy_run("shared")
    trainer = run.shared_weights.trainer
    monkeypatch.setattr(trainer, "settings", replace(trainer.settings, discriminator_batch_size=3))
    with pytest.raises(ConfigError, match=r"discriminator_batch_size must be at least 4, got 3"):
        _set_up(run)
    _set_up(run, search_discriminator=False)
    assert run.ledger.spent().images == 0


def test_a_search_of_unknown_length_is_refused(toy_run) -> None:
    with pytest.raises(ConfigError, match=r"budget\.generator_steps or strategy\.generator_steps"):
        _set_up(toy_run("shared"), generator_steps=None)


def test_a_space_with_nothing_to_search_is_refused(toy_run, monkeypatch) -> None:
    critic = Decision("critic", ("a", "b"), part="discriminator")
    monkeypatch.setattr(ToySpace, "decisions", property(lambda _: (critic,)))
    with pytest.raises(ConfigError, match="no decisions of the generator and search_discrim"):
        _set_up(toy_run("shared"), search_discriminator=False)
