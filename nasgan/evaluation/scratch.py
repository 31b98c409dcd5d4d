"""Scores after a training from scratch; a longer training continues a shorter one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nasgan.architecture import Architecture
from nasgan.contracts import Cost, Evaluation, EvaluationTask, Evaluator, Proposal, SearchRun
from nasgan.errors import CheckpointError, ConfigError
from nasgan.evaluation.arrival import check_parent_is_kept
from nasgan.evaluation.run import check_num_images
from nasgan.evaluation.training_task import TrainingPlan, TrainingTask
from nasgan.state_files import load_state, save_state

__all__ = ["ScratchEvaluator"]

_log = logging.getLogger(__name__)


class ScratchEvaluator(Evaluator):
    """Trains each candidate on its own, without weight sharing, and scores the result.

    Where the strategy chooses the length of a training, its networks wait in a file until the
    search ends, so that successive halving continues a survivor's training instead of repeating it.
    Where it does not, all trainings are of one length and nothing is kept unless a proposal asks
    for it: the networks of a thousand candidates would fill a disk.

    A training with a parent begins with what of the parent's kept networks fits by name and shape;
    the rest has the initial values that it would have without, optimisers and averages begin anew.
    One that continues a shorter training of its own architecture does not look at the parent.

    Learning rates stay constant here whatever the settings
    say: nobody knows yet how long a candidate will be trained. A survivor that breaks down keeps
    the best of its scores so far.

    Args:
        generator_steps: length of a training, where the strategy does not say.
        num_images: generated images behind a score; null: the protocol's number.
    """

    fidelity = "scratch"
    trains = True
    inherits_weights = True

    def __init__(self, *, generator_steps: int = 1000, num_images: int | None = None) -> None:
        if generator_steps < 1:
            raise ConfigError(
                f"evaluator.generator_steps must be at least 1, got {generator_steps}"
            )
        self._generator_steps = generator_steps
        self._num_images = num_images
        # Steps already trained, and the file's name, by architecture id.
        self._trained: dict[str, tuple[int, str]] = {}

    def setup(self, run: SearchRun) -> None:
        """See `Evaluator.setup`."""
        super().setup(run)
        if self._num_images is not None:
            check_num_images(run, self._num_images)
        self._trainer_settings = replace(run.trainer_settings, lr_decay="none")

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        """See `Evaluator.begin`; networks trained from scratch have no stages."""
        (proposal,) = proposals
        plan = self._plan(proposal)
        architecture = proposal.architecture
        task = _ScratchTask(self.run, self.run.space, architecture, plan, self._trainer_settings)
        task.keeper = self if proposal.keep or proposal.generator_steps is not None else None
        if self._trained_steps(architecture, plan):
            _, file = self._trained[architecture.id]
            try:
                task.continue_from(load_state(self.run.folder / file))
            except CheckpointError as error:
                _log.warning("%s; this candidate is trained again from the start", error)
                self._inherit(task, proposal)
        else:
            self._inherit(task, proposal)
        return task

    def _inherit(self, task: TrainingTask, proposal: Proposal) -> None:
        if proposal.parent is not None:
            _, file = self._trained[proposal.parent.id]
            state = load_state(self.run.folder / file)
            if state["breakdown"] is not None:
                _log.warning(
                    "the training of %s broke down: %s begins without its weights",
                    proposal.parent.id,
                    proposal.architecture.id,
                )
                return
            task.inherit(state)

    def expected_cost(self, proposal: Proposal) -> Cost:
        """See `Evaluator.expected_cost`."""
        plan = self._plan(proposal)
        steps = plan.generator_steps - self._trained_steps(proposal.architecture, plan)
        training = steps * self.run.trainer_settings.images_per_generator_step
        scoring = plan.num_images or self.run.harness.num_images
        return Cost(architectures=1, generator_steps=steps, images=training + scoring)

    def _plan(self, proposal: Proposal) -> TrainingPlan:
        if proposal.stage is not None:
            raise ConfigError(
                "evaluator=scratch trains whole networks; scores at the stages of a progressive "
                "search need evaluator=shared"
            )
        check_parent_is_kept(proposal, self._trained)
        return TrainingPlan(
            generator_steps=proposal.generator_steps or self._generator_steps,
            keep="last",
            fidelity=self.fidelity,
            num_images=self._num_images,
        )

    def _trained_steps(self, architecture: Architecture, plan: TrainingPlan) -> int:
        """Generator steps from which the training of ``plan`` can go on; 0 for none."""
        steps, _ = self._trained.get(architecture.id, (0, ""))
        return steps if steps < plan.generator_steps else 0

    def keep(self, task: TrainingTask) -> None:
        """Keep the training of a finished ``task`` for a longer one, if it is the longest yet."""
        architecture, steps = task.architecture, task.generator_steps
        if not self._is_longer_kept(architecture, steps):
            state = task.training_state()
            path = save_state(self.run.folder, f"{architecture.id}-{steps}", state)
            self._trained[architecture.id] = (steps, path.name)

    def _is_longer_kept(self, architecture: Architecture, steps: int) -> bool:
        return self._trained.get(architecture.id, (0, ""))[0] > steps

    def kept(self, architecture: Architecture) -> dict[str, Any]:
        """See `Evaluator.kept`."""
        held = self._trained.get(architecture.id)
        return {} if held is None else {"trained": list(held)}

    def adopt(self, architecture: Architecture, kept: Mapping[str, Any]) -> None:
        """See `Evaluator.adopt`; both processes keep their files in the same folder."""
        if "trained" in kept:
            steps, file = kept["trained"]
            if not self._is_longer_kept(architecture, steps):
                self._trained[architecture.id] = (steps, file)

    def state_dict(self) -> dict[str, Any]:
        """See `Evaluator.state_dict`."""
        return {"trained": {key: list(value) for key, value in self._trained.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Evaluator.load_state_dict`."""
        self._trained = {key: (steps, file) for key, (steps, file) in state["trained"].items()}


class _ScratchTask(TrainingTask):
    """A training whose networks are kept by ``keeper``, if there is one, when it has a score."""

    keeper: ScratchEvaluator | None = None

    def advance(self) -> None:
        super().advance()
        result: Evaluation | None = self.result
        if self.keeper is not None and result is not None and not result.failure:
            self.keeper.keep(self)
