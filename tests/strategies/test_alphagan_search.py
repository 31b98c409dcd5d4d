"""AlphaGAN as a strategy: conformance, the gradient of the gap, rounds, costs, refusals."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from nasgan.cli.compose import compose
from nasgan.contracts import Budget, Decision, HalfWeights, Supernet
from nasgan.engine.parts import bind
from nasgan.errors import BudgetExhausted, ConfigError
from nasgan.testing import StagedToySpace, ToyRun, ToySpace, check_strategy
from nasgan_strategies.alphagan.plan import Rounds
from nasgan_strategies.alphagan.strategy import AlphaGANSearch


class WideToySpace(ToySpace):
    """In float64."""

    def build_supernet(self) -> Supernet:
        return super().build_supernet().double()


class CriticsSpace(ToySpace):
    """Only the discriminator has a decision."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return super().decisions[-1:]


def started(space: ToySpace | None = None, **settings: Any) -> tuple[ToyRun, AlphaGANSearch]:
    run = ToyRun(space or ToySpace(), Budget(generator_steps=60), shared=True, seed=2)
    few = {"weight_steps": 2, "inner_steps": 3, "architecture_steps": 1}
    strategy = AlphaGANSearch(**{**few, **settings})
    strategy.setup(run)
    return run, strategy


def drive_to(strategy: AlphaGANSearch, phase: str) -> None:
    while phase not in strategy._message():
        strategy.step()


def logits_of(strategy: AlphaGANSearch) -> list[torch.Tensor]:
    return [rows for logits in strategy._logits.values() for rows in logits.parameters]


@pytest.mark.parametrize("space", [ToySpace, StagedToySpace])
def test_it_keeps_the_contract(space: type[ToySpace]) -> None:
    settings = {"inner_steps": 3, "weight_steps": 2, "architecture_steps": 2}
    check_strategy(lambda: AlphaGANSearch(**settings), space=space())


def gap_at(run: ToyRun, copies: dict[str, Any], rows: list[list[torch.Tensor]]) -> float:
    """V(G, D') - V(G', D) of the hinge, from the networks alone, on what a judge would draw."""
    half = HalfWeights(*([torch.softmax(row, -1) for row in part] for part in rows))
    values = {}
    for part, trained in copies.items():
        pair = copy.deepcopy(Supernet(trained.generator, trained.discriminator))
        judge = run.trainer(pair, name="judge 0", images=run.held_out)
        (real,) = judge.real_images()
        z, _ = judge.trainer._draw(len(real.images))  # type: ignore[attr-defined]
        with torch.no_grad():
            fake = pair.generator(z, half.generator)
            on_real = pair.discriminator(real.images, half.discriminator)
            on_fake = pair.discriminator(fake, half.discriminator)
        loss = torch.relu(1 - on_real).mean() + torch.relu(1 + on_fake).mean()
        values[part] = -float(loss)
    return values["discriminator"] - values["generator"]


def test_the_gradient_is_that_of_the_gap_by_finite_differences() -> None:
    """By the logits of all decisions at once: G, D, G' and D' all take part."""
    run, strategy = started(WideToySpace())
    drive_to(strategy, "architecture")
    copies = dict(strategy._copies)
    before = [rows.detach().double().clone() for rows in logits_of(strategy)]
    strategy.step()
    found = torch.cat([rows.grad.flatten().double() for rows in logits_of(strategy)])

    def at(flat: torch.Tensor) -> float:
        rows = [part.view_as(old) for part, old in zip(flat.split([9, 2]), before, strict=True)]
        return gap_at(run, copies, [list(part.unbind()) for part in rows])

    # Short, so that no unit's sign changes on the way.
    flat, step = torch.cat([old.flatten() for old in before]), 1e-7
    expected = torch.stack(
        [
            torch.tensor((at(flat + step * unit) - at(flat - step * unit)) / (2 * step))
            for unit in torch.eye(len(flat), dtype=torch.float64)
        ]
    )
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(found, expected.double(), rtol=1e-3, atol=1e-7)


def test_copies_are_thrown_away_and_leave_the_supernet_as_it_is() -> None:
    run, strategy = started()
    drive_to(strategy, "better discriminator")
    supernet = copy.deepcopy(run.shared_weights.supernet.state_dict())
    drive_to(strategy, "better generator")
    better = strategy._copies["discriminator"]
    drive_to(strategy, "architecture")
    for half, moved in (("generator", False), ("discriminator", True)):
        own = getattr(run.shared_weights.supernet, half).state_dict()
        copied = getattr(better, half).state_dict()
        assert any(not torch.equal(own[name], copied[name]) for name in own) == moved
    strategy.step()
    assert not strategy._copies
    after = run.shared_weights.supernet.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in supernet.items())


def test_the_gap_is_taken_on_held_out_images_and_the_copies_train_on_others() -> None:
    def gap_of(phase: str) -> float:
        run, strategy = started()
        drive_to(strategy, phase)
        images = run.held_out if phase == "architecture" else run.images
        assert images is not None
        images.images.zero_()
        drive_to(strategy, "architecture")
        return strategy.step().values["duality_gap"]

    run, strategy = started()
    drive_to(strategy, "architecture")
    plain = strategy.step().values["duality_gap"]
    assert gap_of("architecture") != plain
    assert gap_of("better discriminator") != plain
    run, strategy = started()
    run.held_out.images.zero_()  # type: ignore[union-attr]
    drive_to(strategy, "architecture")
    assert all(torch.equal(*pair) for pair in zip(*_copied_weights(strategy), strict=True))


def _copied_weights(other: AlphaGANSearch) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    _, strategy = started()
    drive_to(strategy, "architecture")
    both = []
    for each in (strategy, other):
        copies = each._copies.values()
        both.append([p for pair in copies for p in pair.discriminator.state_dict().values()])
    return both[0], both[1]


def test_a_search_costs_what_its_rounds_say() -> None:
    run, strategy = started(rounds=3)
    while not strategy.finished:
        strategy.step()
    assert run.ledger.spent().generator_steps == 3 * (2 + 3) == strategy._plan.generator_steps
    real, latents = 4, 2
    weights, copies, gap = 2 * (2 * real + latents), 3 * (2 * real + latents), 2 * 2 * real
    assert run.ledger.spent().images == 3 * (weights + copies + gap)
    assert run.shared_weights.generator_steps == 3 * 2


def test_only_what_is_searched_learns_and_the_label_says_so() -> None:
    for searched in (True, False):
        _, strategy = started(search_discriminator=searched)
        before = copy.deepcopy(strategy.state_dict()["logits"])
        drive_to(strategy, "architecture")
        strategy.step()
        after = strategy.state_dict()["logits"]
        moved = {
            part
            for part in before
            if not torch.equal(before[part]["logits"][0], after[part]["logits"][0])
        }
        assert moved == ({"generator", "discriminator"} if searched else {"generator"})
        assert strategy.label == ("alphagan" if searched else "alphagan_generator_only")


@pytest.mark.parametrize(
    ("asked", "budget", "expected"),
    [
        (Rounds(100, 4, 20), None, Rounds(100, 4, 20)),
        (Rounds(100, 4, 20), 500, Rounds(20, 4, 20)),
        (Rounds(3, 4, 20), 500, Rounds(3, 4, 20)),
        (Rounds(100, 4, 20), 12, Rounds(4, 1, 2)),
        (Rounds(100, 4, 20), 2, Rounds(1, 1, 1)),
    ],
)
def test_a_budget_is_divided_into_rounds(
    asked: Rounds, budget: int | None, expected: Rounds
) -> None:
    assert asked.within(budget) == expected
    assert budget is None or expected.generator_steps <= budget


def test_what_cannot_be_searched_is_refused_before_anything_is_trained() -> None:
    def refused(message: str, space: ToySpace | None = None, **changes: Any) -> None:
        run = ToyRun(space or ToySpace(), Budget(**changes.pop("budget", {})), shared=True, seed=0)
        if changes.pop("held_out", True) is None:
            run.held_out = None
        with pytest.raises(ConfigError, match=message):
            AlphaGANSearch(**changes).setup(run)
        assert run.ledger.spent().images == 0

    refused("needs its length")
    refused("holds no round", budget={"generator_steps": 1})
    refused("no test split", held_out=None, rounds=1)
    refused("nothing to search", CriticsSpace(), rounds=1, search_discriminator=False)


def test_a_budget_of_images_ends_it_with_a_result() -> None:
    run = ToyRun(ToySpace(), Budget(generator_steps=60, images=90), shared=True, seed=2)
    strategy = AlphaGANSearch(weight_steps=2, inner_steps=3, architecture_steps=1)
    strategy.setup(run)
    with pytest.raises(BudgetExhausted, match="90 images"):
        drive_to(strategy, "round 4")
    assert strategy.incumbent() is not None


@pytest.mark.parametrize(
    ("name", "value"), [("inner_steps", 0), ("architecture_lr", 1.0), ("weight_decay", -1.0)]
)
def test_settings_out_of_their_range_are_named(name: str, value: float) -> None:
    config = compose("search", ["strategy=alphagan", f"strategy.{name}={value}"])
    with pytest.raises(ConfigError, match=rf"strategy\.{name}"):
        bind(config)


def test_the_presets_take_the_published_numbers() -> None:
    short = compose("search", ["+experiment=alphagan/search"])
    assert (short["strategy"]["rounds"], short["strategy"]["inner_steps"]) == (100, 20)
    assert short["search_space"]["discriminator"] == "autogan"
    batches = short["strategy"]["weight_steps"] * short["trainer"]["n_critic"]
    assert batches == short["strategy"]["inner_steps"]
    long = compose("search", ["+experiment=alphagan/search_long"])
    assert long["strategy"]["inner_steps"] == 390
    assert long["strategy"]["weight_steps"] * long["trainer"]["n_critic"] == 390
    for config in (short, long):
        strategy = bind(config).strategy
        assert isinstance(strategy, AlphaGANSearch)
