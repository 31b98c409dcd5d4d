"""Scores after a short training of both networks that begins with weights that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from annotated_types import Ge

from nasgan.contracts import (
    Cost,
    EvaluationTask,
    Proposal,
    SearchRun,
    SimpleEvaluator,
)
from nasgan.contracts.supernet import inherit_fitting
from nasgan.evaluation.arrival import check_parent_is_kept
from nasgan.evaluation.run import check_num_images
from nasgan.state_files import load_state, save_state

__all__ = ["InheritEvaluator"]

_HALVES = ("generator", "discriminator")


class InheritEvaluator(SimpleEvaluator):
    """Trains the pair together for some steps from the supernet's weights, then scores it.

    The generator answers to the candidate's own discriminator, so that scores depend on the
    decisions of both. A proposal with a parent begins with what fits of the parent's trained
    networks, and with the supernet's weights for the rest. The live generator is scored: an average
    over so few steps would be the weights that it began with.

    Args:
        generator_steps: length of the training.
        num_images: generated images behind a score; null: the protocol's number.
    """

    fidelity = "inherit"
    needs_shared_weights = True
    inherits_weights = True

    def __init__(
        self, *, generator_steps: Annotated[int, Ge(1)] = 50, num_images: int | None = None
    ) -> None:
        self._steps = generator_steps
        self._num_images = num_images
        self._kept: dict[str, str] = {}  # the file of trained networks, by architecture id

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`."""
        super().setup(run)
        if self._num_images is not None:
            check_num_images(run, self._num_images)

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """See `Evaluator.begin`."""
        for proposal in proposals:
            check_parent_is_kept(proposal, self._kept)
        return super().begin(*proposals)

    def expected_cost(self, proposal: Proposal) -> Cost:
        """See `Evaluator.expected_cost`."""
        del proposal
        training = self._steps * self.run.trainer_settings.images_per_generator_step
        scoring = self._num_images or self.run.harness.num_images
        return Cost(architectures=1, generator_steps=self._steps, images=training + scoring)

    def score(self, proposal: Proposal) -> Mapping[str, float]:
        """See `SimpleEvaluator.score`."""
        run, name = self.run, proposal.architecture.id
        pair = run.networks(proposal.architecture, inherit=True)
        if proposal.parent is not None:
            trained = load_state(run.folder / self._kept[proposal.parent.id])
            for half in _HALVES:
                inherit_fitting(getattr(pair, half), trained[half])
        settings = replace(run.trainer_settings, ema_decay=None)
        run.trainer(pair, name=name, settings=settings).train(generator_steps=self._steps)
        scores = run.harness.evaluate(run.sample(pair.generator), num_images=self._num_images)
        if proposal.keep:
            state = {half: getattr(pair, half).state_dict() for half in _HALVES}
            self._kept[name] = save_state(run.folder, f"{name}-inherit", state).name
        return scores

    def state_dict(self) -> dict[str, Any]:
        """See `Evaluator.state_dict`."""
        return {"kept": dict(self._kept)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Evaluator.load_state_dict`."""
        self._kept = dict(state["kept"])
