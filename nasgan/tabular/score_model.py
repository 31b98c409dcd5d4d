"""One fitted score of a surrogate, and where fits are kept: a fit takes seconds, a reading none."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from nasgan.errors import StorageError, TableError
from nasgan.tabular.forest import Forest
from nasgan.tabular.table_file import read_table_file, write_table_file

__all__ = ["FitStore", "ScoreModel", "ScoreModels"]

_LOG = logging.getLogger(__name__)
_FORMAT = "nasgan-surrogate-fit"
_DEPTH = 3
_RATE = 0.06
_TREES = {
    "n_estimators": 150,
    "max_depth": _DEPTH,
    "learning_rate": _RATE,
    "subsample": 0.7,
    "max_features": 0.3,
    "min_samples_leaf": 3,
}
_ENSEMBLE = 5
_FOLDS = 5
_PENALTIES = np.logspace(-1, 3, 9)
# To be raised with each change of the code here that moves a fit, so that kept ones are left alone.
_CODE = 2
# What shapes a fit beside its data; another release may fit otherwise.
_SETTINGS = f"{_TREES} {_ENSEMBLE} {_FOLDS} {_PENALTIES} scikit-learn {sklearn.__version__}"


@dataclass(frozen=True)
class ScoreModel:
    """Boosted trees and a ridge regression, blended by how well each predicts held-out folds.

    Attributes:
        share_of_trees: in the blend, 0 to 1.
        forest: the trees of all ensembles, without their constant.
        constant: theirs.
        coefficients: (F,), of the ridge regression.
        intercept: of it.
    """

    share_of_trees: float
    forest: Forest
    constant: float
    coefficients: np.ndarray
    intercept: float

    @classmethod
    def fit(
        cls, features: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, seed: int
    ) -> ScoreModel:
        """Fit, and find the blend.

        Scores and weights count as far as float32 tells them apart: processors differ in the last
        digit of a logarithm, and from there on trees would part.

        Args:
            features: (A, F), a row an architecture.
            scores: (A,), its mean score over seeds, on the scale of the model.
            weights: (A,), how far each mean is to be trusted.
            seed: of the folds and the trees.
        """
        scores, weights = (part.astype(np.float32).astype(np.float64) for part in (scores, weights))
        parts = features, scores, weights
        share = _blend(*parts, seed=seed)
        fits = [_fit_trees(*parts, seed=seed + k) for k in range(_ENSEMBLE if share else 0)]
        ridge = _fit_ridge(*parts)
        return cls(
            share,
            Forest.of(
                [stage[0].tree_ for fit in fits for stage in fit.estimators_],
                depth=_DEPTH,
                scale=_RATE / _ENSEMBLE,
            ),
            float(np.average(scores, weights=weights)),
            np.asarray(ridge.coef_, dtype=np.float64),
            float(ridge.intercept_),
        )

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicted means, (N,)."""
        ridge: np.ndarray = features @ self.coefficients + self.intercept
        if self.share_of_trees == 0.0:
            return ridge
        trees = self.constant + self.forest.predict(features)
        return self.share_of_trees * trees + (1 - self.share_of_trees) * ridge

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, for a file."""
        numbers = [self.share_of_trees, self.constant, self.intercept]
        return {
            "numbers": np.array(numbers),
            "coefficients": self.coefficients,
            **self.forest.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ScoreModel:
        """Read `arrays` back."""
        share, constant, intercept = map(float, arrays["numbers"])
        return cls(share, Forest.from_arrays(arrays), constant, arrays["coefficients"], intercept)


class ScoreModels:
    """Several models, asked at once for one architecture: as quick as one of them.

    Args:
        models: C, at least one.
    """

    def __init__(self, models: Sequence[ScoreModel]) -> None:
        self._forest = Forest.joined([model.forest for model in models])
        counts = [len(model.forest.leaf) for model in models]
        self._model_of_tree = np.repeat(np.arange(len(models)), counts)
        self._share = np.array([model.share_of_trees for model in models])
        self._constant = np.array([model.constant for model in models])
        self._coefficients = np.stack([model.coefficients for model in models])
        self._intercept = np.array([model.intercept for model in models])

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicted means (C,) for one architecture's features (F,)."""
        added = self._forest.added(features)
        sums = np.bincount(self._model_of_tree, added, len(self._share))
        ridge = self._coefficients @ features + self._intercept
        return np.asarray(self._share * (self._constant + sums) + (1 - self._share) * ridge)


def _fit_trees(
    features: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, seed: int
) -> GradientBoostingRegressor:
    trees = GradientBoostingRegressor(**_TREES, random_state=seed % 2**32)
    return trees.fit(features, scores, sample_weight=weights)


def _fit_ridge(features: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> RidgeCV:
    return RidgeCV(alphas=_PENALTIES).fit(features, scores, sample_weight=weights)


def _blend(features: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, seed: int) -> float:
    """The share of the trees that predicts held-out folds best, by least squares."""
    if len(scores) < 2 * _FOLDS:
        return 0.0
    trees, ridge = np.empty_like(scores), np.empty_like(scores)
    for kept, held in KFold(_FOLDS, shuffle=True, random_state=seed % 2**32).split(features):
        parts = features[kept], scores[kept], weights[kept]
        trees[held] = _fit_trees(*parts, seed=seed).predict(features[held])
        ridge[held] = _fit_ridge(*parts).predict(features[held])
    apart = trees - ridge
    gain = float(weights @ (apart * (scores - ridge)))
    size = float(weights @ apart**2)
    return float(np.clip(gain / size, 0.0, 1.0)) if size > 0 else 0.0


class FitStore:
    """Fits on disk, by everything that shapes them; nothing in such a file is ever executed.

    Args:
        folder: made when something is first written; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(
        self, features: np.ndarray, scores: np.ndarray, weights: np.ndarray, *, seed: int
    ) -> ScoreModel:
        """`ScoreModel.fit`, or what it gave before."""
        if self._folder is None:
            return ScoreModel.fit(features, scores, weights, seed=seed)
        digest = hashlib.sha256(f"{_CODE} {_SETTINGS} {features.shape} {seed}".encode())
        for array in (features, scores, weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        path = self._folder / f"surrogate-{digest.hexdigest()}.npz"
        held = _read(path)
        if held is None:
            held = ScoreModel.fit(features, scores, weights, seed=seed)
            try:
                write_table_file(path, {"format": _FORMAT, "format_version": 1}, held.arrays())
            except StorageError as error:
                # The fit is at hand: a cache that cannot be written costs time, not the work.
                _LOG.warning("not cached, it will be fitted again next time: %s", error)
        return held


def _read(path: Path) -> ScoreModel | None:
    """The fit in the file, or None where there is none to be trusted."""
    if not path.is_file():
        return None
    try:
        return ScoreModel.from_arrays(read_table_file(path, _FORMAT)[1])
    except (TableError, KeyError, ValueError) as error:
        _LOG.warning("the cached fit %s is damaged (%s); fitting again", path, error)
        return None
