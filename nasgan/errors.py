"""The errors nasgan raises on purpose; each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ArchitectureError",
    "BudgetExhausted",
    "CheckpointError",
    "ConfigError",
    "DatasetError",
    "MissingDependencyError",
    "MissingSettingError",
    "NasganError",
    "PluginError",
    "PluginFailedError",
    "RunDirectoryError",
    "SearchFailed",
    "StorageError",
    "TableError",
    "TrainingDiverged",
    "UnknownNameError",
    "nearest_names",
    "plugin_name",
    "quoted",
    "shortened",
]

_LONGEST_VALUE = 200
_LONGEST_MESSAGE = 2_000


class NasganError(Exception):
    """Base of every error that nasgan raises on purpose.

    What others wrote may stand in a message: it is cut off where nobody would read on.
    """

    def __str__(self) -> str:
        return shortened(super().__str__(), _LONGEST_MESSAGE)


class ConfigError(NasganError, ValueError):
    """A setting has a wrong name, type or value."""


class MissingSettingError(ConfigError):
    """A setting without a default (``???`` in its file) was not given.

    Args:
        key: its whole name.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} must be given: {key}=VALUE")
        self.key = key


class ArchitectureError(NasganError, ValueError):
    """An architecture does not fit its search space, or its file is malformed."""


class DatasetError(NasganError):
    """Images are missing, truncated, or not what they should be."""


class CheckpointError(NasganError):
    """A checkpoint cannot be used: unreadable, or written by another run."""


class PluginError(NasganError):
    """A plugin cannot be loaded, or gave what its contract does not allow."""


class PluginFailedError(PluginError):
    """A plugin's own code raised while a run was under way."""


class RunDirectoryError(NasganError):
    """A run's folder belongs to another configuration or is in use."""


class TableError(NasganError):
    """A table of trained architectures is damaged, foreign, or does not hold what is asked."""


class StorageError(NasganError, OSError):
    """A file could not be written (a full disk, missing permission)."""

    def __str__(self) -> str:
        """The message, without the number of the error."""
        return shortened(self.strerror or super().__str__(), _LONGEST_MESSAGE)


class MissingDependencyError(NasganError, ImportError):
    """An optional package is needed and not installed."""


class BudgetExhausted(NasganError):  # noqa: N818 - an event, not a fault
    """A search wanted to spend more than its budget has left.

    Attributes:
        unit: the unit that ran out, e.g. ``"generator_steps"``.
        limit: the budget's limit of it.
    """

    def __init__(self, unit: str, limit: float) -> None:
        super().__init__(f"the search budget of {limit:g} {unit} is spent")
        self.unit = unit
        self.limit = limit


class TrainingDiverged(NasganError):  # noqa: N818 - an outcome that runs record
    """Adversarial training broke down; ``reason`` names how (see `nasgan.training.health`)."""

    def __init__(self, reason: str, *, generator_step: int) -> None:
        super().__init__(f"training diverged at generator step {generator_step}: {reason}")
        self.reason = reason
        self.generator_step = generator_step


class ReplicaLostError(NasganError):
    """One of the processes of a training on several devices has ended."""


class SearchFailed(NasganError):  # noqa: N818 - an outcome that runs record
    """No architecture that was scored has a score: trainings broke down, or workers did."""


class UnknownNameError(ConfigError, LookupError):
    """A name is not registered; the message lists the nearest names that are.

    Args:
        kind: what was looked up, in words: ``"search space"``.
        name: the name that was not found.
        known: the names that exist.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        options = sorted(known)
        near = nearest_names(shortened(str(name)), options)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        listed = ", ".join(options) if options else "none are installed"
        super().__init__(f"unknown {kind} {quoted(str(name))}.{hint} Known: {listed}.")
        self.kind = kind
        self.name = str(name)
        self.near = near


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of the ``known`` names that look most like ``name``, best first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


def plugin_name(plugin: object) -> str:
    """The class of ``plugin`` with its package and module, by which its author is found."""
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def quoted(value: object) -> str:
    """``value`` as messages show it: as Python writes it, or the beginning of that."""
    if isinstance(value, str):
        value = value[: _LONGEST_VALUE + 1]  # what is not shown need not be written first
    try:
        shown = "null" if value is None else repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        shown = f"an endless {type(value).__name__}"
    return shortened(shown)


def shortened(text: str, most: int = _LONGEST_VALUE) -> str:
    """The beginning of a ``text`` of others, of at most ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
