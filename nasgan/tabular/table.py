"""A table of trained architectures, to be asked: `nasgan.load_table`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasgan.architecture import Architecture, Decision
from nasgan.errors import ArchitectureError, TableError, UnknownNameError
from nasgan.metrics.protocol import TABLE_PROTOCOL
from nasgan.metrics.table import metric_info
from nasgan.tabular import shipped_tables
from nasgan.tabular.build import merged
from nasgan.tabular.reliability import (
    Reliability,
    explained_by,
    rank_agreement,
    reliability,
)
from nasgan.tabular.table_file import read_table_file

if TYPE_CHECKING:
    from nasgan.tabular.surrogate import Prediction, Surrogate

__all__ = ["SECONDS", "Best", "Table", "Trained", "load_table"]

SECONDS = "seconds"
"""What the surrogate calls the time of a training."""

_TOLD = ("settings", "decisions", "metrics", "designs")
_AS_LOGARITHM = ("fid", "kid")


@dataclass(frozen=True)
class Trained:
    """One training of a table, at one moment.

    Attributes:
        architecture: what was trained.
        seed: index of the seed.
        step: generator steps trained.
        metrics: its scores; empty if the training had broken down by then.
        seconds: of the device, up to here with all scores before; see `nasgan.tabular.rows.Row`. Of
            a training that had broken down, until it did.
        failure: why the training broke down, at whatever step; empty if it did not.
    """

    architecture: Architecture
    seed: int
    step: int
    metrics: Mapping[str, float]
    seconds: float
    failure: str


@dataclass(frozen=True)
class Best:
    """The best known architecture, in the metric's own unit.

    Attributes:
        architecture: which.
        mean: of its trainings.
        seeds: how many these are.
        expected: of another training; see `Table.expected`.
    """

    architecture: Architecture
    mean: float
    seeds: int
    expected: float


class Table:
    """Trained architectures; get one from `load_table`.

    Attributes:
        name: of the table.
        manifest: how its numbers were made, as JSON data.
        decisions: of its search space.
        steps: generator steps at which scores were made, growing.
        metrics: names of the scores.
        scores: (R, S, M) float64 of rows, steps and metrics; NaN where there is none.
        options: (R, D) index of each decision's option.
        seeds: (R,) index of the seed.
        seconds: (R, S) of the device, up to each point; NaN where there is none.
        failures: why a row's training broke down; empty if it did not.

    Args:
        manifest: see `nasgan.tabular.build`.
        arrays: as there.
        source: the file, for messages.

    Raises:
        TableError: something is missing, of a wrong shape, or there are no rows.
    """

    def __init__(
        self, manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], *, source: str
    ) -> None:
        self.manifest = manifest
        self._arrays = arrays
        try:
            self.name = str(manifest["name"])
            self.metrics = tuple(str(name) for name in manifest["metrics"])
            self.decisions = tuple(
                Decision(str(name), tuple(options))
                for name, options in manifest["decisions"].items()
            )
            space = manifest["settings"]["search_space"]
            self.space, self.space_version = str(space["name"]), int(space["version"])
            self.protocol = str(manifest["settings"]["protocol"])
            self.steps = tuple(int(step) for step in arrays["step"])
            self.scores = arrays["scores"].astype(np.float64)
            self.options = arrays["options"].astype(np.int64)
            self.seeds = arrays["seed"].astype(np.int64)
            self.failures = tuple(json.loads(arrays["failure"].tobytes()))
            self.seconds = arrays["seconds"]
            self._total_seconds = arrays["total_seconds"]
            self.parameters = arrays["parameters"]
            self.macs = arrays["macs"]
        except (KeyError, TypeError, ValueError, AttributeError, ArchitectureError) as error:
            raise TableError(f"{source}: this table lacks something: {error!r}") from error
        self._check(source)

    def _check(self, source: str) -> None:
        rows = len(self.failures)
        shapes = {
            "scores": (self.scores.shape, (rows, len(self.steps), len(self.metrics))),
            "options": (self.options.shape, (rows, len(self.decisions))),
            "seed": (self.seeds.shape, (rows,)),
            "seconds": (self.seconds.shape, (rows, len(self.steps))),
            "total_seconds": (self._total_seconds.shape, (rows,)),
            "parameters": (self.parameters.shape, (rows, 2)),
            "macs": (self.macs.shape, (rows, 2)),
        }
        for name, (found, wanted) in shapes.items():
            if found != wanted:
                raise TableError(f"{source}: its {name} have the shape {found}, not {wanted}")
        if not rows:
            raise TableError(f"{source}: this table is empty")
        most = np.array([len(decision.options) for decision in self.decisions])
        if (self.options < 0).any() or (self.options >= most).any():
            raise TableError(f"{source}: a row has an option that its decision does not have")

    @property
    def score_protocol(self) -> str:
        """The protocol id of scores that come from this table, and not from a training."""
        return f"{TABLE_PROTOCOL}{self.name}"

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the numbers and how they were made, whatever name and file they have."""
        told = {name: self.manifest.get(name) for name in _TOLD}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for name, array in sorted(self._arrays.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    # Asking

    def __len__(self) -> int:
        return len(self.failures)

    @cached_property
    def architectures(self) -> tuple[Architecture, ...]:
        """Each architecture once, in the order of the rows."""
        return tuple(self._rows_of)

    def seeds_of(self, architecture: object) -> tuple[int, ...]:
        """The seeds with which ``architecture`` was trained; none if it was not.

        Raises:
            ArchitectureError: it is not of the table's space.
        """
        return tuple(self._rows_of.get(self.architecture(architecture), {}))

    def query(self, architecture: object, *, seed: int = 0, step: int | None = None) -> Trained:
        """What was trained.

        Args:
            architecture: an `Architecture`, or one option for each decision, by name or index, as
                a mapping or a sequence.
            seed: index of the seed.
            step: generator steps; None: the last.

        Raises:
            ArchitectureError: the architecture is not of the table's space.
            TableError: it was not trained, not with this seed, or has no score at this step.
        """
        wanted = self.architecture(architecture)
        row = self._row(wanted, seed)
        column = self._column(step)
        values = self.scores[row, column]
        spent = self.seconds[row, column]
        return Trained(
            architecture=wanted,
            seed=seed,
            step=self.steps[column],
            metrics={
                name: float(value)
                for name, value in zip(self.metrics, values, strict=True)
                if np.isfinite(value)
            },
            seconds=float(spent if np.isfinite(spent) else self._total_seconds[row]),
            failure=self.failures[row],
        )

    def architecture(self, choices: object) -> Architecture:
        """The architecture of ``choices`` in the table's space, checked; see `query`.

        Raises:
            ArchitectureError: it is of another space or version, or has an unknown decision or
                option.
        """
        if isinstance(choices, Architecture):
            if (choices.space, choices.space_version) != (self.space, self.space_version):
                raise ArchitectureError(
                    f"the table {self.name} is of the search space {self.space} (version "
                    f"{self.space_version}); the architecture {choices.id} is of "
                    f"{choices.space} (version {choices.space_version})"
                )
            choices = dict(choices.choices)
        indices = self._indices(choices)
        return self._architecture(indices)

    def _indices(self, choices: object) -> tuple[int, ...]:
        names = [decision.name for decision in self.decisions]
        if isinstance(choices, Mapping):
            unknown = [str(name) for name in choices if name not in names]
            missing = [name for name in names if name not in choices]
            if unknown or missing:
                raise ArchitectureError(
                    f"the table {self.name}: unknown decisions {unknown}, missing {missing}"
                )
            choices = [choices[name] for name in names]
        if isinstance(choices, str) or not isinstance(choices, Iterable):
            raise ArchitectureError(f"not an architecture: {choices!r}")
        options = [o.item() if isinstance(o, np.generic) else o for o in choices]
        if len(options) != len(names):
            raise ArchitectureError(
                f"the table {self.name} has {len(names)} decisions ({', '.join(names)}); got "
                f"{len(options)} options"
            )
        return tuple(d.index(o) for d, o in zip(self.decisions, options, strict=True))

    def _architecture(self, indices: Sequence[int]) -> Architecture:
        pairs = zip(self.decisions, indices, strict=True)
        choices = tuple((decision.name, decision.options[i]) for decision, i in pairs)
        return Architecture(self.space, self.space_version, choices)

    @cached_property
    def _rows_of(self) -> dict[Architecture, dict[int, int]]:
        """Rows by architecture and seed."""
        found: dict[Architecture, dict[int, int]] = {}
        for row, (options, seed) in enumerate(zip(self.options, self.seeds, strict=True)):
            found.setdefault(self._architecture(options), {})[int(seed)] = row
        return found

    def _row(self, architecture: Architecture, seed: int) -> int:
        rows = self._rows_of.get(architecture)
        if rows is None:
            raise TableError(
                f"the table {self.name} does not hold the architecture {architecture.id}; it has "
                f"{len(self._rows_of)} (table.architectures)"
            )
        if seed not in rows:
            raise TableError(
                f"the table {self.name} holds the architecture {architecture.id} with the seeds "
                f"{', '.join(map(str, sorted(rows)))}, not {seed}"
            )
        return rows[seed]

    def _column(self, step: int | None) -> int:
        if step is None:
            return len(self.steps) - 1
        if step not in self.steps:
            listed = ", ".join(map(str, self.steps))
            beyond = f", the last is {self.steps[-1]}" if step > self.steps[-1] else ""
            raise TableError(f"the table {self.name} has scores at {listed}, not at {step}{beyond}")
        return self.steps.index(step)

    @cached_property
    def surrogate(self) -> Surrogate:
        """Fitted from the rows on first use, in seconds, and cached; the same each time.

        Beside the metrics it predicts the device's seconds.

        Raises:
            NasganError: nothing was trained with two seeds.
        """
        # scikit-learn: not for those who only read.
        from nasgan.metrics.cache import default_cache_dir
        from nasgan.tabular.score_model import FitStore
        from nasgan.tabular.surrogate import Surrogate

        scores = {name: self.scores[:, :, k] for k, name in enumerate(self.metrics)}
        architectures = [self._architecture(options) for options in self.options]
        return Surrogate(
            self.decisions,
            architectures,
            self.steps,
            {**scores, SECONDS: self.seconds},
            store=FitStore(default_cache_dir()),
        )

    def predict(self, architecture: object, *, step: int | None = None) -> dict[str, Prediction]:
        """The surrogate's mean over seeds and standard deviation between them, by metric.

        Args:
            architecture: as for `query`; it need not have been trained.
            step: generator steps; None: the last.

        Raises:
            ArchitectureError: the architecture is not of the table's space.
            TableError: there are no scores at this step.
            NasganError: nothing was trained with two seeds.
        """
        column = self._column(step)
        wanted = [
            name
            for k, name in enumerate(self.metrics)
            if np.isfinite(self.scores[:, column, k]).any()
        ]
        return self.surrogate.predict(self.architecture(architecture), self.steps[column], wanted)

    # What is in it

    def is_logarithm(self, metric: str) -> bool:
        """Whether the score is analysed as its logarithm: FID and KID are.

        A KID that is not above 0 has none: such a table is analysed in KID's own unit.

        Raises:
            TableError: the table has no such metric.
        """
        if metric not in self.metrics:
            raise TableError(f"the table {self.name} has {', '.join(self.metrics)}, not {metric!r}")
        found = self.scores[:, :, self.metrics.index(metric)]
        return metric in _AS_LOGARITHM and not (found <= 0).any()

    def values(self, metric: str, step: int | None = None) -> NDArray[np.float64]:
        """The score of each row as it is analysed, see `is_logarithm`; NaN without one.

        Raises:
            TableError: the table has no such metric, or no scores at ``step``.
        """
        as_logarithm = self.is_logarithm(metric)
        found = self.scores[:, self._column(step), self.metrics.index(metric)]
        return np.log(found) if as_logarithm else found.copy()

    def means(self, metric: str, step: int | None = None) -> NDArray[np.float64]:
        """The mean of `values` over seeds, one an architecture in the order of `architectures`."""
        return np.array([v.mean() if len(v) else np.nan for v in self._groups(metric, step)])

    def reliability(self, metric: str = "fid", step: int | None = None) -> Reliability | None:
        """Noise between seeds; see `nasgan.tabular.reliability`. None with too few repeats."""
        return reliability(self._groups(metric, step))

    def agreement_of_runs(self, metric: str = "fid", step: int | None = None) -> tuple[float, int]:
        """Spearman correlation of two trainings of the same architectures, and their number.

        The two are those with the smallest seeds.
        """
        pairs = [group[:2] for group in self._groups(metric, step) if len(group) > 1]
        both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return rank_agreement(both[:, 0], both[:, 1])

    def agreement_of_steps(self, metric: str, step: int, other: int) -> tuple[float, int]:
        """Spearman correlation of the architectures' means at two steps, and their number."""
        return rank_agreement(self.means(metric, step), self.means(metric, other))

    def explained(self, metric: str = "fid", step: int | None = None) -> dict[str, float]:
        """Share of the variance of the architectures' means that each decision explains alone."""
        means = self.means(metric, step)
        known = np.isfinite(means)
        first = np.array([next(iter(rows.values())) for rows in self._rows_of.values()])
        options = self.options[first][known]
        return {
            decision.name: explained_by(options[:, k], means[known])
            for k, decision in enumerate(self.decisions)
        }

    def breakdowns(self) -> Counter[str]:
        """How many trainings broke down, by reason without its numbers."""
        return Counter(failure.partition(" (")[0] for failure in self.failures if failure)

    def expected(self, metric: str = "fid", step: int | None = None) -> NDArray[np.float64]:
        """What another training of each architecture would score, on the scale of `values`.

        Means over few seeds are partly luck, the best of many most of all: each is drawn towards
        the mean of all architectures by what of it is noise (best linear unbiased prediction,
        Robinson 1991). Where nothing was trained twice, the noise is unknown and means stay.
        """
        means, noise = self.means(metric, step), self.reliability(metric, step)
        if noise is None:
            return means
        seeds = [len(scores) for scores in self._groups(metric, step)]
        kept = np.array([noise.of_mean(count) if count else np.nan for count in seeds])
        centre = np.nanmean(means)
        return np.asarray(centre + kept * (means - centre))

    def ranked(self, metric: str = "fid", step: int | None = None) -> list[Architecture]:
        """The architectures by what is `expected` of them, best first; only with a score."""
        order = self._order(metric, step, self.expected(metric, step))
        return [self.architectures[k] for k in order]

    def best(self, metric: str = "fid", step: int | None = None) -> Best | None:
        """The first of `ranked`; None without any score."""
        expected = self.expected(metric, step)
        order = self._order(metric, step, expected)
        if not order:
            return None
        first, known = order[0], expected[order[0]]
        architecture = self.architectures[first]
        column = self.scores[:, self._column(step), self.metrics.index(metric)]
        scores = column[list(self._rows_of[architecture].values())]
        scores = scores[np.isfinite(scores)]
        in_units = float(np.exp(known) if self.is_logarithm(metric) else known)
        return Best(architecture, float(scores.mean()), len(scores), in_units)

    def _order(self, metric: str, step: int | None, expected: NDArray[np.float64]) -> list[int]:
        direction = 1 if metric_info(metric).direction == "min" else -1
        # Where architectures do not differ, their means are all there is to go by.
        means = self.means(metric, step)
        order = np.lexsort((direction * means, direction * expected))
        return [int(k) for k in order if np.isfinite(means[k])]

    def _groups(self, metric: str, step: int | None) -> list[NDArray[np.float64]]:
        """The finite values of each architecture, by seed."""
        values = self.values(metric, step)
        groups = [values[[rows[s] for s in sorted(rows)]] for rows in self._rows_of.values()]
        return [group[np.isfinite(group)] for group in groups]


def load_table(name_or_path: str | Path) -> Table:
    """A table by the name of one that comes with nasgan, from a file, or of a folder's rows so far.

    Raises:
        UnknownNameError: neither such a name nor an existing path.
        TableError: the file or the folder is no table's, damaged, or of a newer format.
    """
    text = str(name_or_path)
    shipped = shipped_tables()
    path = shipped.get(text, Path(text))
    if path.is_dir():
        return Table(*merged([path], name=path.name), source=str(path))
    if not path.is_file() and "/" not in text and path.suffix != ".npz":
        raise UnknownNameError("table", text, shipped)
    return Table(*read_table_file(path), source=str(path))
