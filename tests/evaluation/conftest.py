from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nasgan.contracts import Budget, Ledger, Objective
from nasgan.data import ImageSet
from nasgan.errors import TrainingDiverged
from nasgan.evaluation import Run
from nasgan.metrics import GeneratedImages, Scores
from nasgan.testing.toy_space import ToySpace
from nasgan.training import TrainerSettings

CPU = torch.device("cpu")


class BrightnessHarness:
    """Stands for the metrics: scores images by their mean brightness, and keeps them."""

    num_images = 20
    metrics = ("fid", "is")

    def __init__(self) -> None:
        self.drawn: list[Tensor] = []

    def evaluate(
        self, sample: Callable[[int], GeneratedImages], *, num_images: int | None = None
    ) -> Scores:
        count = self.num_images if num_images is None else num_images
        images = torch.cat([sample(min(8, count - k)).images for k in range(0, count, 8)])
        self.drawn.append(images)
        return Scores({"fid": float(images.double().mean()), "is": 1.0})

    def evaluate_each(
        self,
        samplers: Sequence[Callable[[int], GeneratedImages]],
        *,
        num_images: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> list[Scores | TrainingDiverged]:
        outcomes: list[Scores | TrainingDiverged] = []
        for sample in samplers:
            try:
                scores = self.evaluate(sample, num_images=num_images)
            except TrainingDiverged as error:
                outcomes.append(error)
                continue
            wanted = self.metrics if metrics is None else metrics
            outcomes.append(Scores({name: scores[name] for name in wanted}))
        return outcomes


@pytest.fixture
def space() -> ToySpace:
    return ToySpace()


@pytest.fixture
def make_context(space: ToySpace, tmp_path: Path) -> Callable[..., Run]:
    """Makes what evaluators get: ``make_context(direction="max", generator_steps=5)``."""
    shape = (20, 1, 4, 4)
    pixels = torch.randint(256, shape, generator=torch.Generator().manual_seed(0))
    images = ImageSet("noise", pixels.to(torch.uint8))

    def make(
        *,
        space: Any = space,
        images: ImageSet = images,
        direction: Any = "min",
        trainer: dict[str, Any] | None = None,
        **limits: float,
    ) -> Run:
        sizes = {"n_critic": 2, "generator_batch_size": 6, "discriminator_batch_size": 4}
        settings = TrainerSettings(**{**sizes, "lr_generator": 0.01, **(trainer or {})})
        return Run(
            space=space,
            images=images,
            trainer_settings=settings,
            harness=BrightnessHarness(),  # type: ignore[arg-type]
            objective=Objective("fid", direction),
            ledger=Ledger(Budget(**limits)),
            seed=0,
            device=CPU,
            folder=tmp_path,
        )

    return make


@pytest.fixture
def assert_same() -> Callable[[Any, Any], None]:
    """Fails unless two states are equal bit for bit, device seconds aside."""

    def check(a: Any, b: Any, where: str = "state") -> None:
        if isinstance(a, Tensor):
            assert torch.equal(a, b), where
        elif isinstance(a, dict):
            assert list(a) == list(b), where
            for key in a:
                if key != "device_seconds":
                    check(a[key], b[key], f"{where}[{key!r}]")
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b), where
            for k, (x, y) in enumerate(zip(a, b, strict=True)):
                check(x, y, f"{where}[{k}]")
        else:
            assert a == b, where

    return check
