"""The settings of a run that name no class, and which of all say only where and how it is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from annotated_types import Ge

from nasgan.errors import ConfigError, quoted
from nasgan.nodes import Checked

__all__ = [
    "BESIDE_THE_RESULT",
    "FREE_ON_RESUME",
    "LEFT_OUT",
    "PLACES",
    "TABLES",
    "CheckpointSettings",
    "Count",
    "FinalSettings",
    "Positive",
    "TrainingLength",
    "TrainingSettings",
    "absolute",
    "changed",
    "flat",
    "is_table_file",
    "nearby",
    "places",
    "with_home",
    "with_places",
    "without_later",
    "without_places",
]

Count: TypeAlias = Annotated[int, Ge(0)]
Positive: TypeAlias = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class CheckpointSettings(Checked):
    """How often a run can be resumed from.

    Attributes:
        every_seconds: wall-clock seconds between checkpoints; 0: after every step. Evaluations that
            workers have made are in a checkpoint within a second.
        keep: how many of the newest are kept, at least 2.
    """

    every_seconds: Annotated[float, Ge(0)] = 30.0
    keep: Annotated[int, Ge(2)] = 2

    where: ClassVar[str] = "checkpoint"


@dataclass(frozen=True, kw_only=True)
class TrainingLength(Checked):
    """How long an architecture is trained and when it is scored.

    Attributes:
        generator_steps: length of the training.
        eval_every: generator steps between scores; null: only at the end.
        eval_at: the generator steps of the scores, growing, instead of ``eval_every``; the end is
            scored too.
    """

    generator_steps: Positive
    eval_every: Positive | None = None
    eval_at: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eval_at is not None:
            self._check_points(tuple(self.eval_at))

    def _check_points(self, points: tuple[int, ...]) -> None:
        object.__setattr__(self, "eval_at", points)
        if not points or points[0] < 1 or list(points) != sorted({*points}):
            raise ConfigError(f"eval_at must be growing steps from 1 on, got {list(points)}")
        if points[-1] > self.generator_steps:
            raise ConfigError(
                f"eval_at ends at {points[-1]}, beyond generator_steps={self.generator_steps}"
            )

    def next_score(self, done: int) -> int:
        """The generator step of the next score after ``done`` steps."""
        if self.eval_at is not None:
            return min((p for p in self.eval_at if p > done), default=self.generator_steps)
        if self.eval_every is None:
            return self.generator_steps
        return min(self.generator_steps, (done // self.eval_every + 1) * self.eval_every)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(TrainingLength):
    """A training, and which of its moments is the result.

    Attributes:
        generator_steps: see `TrainingLength` for this and the following.
        eval_every: as there.
        eval_at: as there.
        keep: ``best`` keeps the networks of the best score (published), ``last`` the final ones;
            of a training that breaks down, both keep those of the best score before.
    """

    keep: Literal["best", "last"] = "best"


@dataclass(frozen=True, kw_only=True)
class FinalSettings(Checked):
    """How the final phase trains.

    Attributes:
        top_k: number of finalists; 0: nothing is trained, random architectures neither, and the
            search's best is the result as it is.
        select: which of the architectures that the search scored are finalists: the ``best``, or
            ones drawn at ``random`` from all, for an unbiased proxy correlation.
        random_architectures: random architectures of the space trained in the same way: what a gain
            over the average random architecture has to be measured against.
        generator_steps: length of each training.
        eval_every: generator steps between scores; null: only at the end.
        keep: ``best`` or ``last``, see `TrainingSettings`.
        generator_channels: width of the final networks (the published ones are twice the search's).
        discriminator_channels: as above.
        evaluator: what scores the finalists instead of that training: the name of an evaluator, or
            its node in a configuration. None: the full training.
    """

    top_k: Count
    random_architectures: Count
    generator_steps: Positive
    generator_channels: int
    discriminator_channels: int
    eval_every: Positive | None = None
    keep: Literal["best", "last"] = "best"
    select: Literal["best", "random"] = "best"
    evaluator: str | dict[str, Any] | None = None

    where: ClassVar[str] = "final"


FREE_ON_RESUME = frozenset(
    {
        "checkpoint",
        "executor",
        "logger",
        "output_root",
        "progress",
        "retry_failed",
        "run_dir",
        "tuning_budget",
    }
)
"""May change when a run is resumed: they do not change what it computes."""

BESIDE_THE_RESULT = FREE_ON_RESUME | {"device", "seed", "threads"}
"""May differ between the runs of one experiment: where and how, not what is asked."""

PLACES = frozenset(
    {
        "dataset.download",
        "dataset.path",
        "dataset.root",
        "dataset.test_path",
        "metrics.features.download",
        "metrics.features.weights",
    }
)
"""Where what a run works with lies. What it is, the ``content`` of the record says."""

LEFT_OUT = object()
"""See `changed`."""

TABLES = {"evaluator.table": "table", "final.evaluator.table": "judge"}
"""Further such places, of nasgan's own evaluators, and the keys of their tables in ``content``."""

_ON_TABLES = ("nasgan.evaluation.NamedTableEvaluator", "nasgan.evaluation.TableMeanEvaluator")

# Settings that came after the first runs, by part and target, each with the value that runs of
# before have had: with that value, an experiment is the one that it was.
_CAME_SINCE: Mapping[str, tuple[str | None, Mapping[str, Any]]] = {
    "final": (None, {"evaluator": None}),
    "trainer": (
        "nasgan.training.TrainerSettings",
        {"batch_norm": "synchronised", "devices": 1},
    ),
    "strategy": (
        "nasgan_strategies.random.strategy.RandomSearch",
        {"brackets": 1, "constraints": None, "supernet_paths": "uniform"},
    ),
}


def flat(values: Mapping[str, Any], by: str = ".") -> dict[str, Any]:
    """What is no mapping in nested ``values``, under the names on the way to it, joined ``by``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = flat(value, by) if isinstance(value, Mapping) else None
        found |= {name: value} if inner is None else {f"{name}{by}{k}": v for k, v in inner.items()}
    return found


def without_later(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without settings that runs of before do not have, where they change nothing."""
    made = dict(config)
    for part, (target, later) in _CAME_SINCE.items():
        node = config.get(part)
        if isinstance(node, Mapping) and node.get("_target_") == target:
            made[part] = {k: v for k, v in node.items() if k not in later or v != later[k]}
    return made


def changed(
    config: Mapping[str, Any], change: Callable[[str, Any, Mapping[str, Any]], Any], where: str = ""
) -> dict[str, Any]:
    """``config`` with other values, down to those of its nodes that stay what they are.

    Args:
        config: a configuration, or a node of one.
        change: gives the value, of its name, itself and the node that it stands in; `LEFT_OUT`:
            there is none.
        where: what comes before the names.
    """
    made: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{where}{key}"
        new = change(name, value, config)
        if new is not LEFT_OUT:
            is_node = new is value and isinstance(value, Mapping)
            made[key] = changed(value, change, f"{name}.") if is_node else new
    return made


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without its `PLACES`."""
    return changed(config, lambda *each: LEFT_OUT if _names_place(*each) else each[1])


def with_places(config: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """``config``, its `PLACES` and the path of its architecture as ``change`` gives them."""

    def of_path(name: str, value: Any, node: Mapping[str, Any]) -> Any:
        # An architecture and a table may be given by a registered name, too.
        is_file = name == "architecture" and isinstance(value, str) and Path(value).is_absolute()
        is_place = _names_place(name, value, node) and (name in PLACES or is_table_file(value))
        return change(value) if is_file or (is_place and isinstance(value, str)) else value

    return changed(config, of_path)


def places(config: Mapping[str, Any]) -> dict[str, str]:
    """The paths among the `PLACES` of ``config``, from the root, by their names."""
    found: dict[str, str] = {}

    def note(name: str, value: Any, node: Mapping[str, Any]) -> Any:
        if isinstance(value, str) and _names_place(name, value, node):
            is_path = name in PLACES or is_table_file(value)
            found[name] = absolute(value) if is_path else value
        return value

    changed(config, note)
    return found


def _names_place(name: str, _: Any, node: Mapping[str, Any]) -> bool:
    # An evaluator of a plugin may call something else so.
    return name in PLACES or (name in TABLES and node.get("_target_") in _ON_TABLES)


def is_table_file(value: object) -> bool:
    """Whether a table is given as a path, not by the name of one that comes with nasgan."""
    return isinstance(value, str) and (os.sep in value or value.endswith(".npz"))


def with_home(path: str) -> str:
    """``path`` with the folder that ``~`` stands for.

    Raises:
        ConfigError: it begins with ``~`` and the name of nobody here.
    """
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError as error:
        raise ConfigError(f"the path {quoted(path)}: {error} Write it out") from error


def absolute(path: str, start: str = ".") -> str:
    """``path`` from the root, without ``~``, ``.`` and ``..``; links stay.

    Args:
        path: as given.
        start: the folder it is given from.

    Raises:
        ConfigError: as `with_home`.
    """
    return os.path.normpath(Path(start).absolute() / with_home(path))


def nearby(path: str) -> str:
    """One text for all spellings of ``path``: from here, or from home, where it is below them.

    So that it stays the same where a project, or a whole home, lies elsewhere.
    """
    full = absolute(path)
    for start, prefix in ((".", ""), ("~", f"~{os.sep}")):
        within = os.path.relpath(full, absolute(start))
        if within.partition(os.sep)[0] != os.pardir:
            return prefix + within
    return full
