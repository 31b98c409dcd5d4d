"""An Optuna study that can be made again, call by call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from nasgan.architecture import Decision
from nasgan.errors import CheckpointError

__all__ = ["ReplayedStudy"]


class ReplayedStudy:
    """Asks and tells a study of Optuna's, and notes each call.

    Samplers keep state of many kinds, and some of it as pickles. From the calls alone the same
    study is made again, to the bit and for every sampler: what a checkpoint holds is their list. It
    is made again when it is next asked.

    Args:
        sampler: makes the sampler.
        pruner: makes the pruner.
        decisions: of the space; those without a choice are left out.
        objectives: how many; more of each is better.
        counts: whether options are counted instead of named.
    """

    def __init__(
        self,
        sampler: Callable[[], Any],
        pruner: Callable[[], Any],
        decisions: Sequence[Decision],
        *,
        objectives: int,
        counts: bool,
    ) -> None:
        self._make = sampler, pruner
        self._decisions = decisions
        self._objectives = objectives
        self._counts = counts
        self._study: Any = None
        self._trials: dict[int, Any] = {}
        self.calls: list[list[Any]] = []

    def ask(self) -> tuple[int, tuple[int, ...]]:
        """A new trial: its number, and the option of each decision."""
        number, indices = self._called("ask")
        return number, indices

    def put(self, indices: Sequence[int]) -> int:
        """A new trial of these options: its number."""
        number, _ = self._called("put", list(indices))
        return int(number)

    def report(self, number: int, resource: int, value: float) -> bool:
        """Note a value of a trial under way; whether its pruner ends it here."""
        return bool(self._called("report", number, resource, value))

    def tell(self, number: int, values: Sequence[float] | None, *, pruned: bool = False) -> None:
        """End a trial; one without values has failed."""
        self._called("tell", number, None if values is None else list(values), pruned)

    def load(self, calls: Sequence[Sequence[Any]]) -> None:
        """Continue from the `calls` of before."""
        self.calls = [list(call) for call in calls]
        self._study = None

    def _called(self, what: str, *given: Any) -> Any:
        if self._study is None:
            self._replay()
        made = self._do(what, *given)
        asked = what in ("ask", "put")
        self.calls.append([what, *given, *([list(made[1])] if asked else [])])  # for `_replay`
        return made

    def _replay(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler, pruner = self._make
        # Hyperband's brackets go by the name.
        self._study = optuna.create_study(
            study_name="nasgan",
            directions=["maximize"] * self._objectives,
            sampler=sampler(),
            pruner=pruner(),
        )
        for what, *given in self.calls:
            answer = given.pop() if what in ("ask", "put") else None
            made = self._do(what, *given)
            if answer is not None and list(made[1]) != answer:
                raise CheckpointError(
                    f"optuna {optuna.__version__} suggests another architecture than this search "
                    "had from it before: go on with the version that is in its checkpoint's record"
                )

    def _do(self, what: str, *given: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that something is experimental
            return getattr(self, f"_do_{what}")(*given)

    def _do_ask(self) -> tuple[int, tuple[int, ...]]:
        trial = self._study.ask(self._distributions)
        self._trials[trial.number] = trial
        free = (trial.params.get(decision.name, 0) for decision in self._decisions)
        return trial.number, tuple(int(option) for option in free)

    def _do_put(self, indices: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        chosen = dict(zip((decision.name for decision in self._decisions), indices, strict=True))
        self._study.enqueue_trial({name: chosen[name] for name in self._distributions})
        return self._do_ask()

    def _do_report(self, number: int, resource: int, value: float) -> bool:
        self._trials[number].report(value, resource)
        return bool(self._trials[number].should_prune())

    def _do_tell(self, number: int, values: Sequence[float] | None, pruned: bool) -> None:
        from optuna.trial import TrialState

        trial = self._trials.pop(number)
        if pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif values is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, list(values))

    @property
    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            decision.name: IntDistribution(0, len(decision.options) - 1)
            if self._counts
            else CategoricalDistribution(range(len(decision.options)))
            for decision in self._decisions
            if len(decision.options) > 1
        }
