"""A surrogate of a table: what training an architecture that the table does not hold would give.

The field's model is NAS-Bench-301 (Zela et al. 2022): regression on the options of an architecture,
and a model of the noise between trainings, so that a search sees one noisy draw and is judged by
the mean. Nothing fitted is ever shipped: the table's rows are, and a fit takes seconds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.linear_model import LogisticRegression

from nasgan.architecture import Architecture, Decision
from nasgan.errors import NasganError
from nasgan.randomness import derive_seed, numpy_generator
from nasgan.tabular.noise import NoiseModel
from nasgan.tabular.score_model import FitStore, ScoreModel, ScoreModels

__all__ = ["ArchitectureFeatures", "Prediction", "Surrogate"]

# Fewer failures tell no architectures apart: all get the table's rate.
_LEAST_FAILURES = 8


class ArchitectureFeatures:
    """Architectures as vectors: one number an option, and how often each option name is chosen.

    Args:
        decisions: those of the space, in order.
    """

    def __init__(self, decisions: Sequence[Decision]) -> None:
        self._decisions = [decision for decision in decisions if len(decision.options) > 1]
        names = Counter(option for each in self._decisions for option in each.options)
        self._counted = [name for name, holders in names.items() if holders > 1]
        self.names = [
            f"{each.name}={option}" for each in self._decisions for option in each.options
        ]
        self.names += [f"count of {name}" for name in self._counted]

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Features, float64 (N, len(names))."""
        rows = []
        for architecture in architectures:
            chosen = [architecture[each.name] for each in self._decisions]
            row = [
                float(option == choice)
                for each, choice in zip(self._decisions, chosen, strict=True)
                for option in each.options
            ]
            rows.append(row + [float(chosen.count(name)) for name in self._counted])
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), len(self.names))


@dataclass(frozen=True)
class Prediction:
    """What trainings of one architecture score, in the metric's own unit.

    Attributes:
        mean: over seeds.
        std: between seeds.
    """

    mean: float
    std: float


class Surrogate:
    """Predicts the scores of any architecture of a table's space at its recorded steps.

    Args:
        decisions: those of the space.
        architectures: of each training, N; an architecture comes once a seed.
        steps: generator steps of the recorded points, S, ascending.
        scores: by metric (N, S); NaN where a training had broken down.
        seed: of everything random in the fit.
        store: keeps what was fitted; None: nothing is kept.

    Raises:
        NasganError: no architecture was trained twice, so that the noise is unknown.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        architectures: Sequence[Architecture],
        steps: Sequence[int],
        scores: Mapping[str, np.ndarray],
        *,
        seed: int = 0,
        store: FitStore | None = None,
    ) -> None:
        self.steps = tuple(steps)
        self.metrics = tuple(scores)
        self._seed = seed
        self._features = ArchitectureFeatures(decisions)
        self._distinct = list(dict.fromkeys(architectures))
        number = {architecture: k for k, architecture in enumerate(self._distinct)}
        self._group = np.array([number[architecture] for architecture in architectures])
        self._logarithmic = {
            name: bool(np.all(values[np.isfinite(values)] > 0)) for name, values in scores.items()
        }
        # Columns: metric by metric, step by step.
        self._values = np.concatenate(
            [
                self._scaled(name, np.asarray(values, dtype=np.float64))
                for name, values in scores.items()
            ],
            axis=1,
        )
        self._models: dict[int, ScoreModel] = {}
        self._together: dict[tuple[int, ...], ScoreModels] = {}
        self._store = store or FitStore(None)
        if max(Counter(self._group.tolist()).values(), default=0) < 2:
            raise NasganError(
                "a surrogate needs architectures trained with two seeds or more, to know the noise "
                "between trainings; this table has none"
            )

    def _scaled(self, metric: str, values: np.ndarray) -> np.ndarray:
        return np.log(values) if self._logarithmic[metric] else values

    @cached_property
    def noise(self) -> NoiseModel:
        """How trainings of one architecture differ."""
        return NoiseModel(self._values, self._group)

    @cached_property
    def _encoded(self) -> np.ndarray:
        return self._features(self._distinct)

    @cached_property
    def _failures(self) -> LogisticRegression | float:
        known = np.isfinite(self._values)
        # What no training has says nothing of any.
        failed = ~known[:, known.any(axis=0)].all(axis=1)
        if failed.sum() < _LEAST_FAILURES or (~failed).sum() < _LEAST_FAILURES:
            return float(failed.mean())
        return LogisticRegression(C=0.1, max_iter=1000).fit(self._encoded[self._group], failed)

    def _column(self, metric: str, step: int) -> int:
        if metric not in self.metrics:
            raise NasganError(
                f"the table has no metric {metric!r}; it has {', '.join(self.metrics)}"
            )
        if step not in self.steps:
            points = ", ".join(map(str, self.steps))
            raise NasganError(f"the table has no scores at step {step}; its points are {points}")
        return self.metrics.index(metric) * len(self.steps) + self.steps.index(step)

    def _model(self, column: int) -> ScoreModel:
        if column not in self._models:
            means, counts = _group_means(self._values[:, column], self._group, len(self._distinct))
            known = counts > 0
            within = self.noise.spread(column, means[known]) ** 2
            between = max(float(np.var(means[known])) - float(np.mean(within)), 0.0)
            # What is known of each architecture: the spread between them, and its own noise.
            variances = between + within / counts[known]
            weights = 1.0 / np.where(variances > 0, variances, 1.0)
            parts = self._encoded[known], means[known], weights / weights.mean()
            seed = derive_seed(self._seed, "surrogate", column)
            self._models[column] = self._store.get(*parts, seed=seed)
        return self._models[column]

    def location(self, metric: str, architectures: Sequence[Architecture], step: int) -> np.ndarray:
        """Predicted means on the model's scale (logarithms, if all scores are positive), (N,)."""
        column = self._column(metric, step)
        return self._model(column).predict(self._features(architectures))

    def predict(
        self, architecture: Architecture, step: int, metrics: Sequence[str] | None = None
    ) -> dict[str, Prediction]:
        """The mean over seeds, and the spread between them, of each metric.

        Args:
            architecture: of the table's space.
            step: one of ``steps``.
            metrics: those wanted; None: all.

        Raises:
            NasganError: the table has no such metric or step.
        """
        return {
            name: self._in_units(name, self._column(name, step), architecture)
            for name in (self.metrics if metrics is None else metrics)
        }

    def _in_units(self, metric: str, column: int, architecture: Architecture) -> Prediction:
        location = float(self._model(column).predict(self._features([architecture]))[0])
        spread = float(self.noise.spread(column, np.array([location]))[0])
        if not self._logarithmic[metric]:
            return Prediction(location, spread)
        # Mean and standard deviation of a log-normal variable.
        mean = float(np.exp(location + spread**2 / 2))
        return Prediction(mean, mean * float(np.sqrt(np.expm1(spread**2))))

    def draw(
        self,
        architecture: Architecture,
        step: int,
        *,
        seed: int,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """The scores of one simulated training: the same for the same architecture and seed.

        The points of a training's curve go together, as they do in the table.

        Raises:
            NasganError: as `predict`.
        """
        names = self.metrics if metrics is None else metrics
        drawn = self.draw_curve(architecture, [(name, step) for name in names], seed=seed)
        return dict(zip(names, drawn, strict=True))

    def draw_curve(
        self, architecture: Architecture, points: Sequence[tuple[str, int]], *, seed: int
    ) -> list[float]:
        """What `draw` gives, at each metric and step of ``points``.

        Raises:
            NasganError: as `predict`.
        """
        columns = tuple(self._column(metric, step) for metric, step in points)
        if columns not in self._together:
            self._together[columns] = ScoreModels([self._model(column) for column in columns])
        normal = self.noise.draw(numpy_generator(seed, "simulated training", architecture.id))
        locations = self._together[columns].predict(self._features([architecture])[0])
        picked = np.array(columns)
        values = locations + self.noise.spread(picked, locations) * normal[picked]
        return [
            math.exp(value) if self._logarithmic[metric] else float(value)
            for (metric, _), value in zip(points, values, strict=True)
        ]

    def failure_probability(self, architecture: Architecture) -> float:
        """How probable it is that a training of ``architecture`` breaks down."""
        model = self._failures
        if isinstance(model, float):
            return model
        return float(model.predict_proba(self._features([architecture]))[0, 1])


def _group_means(
    values: np.ndarray, group: np.ndarray, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the finite values of each group (groups,), and their number (groups,)."""
    finite = np.isfinite(values)
    counts = np.bincount(group[finite], minlength=groups)
    sums = np.bincount(group[finite], weights=values[finite], minlength=groups)
    return sums / np.maximum(counts, 1), counts
