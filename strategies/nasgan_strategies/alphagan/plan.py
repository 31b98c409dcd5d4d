"""How a search divides its generator steps into rounds."""

from __future__ import annotations

from dataclasses import dataclass

from nasgan.errors import ConfigError

__all__ = ["Rounds"]

# A budget that holds fewer rounds shortens them.
_LEAST_ROUNDS = 4


@dataclass(frozen=True)
class Rounds:
    """Rounds of equal length.

    Attributes:
        count: how many.
        weight_steps: generator steps of the weights' training in each.
        inner_steps: steps of each copy in each.
    """

    count: int
    weight_steps: int
    inner_steps: int

    @property
    def generator_steps(self) -> int:
        """Of the whole search: those of the weights, and those of the generator's copy."""
        return self.count * (self.weight_steps + self.inner_steps)

    def within(self, budget: int | None) -> Rounds:
        """As many rounds as ``budget`` generator steps hold, shorter ones if these are very few.

        Raises:
            ConfigError: not even the shortest round fits.
        """
        if budget is None:
            return self
        wanted = self.weight_steps + self.inner_steps
        length = min(wanted, max(2, budget // min(self.count, _LEAST_ROUNDS)))
        inner = max(1, self.inner_steps * length // wanted)
        count = min(self.count, budget // length)
        if count < 1:
            raise ConfigError(
                f"budget.generator_steps={budget} holds no round of strategy=alphagan, which takes "
                "a step of the weights and one of a copy of the generator: raise it"
            )
        return Rounds(count, length - inner, inner)
