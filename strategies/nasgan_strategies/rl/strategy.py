"""Search by reinforcement learning (AutoGAN, Gong et al. 2019; AGAN, Wang & Huan 2019)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nasgan.architecture import Architecture
from nasgan.contracts import (
    AskTellStrategy,
    Evaluation,
    Proposal,
    SearchRun,
    StepReport,
    option_frequencies,
)
from nasgan.errors import ConfigError
from nasgan_strategies.rl.candidates import Candidates, by_score
from nasgan_strategies.rl.learner import Learner
from nasgan_strategies.rl.plan import Phase, Schedule, plan_search
from nasgan_strategies.rl.policy import Child, Policy, PolicySettings
from nasgan_strategies.rl.reinforce import Update
from nasgan_strategies.rl.reset import LossWindows, train_until_stalled
from nasgan_strategies.rl.reward import Costs, Limits, Reward, RewardKind
from nasgan_strategies.rl.settings import Finalists, check_scratch_search, check_settings

__all__ = ["RLSearch"]

_log = logging.getLogger(__name__)
_PIECE_STEPS = 10  # of the supernet, between two possible checkpoints
# Paths are drawn in batches: the policy stands still while the supernet trains.
_PATHS = 32


class RLSearch(AskTellStrategy):
    """A recurrent policy chooses architectures and learns from their scores by REINFORCE.

    With ``evaluator=shared`` it is AutoGAN's search: each iteration trains the supernet along paths
    that the policy draws, then the policy on scores with shared weights. In a space with stages the
    networks grow: at the end of a stage the best of ``num_candidates`` children are kept, and a new
    policy continues them from their hidden states. With ``evaluator=scratch`` it is AGAN's: every
    candidate is trained on its own, many at once with ``executor=processes``; the policy is updated
    whenever ``children`` of them have arrived, by its present probabilities of what it had drawn.

    Choices that a space repairs are learned as drawn; a candidate that failed counts as the worst
    so far. If the budget ends before the last stage, the best prefix is completed by first options.

    Args:
        update: ``corrected``, or ``published``: one child a step, the baseline restarted in each
            iteration, an entropy gradient of the wrong sign (see
            `nasgan_strategies.rl.reinforce`).
        iterations: of training and control; null: from the budget, up to AutoGAN's 65.
        supernet_steps: generator steps of the supernet, in all; null: all that the budget has.
        controller_steps: updates in an iteration (published: 30), as far as the budget of
            architectures allows.
        children: candidates of an update (published: 1).
        entropy_weight: 1e-3 in the published code, 1e-4 in the paper.
        baseline_decay: of the moving average of the rewards.
        normalise_advantage: divide by the rewards' spread (``corrected`` only).
        hidden: width of the policy.
        lr: its learning rate.
        beta1: Adam's.
        beta2: Adam's.
        multi_level: grow in spaces with stages; false: one level.
        grow_at: iterations before which the networks grow; null: as AutoGAN's, in proportion.
        num_candidates: children scored at the end of each stage (published: 10).
        kept: of them, continued in the next stage (published: 5).
        finalists: the result is the best ``scored`` as full networks in all of the search, by their
            latest scores; or of the ``last`` candidates alone, scored with the final weights
            (published). Fewer where these coincide. A budget that ends before them leaves
            those scored so far.
        dynamic_reset: begin the supernet anew when its training has stalled or is not finite.
        reset_threshold: variance of the losses below which it has.
        reset_window: losses looked at.
        reward: ``auto``, ``score``, ``inverse`` or ``negative``; see
            `nasgan_strategies.rl.reward.Reward`.
        parameters_weight: as there.
        macs_weight: as there.
        max_parameters: hard limit, millions of the generator's parameters at the search's widths:
            candidates above it are drawn again, never trained or scored.
        max_macs: the same for thousand millions of multiply-adds.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "rl"
    trains_supernet_itself: ClassVar[bool] = True

    def __init__(
        self,
        *,
        update: Update = "corrected",
        iterations: int | None = None,
        supernet_steps: int | None = None,
        controller_steps: int = 30,
        children: int = 4,
        entropy_weight: float = 1e-3,
        baseline_decay: float = 0.9,
        normalise_advantage: bool = True,
        hidden: int = 100,
        lr: float = 3.5e-3,
        beta1: float = 0.0,
        beta2: float = 0.9,
        multi_level: bool = True,
        grow_at: Sequence[int] | None = None,
        num_candidates: int = 10,
        kept: int = 5,
        finalists: Finalists = "scored",
        dynamic_reset: bool = True,
        reset_threshold: float = 1e-3,
        reset_window: int = 500,
        reward: RewardKind = "auto",
        parameters_weight: float = 0.0,
        macs_weight: float = 0.0,
        max_parameters: float | None = None,
        max_macs: float | None = None,
    ) -> None:
        super().__init__(supernet_steps=supernet_steps)
        check_settings(
            update,
            children,
            finalists,
            {
                "iterations": iterations,
                "controller_steps": controller_steps,
                "children": children,
                "hidden": hidden,
                "num_candidates": num_candidates,
                "kept": kept,
            },
            {"baseline_decay": baseline_decay, "beta1": beta1, "beta2": beta2, "lr": lr},
        )
        if entropy_weight < 0:
            raise ConfigError(f"strategy.entropy_weight must not be negative, got {entropy_weight}")
        grow = None if grow_at is None else tuple(grow_at)
        self._schedule = Schedule(iterations, controller_steps, children, num_candidates, grow)
        self._policy_settings = PolicySettings(hidden, lr, beta1, beta2)
        self._multi_level = multi_level
        self._kept = kept
        self._finalists: Finalists = finalists
        self._windows = LossWindows(reset_window, reset_threshold) if dynamic_reset else None
        self._reward = Reward(reward, parameters_weight, macs_weight)
        self._learner = Learner(
            update,
            self._reward,
            entropy_weight=entropy_weight,
            decay=baseline_decay,
            normalise=normalise_advantage,
        )
        self._limits = Limits(max_parameters, max_macs)
        self._phases: list[Phase] = []
        self._phase = 0
        self._done = 0
        self._stage = 0
        self._resets = 0
        self._reset_due = False
        self._waiting: list[tuple[str, Child]] = []
        self._arrived: list[tuple[Child, Evaluation]] = []
        self._last_from: int | None = None  # where the last candidates begin in the evaluations
        self._values: dict[str, float] = {}
        self._options: dict[str, list[float]] = {}

    def setup(self, run: SearchRun) -> None:
        """Plan the search and make the first policy; see `SearchStrategy.setup`."""
        super().setup(run)
        self._reward.check(run.objective)
        self._costs = Costs(run.space)
        self._limits.check_reachable(run.space, self._costs, run.rng("limits"))
        self._shared = run.evaluator.needs_shared_weights
        grows = self._multi_level and run.evaluator.scores_stages
        self._stages = run.space.num_stages if grows else 1
        self._candidates = Candidates(run.space, self._stages, self._limits, self._costs)
        self._seed = int(run.rng("controller seed").integers(2**62))
        self._policy = self._new_policy(())
        if self._shared:
            self.supernet_steps = self._plan_supernet(run.ledger.budget.generator_steps)
            architectures = run.ledger.remaining("architectures")
            self._phases = plan_search(
                self._schedule, self._stages, self.supernet_steps, architectures
            )
        else:
            check_scratch_search(
                run.ledger.budget,
                self._finalists,
                multi_level=self._multi_level,
                needed=self.steps_of_a_candidate(),
            )

    @property
    def label(self) -> str:
        """``rl``; with suffixes for what makes another method of it."""
        label = super().label
        if self._shared and self._stages < self.run.space.num_stages:
            label += "_single_level"
        if self._learner.update == "published":
            label += "_published"
        if self._shared and self._windows is None:
            label += "_no_reset"
        return label

    @property
    def _now(self) -> Phase | None:
        """The phase under way; None in a search from scratch, which has one without an end."""
        return self._phases[self._phase] if self._shared else None

    @property
    def finished(self) -> bool:
        """Whether the last candidates are scored; a search from scratch ends with its budget."""
        return self._shared and self._phase >= len(self._phases)

    @property
    def together(self) -> int:
        """The children of an update, or the candidates of a stage's end."""
        phase = self._now
        if phase is None or phase.kind == "control":
            return self._schedule.children
        return phase.amount

    def step(self) -> StepReport:
        """Train the supernet a little, or go on scoring and learning."""
        self._values, self._options = {}, {}
        phase = self._now
        if phase is not None and phase.kind == "train":
            return self._train(phase)
        report = super().step()
        return StepReport(
            report.message, report.progress, report.evaluations, self._values, self._options
        )

    def _train(self, phase: Phase) -> StepReport:
        drawn: list[Architecture] = []
        queue: list[Architecture] = []

        def path() -> Architecture:
            if not queue:
                children = self._policy.sample(_PATHS, self.run.rng("paths"))
                queue.extend(self._within_limits(child, "paths")[1] for child in children)
            drawn.append(queue.pop(0))
            return drawn[-1]

        piece = train_until_stalled(
            self.run.shared_weights,
            path,
            self._windows,
            generator_steps=min(_PIECE_STEPS, phase.amount - self._done),
            stage=self._stage if self._stages > 1 else None,
        )
        self._reset_due, self._resets = piece.stalled, self._resets + piece.begun_anew
        self._done += piece.generator_steps
        values = {**piece.losses.means, "stage": self._stage, "resets": self._resets}
        message, progress = self.progress_message(), self.progress()
        if self._reset_due or self._done >= phase.amount:
            self._next_phase()
        decisions = self._candidates.decisions(self._stage)
        return StepReport(message, progress, (), values, option_frequencies(decisions, drawn))

    def _next_phase(self) -> None:
        self._phase += 1
        self._done = 0
        self._learner.begin_phase()
        coming = None if self.finished else self._phases[self._phase].kind
        if coming == "select":
            self._last_from = len(self.evaluations)
        # The policy still learns from the networks that have stalled, as in the published code.
        if self._reset_due and coming != "control":
            self._reset_due = False
            self._resets += 1
            _log.info("the supernet's training has stalled: reset number %d", self._resets)
            self.run.shared_weights.reset()

    def ask(self) -> Proposal | None:
        """The policy's next child; None while an update waits for its scores."""
        if self._shared and len(self._waiting) + len(self._arrived) >= self.together:
            return None
        (child,) = self._policy.sample(1, self.run.rng("children"))
        child, architecture = self._within_limits(child, "children")
        self._waiting.append((architecture.id, child))
        growing = self._stage < self._stages - 1
        return Proposal(architecture, stage=self._stage if growing else None)

    def tell(self, evaluation: Evaluation) -> None:
        """Hear a score; learn when an update's children are there, or end the stage."""
        index = next(
            k for k, (name, _) in enumerate(self._waiting) if name == evaluation.architecture.id
        )
        _, child = self._waiting.pop(index)
        self._arrived.append((child, evaluation))
        if len(self._arrived) < self.together:
            return
        phase = self._now
        arrived, self._arrived = self._arrived, []
        if phase is None or phase.kind == "control":
            self._learn(arrived)
            self._done += 1
            if phase is not None and self._done >= phase.amount:
                self._next_phase()
        else:
            if phase.kind == "keep":
                self._grow(arrived)
            self._next_phase()

    def _learn(self, arrived: Sequence[tuple[Child, Evaluation]]) -> None:
        learned = self._learner.learn(self._policy, arrived, self.run.objective, self._costs)
        self._values |= {**learned, "stage": self._stage, "updates": self._done + 1}
        drawn = [evaluation.architecture for _, evaluation in arrived]
        self._options = option_frequencies(self._candidates.decisions(self._stage), drawn)

    def _grow(self, arrived: Sequence[tuple[Child, Evaluation]]) -> None:
        """Keep the best prefixes with their hidden states, and begin the next stage."""
        reward = self.run.objective.reward
        ranked = sorted(arrived, key=lambda pair: -reward(pair[1].score))
        prefixes: dict[tuple[int, ...], tuple[list[float], list[float]]] = {}
        repeated: list[tuple[tuple[int, ...], tuple[list[float], list[float]]]] = []
        for child, _ in ranked:
            choices = self._policy.prefix(child) + child.actions
            repeated.append((choices, child.state))
            prefixes.setdefault(choices, child.state)
        # The published code does not look whether survivors coincide.
        kept = repeated if self._learner.update == "published" else list(prefixes.items())
        self._stage += 1
        self._learner.begin_stage()
        self._policy = self._new_policy(kept[: self._kept])

    def _new_policy(
        self, prefixes: Sequence[tuple[tuple[int, ...], tuple[list[float], list[float]]]]
    ) -> Policy:
        sizes = [len(decision.options) for decision in self._candidates.decisions(self._stage)]
        seed = self._seed + self._stage
        return Policy(sizes, self._policy_settings, seed=seed, prefixes=prefixes)

    def _within_limits(self, child: Child, stream: str) -> tuple[Child, Architecture]:
        return self._candidates.within_limits(child, self._policy, self.run.rng(stream))

    def ranking(self) -> list[Evaluation]:
        """See `AskTellStrategy.ranking`; with ``finalists=last`` of the last candidates alone."""
        last = [] if self._last_from is None else self.evaluations[self._last_from :]
        if self._finalists == "scored" or not last:
            return super().ranking()
        return by_score(last, self.run.objective)

    def finalists(self, count: int) -> list[Architecture]:
        """The best of `ranking`, or of the best prefixes before there is one; see the class."""
        found = super().finalists(count)
        if not found and self._policy.prefixes:
            prefixes = [self._candidates.complete(choices) for choices, _ in self._policy.prefixes]
            found = list(dict.fromkeys(prefixes))
        return found[:count]

    def progress(self) -> float | None:
        """Share of the phases that are over; from scratch, of the budget."""
        if not self._shared:
            ledger = self.run.ledger
            shares = [
                1 - ledger.remaining(unit) / limit
                for unit, limit in ledger.budget.to_json().items()
                if limit is not None
            ]
            return min(1.0, max(0.0, *shares))
        part = self._done / self._phases[self._phase].amount if not self.finished else 0.0
        return min(1.0, (self._phase + part) / len(self._phases))

    def progress_message(self) -> str:
        """See `AskTellStrategy.progress_message`."""
        if not self._shared:
            return f"{len(self.evaluations)} candidates, {self._done} updates"
        if self.finished:
            return "search done"
        phase = self._phases[self._phase]
        stage = f"stage {self._stage + 1}/{self._stages}, " if self._stages > 1 else ""
        done = len(self._arrived) if phase.kind in ("keep", "select") else self._done
        return f"{stage}{phase.counted} {done}/{phase.amount}"

    def proposer_state(self) -> dict[str, Any]:
        """See `AskTellStrategy.proposer_state`."""
        return {
            "phase": self._phase,
            "done": self._done,
            "stage": self._stage,
            "resets": self._resets,
            "reset_due": self._reset_due,
            "last_from": self._last_from,
            "waiting": [[name, child.to_json()] for name, child in self._waiting],
            "arrived": [[child.to_json(), found.to_json()] for child, found in self._arrived],
            "learner": self._learner.state_dict(),
            "windows": None if self._windows is None else self._windows.state_dict(),
            "policy": self._policy.state_dict(),
        }

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """See `AskTellStrategy.load_proposer_state`."""
        self._phase, self._done = state["phase"], state["done"]
        self._stage, self._resets = state["stage"], state["resets"]
        self._reset_due = state["reset_due"]
        self._last_from = state["last_from"]
        self._waiting = [(name, Child.from_json(child)) for name, child in state["waiting"]]
        self._arrived = [
            (Child.from_json(child), Evaluation.from_json(found))
            for child, found in state["arrived"]
        ]
        self._learner.load_state_dict(state["learner"])
        if self._windows is not None:
            self._windows.load_state_dict(state["windows"])
        self._policy = self._new_policy(())
        self._policy.load_state_dict(state["policy"])
