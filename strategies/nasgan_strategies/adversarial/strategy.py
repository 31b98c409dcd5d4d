"""AdversarialNAS: both architectures by gradient, against each other (Gao et al. 2020)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from nasgan.architecture import Architecture, Part
from nasgan.contracts import (
    DrawnWeights,
    Evaluation,
    EvaluationTask,
    Proposal,
    SearchRun,
    SearchStrategy,
    StepReport,
    TrainingSteps,
)
from nasgan.errors import ConfigError
from nasgan_strategies.adversarial.relaxation import (
    Relaxation,
    TemperatureSchedule,
    check_relaxation,
    relax,
    select,
)
from nasgan_strategies.gradient.derivation import Derivations
from nasgan_strategies.gradient.health import collapse, health_values
from nasgan_strategies.gradient.logits import ArchitectureLogits, learned_with

__all__ = ["AdversarialSearch"]

_log = logging.getLogger(__name__)
_PARTS: tuple[Part, ...] = ("generator", "discriminator")
# Generator steps between two possible checkpoints.
_PIECE_STEPS = 10
_DERIVATIONS = 100
# Of probabilities in the history, which would be long otherwise.
_DIGITS = 5
_LEAST_BATCH = 4


class AdversarialSearch(SearchStrategy):
    """Learns logits over the options of all decisions, the two networks against each other.

    First-order and alternating, in the order of the published code. For each batch of real images:
    the discriminator's logits on one half of the batch, the discriminator's weights on the other;
    with every ``n_critic``-th batch then the generator's logits, and the generator's weights. Each
    pass through a network draws its weights afresh. Where the discriminator is not searched, the
    whole batch goes to its weights (the published code throws half of it away).

    The result is derived from the softmax of the logits over the options of each decision by
    `SearchSpace.derive`; the published code takes the discriminator's over the wrong axis, and
    leaves the live networks overwritten by their average after each validation: both are amended.

    Decisions that both networks share (no published space has any) are learned with the
    generator's; the discriminator draws them from there, without a gradient.

    Args:
        generator_steps: length of the search; null: all generator steps that the budget has.
        relaxation: ``softmax``, ``gumbel_probabilities`` (published), ``gumbel_log_probabilities``
            or ``straight_through`` (another algorithm); see
            `nasgan_strategies.adversarial.relaxation.relax`.
        tau_max: temperature of the relaxation at the start (published: 5).
        tau_min: its limit at the end (published: 0.1).
        temperature_epochs: number of equal parts of the search after which it falls (published:
            25); null: it falls with every generator step.
        search_discriminator: false keeps the discriminator's logits as they are drawn, near zero:
            its options mix with constant, nearly equal weights and only its weights are trained
            (the paper's Super-D of Table 3; how it mixes there is not said). No matter in a space
            without discriminator decisions.
        architecture_lr: Adam's learning rate of the logits.
        architecture_beta1: Adam's.
        architecture_beta2: Adam's; 0.999 in the published code, 0.9 in the paper.
        weight_decay: of the logits, added to their gradient.
        derive_every: generator steps between derived architectures and looks at the search's
            health; null: a hundredth of the search.
        score_every: generator steps between scores of the derived architecture by the run's
            evaluator, for an anytime curve; null: none. Scores do not steer the search.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "adversarial"

    def __init__(
        self,
        *,
        generator_steps: int | None = None,
        relaxation: Relaxation = "gumbel_probabilities",
        tau_max: float = 5.0,
        tau_min: float = 0.1,
        temperature_epochs: int | None = 25,
        search_discriminator: bool = True,
        architecture_lr: float = 3e-4,
        architecture_beta1: float = 0.5,
        architecture_beta2: float = 0.999,
        weight_decay: float = 1e-4,
        derive_every: int | None = None,
        score_every: int | None = None,
    ) -> None:
        check_relaxation(relaxation)
        _check_steps(
            generator_steps=generator_steps, derive_every=derive_every, score_every=score_every
        )
        if not 0 < architecture_lr < 1:
            raise ConfigError("strategy.architecture_lr must be between 0 and 1")
        betas = (architecture_beta1, architecture_beta2)
        if not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(f"strategy: Adam's betas must be in [0, 1), got {betas}")
        if weight_decay < 0:
            raise ConfigError(f"strategy.weight_decay must not be negative, got {weight_decay}")
        # The length of the search is known only with the budget; the range is checked before.
        self._schedule_of = partial(TemperatureSchedule, tau_max, tau_min)
        self._schedule_of(1 if temperature_epochs is None else temperature_epochs)
        self._temperature_epochs = temperature_epochs
        self._given_steps = generator_steps
        self._relaxation: Relaxation = relaxation
        self._search_discriminator = search_discriminator
        self._make_optimiser = partial(
            torch.optim.Adam, lr=architecture_lr, betas=betas, weight_decay=weight_decay
        )
        self._derive_every = derive_every
        self._score_every = score_every
        self._logits: dict[Part, ArchitectureLogits] = {}
        self._collapsed = False
        self._task: EvaluationTask | None = None
        self._task_of: Architecture | None = None

    def setup(self, run: SearchRun) -> None:
        """Draw the architecture parameters; see `SearchStrategy.setup`."""
        super().setup(run)
        self._total = self._length(run)
        self._schedule = self._schedule_of(self._temperature_epochs or self._total)
        self._interval = self._derive_every or max(1, self._total // _DERIVATIONS)
        self._searched = self._searched_parts(run)
        # A weight that selects a path is read, and reading from an accelerator would stall it.
        on_cpu = self._relaxation == "straight_through"
        device = torch.device("cpu") if on_cpu else run.device
        self._logits = {
            part: ArchitectureLogits(
                learned_with(part, run.space),
                run.rng(f"{part} architecture"),
                device=device,
                make_optimiser=self._make_optimiser,
            )
            for part in _PARTS
            if learned_with(part, run.space)
        }
        self._passes = tuple(part for part in _PARTS if run.space.part_decisions(part))
        seed = int(run.rng("relaxation noise").integers(2**63))
        self._noise = torch.Generator(device=device).manual_seed(seed)
        self._derived = Derivations(run.space)

    def _length(self, run: SearchRun) -> int:
        limits = [self._given_steps, run.ledger.budget.generator_steps]
        known = [limit for limit in limits if limit is not None]
        if not known:
            raise ConfigError(
                "adversarial search needs its length, over which the temperature falls: set "
                "budget.generator_steps or strategy.generator_steps"
            )
        return min(known)

    def _searched_parts(self, run: SearchRun) -> tuple[Part, ...]:
        searched = tuple(
            part
            for part in _PARTS
            if learned_with(part, run.space) and (part == "generator" or self._search_discriminator)
        )
        if not searched:
            raise ConfigError(
                f"nothing to search: the space {run.space.name!r} has no decisions of the generator"
                + ("" if self._search_discriminator else " and search_discriminator is false")
            )
        batch = run.shared_weights.settings.discriminator_batch_size
        if "discriminator" in searched and batch < _LEAST_BATCH:
            raise ConfigError(
                f"adversarial search halves each real batch (weights and architecture), so "
                f"trainer.discriminator_batch_size must be at least {_LEAST_BATCH}, got {batch}"
            )
        return searched

    @property
    def label(self) -> str:
        """``adversarial`` as published; other relaxations and generator-only search are named."""
        label = self.name
        if self._relaxation != "gumbel_probabilities":
            label += f"_{self._relaxation}"
        return label if set(self._searched) == set(self._logits) else f"{label}_generator_only"

    @property
    def _done(self) -> int:
        return min(self._total, self.run.shared_weights.generator_steps)

    @property
    def finished(self) -> bool:
        """Whether the planned generator steps are done and no score is under way."""
        return self._done >= self._total and self._task is None

    @property
    def temperature(self) -> float:
        """Of the coming generator step."""
        return self._schedule.at(self._done * self._schedule.epochs // self._total)

    def step(self) -> StepReport:
        """Train a few iterations, or go on scoring the derived architecture."""
        if self._task is not None:
            return self._go_on_scoring(self._task)
        before = self._done
        values: dict[str, float] = {"temperature": self.temperature}
        losses = self.run.shared_weights.train_by(
            self._iteration, generator_steps=self._next_stop(before) - before
        )
        values |= losses.means
        done = self._done
        options: dict[str, list[float]] = {}
        if done % self._interval == 0 or done == self._total:
            values |= self._look()
            options = self._options()
        if self._score_every and (done % self._score_every == 0 or done == self._total):
            self._begin_scoring()
        return StepReport(self._message(), done / self._total, values=values, options=options)

    def _next_stop(self, done: int) -> int:
        intervals = [self._interval, *([self._score_every] if self._score_every else [])]
        stops = [(done // interval + 1) * interval for interval in intervals]
        return min(self._total, done + _PIECE_STEPS, *stops)

    def _message(self) -> str:
        return f"search step {self._done}/{self._total}, temperature {self.temperature:.2f}"

    def _iteration(self, steps: TrainingSteps) -> None:
        """Algorithm 1 of the paper, in the order of its code."""
        fixed = self._weights(learning=None)
        for critic_step in range(steps.n_critic):
            if "discriminator" in self._searched:
                for_weights, for_architecture = steps.real_images(parts=2)
                weights = self._weights(learning="discriminator")
                self._logits["discriminator"].descend(
                    steps.discriminator_loss(for_architecture, weights, for_architecture=True)
                )
            else:
                (for_weights,) = steps.real_images()
            steps.update_discriminator(steps.discriminator_loss(for_weights, fixed))
            if critic_step == 0:
                if "generator" in self._searched:
                    weights = self._weights(learning="generator")
                    self._logits["generator"].descend(
                        steps.generator_loss(weights, for_architecture=True)
                    )
                steps.update_generator(steps.generator_loss(fixed))

    def _weights(self, *, learning: Part | None) -> DrawnWeights:
        """Weights of the coming passes; those of the part ``learning`` carry gradients."""
        temperature = self.temperature

        def draw(part: Part) -> list[Tensor]:
            wanted = self.run.space.part_decisions(part)
            drawn: dict[str, Tensor] = {}
            for owner, logits in self._logits.items():
                if set(wanted).isdisjoint(logits.decisions):
                    continue
                with torch.set_grad_enabled(owner == part == learning and torch.is_grad_enabled()):
                    drawn |= self._draw(owner, temperature)
            return [drawn[decision.name] for decision in wanted]

        return DrawnWeights(draw, self._passes)

    def _draw(self, part: Part, temperature: float) -> dict[str, Tensor]:
        """Weights of the decisions that are learned with ``part``, by decision."""
        logits = self._logits[part]
        # A frozen architecture is the same in every pass.
        kind: Relaxation = self._relaxation if part in self._searched else "softmax"
        weights = logits.weights(lambda rows: relax(rows, kind, temperature, self._noise))
        drawn = {d.name: row for d, row in zip(logits.decisions, weights, strict=True)}
        if kind != "straight_through":
            return drawn
        # One-hot vectors of the path that leads in the weights, repaired: every pass is valid.
        path = self._derived.now(self._scores({name: row.tolist() for name, row in drawn.items()}))
        return {d.name: select(drawn[d.name], d.index(path[d.name])) for d in logits.decisions}

    def _scores(self, drawn: Mapping[str, list[float]] | None = None) -> list[list[float]]:
        """The probabilities of the options, or what was ``drawn``, by ``space.decisions``."""
        by_name = {
            decision.name: row
            for logits in self._logits.values()
            for decision, row in zip(logits.decisions, logits.probabilities(), strict=True)
        } | dict(drawn or {})
        return [by_name[decision.name] for decision in self.run.space.decisions]

    def _look(self) -> dict[str, float]:
        """Derive the architecture and take the search's health."""
        values: dict[str, float] = {"changed_decisions": self._derived.add(self._scores())}
        for part in self._searched:
            logits = self._logits[part]
            probabilities = logits.probabilities()
            values |= health_values(part, logits.decisions, probabilities)
            found = collapse(logits.decisions, probabilities)
            if found and not self._collapsed:
                self._collapsed = True
                _log.warning(
                    "the search has collapsed at generator step %d: in the %s, %s; its result will "
                    "be poor (try relaxation=gumbel_log_probabilities, a lower "
                    "strategy.architecture_lr or a shorter search)",
                    self._done,
                    part,
                    found,
                )
        return values

    def _options(self) -> dict[str, list[float]]:
        """The probabilities of what is searched; empty at looks that follow too soon on another."""
        # A search that is looked at often still writes them about a hundred times.
        period = max(1, self._total // _DERIVATIONS)
        last_look = (self._done - 1) // self._interval * self._interval
        if last_look // period == self._done // period and self._done < self._total:
            return {}
        return {
            decision.name: [round(p, _DIGITS) for p in row]
            for part in self._searched
            for decision, row in zip(
                self._logits[part].decisions, self._logits[part].probabilities(), strict=True
            )
        }

    def _begin_scoring(self) -> None:
        if self.run.ledger.remaining("architectures") < 1:
            return  # the curve ends, the search goes on
        self._task_of = self._derived.now(self._scores())
        self._task = self.run.evaluator.begin(Proposal(self._task_of))

    def _go_on_scoring(self, task: EvaluationTask) -> StepReport:
        task.advance()
        evaluations: tuple[Evaluation, ...] = ()
        if task.results is not None:
            self._task = self._task_of = None
            evaluations = tuple(task.results)
        return StepReport(self._message(), self._done / self._total, evaluations)

    def incumbent(self) -> Architecture | None:
        """What the logits stand for now; None before the first step."""
        return next(iter(self.finalists(1)), None)

    def finalists(self, count: int) -> list[Architecture]:
        """What the logits stand for now, then what they stood for, then what is next to it.

        See `nasgan_strategies.gradient.derivation.Derivations.ranked`.
        """
        if self._done == 0:
            return []
        return self._derived.ranked(self._scores(), count)

    def state_dict(self) -> dict[str, Any]:
        """See `SearchStrategy.state_dict`."""
        under_way = None
        if self._task is not None and self._task_of is not None:
            under_way = {
                "architecture": self._task_of.to_json(),
                "task": self._task.state_dict(),
            }
        return {
            "logits": {part: logits.state_dict() for part, logits in self._logits.items()},
            "noise": self._noise.get_state(),
            "derived": self._derived.state_dict(),
            "collapsed": self._collapsed,
            "under_way": under_way,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `SearchStrategy.load_state_dict`."""
        for part, logits in self._logits.items():
            logits.load_state_dict(state["logits"][part])
        self._noise.set_state(state["noise"].cpu())
        self._derived.load_state_dict(state["derived"])
        self._collapsed = state["collapsed"]
        self._task = self._task_of = None
        under_way = state["under_way"]
        if under_way is not None:
            self._task_of = Architecture.from_json(under_way["architecture"], source="checkpoint")
            self._task = self.run.evaluator.begin(Proposal(self._task_of))
            self._task.load_state_dict(under_way["task"])


def _check_steps(**settings: int | None) -> None:
    for name, steps in settings.items():
        if steps is not None and steps < 1:
            raise ConfigError(f"strategy.{name} must be at least 1 or null, got {steps}")
