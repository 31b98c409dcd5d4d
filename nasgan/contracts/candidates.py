"""Base of strategies that score some number of candidates, within limits of their size."""

from __future__ import annotations

from collections.abc import Callable

from nasgan.architecture import Architecture
from nasgan.contracts.ask_tell import AskTellStrategy, SupernetPaths
from nasgan.contracts.run import SearchRun
from nasgan.contracts.sizes import Constraints, SizeConstraints
from nasgan.errors import ConfigError

__all__ = ["CandidateSearch"]


class CandidateSearch(AskTellStrategy):
    """An ask/tell search that ends when so many candidates are scored, all within size constraints.

    A subclass defines `ask`, which takes new architectures from `draw` and looks at `left`.

    Args:
        num_candidates: architectures to score; None: until the budget is spent.
        constraints: see `SizeConstraints`.
        supernet_steps: see `AskTellStrategy`.
        supernet_paths: as there.

    Raises:
        ConfigError: a value is out of its range.
    """

    def __init__(
        self,
        *,
        num_candidates: int | None = 100,
        constraints: Constraints | None = None,
        supernet_steps: int | None = None,
        supernet_paths: SupernetPaths = "uniform",
    ) -> None:
        super().__init__(supernet_steps=supernet_steps, supernet_paths=supernet_paths)
        if num_candidates is not None and num_candidates < 1:
            raise ConfigError(
                f"strategy.num_candidates must be at least 1, or null, got {num_candidates}"
            )
        self._num_candidates = num_candidates
        self._constraints = SizeConstraints(constraints)

    def setup(self, run: SearchRun) -> None:
        """See `SearchStrategy.setup`.

        Raises:
            ConfigError: a search without an end, or constraints that no architecture keeps.
        """
        super().setup(run)
        if self._num_candidates is None:
            run.ledger.budget.require_limit("strategy.num_candidates")
        self._constraints.setup(run.space, run.rng("constraints"))

    @property
    def finished(self) -> bool:
        """Whether all candidates are scored."""
        wanted = self._num_candidates
        return wanted is not None and len(self.evaluations) >= wanted

    @property
    def asked(self) -> int:
        """Candidates scored or under way."""
        return len(self.evaluations) + self.pool.under_way

    @property
    def left(self) -> float:
        """Candidates still to ask for; infinite where the budget is the end."""
        return float("inf") if self._num_candidates is None else self._num_candidates - self.asked

    def draw(self, make: Callable[[], Architecture] | None = None) -> Architecture:
        """A candidate that ``make`` draws (None: a random one), a new one where there is one."""
        space, rng = self.run.space, self.run.rng("candidates")
        return self._constraints.draw(make or (lambda: space.sample(rng)), self.known)

    @property
    def ended(self) -> int:
        """Candidates that nothing more is to be done for."""
        return len(self.evaluations)

    def progress(self) -> float | None:
        """Share of the candidates; the supernet's training is half of it, where there is one."""
        if self._num_candidates is None:
            return None
        scored = min(1.0, self.ended / self._num_candidates)
        return (self.supernet_progress + scored) / 2 if self.supernet_steps else scored

    def progress_message(self) -> str:
        """See `AskTellStrategy.progress_message`."""
        wanted = "" if self._num_candidates is None else f"/{self._num_candidates}"
        return f"candidate {len(self.evaluations)}{wanted}"
