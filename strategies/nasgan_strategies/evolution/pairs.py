"""Where EAGAN's second stage scores its pairs, and what it goes by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from nasgan.contracts import (
    DiscriminatorSizes,
    EvaluationPool,
    Objective,
    SearchRun,
    SearchSpace,
)
from nasgan.evaluation import InheritEvaluator, InProcessPool
from nasgan.evaluation.run import check_num_images, measured_pool
from nasgan.metrics.table import SIZES

__all__ = ["OneToOne", "are_alike", "one_to_one"]

_PROBES = 8


@dataclass(frozen=True)
class OneToOne:
    """Pairs of one generator and many discriminators.

    Attributes:
        evaluator: trains them.
        pool: scores them, and measures what is among the objectives.
        objective: who stays: the run's, with sizes of the discriminator for those of the generator,
            which all pairs share.
    """

    evaluator: InheritEvaluator
    pool: EvaluationPool
    objective: Objective


def one_to_one(run: SearchRun, *, generator_steps: int, num_images: int | None) -> OneToOne:
    """Set the scoring of pairs up; arguments as `InheritEvaluator`.

    Raises:
        ConfigError: too few images for a score.
    """
    if num_images is not None:
        check_num_images(run, num_images, where="strategy.num_images")
    evaluator = InheritEvaluator(generator_steps=generator_steps, num_images=num_images)
    evaluator.setup(run)
    own = tuple(_of_discriminator(each) for each in run.objective.others)
    objective = replace(run.objective, others=own)
    pool: EvaluationPool = InProcessPool(evaluator, run.ledger)
    for wanted in (run.objective, objective):  # what evaluations hold, and what this stage goes by
        pool = measured_pool(pool, wanted, run.space)
    return OneToOne(evaluator, pool, objective)


def _of_discriminator(objective: Objective) -> Objective:
    if objective.metric not in SIZES:
        return objective
    return replace(objective, metric=objective.metric + DiscriminatorSizes.suffix)


def are_alike(space: SearchSpace, rng: np.random.Generator) -> bool:
    """Whether random architectures have discriminators of the same weights, by name and shape.

    Args:
        space: may build one discriminator whatever its decisions say.
        rng: draws them.
    """
    with torch.device("meta"):
        drawn = [space.build_discriminator(space.sample(rng)) for _ in range(_PROBES)]
    weights = [[(name, each.shape) for name, each in n.state_dict().items()] for n in drawn]
    return all(each == weights[0] for each in weights)
