"""A search: the strategy up to its budget, then the final phase."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from nasgan.architecture import Architecture, Part
from nasgan.contracts import (
    AskTellStrategy,
    Breakdown,
    Evaluator,
    GeneratorSizes,
    Ledger,
    SearchStrategy,
    StepReport,
)
from nasgan.engine.final_phase import (
    FINALIST,
    RANDOM,
    FinalPhase,
    FullTraining,
    OtherScoring,
    final_plan,
    final_space,
)
from nasgan.engine.loop import JobReport
from nasgan.engine.trainings import Trainings
from nasgan.errors import BudgetExhausted, NasganError, SearchFailed, TrainingDiverged
from nasgan.evaluation import Run
from nasgan.evaluation.arrival import check_objectives, checked_report
from nasgan.evaluation.table import NamedTableEvaluator, TableMeanEvaluator
from nasgan.randomness import numpy_generator
from nasgan.run_settings import FinalSettings
from nasgan.runs.loggers import run_log
from nasgan.runs.proxy import proxy_correlation
from nasgan.state_files import plugin_state

__all__ = ["SearchJob"]

_log = logging.getLogger(__name__)


class SearchJob:
    """Runs a strategy until it is finished or the budget is spent, then the final phase.

    A supernet that breaks down, where the strategy does not begin it anew, ends the search as a
    spent budget does, with the best architectures known by then.

    Args:
        run: what the strategy works with.
        strategy: set up here.
        final: settings of the final phase.
        final_evaluator: scores the finalists; None: the full training does.
        trainings: where full trainings are done by other processes; random architectures are
            trained beside the search then.

    Raises:
        ConfigError: the strategy or the evaluator cannot work with this run.
    """

    def __init__(
        self,
        run: Run,
        strategy: SearchStrategy,
        final: FinalSettings,
        final_evaluator: Evaluator | None = None,
        trainings: Trainings | None = None,
    ) -> None:
        self.run = run
        self.ledger = run.ledger
        self.strategy = strategy
        self.final: FinalPhase | None = None
        self.search_ended_by = ""
        self.breakdown: Breakdown | None = None
        self._failures: list[str] = []
        # Of each architecture that the search scored whole: its latest score of each kind.
        self._scored: dict[str, tuple[Architecture, dict[tuple[str, int], float]]] = {}
        self._final_settings = final
        self._final_evaluator = final_evaluator
        self._trainings = trainings
        self._drawn: list[Architecture] | None = None
        self.final_space = final_space(final, run.space)
        self._scoring: FullTraining | OtherScoring
        if final_evaluator is None:
            self._scoring = FullTraining(run, self.final_space, final_plan(final))
        else:
            self._scoring = OtherScoring(run, self.final_space, final_evaluator)
        check_objectives(strategy, run.objective)
        strategy.setup(run)
        if isinstance(strategy, AskTellStrategy):
            _warn_of_unseen(run, strategy.sees)

    @property
    def result(self) -> Architecture | None:
        """The best finalist after the final phase; where nothing was trained, of the search."""
        if self._final_settings.top_k == 0:
            return next(iter(self.strategy.finalists(1)), None)
        best = None if self.final is None else self.final.best()
        return None if best is None else best.architecture

    def content_of_tables(self) -> dict[str, str | None]:
        """The part of the record's ``content`` that tables make."""
        found: dict[str, str | None] = {}
        if isinstance(self.run.evaluator, NamedTableEvaluator):
            found["table"] = self.run.evaluator.table.table.checksum
        if isinstance(self._final_evaluator, TableMeanEvaluator):
            found["judge"] = self._final_evaluator.table.table.checksum
        return found

    def about(self) -> dict[str, Any]:
        """What a record holds of a search alone: fronts, what was not trained, who scored what."""
        run, final, judge = self.run, self.final, None
        if isinstance(self._final_evaluator, TableMeanEvaluator):
            judge = self._final_evaluator.table
        about: dict[str, Any] = {
            "strategy": self.strategy.label,
            "search_objective": None
            if run.evaluator.objective is None
            else run.objective.to_json(),
        }
        if judge is not None:
            # A table's scores never stand in a row with trained ones.
            about["protocol"] = judge.table.score_protocol
        if final is None:
            return about
        result, best = self.result, final.best()
        untrained = result if self._final_settings.top_k == 0 else None
        found = None if untrained is None else self.strategy.evaluation_of(untrained)
        if final.objective != run.final_objective:
            about["final_objective"] = final.objective.to_json()
        if judge is not None:
            known = judge.best_known(run.final_objective.metric)
            reward = run.final_objective.reward
            about["judge"] = {
                "table": judge.table.name,
                "scores": "exact" if judge.is_exact else "surrogate",
                "best_known": known,
                "regret": None if best is None else reward(known) - reward(best.score),
            }
        return {
            **about,
            "front": self._fronts(final),
            "search_result": None if found is None else found.to_json(),
            "proxy_correlation": self._proxy_correlation(final),
        }

    def _fronts(self, final: FinalPhase) -> list[dict[str, Any]]:
        """The record's ``front``: the search's, then that of the finalists after training."""
        if not self.run.objective.others:
            return []
        sizes = GeneratorSizes(self.final_space)
        trained = [
            replace(made, metrics={**made.metrics, **sizes(made.architecture)})
            for made in final.results(FINALIST)
        ]
        fronts = {
            "search": (self.run.objective, self.strategy.front()),
            "final": (final.objective, final.objective.front(trained)),
        }
        return [
            {
                "phase": phase,
                "architecture": made.architecture.to_json(),
                "values": {
                    objective.metric: made.score,
                    **{other.metric: made.metrics[other.metric] for other in objective.others},
                },
            }
            for phase, (objective, front) in fronts.items()
            for made in front
        ]

    def _proxy_correlation(self, final: FinalPhase) -> dict[str, Any] | None:
        """See `nasgan.runs.proxy.proxy_correlation`; of all that the final phase trained.

        None where an evaluator with an objective of its own scored them: there was no training.
        """
        wanted, own = self.run.final_objective, self.run.evaluator.objective
        if final.objective != wanted:
            return None
        made = final.evaluations.items()
        return proxy_correlation(
            {key: scores for key, (_, scores) in self._scored.items()},
            {key: each.score for key, each in made if each.score is not None},
            wanted.metric,
            search_metric=None if own is None else own.metric,
            opposed=own is not None and own.direction != wanted.direction,
        )

    @property
    def phase(self) -> str:
        """The search, until its finalists are known."""
        return Ledger.SEARCH if self.final is None else Ledger.FINAL

    @property
    def finished(self) -> bool:
        """Whether the final phase is over."""
        return self.final is not None and self.final.finished

    def step(self) -> JobReport:
        """One step of the search or of the final phase.

        Raises:
            TrainingDiverged: the supernet broke down before there was a finalist.
            SearchFailed: every architecture scored failed.
            NasganError: the budget ended before any architecture was scored.
        """
        if self.final is not None:
            return self.final.step()
        if self._trainings is not None and self._trainings.trains:
            for architecture in self._random_architectures():
                self._trainings.begin(architecture, shared=True)
            self._trainings.go_on_beside_the_search()
        if self.strategy.finished:
            return self._begin_final("the strategy finished")
        try:
            report = checked_report(
                self.strategy.step(), self.strategy, self.run.evaluator, self.run.objective
            )
        except BudgetExhausted as end:
            return self._begin_final(str(end))
        except TrainingDiverged as error:
            if self.strategy.incumbent() is None:
                raise
            self.breakdown = Breakdown(error.reason, error.generator_step)
            return self._begin_final(f"the supernet's {self.breakdown}")
        self._failures += [made.failure for made in report.evaluations if made.failure]
        for made in report.evaluations:
            # At an earlier stage of a progressive search another, smaller network was scored.
            if made.score is not None and made.stage is None:
                _, scores = self._scored.setdefault(made.architecture.id, (made.architecture, {}))
                scores[made.fidelity, made.generator_steps] = made.score
        message = ", ".join(filter(None, [report.message, self.run.pool.note]))
        lines = self._lines(report)
        precious = self.run.pool.begins_again and bool(report.evaluations)
        return JobReport(Ledger.SEARCH, message, report.progress, lines, precious)

    def _lines(self, report: StepReport) -> tuple[dict[str, Any], ...]:
        spent = {"spent": self.ledger.spent(Ledger.SEARCH).to_json()}
        lines: list[dict[str, Any]] = []
        if report.values or report.options:
            line = {"kind": "values", "phase": Ledger.SEARCH, "values": dict(report.values)}
            if report.options:
                line["options"] = {name: list(row) for name, row in report.options.items()}
            lines.append({**line, **spent})
        incumbent = self.strategy.incumbent() if report.evaluations else None
        lines.extend(
            {
                "kind": "evaluation",
                "phase": Ledger.SEARCH,
                **evaluation.to_json(),
                "incumbent": incumbent.id if incumbent is not None else None,
                **spent,
            }
            for evaluation in report.evaluations
        )
        return tuple(lines)

    def _begin_final(self, ended_by: str) -> JobReport:
        finalists = self._finalists()
        found = bool(finalists or self.strategy.finalists(1))
        if not found and self._failures:
            reasons = "; ".join(sorted(set(self._failures)))
            raise SearchFailed(
                f"none of the {len(self._failures)} architectures scored has a score: {reasons}"
            )
        if not found:
            raise NasganError(
                f"the search ended without a result ({ended_by}): no architecture was scored; "
                "raise the budget (budget=...) or lower the strategy's warm-up"
            )
        roles = [(FINALIST, architecture) for architecture in finalists]
        if finalists:
            roles += [(RANDOM, architecture) for architecture in self._random_architectures()]
        self.search_ended_by = ended_by
        scores = {key: list(made.values())[-1] for key, (_, made) in self._scored.items()}
        told = [
            f"{each.id} ({self.run.objective.metric} {scores[each.id]:.4g})"
            if each.id in scores
            else each.id
            for each in finalists
        ]
        named = ", ".join(told) or "none (final.top_k=0)"
        run_log.info("search over: %s; finalists %s", ended_by, named)
        self.final = FinalPhase(self._scoring, roles, self._trainings)
        self.run.pool.close()
        self.run.release_shared_weights()
        line = {
            "kind": "finalists",
            "phase": Ledger.FINAL,
            "search_ended_by": ended_by,
            "architectures": [architecture.id for architecture in finalists],
        }
        return JobReport(Ledger.FINAL, f"search over: {ended_by}", 0.0, (line,))

    def _finalists(self) -> list[Architecture]:
        count = self._final_settings.top_k
        if self._final_settings.select == "best":
            return self.strategy.finalists(count)
        if not self._scored:
            _log.warning("final.select=random: the search scored nothing, so its best are taken")
            return self.strategy.finalists(count)
        # By id, because workers may end in any order.
        scored = [self._scored[key][0] for key in sorted(self._scored)]
        rng = numpy_generator(self.run.seed, "finalists")
        chosen = rng.choice(len(scored), min(count, len(scored)), replace=False)
        return [scored[k] for k in chosen]

    def _random_architectures(self) -> list[Architecture]:
        """Drawn from the seed alone: every strategy of that seed is held against the same ones."""
        if self._drawn is None:
            rng = numpy_generator(self.run.seed, "random architectures")
            wanted = min(self._final_settings.random_architectures, self.run.space.size)
            drawn: dict[Architecture, None] = {}
            for _ in range(100 * wanted):
                if len(drawn) == wanted:
                    break
                drawn[self.run.space.sample(rng)] = None
            self._drawn = list(drawn)
        return self._drawn

    def state_dict(self) -> dict[str, Any]:
        """See `nasgan.engine.loop.Job`."""
        return {
            "ledger": self.ledger.state_dict(),
            "run": self.run.state_dict(),
            "strategy": plugin_state(self.strategy, "strategy"),
            "search_ended_by": self.search_ended_by,
            "breakdown": None if self.breakdown is None else asdict(self.breakdown),
            "failures": self._failures,
            "scored": [
                [architecture.to_json(), [[*kind, score] for kind, score in scores.items()]]
                for architecture, scores in self._scored.values()
            ],
            "final": self.final.state_dict() if self.final is not None else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `nasgan.engine.loop.Job`."""
        self.ledger.load_state_dict(state["ledger"])
        self.run.load_state_dict(state["run"])
        self.strategy.load_state_dict(state["strategy"])
        self.search_ended_by = state["search_ended_by"]
        broken = state["breakdown"]
        self.breakdown = None if broken is None else Breakdown(**broken)
        self._failures = list(state["failures"])
        self._scored = {}
        for data, scores in state["scored"]:
            architecture = Architecture.from_json(data, source="checkpoint")
            kinds = {(fidelity, steps): score for fidelity, steps, score in scores}
            self._scored[architecture.id] = (architecture, kinds)
        if state["final"] is not None:
            self.final = FinalPhase.from_state(state["final"], self._scoring, self._trainings)


def _warn_of_unseen(run: Run, sees: Sequence[Part]) -> None:
    """Say which decisions a strategy that goes by scores cannot learn from this evaluator."""
    evaluator, space = run.evaluator, run.space
    undecided = [d for d in space.decisions if len(d.options) > 1]
    unseen = [d for d in undecided if d.part != "both" and d.part not in sees]
    if unseen:
        _log.warning(
            "%s does not see the %s: its scores do not depend on %d of the %d decisions of the "
            "search space %r, which this search makes by chance",
            type(evaluator).__name__,
            " and the ".join(dict.fromkeys(decision.part for decision in unseen)),
            len(unseen),
            len(undecided),
            space.name,
        )
