"""A table as searches meet it: exact rows where there are some, its surrogate elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from nasgan.architecture import Architecture
from nasgan.contracts import SearchRun, SearchSpace
from nasgan.errors import ConfigError, TableError
from nasgan.metrics.protocol import Protocol
from nasgan.metrics.table import metric_info
from nasgan.randomness import numpy_generator
from nasgan.tabular.manifest import differences, with_defaults
from nasgan.tabular.table import SECONDS, Table, load_table
from nasgan.tabular.trainings import SimulatedTraining
from nasgan.training import HealthSettings, TrainerSettings

__all__ = ["TableTrainings", "open_table", "settings_of_space"]

# Larger spaces are not listed to see whether a table holds them whole.
_MOST_LISTED = 100_000
_MOST_KEPT = 2000
# Share of its trainings from which on an architecture that breaks down is worth nothing.
_TOO_OFTEN = 0.5
# Settings of the trainer by which a device does the same training in its own way.
_OF_THE_DEVICE = {*TrainerSettings.OPEN, "tf32", "channels_last", "compile"}


class TableTrainings:
    """Implements `nasgan.tabular.trainings.Trainings` on a table.

    A table that holds every architecture of its space is **exact**: a search sees the seeds that
    all were trained with by design, and is judged by the mean over the further seeds where an
    architecture has some, which no search sees (of many noisy means the best is not the best
    architecture), or else over all. The best known is for the same reason the best by the seeds
    that searches see. Any other table is judged by the mean of its **surrogate**, for trained
    architectures as for others: one measure for all. What breaks down in half of its trainings is
    worth nothing.

    Args:
        table: the rows.
        space: that the table was made in.

    Raises:
        TableError: the space has other decisions, or the noise between seeds is unknown.
    """

    def __init__(self, table: Table, space: SearchSpace) -> None:
        if (space.name, space.version) != (table.space, table.space_version):
            raise TableError(
                f"the table {table.name} is of the search space {table.space} (version "
                f"{table.space_version}); this one is {space.name} (version {space.version})"
            )
        ours = {d.name: d.options for d in space.decisions if len(d.options) > 1}
        theirs = {d.name: d.options for d in table.decisions if len(d.options) > 1}
        if ours != theirs:
            raise TableError(
                f"the table {table.name} was made in another space than {space.name!r} as it is "
                "set here; settings of the table's: "
                f"{table.manifest['settings']['search_space']}"
            )
        self.table = table
        self.space = space
        self._searched_seeds = _seeds_of_all(table)
        self.is_exact = bool(self._searched_seeds) and _holds_all(table, space)
        self._judged: dict[tuple[str, str], float | None] = {}
        # A multi-fidelity search asks for a training once a rung.
        self._training = lru_cache(_MOST_KEPT)(self._find)

    @property
    def steps(self) -> Sequence[int]:
        """See `Trainings`."""
        return self.table.steps

    @cached_property
    def metrics(self) -> Sequence[str]:
        """See `Trainings`; those that a table names but lacks at a step are left out."""
        known = np.isfinite(self.table.scores)
        at_every_step = (known[:, :, k].any(axis=0).all() for k in range(known.shape[2]))
        return [name for name, has in zip(self.table.metrics, at_every_step, strict=True) if has]

    @cached_property
    def images_per_generator_step(self) -> int:
        """See `Trainings`."""
        try:
            settings = dict(self.table.manifest["settings"]["trainer"])
            health = HealthSettings(**settings.pop("health"))
            return TrainerSettings(**settings, health=health).images_per_generator_step
        except (KeyError, TypeError, ConfigError) as error:
            raise TableError(
                f"the table {self.table.name} does not say how it was trained, so that searches on "
                f"it cannot be charged: {error!r}"
            ) from error

    @cached_property
    def num_images(self) -> int:
        """See `Trainings`."""
        return Protocol.parse(self.table.protocol).num_images

    def prepare(self, metric: str) -> None:
        """Fit what searches for ``metric`` ask of the surrogate: processes then find it cached.

        Raises:
            TableError: the table does not say what they cost.
        """
        _ = self.images_per_generator_step, self.num_images
        if not self.is_exact:
            architecture = self.table.architectures[0]
            self._drawn(architecture, 0)
            self.judged(architecture, metric)

    @cached_property
    def score_share(self) -> float:
        """See `Trainings`; by least squares of the mean curve of seconds, linear in both."""
        seconds = self.table.seconds / self.table.seconds[:, -1:]
        whole = seconds[np.isfinite(seconds).all(axis=1)]
        count = len(self.steps)
        steps = np.array(self.steps) / self.steps[-1]
        # With a share b of each score the curve is (1 - count b) steps + b (1, 2, ...).
        excess = np.arange(1, count + 1) - count * steps
        size = float(excess @ excess)
        if not len(whole) or not size:
            return 0.0
        return float(np.clip(excess @ (whole.mean(axis=0) - steps) / size, 0.0, 1 / count))

    def training(self, architecture: Architecture, seed: int) -> SimulatedTraining:
        """See `Trainings`."""
        return self._training(self.table.architecture(architecture), seed)

    def _find(self, wanted: Architecture, seed: int) -> SimulatedTraining:
        seen = self._seen(wanted)
        if seen:
            chosen = numpy_generator(seed, "repeat", wanted.id).integers(len(seen))
            return self._row(wanted, seen[int(chosen)])
        return self._drawn(wanted, seed)

    def _seen(self, architecture: Architecture) -> list[int]:
        """The seeds of its trainings that searches may see."""
        seeds = self.table.seeds_of(architecture)
        return [seed for seed in seeds if not self.is_exact or seed in self._searched_seeds]

    def _row(self, architecture: Architecture, seed: int) -> SimulatedTraining:
        points = [self.table.query(architecture, seed=seed, step=step) for step in self.steps]
        scores = {point.step: dict(point.metrics) for point in points if point.metrics}
        return SimulatedTraining(scores, points[-1].seconds, "exact", points[-1].failure)

    def _drawn(self, architecture: Architecture, seed: int) -> SimulatedTraining:
        surrogate = self.table.surrogate
        points = [(metric, step) for step in self.steps for metric in self.metrics]
        *drawn, seconds = surrogate.draw_curve(
            architecture, [*points, (SECONDS, self.steps[-1])], seed=seed
        )
        scores: dict[int, dict[str, float]] = {step: {} for step in self.steps}
        for (metric, step), value in zip(points, drawn, strict=True):
            scores[step][metric] = value
        luck = numpy_generator(seed, "simulated breakdown", architecture.id).random()
        if luck < surrogate.failure_probability(architecture):
            # When it happens is not modelled: the last point is lost.
            del scores[self.steps[-1]]
            return SimulatedTraining(scores, seconds, "surrogate", "a simulated breakdown")
        return SimulatedTraining(scores, seconds, "surrogate")

    def judged(self, architecture: Architecture, metric: str) -> float | None:
        """See `Trainings`."""
        wanted = self.table.architecture(architecture)
        key = wanted.id, metric
        if key not in self._judged:
            self._judged[key] = self._judge(wanted, metric)
        return self._judged[key]

    def _judge(self, architecture: Architecture, metric: str) -> float | None:
        last = self.steps[-1]
        if not self.is_exact:
            if self.table.surrogate.failure_probability(architecture) >= _TOO_OFTEN:
                return None
            return self.table.surrogate.predict(architecture, last, [metric])[metric].mean
        seeds = self.table.seeds_of(architecture)
        held_out = [seed for seed in seeds if seed not in self._searched_seeds]
        return self._mean(architecture, held_out or seeds, metric)

    def _mean(self, architecture: Architecture, seeds: Sequence[int], metric: str) -> float | None:
        last = self.steps[-1]
        rows = [self.table.query(architecture, seed=seed, step=last).metrics for seed in seeds]
        found = [row[metric] for row in rows if metric in row]
        is_broken = len(rows) - len(found) >= _TOO_OFTEN * len(rows)
        return None if is_broken else float(np.mean(found))

    def best_known(self, metric: str) -> float:
        """See `Trainings`."""
        sign = 1 if metric_info(metric).direction == "min" else -1
        found = []
        for each in self.table.architectures:
            judged = self.judged(each, metric)
            seen = self._mean(each, self._seen(each), metric) if self.is_exact else judged
            if judged is not None and seen is not None:
                found.append((sign * seen, sign * judged))
        if not found:
            raise TableError(f"the table {self.table.name} has no {metric} at its last step")
        return sign * min(found)[1]


def _seeds_of_all(table: Table) -> frozenset[int]:
    """The seeds that every architecture was trained with, without those of further designs.

    ``design.kind=best`` gives more seeds to some, or, where the space is small, to all.
    """
    shared = frozenset.intersection(*(frozenset(table.seeds_of(a)) for a in table.architectures))
    designs = table.manifest.get("designs", ())
    first = [
        int(each["seeds"]) for each in designs if each.get("kind") != "best" and "seeds" in each
    ]
    return frozenset(seed for seed in shared if not first or seed < max(first))


def _holds_all(table: Table, space: SearchSpace) -> bool:
    """Whether every valid architecture of ``space`` was trained."""
    if space.size > _MOST_LISTED:
        return False
    return set(space.enumerate()) <= set(table.architectures)


def settings_of_space(table: Table) -> tuple[str, dict[str, Any]]:
    """Name and settings of the space that ``table`` was made in, for `make_search_space`.

    Raises:
        TableError: it does not say.
    """
    settings = table.manifest["settings"]["search_space"].get("settings")
    if not isinstance(settings, Mapping):
        raise TableError(f"the table {table.name} does not say the settings of its search space")
    return table.space, dict(settings)


def open_table(name: str, run: SearchRun, space: SearchSpace, *, where: str) -> TableTrainings:
    """The table ``name`` for a run, if it was made as the run trains and scores.

    Args:
        name: of a shipped table, or a path.
        run: that asks it.
        space: whose networks the table is to hold: that of the search, or of the final phase.
        where: the setting that names the table, for messages.

    Raises:
        TableError: it is of another space, version, protocol or trainer, or lacks the objective.
        NasganError: it is missing or damaged.
    """
    table = load_table(name)
    theirs = table.manifest["settings"]
    ours = {
        "search_space": {"name": space.name, "version": space.version, "settings": space.settings},
        "protocol": run.harness.protocol.id,
        "trainer": asdict(run.trainer_settings),
    }
    # What it does not say it was made before; and a device's own ways are not another training.
    trainer = with_defaults(theirs)["trainer"]
    trainer = {key: value for key, value in trainer.items() if key not in _OF_THE_DEVICE}
    told = {**{k: theirs[k] for k in ours if k in theirs}, "trainer": trainer}
    found = [*differences(told, _shared(json.loads(json.dumps(ours)), told))]
    if found:
        raise TableError(
            f"{where}={name}: the table was made otherwise than this run trains and scores: "
            f"{'; '.join(each.replace(' there ', ' in the table ') for each in found)}"
        )
    trainings, metric = TableTrainings(table, space), run.final_objective.metric
    if metric not in trainings.metrics:
        known = ", ".join(trainings.metrics)
        raise TableError(f"{where}={name}: the table has {known}, no {metric}")
    return trainings


def _shared(ours: Any, told: Any) -> Any:
    """``ours`` without what the other side does not tell."""
    if not (isinstance(ours, Mapping) and isinstance(told, Mapping)):
        return ours
    return {key: _shared(ours[key], told[key]) for key in told if key in ours}
