"""Scores on a device, and a short training that they judge. Stages of `gpu_acceptance`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_acceptance_checks import (
    Check,
    FailedCheckError,
    Figures,
    Settings,
    SkippedCheckError,
)
from benchmarks.gpu_acceptance_numbers import pixels
from benchmarks.gpu_acceptance_speed import peak_memory, wait
from nasgan.data import ImageSet, load_digits, load_npz
from nasgan.engine.device import prepared_torch
from nasgan.evaluation.sampling import evaluation_mode, image_sampler, images_of
from nasgan.evaluation.training_task import DerivedPair
from nasgan.metrics import (
    FeatureExtractor,
    Features,
    MetricHarness,
    Protocol,
    ReferenceStatistics,
    Scores,
    build_harness,
    is_available,
    make_features,
)
from nasgan.randomness import torch_generator
from nasgan.training import AdversarialTrainer, TrainerSettings
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace

__all__ = ["metrics", "train"]

LIMIT = 1e-8  # relative: features and scores are computed in float64
LATENT_DIM, SEED = 128, 0
_SCORING_SECONDS = 15.0  # kept free after the training, on a GPU
_LEARNS_AFTER = 200  # generator steps after which a score worse than noise's is a fault


def score_agreement(device: torch.device, folder: Path, count: int) -> Figures:
    """All scores of the same images on the CPU and on the device, with the digits' features.

    Raises:
        FailedCheckError: they differ.
    """
    images = pixels(2 * count)
    real, generated = ImageSet("real", images.images[:count]), images.images[count:]
    both = []
    for where in ("cpu", device):
        extractor = make_features("digits", device=where)
        harness = build_harness(real, extractor, num_images=count, cache_dir=folder / str(where))
        both.append(harness.score(extractor(generated)))
    expected, found = both
    figures = {
        name: abs(found[name] - value) / max(abs(value), 1e-3) for name, value in expected.items()
    }
    if not all(difference <= LIMIT for difference in figures.values()):
        raise FailedCheckError(f"differs from the CPU by more than {LIMIT:g}", figures)
    return figures


class GivenFeatures(FeatureExtractor):
    """Stands for the network whose features are at hand: as wide as Inception's."""

    name = "given"
    dim = 2048
    num_logits = 1008

    def __init__(self, device: torch.device) -> None:
        super().__init__(device=device, batch_size=1)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError("there is no network")

    def weights(self) -> Mapping[str, Tensor]:
        return {}

    def preprocessing(self) -> str:
        return "none"


def score_speed(device: torch.device, count: int) -> Figures:
    """Seconds and memory of all scores of ``count`` images, from features at hand."""
    random = torch_generator(SEED, "features", device=device)

    def normal(width: int) -> Tensor:
        return torch.randn((count, width), generator=random, device=device)

    real, generated = normal(GivenFeatures.dim), normal(GivenFeatures.dim)
    logits = normal(GivenFeatures.num_logits)
    wait(device)
    began = time.perf_counter()
    reference = ReferenceStatistics.from_features(real, num_generated=count)
    protocol = Protocol("random", "train", count, GivenFeatures.name)
    harness = MetricHarness(GivenFeatures(device), reference, num_images=count, protocol=protocol)
    wait(device)
    prepared = time.perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    harness.score(Features(generated, logits))
    wait(device)
    figures = {"reference_s": prepared - began, "score_s": time.perf_counter() - prepared}
    return figures | peak_memory(device)


def metrics(settings: Settings) -> Iterator[Check]:
    """The checks of the stage."""
    device, folder = torch.device(settings.device), Path(settings.work)
    agreement = partial(score_agreement, device, folder, 200 if settings.smoke else 2000)
    yield Check("all scores of the same images", agreement)
    if not settings.smoke:
        speed = partial(score_speed, device, 50_000)
        yield Check("all scores, 50,000 x 2,048", speed, needs=5, limit=60)


def _images(settings: Settings) -> ImageSet:
    if settings.images is None:
        return load_digits(32).train
    return load_npz(settings.images, image_size=32).train


def _features(images: ImageSet, own: bool) -> str:
    """The extractor for the images.

    Raises:
        SkippedCheckError: there is none for them.
    """
    if own:
        return "digits"
    for name in ("lite0", "inceptionv3"):
        if is_available(name)[0]:
            return name
    raise SkippedCheckError(f"no features for {images.name}: neither lite0 nor inceptionv3 is here")


def _new_trainer(images: ImageSet, device: torch.device, *, smoke: bool) -> AdversarialTrainer:
    channels, batches = ((16, 8), (8, 4)) if smoke else ((256, 128), (128, 64))
    space = AutoGANSpace(
        image_size=32,
        image_channels=images.images.shape[1],
        generator_channels=channels[0],
        discriminator_channels=channels[1],
        latent_dim=LATENT_DIM,
    )
    architecture = space.architecture(AUTOGAN_A)
    return AdversarialTrainer(
        DerivedPair(space, architecture, seed=SEED, initialisation="xavier_uniform"),
        images,
        TrainerSettings(generator_batch_size=batches[0], discriminator_batch_size=batches[1]),
        latent_dim=LATENT_DIM,
        seed=SEED,
        device=device,
    )


def _scores(trainer: AdversarialTrainer, harness: MetricHarness) -> Scores:
    generator = trainer.evaluated_generator
    sample = image_sampler(
        images_of(generator),
        latent_dim=LATENT_DIM,
        num_classes=0,
        seed=SEED,
        device=trainer.device,
    )
    with evaluation_mode(generator):
        return harness.evaluate(sample)


def training(settings: Settings) -> Figures:
    """Train ``autogan_a`` for what is left of the box, and score it before and after.

    Raises:
        FailedCheckError: it has not learnt.
        SkippedCheckError: see `_features`.
    """
    device, smoke = torch.device(settings.device), settings.smoke
    images = _images(settings)
    name = _features(images, own=settings.images is None)
    with prepared_torch({"threads": None, "deterministic": False}, device):
        trainer = _new_trainer(images, device, smoke=smoke)
        extractor = make_features(name, device=device)
        count = 100 if smoke else min(10_000, 2 * len(images))
        harness = build_harness(
            images.to(device), extractor, num_images=count, cache_dir=Path(settings.work)
        )
        before = _scores(trainer, harness)
        began = time.perf_counter()
        while trainer.generator_steps < 2 or not (smoke or settings.left < _SCORING_SECONDS):
            trainer.iteration()
        trainer.check_health()
        wait(device)
        seconds, memory = time.perf_counter() - began, peak_memory(device)
        after = _scores(trainer, harness)
    steps = trainer.generator_steps
    figures: dict[str, Any] = {"steps": steps, "seconds": seconds, **memory}
    figures |= {"fid_before": before["fid"], "fid_after": after["fid"], "is_after": after["is"]}
    figures["protocol"] = harness.protocol.id
    if steps >= _LEARNS_AFTER and not after["fid"] < before["fid"]:
        raise FailedCheckError("the images have not become better", figures)
    return figures


def train(settings: Settings) -> Iterator[Check]:
    """The check of the stage."""
    yield Check("autogan_a, scored", partial(training, settings), needs=40, limit=240)
