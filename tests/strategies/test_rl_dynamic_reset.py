"""When the supernet's training counts as stalled: looked at after each discriminator step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from nasgan.contracts import Budget, StepLosses
from nasgan.errors import BudgetExhausted
from nasgan.testing.toy_run import ToyRun
from nasgan.testing.toy_space import ToySpace
from nasgan_strategies.rl.reset import LossWindows, train_until_stalled
from nasgan_strategies.rl.strategy import RLSearch

LENGTH, THRESHOLD, CRITIC_STEPS = 20, 0.9, 5


def published_look(generator: Sequence[float], discriminator: Sequence[float]) -> int | None:
    """The discriminator step (from 0) after which the published loop stops, written plainly."""
    seen: dict[str, list[float]] = {"g": [], "d": []}
    for step, loss in enumerate(discriminator):
        seen["d"].append(loss)
        if step % CRITIC_STEPS == 0:
            seen["g"].append(generator[step // CRITIC_STEPS])
        if len(seen["g"]) >= LENGTH:
            parts = [np.array(values[-LENGTH:]) for values in seen.values()]
            if min(float(((x - x.mean()) ** 2).mean()) for x in parts) < THRESHOLD:
                return step
    return None


def losses(seed: int, iterations: int = 60) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(seed)
    return (1.7 * rng.normal(size=iterations)).tolist(), (
        1.4 * rng.normal(size=iterations * CRITIC_STEPS)
    ).tolist()


class Recorded:
    """Stands for the supernet: gives prepared losses, and notes how far it was trained."""

    def __init__(self, seed: int, limit: int = 1000) -> None:
        self.generator, self.discriminator = losses(seed)
        self.generator_steps = 0
        self.limit = limit

    def train(self, sample_path: Callable[[], Any], *, generator_steps: int, stage: Any) -> Any:
        if self.generator_steps >= self.limit:
            raise BudgetExhausted("generator_steps", self.limit)
        begin, end = self.generator_steps, self.generator_steps + generator_steps
        self.generator_steps = end
        return StepLosses(
            tuple(self.generator[begin:end]),
            tuple(self.discriminator[CRITIC_STEPS * begin : CRITIC_STEPS * end]),
        )


def no_path() -> Any:
    raise AssertionError("prepared losses need no path")


@pytest.mark.parametrize("chunk", [1, 7, 60])
def test_it_stalls_in_the_same_discriminator_step_as_published(chunk: int) -> None:
    """However the losses are handed over; inside an iteration, too."""
    within = set()
    for seed in range(12):
        generator, discriminator = losses(seed)
        windows, found = LossWindows(LENGTH, THRESHOLD), None
        for begin in range(0, 60, chunk):
            part = discriminator[CRITIC_STEPS * begin : CRITIC_STEPS * (begin + chunk)]
            if windows.stalled(generator[begin : begin + chunk], part):
                found = begin
                break
        expected = published_look(generator, discriminator)
        assert (found is None) == (expected is None)
        if expected is not None and found is not None:
            assert found == expected // CRITIC_STEPS // chunk * chunk
            within.add(expected % CRITIC_STEPS)
            assert windows.state_dict() == {"generator": [], "discriminator": []}
    assert len(within) > 2


@pytest.mark.parametrize("seed", range(6))
def test_training_stops_with_the_iteration_in_which_it_stalls(seed: int) -> None:
    shared: Any = Recorded(seed)
    windows = LossWindows(LENGTH, THRESHOLD)
    done, stalled = 0, False
    while done < 60 and not stalled:
        found, _, stalled, _ = train_until_stalled(
            shared,
            no_path,
            windows,
            generator_steps=10,
            stage=None,
        )
        done += len(found.generator)
        assert len(found.discriminator) == CRITIC_STEPS * len(found.generator)
    expected = published_look(*losses(seed))
    assert stalled == (expected is not None)
    assert shared.generator_steps == done == (60 if expected is None else expected // 5 + 1)


def test_what_was_trained_before_the_budget_ended_counts() -> None:
    shared: Any = Recorded(0, limit=4)
    windows = LossWindows(LENGTH, THRESHOLD)

    def train() -> int:
        found, *_ = train_until_stalled(
            shared,
            no_path,
            windows,
            generator_steps=10,
            stage=None,
        )
        return len(found.generator)

    assert train() == 4
    assert len(windows.state_dict()["discriminator"]) == LENGTH
    with pytest.raises(BudgetExhausted):
        train()


def test_windows_resume() -> None:
    generator, discriminator = losses(3)
    whole, first, second = (LossWindows(LENGTH, THRESHOLD) for _ in range(3))
    first.stalled(generator[:9], discriminator[:45])
    second.load_state_dict(first.state_dict())
    results = [w.stalled(generator[9:30], discriminator[45:150]) for w in (first, second)]
    assert results[0] == results[1]
    assert first.state_dict() == second.state_dict()
    whole.stalled(generator[:30], discriminator[:150])
    assert whole.state_dict() == first.state_dict()


def test_a_search_that_never_stalls_is_the_same_as_one_without_reset() -> None:
    """Training one generator step at a time changes no number and no draw."""
    states = []
    for reset in (True, False):
        run = ToyRun(ToySpace(), Budget(generator_steps=40, architectures=20), shared=True, seed=0)
        strategy = RLSearch(
            iterations=2, controller_steps=2, children=2, hidden=8, dynamic_reset=reset
        )
        strategy.setup(run)
        values = []
        while not strategy.finished:
            report = strategy.step()
            values.append((dict(report.values), report.options))
        states.append((values, [e.architecture for e in strategy.evaluations], run.trace.events))
    assert states[0] == states[1]
