"""Base of strategies that only propose architectures and hear their scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

from nasgan.architecture import Architecture, Decision, Part
from nasgan.contracts.evaluation import Evaluation, Proposal
from nasgan.contracts.run import EvaluationPool, SearchRun
from nasgan.contracts.strategy import SearchStrategy, StepReport
from nasgan.contracts.supernet import FairPaths
from nasgan.errors import BudgetExhausted, ConfigError, PluginError, plugin_name, quoted

__all__ = ["AskTellStrategy", "SupernetPaths", "option_frequencies"]

SupernetPaths = Literal["uniform", "fair"]

# Supernet steps between two possible checkpoints.
_PIECE_STEPS = 10
# Evaluations between two reports of how often each option was chosen.
_OPTIONS_WINDOW = 16


class AskTellStrategy(SearchStrategy):
    """A strategy that proposes (`ask`) and hears (`tell`); evaluation and archive are given.

    A subclass defines `ask` and ``finished``, and may define `tell`. Its own state goes through
    `proposer_state` and `load_proposer_state`.

    Where candidates are scored with shared weights (``evaluator=shared``), the supernet is trained
    before the first `ask`, along the paths of `sample_path`.

    With workers (``executor=processes``) several proposals are under way at once and `tell` hears
    them in the order in which they end, which need not be the order of `ask`.

    Args:
        supernet_steps: generator steps of the supernet's training; None: all that the budget has,
            or half of them where the evaluator trains candidates, too.
        supernet_paths: how its paths are drawn: ``uniform``, each by itself, or ``fair``, every
            option equally often (`nasgan.contracts.supernet.FairPaths`).

    Raises:
        ConfigError: ``supernet_steps`` is below 1, or there are no such paths.
    """

    trains_supernet_itself: ClassVar[bool] = False
    """For strategies that train the supernet in a `step` of their own, and not only at first."""

    def __init__(
        self, *, supernet_steps: int | None = None, supernet_paths: SupernetPaths = "uniform"
    ) -> None:
        if supernet_steps is not None and supernet_steps < 1:
            raise ConfigError(f"strategy.supernet_steps must be at least 1, got {supernet_steps}")
        if supernet_paths not in get_args(SupernetPaths):
            raise ConfigError(
                f"strategy.supernet_paths must be uniform or fair, got {quoted(supernet_paths)}"
            )
        self._wanted_supernet_steps = supernet_steps
        self._supernet_paths = supernet_paths
        self._fair: FairPaths | None = None
        self.supernet_steps = 0
        self.evaluations: list[Evaluation] = []
        self._under_way: list[Architecture] = []
        self._refused: Proposal | None = None

    def setup(self, run: SearchRun) -> None:
        """Plan the supernet's training; see `SearchStrategy.setup`."""
        super().setup(run)
        self._fair = FairPaths(run.space) if self._supernet_paths == "fair" else None
        if run.evaluator.needs_shared_weights and not self.trains_supernet_itself:
            self.supernet_steps = self._plan_supernet(run.ledger.budget.generator_steps)

    def _plan_supernet(self, budget: int | None) -> int:
        wanted = self._wanted_supernet_steps
        if wanted is None and budget is None:
            raise ConfigError(
                f"strategy {self.name!r} with shared weights needs the length of the supernet's "
                "training: set budget.generator_steps or strategy.supernet_steps"
            )
        if budget is None:
            assert wanted is not None
            return wanted
        each = self.steps_of_a_candidate()
        asked = budget // 2 if wanted is None and each else min(wanted or budget, budget)
        if asked < 1 or asked + each > budget:
            raise ConfigError(
                f"budget.generator_steps={budget} ends before a candidate is scored: after "
                f"{asked} steps of the supernet, evaluator={self.run.evaluator.fidelity} trains "
                f"each for {each}; raise it, or shorten one of them (strategy.supernet_steps)"
            )
        return asked

    def steps_of_a_candidate(self) -> int:
        """Generator steps behind a score; any architecture will do."""
        space = self.run.space
        some = space.architecture(space.repair((0,) * len(space.decisions)))
        return self.run.evaluator.expected_cost(Proposal(some)).generator_steps

    @property
    def label(self) -> str:
        """``name``, followed by how the evaluator scores where that is not by shared weights.

        A search by several objectives ends in ``_pareto``. Where settings make another method of
        it, add to ``super().label``, or have it begin otherwise by `labelled`.
        """
        return self.labelled(self.name)

    def labelled(self, method: str) -> str:
        """The label of a ``method``, see `label`."""
        fidelity = self.run.evaluator.fidelity
        several = "_pareto" if self.run.objective.others else ""
        return (method if fidelity == "shared" else f"{method}_{fidelity}") + several

    @property
    def pool(self) -> EvaluationPool:
        """Where proposals are scored: the run's, unless a strategy has an evaluator of its own."""
        return self.run.pool

    @property
    def sees(self) -> tuple[Part, ...]:
        """The networks whose decisions the scores tell it about: those that the evaluator sees."""
        return self.run.evaluator.sees

    @property
    def known(self) -> set[Architecture]:
        """The architectures that were scored, and those under way: no need to ask for them again.

        One that the evaluator trains to several lengths may be asked for longer.
        """
        return {*(evaluation.architecture for evaluation in self.evaluations), *self._under_way}

    @property
    def supernet_progress(self) -> float:
        """Fraction of the supernet's training that is done; 1 where there is none."""
        if self.supernet_steps == 0:
            return 1.0
        return min(1.0, self.run.shared_weights.generator_steps / self.supernet_steps)

    def sample_path(self) -> Architecture:
        """The architecture that the supernet trains next, by ``supernet_paths``."""
        rng = self.run.rng("paths")
        return self.run.space.sample(rng) if self._fair is None else self._fair.draw(rng)

    @property
    def together(self) -> int:
        """How many proposals are made without hearing of each other's scores; see `room`."""
        return 1

    @abstractmethod
    def ask(self) -> Proposal | None:
        """The next architecture to score; drawn from ``self.run.rng(...)`` streams only.

        None to wait for the scores of those under way; not allowed while none is.
        """

    def tell(self, evaluation: Evaluation) -> None:
        """Hear a score. The evaluation is already in ``self.evaluations``."""

    def proposer_state(self) -> dict[str, Any]:
        """The subclass's own state, for the checkpoint."""
        return {}

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """Continue from `proposer_state`."""

    def step(self) -> StepReport:
        """Train the supernet a little; then start evaluations, and advance those under way."""
        if not self.trains_supernet_itself and self.supernet_progress < 1:
            shared = self.run.shared_weights
            steps = min(_PIECE_STEPS, self.supernet_steps - shared.generator_steps)
            losses = shared.train(self.sample_path, generator_steps=steps)
            message = f"supernet step {shared.generator_steps}/{self.supernet_steps}"
            return StepReport(message, self.progress(), values=losses.means)
        pool = self.pool
        end = self._submit()
        if end is not None and pool.under_way == 0:
            raise end
        before = len(self.evaluations)
        arrived = pool.advance()
        for evaluation in arrived:
            self.evaluations.append(evaluation)
            if evaluation.architecture in self._under_way:  # checkpoints of before do not say
                self._under_way.remove(evaluation.architecture)
            self.tell(evaluation)
        return StepReport(
            self.progress_message(),
            self._progress(),
            tuple(arrived),
            options=self._chosen_options(before) if arrived else {},
        )

    def _progress(self) -> float | None:
        # With a supernet its limit of steps is reached while there is much to score.
        if self.supernet_steps or self.trains_supernet_itself:
            return self.progress()
        known = [p for p in (self.progress(), self.run.ledger.share) if p is not None]
        return max(known, default=None)

    def _chosen_options(self, before: int) -> dict[str, list[float]]:
        """How often each option was in the architectures scored: of each window that has filled.

        A search's last window counts as it is. ``before``: evaluations before this step.
        """
        ended = self.finished or self.run.ledger.remaining("architectures") < 1
        count = len(self.evaluations)
        filled = count if ended else count // _OPTIONS_WINDOW * _OPTIONS_WINDOW
        window = self.evaluations[before // _OPTIONS_WINDOW * _OPTIONS_WINDOW : filled]
        shares: dict[str, list[float]] = {}
        for decision in self.run.space.decisions:
            # In an earlier stage of a progressive search, later decisions do not count.
            decided = [
                evaluation.architecture
                for evaluation in window
                if evaluation.stage is None or decision.stage <= evaluation.stage
            ]
            shares |= option_frequencies([decision], decided)
        return shares

    def _submit(self) -> BudgetExhausted | None:
        """Start evaluations where there is room; if the budget does not cover the next, says so."""
        pool = self.pool
        while pool.room(self.together) > 0:
            proposal = self._refused or self._ask_and_check()
            if proposal is None:
                if pool.under_way == 0:
                    raise ConfigError(
                        f"strategy {self.name!r}: `ask` gave nothing although no evaluation is "
                        "under way and the strategy is not finished"
                    )
                return None
            try:
                pool.submit(proposal)
            except BudgetExhausted as end:
                # Those under way are paid for, and may turn out to cost less than they could.
                self._refused = proposal
                return end
            self._under_way.append(proposal.architecture)
            self._refused = None
        return None

    def _ask_and_check(self) -> Proposal | None:
        proposal: object = self.ask()
        if not isinstance(proposal, Proposal | None):
            raise PluginError(
                f"strategy {plugin_name(self)}: `ask` returned a {type(proposal).__name__}: return "
                "Proposal(architecture), or None to wait for the scores of those under way"
            )
        if proposal is not None and type(proposal.generator_steps) not in (int, type(None)):
            raise PluginError(
                f"strategy {plugin_name(self)}: Proposal.generator_steps is a "
                f"{type(proposal.generator_steps).__name__}: give an int, or None"
            )
        return proposal

    def progress(self) -> float | None:
        """Fraction of the search that is done, if it can be told, apart from the budget."""
        return None

    def progress_message(self) -> str:
        """A few words for the progress line."""
        return f"{len(self.evaluations)} architectures evaluated"

    def ranking(self) -> list[Evaluation]:
        """One evaluation per architecture (its longest-trained), best first; failed ones last.

        Longer-trained evaluations come before shorter-trained ones, and those of an earlier stage
        do not count: their scores do not compare. Ties keep the order of evaluation. What is best
        among several objectives says `Objective.best_first`.
        """
        held = self._latest()
        placed = {id(each): k for k, each in enumerate(self.run.objective.best_first(held))}
        return sorted(held, key=lambda e: (e.score is None, -e.generator_steps, placed[id(e)]))

    def comparable(self) -> list[Evaluation]:
        """The evaluations that may be held against each other: those of the full networks."""
        return [evaluation for evaluation in self.evaluations if evaluation.stage is None]

    def _latest(self) -> list[Evaluation]:
        """Of each architecture that was scored whole its longest-trained evaluation."""
        latest: dict[Architecture, Evaluation] = {}
        for evaluation in self.comparable():
            held = latest.get(evaluation.architecture)
            if held is None or evaluation.generator_steps >= held.generator_steps:
                latest[evaluation.architecture] = evaluation
        return list(latest.values())

    def finalists(self, count: int) -> list[Architecture]:
        """The best ``count`` distinct architectures that did not fail.

        Of a search by several objectives, the first so many of its `front`.
        """
        if self.run.objective.others:
            return [evaluation.architecture for evaluation in self.front()[:count]]
        scored = [evaluation for evaluation in self.ranking() if evaluation.score is not None]
        return [evaluation.architecture for evaluation in scored[:count]]

    def front(self) -> list[Evaluation]:
        """What no other architecture beats in every objective, by crowding distance.

        Of those trained longest; the very first is the best in the first objective.
        """
        alive = [evaluation for evaluation in self._latest() if evaluation.score is not None]
        longest = max((evaluation.generator_steps for evaluation in alive), default=0)
        return self.run.objective.front(e for e in alive if e.generator_steps == longest)

    def evaluation_of(self, architecture: Architecture) -> Evaluation | None:
        """See `SearchStrategy.evaluation_of`."""
        of_it = (held for held in self._latest() if held.architecture == architecture)
        return next(of_it, None)

    def incumbent(self) -> Architecture | None:
        """The best architecture evaluated so far; of several objectives, in the first."""
        return next(iter(self.finalists(1)), None)

    def state_dict(self) -> dict[str, Any]:
        """See `SearchStrategy.state_dict`; what is under way is the run's to keep."""
        return {
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
            "under_way": [architecture.to_json() for architecture in self._under_way],
            "refused": None if self._refused is None else self._refused.to_json(),
            "paths": None if self._fair is None else self._fair.state_dict(),
            "proposer": self.proposer_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `SearchStrategy.load_state_dict`."""
        self.evaluations = [Evaluation.from_json(item) for item in state["evaluations"]]
        self._under_way = [
            Architecture.from_json(item, source="checkpoint") for item in state.get("under_way", ())
        ]
        refused = state["refused"]
        self._refused = None if refused is None else Proposal.from_json(refused)
        if self._fair is not None:
            self._fair.load_state_dict(state["paths"])
        self.load_proposer_state(state["proposer"])


def option_frequencies(
    decisions: Iterable[Decision], drawn: Sequence[Architecture]
) -> dict[str, list[float]]:
    """How often each option of ``decisions`` is in ``drawn``; empty if nothing was drawn."""
    if not drawn:
        return {}
    return {
        decision.name: [
            sum(architecture[decision.name] == option for architecture in drawn) / len(drawn)
            for option in decision.options
        ]
        for decision in decisions
    }
