"""Search by any sampler of Optuna (Akiba et al. 2019), with its pruners for short trainings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from nasgan.architecture import Architecture
from nasgan.contracts import (
    CandidateSearch,
    Constraints,
    Evaluation,
    Proposal,
    SearchRun,
    SupernetPaths,
    rung_lengths,
)
from nasgan.errors import ConfigError
from nasgan_strategies.optuna.named import (
    counts_options,
    pruner_named,
    require_optuna,
    sampler_named,
)
from nasgan_strategies.optuna.study import ReplayedStudy

__all__ = ["OptunaSearch"]

# Suggestions that are known or outside the constraints, before a random candidate is taken.
_TRIES = 10


class OptunaSearch(CandidateSearch):
    """Scores what a sampler of Optuna suggests.

    With a pruner, candidates are trained in rungs, each ``factor`` times as long as the one before,
    and the pruner says after each who goes on. Candidates under way are running trials of the
    study: TPE takes them for bad (its constant liar), the Gaussian process for pending.

    A suggestion that was scored before is told its score and not scored again; one outside the
    constraints has failed. After some of these in a row the candidate is a random one.

    Args:
        sampler: a class of ``optuna.samplers``, in short: ``tpe``, ``gp``, ``nsgaii``,
            ``nsgaiii``, ``random``, ``qmc``, ``cmaes``, ... The last two know numbers alone: to
            them an option is its place among the decision's.
        sampler_settings: its arguments.
        pruner: a class of ``optuna.pruners``, in short: ``hyperband``, ``successivehalving``,
            ``median``, ...; None: every candidate gets the evaluator's whole training.
        pruner_settings: its arguments. A rung's resource is ``factor`` to the power of its number.
        num_candidates: see `CandidateSearch`.
        min_steps: with a pruner: least generator steps of the first rung.
        max_steps: with a pruner: generator steps of the last rung.
        factor: above.
        constraints: see `CandidateSearch`.
        supernet_steps: see `AskTellStrategy`.
        supernet_paths: as there.

    Raises:
        ConfigError: a value is out of its range.
    """

    name: ClassVar[str] = "optuna"
    many_objectives: ClassVar[bool] = True

    def __init__(
        self,
        *,
        sampler: str = "tpe",
        sampler_settings: Mapping[str, Any] | None = None,
        pruner: str | None = None,
        pruner_settings: Mapping[str, Any] | None = None,
        num_candidates: int | None = 100,
        min_steps: int = 100,
        max_steps: int = 900,
        factor: int = 3,
        constraints: Constraints | None = None,
        supernet_steps: int | None = None,
        supernet_paths: SupernetPaths = "uniform",
    ) -> None:
        super().__init__(
            num_candidates=num_candidates,
            constraints=constraints,
            supernet_steps=supernet_steps,
            supernet_paths=supernet_paths,
        )
        self._lengths = rung_lengths(min_steps, max_steps, factor)
        self._factor = factor
        self._sampler = sampler, dict(sampler_settings or {})
        self._pruner = pruner, dict(pruner_settings or {})
        self._begun = 0
        self._trials: dict[Architecture, tuple[int, int]] = {}  # number, and rung under way
        self._going_on: list[Architecture] = []

    def setup(self, run: SearchRun) -> None:
        """See `SearchStrategy.setup`.

        Raises:
            ConfigError: Optuna has no such sampler or pruner, or not for these objectives; a
                pruner, and an evaluator that trains nothing; or as `CandidateSearch.setup`.
            MissingDependencyError: Optuna is not installed.
        """
        super().setup(run)
        require_optuna(self._sampler[0])
        objectives = 1 + len(run.objective.others)
        self._check_pruner(objectives)
        seed = int(run.rng("optuna").integers(2**31))
        new_study = partial(
            ReplayedStudy,
            sampler_named(*self._sampler, seed=seed, objectives=objectives),
            pruner_named(*self._pruner, factor=self._factor, rungs=len(self._lengths)),
            run.space.decisions,
            objectives=objectives,
            counts=counts_options(self._sampler[0]),
        )
        self._rehearse(new_study(), objectives)
        self._study = new_study()

    def _rehearse(self, study: ReplayedStudy, objectives: int) -> None:
        """Refuse settings with which Optuna itself fails, on a study that is thrown away."""
        try:
            for value in (0.0, 1.0):
                number, _ = study.ask()
                if self._pruner[0] is not None:
                    study.report(number, 1, value)
                study.tell(number, [value] * objectives)
        except Exception as error:
            named = {"sampler": self._sampler, "pruner": self._pruner}
            told = ", ".join(
                f"strategy.{kind}={name} with {settings}"
                for kind, (name, settings) in named.items()
                if name is not None
            )
            raise ConfigError(f"{told}: Optuna fails, {type(error).__name__}: {error}") from error

    def _check_pruner(self, objectives: int) -> None:
        pruner, fidelity = self._pruner[0], self.run.evaluator.fidelity
        if pruner is not None and not self.run.evaluator.trains:
            raise ConfigError(
                f"strategy.pruner={pruner} ends trainings, and evaluator={fidelity} has none of a "
                "length to choose: take evaluator=scratch or evaluator=table, or "
                "strategy.pruner=null"
            )
        if pruner is not None and objectives > 1:
            raise ConfigError(
                f"strategy.pruner={pruner} goes by one objective, and there are {objectives}; set "
                "strategy.pruner=null"
            )

    @property
    def label(self) -> str:
        """The sampler's name, with the pruner's: ``tpe_scratch``, ``tpe_hyperband_scratch``."""
        names = [self._sampler[0], *([self._pruner[0]] if self._pruner[0] else [])]
        return self.labelled("_".join(names))

    @property
    def finished(self) -> bool:
        """Whether all candidates have ended."""
        return self._begun == self._num_candidates and not self._trials

    def ask(self) -> Proposal | None:
        """Who goes on, or a suggestion."""
        if self._going_on:
            architecture = self._going_on.pop(0)
        elif self._begun == self._num_candidates:
            return None
        else:
            architecture, number = self._suggested()
            if architecture in self._trials:  # nothing else is left of a small space
                self._study.tell(number, None)
                return None
            self._begun += 1
            self._trials[architecture] = number, 0
        _, rung = self._trials[architecture]
        return Proposal(architecture, None if self._pruner[0] is None else self._lengths[rung])

    def _suggested(self) -> tuple[Architecture, int]:
        """A candidate, and the number of its trial."""
        space, known = self.run.space, self.known
        for _ in range(_TRIES):
            number, indices = self._study.ask()
            suggested = space.architecture(space.repair(indices))
            if suggested not in known and self._constraints.allow(suggested):
                return suggested, number
            self._study.tell(number, self._known_values(suggested))
        drawn = self.draw()
        return drawn, self._study.put(space.encode(drawn))

    def _known_values(self, architecture: Architecture) -> tuple[float, ...] | None:
        """Of an architecture that was scored whole; the scores of rungs do not compare."""
        evaluation = None if self._pruner[0] else self.evaluation_of(architecture)
        if evaluation is None or evaluation.score is None:
            return None
        return self.run.objective.rewards(evaluation)

    def tell(self, evaluation: Evaluation) -> None:
        """Tell the study, and hear from the pruner who goes on."""
        architecture = evaluation.architecture
        number, rung = self._trials[architecture]
        values = None if evaluation.score is None else self.run.objective.rewards(evaluation)
        pruned = False
        if self._pruner[0] is not None and values is not None:
            # A training that broke down is over: its score is of an earlier moment.
            pruned = evaluation.breakdown is not None or self._study.report(
                number, self._factor**rung, values[0]
            )
            if not pruned and rung + 1 < len(self._lengths):
                self._trials[architecture] = number, rung + 1
                self._going_on.append(architecture)
                return
        del self._trials[architecture]
        self._study.tell(number, values, pruned=pruned)

    @property
    def ended(self) -> int:
        """Candidates that are trained on no more."""
        return self._begun - len(self._trials)

    def proposer_state(self) -> dict[str, Any]:
        """See `AskTellStrategy.proposer_state`."""
        return {
            "begun": self._begun,
            "trials": [[each.to_json(), *held] for each, held in self._trials.items()],
            "going_on": [architecture.to_json() for architecture in self._going_on],
            "calls": [list(call) for call in self._study.calls],
        }

    def load_proposer_state(self, state: Mapping[str, Any]) -> None:
        """See `AskTellStrategy.load_proposer_state`."""
        self._begun = state["begun"]
        self._trials = {
            Architecture.from_json(each, source="checkpoint"): (number, rung)
            for each, number, rung in state["trials"]
        }
        self._going_on = [
            Architecture.from_json(each, source="checkpoint") for each in state["going_on"]
        ]
        self._study.load(state["calls"])
