"""AlphaGAN: architectures by the gradient of the duality gap (Tian et al. 2021)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from nasgan.architecture import Architecture, Part
from nasgan.contracts import (
    HalfWeights,
    SearchRun,
    SearchStrategy,
    StepReport,
    Supernet,
    Trainer,
    TrainingSteps,
    held_out_images,
)
from nasgan.errors import ConfigError
from nasgan_strategies.alphagan.plan import Rounds
from nasgan_strategies.gradient.derivation import Derivations
from nasgan_strategies.gradient.health import health_values
from nasgan_strategies.gradient.logits import ArchitectureLogits, descend_together, learned_with

__all__ = ["AlphaGANSearch"]

_PARTS: tuple[Part, ...] = ("generator", "discriminator")
_PHASES = ("weights", "better discriminator", "better generator", "architecture")
# Updates between two possible checkpoints.
_PIECE_STEPS = 10
_ROUNDS = 100


class AlphaGANSearch(SearchStrategy):
    """Descends V(G, D') - V(G', D) by the logits of all decisions, round by round.

    A round trains the weights of the supernet, whose options are mixed by the softmax of the
    logits; then D' and G', copies of the supernet of which one network alone is trained against
    the other as it is; then the logits, on held-out images. V is minus the discriminator's loss,
    without penalties on slopes. The gradient is first-order: the weights of all networks are taken
    as constants. It reaches the logits through every network in the gap, G' and D' included.

    The result is derived from the probabilities by `SearchSpace.derive`.

    Args:
        rounds: how many; null: as many as the budget of generator steps holds, at most the
            published 100. A budget that holds fewer than four shortens them.
        weight_steps: generator steps of the weights' training in a round (published: 20 batches,
            which are 4 steps at ``trainer.n_critic=5``; 390 in the long version).
        inner_steps: steps of D', and of G' (published: 20; 390 in the long version).
        architecture_steps: steps of the logits in a round, each on a batch of its own.
        search_discriminator: false mixes the discriminator's options with constant, nearly equal
            weights. No matter in a space without discriminator decisions.
        architecture_lr: Adam's learning rate of the logits.
        architecture_beta1: Adam's.
        architecture_beta2: Adam's.
        weight_decay: of the logits, added to their gradient.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "alphagan"

    def __init__(
        self,
        *,
        rounds: Annotated[int, Ge(1)] | None = None,
        weight_steps: Annotated[int, Ge(1)] = 4,
        inner_steps: Annotated[int, Ge(1)] = 20,
        architecture_steps: Annotated[int, Ge(1)] = 20,
        search_discriminator: bool = True,
        architecture_lr: Annotated[float, Gt(0), Lt(1)] = 3e-4,
        architecture_beta1: Annotated[float, Ge(0), Lt(1)] = 0.5,
        architecture_beta2: Annotated[float, Ge(0), Lt(1)] = 0.999,
        weight_decay: Annotated[float, Ge(0)] = 1e-3,
    ) -> None:
        self._asked = rounds
        self._plan = Rounds(rounds or _ROUNDS, weight_steps, inner_steps)
        self._architecture_steps = architecture_steps
        self._searched = _PARTS if search_discriminator else _PARTS[:1]
        self._make_optimiser = partial(
            torch.optim.Adam,
            lr=architecture_lr,
            betas=(architecture_beta1, architecture_beta2),
            weight_decay=weight_decay,
        )
        self._round = self._phase = self._done = 0
        self._copies: dict[Part, Trainer] = {}

    def setup(self, run: SearchRun) -> None:
        """Plan the rounds and draw the logits; see `SearchStrategy.setup`."""
        super().setup(run)
        held_out_images(run)
        budget = run.ledger.budget.generator_steps
        if budget is None and self._asked is None:
            raise ConfigError(
                "alphagan needs its length: set budget.generator_steps or strategy.rounds"
            )
        self._plan = self._plan.within(budget)
        decisions = {part: learned_with(part, run.space) for part in _PARTS}
        if not any(decisions[part] for part in self._searched):
            raise ConfigError(
                f"nothing to search: the space {run.space.name!r} has no decisions of "
                + " or ".join(f"the {part}" for part in self._searched)
            )
        self._logits = {
            part: ArchitectureLogits(
                own,
                run.rng(f"{part} architecture"),
                device=run.device,
                make_optimiser=self._make_optimiser,
            )
            for part, own in decisions.items()
            if own
        }
        self._derived = Derivations(run.space)

    @property
    def label(self) -> str:
        """``alphagan``; where the discriminator could be searched and is not, that is named."""
        frozen = set(self._logits) - set(self._searched)
        return f"{self.name}_generator_only" if frozen else self.name

    @property
    def finished(self) -> bool:
        """Whether all rounds are over."""
        return self._round >= self._plan.count

    def step(self) -> StepReport:
        """Train the weights or a copy a little, or descend the gap."""
        message, progress = self._message(), self._progress()
        phase = self._phase
        wanted = (self._plan.weight_steps, *[self._plan.inner_steps] * 2, 1)[phase]
        steps = min(_PIECE_STEPS, wanted - self._done)
        values = self._train_weights(steps) if phase == 0 else {}
        options: dict[str, list[float]] = {}
        if _PHASES[phase] == "architecture":
            values, options = self._descend(), self._options()
        elif phase:
            self._better(_PARTS[2 - phase], steps)
        self._done += steps
        if self._done >= wanted:
            self._phase, self._done = (phase + 1) % len(_PHASES), 0
            self._round += self._phase == 0
        return StepReport(message, progress, values=values, options=options)

    def _train_weights(self, steps: int) -> dict[str, float]:
        fixed = self._weights(learning=False)

        def iteration(training: TrainingSteps) -> None:
            for critic_step in range(training.n_critic):
                (real,) = training.real_images()
                training.update_discriminator(training.discriminator_loss(real, fixed))
                if critic_step == 0:
                    training.update_generator(training.generator_loss(fixed))

        return self.run.shared_weights.train_by(iteration, generator_steps=steps).means

    def _copy(self, part: Part) -> Trainer:
        """The copy of the supernet whose ``part`` is trained in this round."""
        if part not in self._copies:
            supernet = copy.deepcopy(self.run.shared_weights.supernet)
            name = f"better {part} {self._round}"
            self._copies[part] = self.run.trainer(supernet, name=name)
        return self._copies[part]

    def _better(self, part: Part, steps: int) -> None:
        """Train ``part`` of its copy alone: against the other network as it is."""
        trainer, fixed = self._copy(part), self._weights(learning=False)
        for _ in range(steps):
            if part == "generator":
                trainer.update_generator(trainer.generator_loss(fixed))
            else:
                (real,) = trainer.real_images()
                trainer.update_discriminator(trainer.discriminator_loss(real, fixed))

    def _descend(self) -> dict[str, float]:
        """The round's steps of the logits down the gap; gives its mean and the search's health."""
        learning = [logits for part, logits in self._logits.items() if part in self._searched]
        judges = {part: self._judge(part) for part in _PARTS}
        gaps = []
        for _ in range(self._architecture_steps):
            weights = self._weights(learning=True)
            # Equal names: both see the same images and latents.
            losses = {part: _loss(judge, weights) for part, judge in judges.items()}
            gap = losses["generator"] - losses["discriminator"]
            descend_together(learning, gap)
            gaps.append(gap.detach())
        self._copies.clear()
        values = {"duality_gap": float(torch.stack(gaps).mean())}
        values["changed_decisions"] = self._derived.add(self._scores())
        for part, logits in self._logits.items():
            if part in self._searched:
                values |= health_values(part, logits.decisions, logits.probabilities())
        return values

    def _judge(self, part: Part) -> Trainer:
        pair = self._copy(part)
        return self.run.trainer(
            Supernet(pair.generator, pair.discriminator),
            name=f"judge {self._round}",
            images=held_out_images(self.run),
            settings=self.run.trainer_settings.without_penalties,
        )

    def _weights(self, *, learning: bool) -> HalfWeights:
        """The softmax of the logits; with gradients to those that are searched, if ``learning``."""
        rows: dict[str, Tensor] = {}
        for part, logits in self._logits.items():
            with torch.set_grad_enabled(learning and part in self._searched):
                found = logits.weights(partial(torch.softmax, dim=-1))
            rows |= {d.name: row for d, row in zip(logits.decisions, found, strict=True)}
        space = self.run.space
        return HalfWeights(*([rows[d.name] for d in space.part_decisions(p)] for p in _PARTS))

    def _probabilities(self) -> dict[str, list[float]]:
        return {
            decision.name: row
            for logits in self._logits.values()
            for decision, row in zip(logits.decisions, logits.probabilities(), strict=True)
        }

    def _scores(self) -> list[list[float]]:
        rows = self._probabilities()
        return [rows[decision.name] for decision in self.run.space.decisions]

    def _options(self) -> dict[str, list[float]]:
        searched = [d.name for part in self._searched for d in learned_with(part, self.run.space)]
        return {name: row for name, row in self._probabilities().items() if name in searched}

    def _message(self) -> str:
        return f"round {self._round + 1}/{self._plan.count}: {_PHASES[self._phase]}"

    def _progress(self) -> float:
        return (self._round + self._phase / len(_PHASES)) / self._plan.count

    def incumbent(self) -> Architecture | None:
        """What the logits stand for now; None before the first step."""
        return next(iter(self.finalists(1)), None)

    def finalists(self, count: int) -> list[Architecture]:
        """What the logits stand for now, then what they stood for, then what is next to it."""
        if (self._round, self._phase, self._done) == (0, 0, 0):
            return []
        return self._derived.ranked(self._scores(), count)

    def state_dict(self) -> dict[str, Any]:
        """See `SearchStrategy.state_dict`; the copies are there while their round lasts."""
        return {
            "at": [self._round, self._phase, self._done],
            "logits": {part: logits.state_dict() for part, logits in self._logits.items()},
            "derived": self._derived.state_dict(),
            "copies": {part: trainer.state_dict() for part, trainer in self._copies.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `SearchStrategy.load_state_dict`."""
        self._round, self._phase, self._done = state["at"]
        for part, logits in self._logits.items():
            logits.load_state_dict(state["logits"][part])
        self._derived.load_state_dict(state["derived"])
        self._copies.clear()
        for part, saved in state["copies"].items():
            self._copy(part).load_state_dict(saved)


def _loss(judge: Trainer, weights: HalfWeights) -> Tensor:
    (real,) = judge.real_images()
    return judge.discriminator_loss(real, weights, for_architecture=True, through_generator=True)
