"""The decision process: one step for each stage of a space; what is seen, done and rewarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from torch import Tensor
from torch.nn import functional as F

from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace

__all__ = ["METRICS", "START", "STATE_SIZE", "Actions", "pooled", "reward", "scores_of", "state_of"]

#: What the process is rewarded by.
METRICS = ("is", "fid")
_FEATURES = 128
#: The stage, two scores, and the features.
STATE_SIZE = 1 + len(METRICS) + _FEATURES
#: IS and FID before the first stage, where nothing is scored; a constant in the first reward.
START = (1.0, 0.0)
# A stage that broke down counts as images that are all alike, and far from the real ones.
_FAILED = (1.0, 1000.0)
_FID_WEIGHT = 0.01


class Actions:
    """Options of a stage's decisions as the largest entries of slices of a continuous vector.

    The k-th decision of every stage has the k-th slice, which is as long as the most options that
    any of them has.

    Args:
        space: decides in its stages.

    Attributes:
        stages: how many.
        size: length of the vector.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.stages = space.num_stages
        self._decided = [
            [i for i, decision in enumerate(space.decisions) if decision.stage == stage]
            for stage in range(self.stages)
        ]
        places = max(len(decided) for decided in self._decided)
        lengths = [
            max(self._options(decided[k]) for decided in self._decided if k < len(decided))
            for k in range(places)
        ]
        self._bounds = list(pairwise(accumulate(lengths, initial=0)))
        self.size = sum(lengths)

    def _options(self, decision: int) -> int:
        return len(self._space.decisions[decision].options)

    def chosen(self, stage: int, action: Sequence[float]) -> dict[int, int]:
        """The option of each decision of ``stage``, both by index."""
        found = {}
        for decision, (begin, _) in zip(self._decided[stage], self._bounds, strict=False):
            slice_ = action[begin : begin + self._options(decision)]
            found[decision] = max(range(len(slice_)), key=slice_.__getitem__)
        return found

    def architecture(self, choices: Mapping[int, int]) -> Architecture:
        """With the first option where nothing is chosen yet, repaired."""
        space = self._space
        indices = tuple(choices.get(i, 0) for i in range(len(space.decisions)))
        return space.architecture(space.repair(indices))


def scores_of(metrics: Mapping[str, float]) -> tuple[float, float]:
    """IS and FID of a stage; the worst there are if it failed."""
    return (metrics["is"], metrics["fid"]) if metrics else _FAILED


def reward(before: tuple[float, float], after: tuple[float, float]) -> float:
    """The gain of IS, and a hundredth of the fall of FID."""
    return after[0] - before[0] + _FID_WEIGHT * (before[1] - after[1])


def state_of(stage: int, scores: tuple[float, float], features: Sequence[float]) -> list[float]:
    """The 131 numbers that the policy sees: the stage, IS, FID / 100 and 128 features."""
    return [float(stage), scores[0], _FID_WEIGHT * scores[1], *features]


def pooled(features: Tensor) -> list[float]:
    """The mean (N, C) over the latents as 128 numbers, whatever the width."""
    mean = features.mean(dim=0).cpu()
    numbers: list[float] = F.adaptive_avg_pool1d(mean[None, None], _FEATURES)[0, 0].tolist()
    return numbers
