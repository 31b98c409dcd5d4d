"""Lengths of trainings that go on and on."""

from __future__ import annotations

from nasgan.errors import ConfigError

__all__ = ["rung_lengths"]


def rung_lengths(min_steps: int, max_steps: int, factor: float) -> list[int]:
    """Generator steps of each rung: ``max_steps`` divided by ``factor`` down to ``min_steps``.

    Args:
        min_steps: least length of the first rung.
        max_steps: length of the last rung.
        factor: from rung to rung.

    Raises:
        ConfigError: they make no rungs; names the setting.
    """
    if factor < 2:
        raise ConfigError(f"strategy.factor must be at least 2, got {factor:g}")
    if not 1 <= min_steps <= max_steps:
        raise ConfigError(
            f"strategy.min_steps must be at least 1 and at most max_steps, got {min_steps} and "
            f"{max_steps}"
        )
    lengths = [max_steps]
    while (length := max_steps / factor ** len(lengths)) >= min_steps - 0.5:
        lengths.append(max(1, round(length)))
    return sorted(set(lengths))
