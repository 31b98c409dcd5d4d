"""Fitted regression trees as plain arrays: quick for one architecture, stored without pickles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Forest"]

_LEAF = -1  # scikit-learn's child of a node that has none


class _Tree(Protocol):
    """What of ``sklearn.tree._tree.Tree`` is read."""

    children_left: np.ndarray
    children_right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Forest:
    """A sum of binary trees of one depth ``d``, each with all ``2**d`` leaves.

    Attributes:
        feature: int16 (T, 2**d - 1), the feature that an inner node asks for; the children of node
            k are 2k + 1 and 2k + 2.
        threshold: float64 (T, 2**d - 1); what is above it goes to the second child.
        leaf: float64 (T, 2**d), what a tree adds.
    """

    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray

    @classmethod
    def of(cls, trees: Sequence[_Tree], *, depth: int, scale: float) -> Forest:
        """Take over fitted trees, each value times ``scale``; shallow ones are filled up."""
        shape = len(trees), 2**depth - 1
        made = cls(
            np.zeros(shape, np.int16), np.full(shape, np.inf), np.zeros((shape[0], 2**depth))
        )
        for number, tree in enumerate(trees):
            made._fill(number, tree, scale)
        return made

    def _fill(self, number: int, tree: _Tree, scale: float) -> None:
        """Walk ``tree`` from its root; a leaf above the last floor stands for all below it."""
        inner = self.feature.shape[1]
        walk = [(0, 0)]  # place here, node there
        while walk:
            place, node = walk.pop()
            if place >= inner:
                self.leaf[number, place - inner] = scale * float(tree.value[node].ravel()[0])
            elif tree.children_left[node] == _LEAF:
                walk += [(2 * place + 1, node), (2 * place + 2, node)]
            else:
                self.feature[number, place] = tree.feature[node]
                self.threshold[number, place] = tree.threshold[node]
                walk += [
                    (2 * place + 1, int(tree.children_left[node])),
                    (2 * place + 2, int(tree.children_right[node])),
                ]

    @classmethod
    def joined(cls, forests: Sequence[Forest]) -> Forest:
        """The trees of all, in order."""
        parts = [each.arrays() for each in forests]
        return cls.from_arrays({key: np.concatenate([p[key] for p in parts]) for key in parts[0]})

    def added(self, features: np.ndarray) -> np.ndarray:
        """What each tree adds, (T,), for one vector (F,)."""
        trees, inner = self.feature.shape
        flat_feature, flat_threshold = self.feature.ravel(), self.threshold.ravel()
        starts = np.arange(trees) * inner
        place = np.zeros(trees, dtype=np.int64)
        for _ in range((inner + 1).bit_length() - 1):
            node = starts + place
            place = 2 * place + 1 + (features[flat_feature[node]] > flat_threshold[node])
        return np.asarray(self.leaf[np.arange(trees), place - inner])

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The sums of the trees, (N,) of (N, F)."""
        return np.array([self.added(vector).sum() for vector in features])

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, for a file."""
        return {"feature": self.feature, "threshold": self.threshold, "leaf": self.leaf}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Forest:
        """Read `arrays` back."""
        return cls(arrays["feature"], arrays["threshold"], arrays["leaf"])
