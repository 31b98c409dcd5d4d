"""How well a table's surrogate predicts trainings that it was not fitted on, beside simple rivals.

Each architecture is predicted by fits on the others (folds), and held against the mean of its
scores over seeds: Kendall's tau and R2 of the logarithm of FID, beside the ceiling that the noise
between seeds allows. The rivals are fitted on the same folds. Then: sparse tau, the calibration of
the noise, and what is predicted of groups that were left out whole.

    PYTHONPATH=.:strategies:search_spaces python benchmarks/surrogate.py TABLE.npz --out found.json

`--group evolution=runs/evolution` (a folder of runs, a file of architectures, or a table) names
groups; without any the options of the decision that explains most are left out in turn. Without a
table, one of made-up trainings is taken.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, norm
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.model_selection import KFold

from benchmarks.synthetic_table import write_synthetic_table
from nasgan.architecture import Architecture
from nasgan.errors import TableError
from nasgan.evaluation.table_trainings import settings_of_space
from nasgan.factory import make_search_space
from nasgan.tabular.design import Design
from nasgan.tabular.surrogate import Surrogate
from nasgan.tabular.table import Table, load_table

__all__ = ["Held", "accuracy", "calibration", "held_out", "left_out", "main", "measure"]

_FOLDS = 5
_RESAMPLES = 500
_LEAST_IN_GROUP = 5
_COVERED = (0.5, 0.8, 0.95)

Predictor = Callable[["Held", np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Held:
    """What a table says of its architectures at its last step.

    Attributes:
        table: of which.
        metric: of which score.
        architectures: A, those with a score.
        scores: of each, by seed, in the metric's unit.
        means: (A,), over seeds, on the scale of analysis: logarithms of FID.
    """

    table: Table
    metric: str
    architectures: tuple[Architecture, ...]
    scores: tuple[np.ndarray, ...]
    means: np.ndarray

    @classmethod
    def of(cls, table: Table, metric: str) -> Held:
        """Read it from the table."""
        found = {each: _scores(table, each, metric) for each in table.architectures}
        found = {each: scores for each, scores in found.items() if len(scores)}
        scale = np.log if table.is_logarithm(metric) else np.asarray
        means = np.array([scale(scores).mean() for scores in found.values()])
        return cls(table, metric, tuple(found), tuple(found.values()), means)

    @property
    def seeds(self) -> float:
        """Seeds behind a mean: the harmonic mean, as noise falls with their number."""
        return len(self.scores) / sum(1 / len(each) for each in self.scores)

    def scaled(self, number: int) -> np.ndarray:
        """The scores of one architecture on the scale of `means`."""
        scores = self.scores[number]
        return np.asarray(np.log(scores) if self.table.is_logarithm(self.metric) else scores)


def _scores(table: Table, architecture: Architecture, metric: str) -> np.ndarray:
    rows = [table.query(architecture, seed=seed) for seed in table.seeds_of(architecture)]
    return np.array([row.metrics[metric] for row in rows if metric in row.metrics])


# The predictors: fitted on the architectures `kept`, predictions for those `held`.


def fitted(table: Held, kept: np.ndarray) -> Surrogate:
    """The table's own surrogate, of some architectures alone."""
    trained = [table.architectures[k] for k in kept for _ in table.scores[k]]
    scores = np.concatenate([table.scores[k] for k in kept]).reshape(-1, 1)
    step = table.table.steps[-1]
    return Surrogate(table.table.decisions, trained, [step], {table.metric: scores})


def surrogate(table: Held, kept: np.ndarray, held: np.ndarray) -> np.ndarray:
    """What `nasgan.load_table(...).predict` is made of."""
    wanted = [table.architectures[k] for k in held]
    step = table.table.steps[-1]
    return np.asarray(fitted(table, kept).location(table.metric, wanted, step))


def _of_features(
    model: Any, features: np.ndarray, table: Held, kept: np.ndarray, held: np.ndarray
) -> np.ndarray:
    return np.asarray(model.fit(features[kept], table.means[kept]).predict(features[held]))


def rivals(table: Held) -> dict[str, Predictor]:
    """What a surrogate has to be better than."""
    names = sorted({option for each in table.table.decisions for option in each.options})
    chosen = [[option for _, option in each] for each in table.architectures]
    counts = np.array([[float(row.count(name)) for name in names] for row in chosen])
    parameters = np.array([_parameters(table.table, each) for each in table.architectures])
    ridge = RidgeCV(alphas=np.logspace(-1, 3, 9))
    early, step = _early(table)
    return {
        "ridge on counts of options": partial(_of_features, ridge, counts),
        "parameters alone": partial(_of_features, LinearRegression(), np.log(parameters)),
        f"one training of {step} steps": partial(_of_features, LinearRegression(), early),
    }


def _parameters(table: Table, architecture: Architecture) -> np.ndarray:
    """Of the generator, (1,)."""
    encoded = [d.index(architecture[d.name]) for d in table.decisions]
    row = int(np.flatnonzero((table.options == encoded).all(axis=1))[0])
    return np.array([max(1.0, float(table.parameters[row, 0]))])


def _early(table: Held) -> tuple[np.ndarray, int]:
    """The early score of the first seed, (A, 1), and its step: the first from a tenth on.

    That seed is also in the mean it is held against, which favours it.
    """
    steps = table.table.steps
    step = next(each for each in steps if each >= steps[-1] / 10)
    found = []
    for architecture in table.architectures:
        seed = table.table.seeds_of(architecture)[0]
        found.append(
            table.table.query(architecture, seed=seed, step=step).metrics.get(table.metric, np.nan)
        )
    early = np.array(found, dtype=np.float64)
    early = np.log(early) if table.table.is_logarithm(table.metric) else early
    return np.nan_to_num(early, nan=float(np.nanmax(early))).reshape(-1, 1), step


# What is measured


def held_out(table: Held, predictor: Predictor, *, seed: int = 0) -> np.ndarray:
    """Each architecture's prediction by a fit on the other folds, (A,)."""
    made = np.empty(len(table.means))
    for kept, held in KFold(_FOLDS, shuffle=True, random_state=seed).split(made):
        made[held] = predictor(table, kept, held)
    return made


def accuracy(predicted: np.ndarray, means: np.ndarray) -> dict[str, list[float]]:
    """Tau and R2, each with its 95 % bootstrap interval over architectures."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(means), size=len(means)) for _ in range(_RESAMPLES)]
    found = {}
    for name, statistic in (("tau", _tau), ("r2", _r2)):
        resampled = [statistic(predicted[k], means[k]) for k in drawn]
        low, high = np.nanpercentile(resampled, [2.5, 97.5])
        found[name] = [statistic(predicted, means), float(low), float(high)]
    return found


def _tau(predicted: np.ndarray, means: np.ndarray) -> float:
    return float(kendalltau(predicted, means).statistic)


def _r2(predicted: np.ndarray, means: np.ndarray) -> float:
    return float(1 - ((means - predicted) ** 2).sum() / ((means - means.mean()) ** 2).sum())


def sparse_tau(predicted: np.ndarray, means: np.ndarray, width: float) -> float:
    """Tau of predictions rounded to ``width`` (Zela et al. 2022): less than that is a tie."""
    return _tau(np.round(predicted / width), means)


def calibration(table: Held, *, seed: int = 0) -> dict[str, float]:
    """Trainings against the mean of their architecture, in units of the noise predicted for it.

    Of architectures that the noise model was not fitted on. ``sd`` of a good one is 1, and the
    intervals cover what they say.
    """
    found: list[float] = []
    for kept, held in KFold(_FOLDS, shuffle=True, random_state=seed).split(table.means):
        model = fitted(table, kept)
        wanted = [table.architectures[k] for k in held]
        levels = model.location(table.metric, wanted, table.table.steps[-1])
        spreads = model.noise.spread(0, levels)
        for k, spread in zip(held, spreads, strict=True):
            own = table.scaled(int(k))
            if len(own) > 1 and spread > 0:
                # Of n values about their own mean: as wide as n - 1 of n.
                free = np.sqrt(len(own) / (len(own) - 1))
                found += [float(free * (x - own.mean()) / spread) for x in own]
    z = np.array(found)
    covered = {
        f"within {share:.0%}": float((np.abs(z) < norm.ppf(0.5 + share / 2)).mean())
        for share in _COVERED
    }
    return {"sd": float(z.std()), **covered, "trainings": float(len(z))}


def left_out(table: Held, groups: Mapping[str, set[Architecture]]) -> Iterator[dict[str, Any]]:
    """Tau, R2 and bias within each group, of a surrogate that saw none of it; and its mean.

    ``mean`` is that of the members' trained scores (of logarithms: the geometric one), with its
    interval of two standard errors, in the unit of the score.
    """
    for name, members in groups.items():
        inside = np.array([each in members for each in table.architectures])
        held, kept = np.flatnonzero(inside), np.flatnonzero(~inside)
        if min(len(held), len(kept)) < _LEAST_IN_GROUP:
            continue
        predicted, means = surrogate(table, kept, held), table.means[held]
        yield {
            "group": name,
            "architectures": len(held),
            "tau": _tau(predicted, means),
            "r2": _r2(predicted, means),
            "bias": float((predicted - means).mean()),
            "mean": _mean_with_interval(table, means),
        }


def _mean_with_interval(table: Held, means: np.ndarray) -> list[float]:
    around = means.mean() + np.array([0.0, -2.0, 2.0]) * means.std(ddof=1) / np.sqrt(len(means))
    values = np.exp(around) if table.table.is_logarithm(table.metric) else around
    return [float(value) for value in values]


def option_groups(table: Held) -> dict[str, set[Architecture]]:
    """The architectures with each option of the decision that explains most."""
    explained = table.table.explained(table.metric)
    name = max(explained, key=lambda each: explained[each])
    groups: dict[str, set[Architecture]] = {}
    for architecture in table.architectures:
        groups.setdefault(f"{name}={architecture[name]}", set()).add(architecture)
    return groups


def named_groups(table: Held, given: Sequence[str]) -> dict[str, set[Architecture]]:
    """Those of ``NAME=PATH`` words."""
    groups = {}
    for word in given:
        name, _, path = word.partition("=")
        if Path(path).suffix == ".npz":
            groups[name] = set(load_table(path).architectures)
        else:
            space, settings = settings_of_space(table.table)
            design = Design(kind="list", path=path)
            groups[name] = set(design.choose(make_search_space(space, **settings)))
    return groups


def measure(table: Table, metric: str = "fid", groups: Sequence[str] = ()) -> dict[str, Any]:
    """Everything, as JSON data.

    Raises:
        TableError: the surrogate models the logarithm of what is analysed as it is.
    """
    held = Held.of(table, metric)
    if not table.is_logarithm(metric) and all(scores.min() > 0 for scores in held.scores):
        raise TableError(
            f"{metric} is analysed as it is, and its surrogate predicts the logarithm: take fid, "
            "or kid where it is above 0"
        )
    reliability = table.reliability(metric)
    ceiling = (
        None
        if reliability is None
        else {"tau": reliability.tau_ceiling(held.seeds), "r2": reliability.of_mean(held.seeds)}
    )
    predictors: dict[str, Predictor] = {"surrogate": surrogate, **rivals(held)}
    predictions = {name: held_out(held, each) for name, each in predictors.items()}
    noise = 0.0 if reliability is None else reliability.within / np.sqrt(held.seeds)
    return {
        "table": table.name,
        "metric": metric,
        "scale": "logarithm" if table.is_logarithm(metric) else "as it is",
        "architectures": len(held.architectures),
        "seeds_of_a_mean": held.seeds,
        "folds": _FOLDS,
        "ceiling": ceiling,
        "predictors": {n: accuracy(made, held.means) for n, made in predictions.items()},
        "sparse_tau": {
            "rounded_to": float(noise),
            **{n: sparse_tau(made, held.means, noise) for n, made in predictions.items() if noise},
        },
        "calibration": calibration(held),
        "left_out": [*left_out(held, named_groups(held, groups) or option_groups(held))],
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, for people."""
    yield (
        f"{found['table']}: {found['metric']} ({found['scale']}) of {found['architectures']} "
        f"architectures, {found['seeds_of_a_mean']:.2g} seeds a mean, {found['folds']} folds"
    )
    yield f"{'':<30}{'tau (95 %)':>24}{'R2 (95 %)':>24}{'of ceiling':>14}{'sparse tau':>12}"
    ceiling = found["ceiling"]
    for name, made in found["predictors"].items():
        cells = [f"{v:.2f} ({low:.2f} to {high:.2f})" for v, low, high in made.values()]
        share = "" if ceiling is None else _shares(made, ceiling)
        sparse = found["sparse_tau"].get(name)
        rounded = "" if sparse is None else f"{sparse:.2f}"
        yield f"{name:<30}{cells[0]:>24}{cells[1]:>24}{share:>14}{rounded:>12}"
    if ceiling is not None:
        yield f"{'ceiling by the noise':<30}{ceiling['tau']:>24.2f}{ceiling['r2']:>24.2f}"
    shares = ", ".join(f"{k} {v:.3g}" for k, v in found["calibration"].items())
    yield f"calibration of the noise (sd 1 is right): {shares}"
    for group in found["left_out"]:
        yield (
            f"left out: {group['group']:<28} {group['architectures']:>4} architectures, tau "
            f"{group['tau']:.2f}, R2 {group['r2']:.2f}, bias {group['bias']:+.3f}, trained "
            "{:.4g} ({:.4g} to {:.4g})".format(*group["mean"])
        )


def _shares(made: Mapping[str, Sequence[float]], ceiling: Mapping[str, float]) -> str:
    found = (made[name][0] / ceiling[name] if ceiling[name] else np.nan for name in ("tau", "r2"))
    return ", ".join(f"{share:.0%}" for share in found)


def main() -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", nargs="?")
    parser.add_argument("--metric", default="fid")
    parser.add_argument("--group", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(
            load_table(given.table or write_synthetic_table(Path(folder))),
            given.metric,
            given.group,
        )
    print(*lines(found), sep="\n")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
