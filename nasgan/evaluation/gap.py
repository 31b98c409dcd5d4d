"""The duality gap of a pair: how far each network is from the best answer to the other."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from annotated_types import Ge

from nasgan.contracts import (
    Cost,
    NetworkPair,
    Objective,
    Proposal,
    SearchRun,
    SimpleEvaluator,
    held_out_images,
)

__all__ = ["GapEvaluator", "duality_gap"]


class GapEvaluator(SimpleEvaluator):
    """Scores by the duality gap, with the supernet's weights (Grnarova et al. 2019, section 3).

    `duality_gap` says how it is made. It needs no features and no reference, and sees both
    networks. At an equilibrium it is 0; less is better.

    Args:
        steps: of the inner training of each network (AlphaGAN: 20, in its long version 390).
        num_images: held-out images behind a gap, at most as many as there are.
    """

    fidelity = "gap"
    objective = Objective("duality_gap", "min")
    needs_shared_weights = True

    def __init__(
        self, *, steps: Annotated[int, Ge(1)] = 20, num_images: Annotated[int, Ge(1)] = 1000
    ) -> None:
        self._steps = steps
        self._num_images = num_images

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`."""
        super().setup(run)
        _batches(run, self._num_images)

    def expected_cost(self, proposal: Proposal) -> Cost:
        """See `Evaluator.expected_cost`."""
        del proposal
        real = self.run.trainer_settings.discriminator_batch_size
        fake = self.run.trainer_settings.images_per_generator_loss
        judged = 2 * _batches(self.run, self._num_images)
        images = self._steps * (2 * real + fake) + judged * 2 * real
        return Cost(architectures=1, generator_steps=self._steps, images=images)

    def score(self, proposal: Proposal) -> float:
        """See `SimpleEvaluator.score`."""
        pair = self.run.networks(proposal.architecture, inherit=True)
        return duality_gap(self.run, pair, steps=self._steps, num_images=self._num_images)


def duality_gap(run: SearchRun, pair: NetworkPair, *, steps: int, num_images: int) -> float:
    """V(G, D') - V(G', D), where V is the value of the game: minus the discriminator's loss.

    D' and G' are throw-away copies, each trained alone against the other network as it is, on
    training images; V is taken on held-out images, the same ones and the same latents for both, in
    training mode, without penalties on slopes.

    Args:
        run: pays.
        pair: it stays as it is.
        steps: of the training of each copy, by a new Adam at the trainer's rates.
        num_images: held-out images of each V.

    Returns:
        The gap, in the unit of the loss; 0 at an equilibrium. A training that is too short to find
        a better answer can leave it below.

    Raises:
        ConfigError: the data have no held-out images.
        TrainingDiverged: a copy broke down.
        BudgetExhausted: as the trainer.
    """
    batches = _batches(run, num_images)
    better = _values(run, pair, steps, batches)
    return next(better) - next(better)


def _values(run: SearchRun, pair: NetworkPair, steps: int, batches: int) -> Iterator[float]:
    """V(G, D'), then V(G', D)."""
    settings = replace(run.trainer_settings, ema_decay=None, compile="off")
    for part in ("discriminator", "generator"):
        own = copy.deepcopy(pair)
        trainer = run.trainer(own, name=f"better {part}", settings=settings)
        for _ in range(steps):
            if part == "generator":
                trainer.update_generator(trainer.generator_loss())
            else:
                (real,) = trainer.real_images()
                trainer.update_discriminator(trainer.discriminator_loss(real))
        judging = settings.without_penalties
        judge = run.trainer(own, name="judge", images=held_out_images(run), settings=judging)
        judged = (judge.real_images()[0] for _ in range(batches))
        yield -statistics.fmean(judge.discriminator_loss(batch).item() for batch in judged)


def _batches(run: SearchRun, num_images: int) -> int:
    """How many batches hold ``num_images`` held-out images, or all that there are."""
    batch = run.trainer_settings.discriminator_batch_size
    return max(1, -(-min(num_images, len(held_out_images(run))) // batch))
