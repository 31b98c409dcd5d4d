"""Are a device's numbers right, and the same each time? Stages of `gpu_acceptance`.

``agree`` trains each kind of network in float64 on the CPU and on the device, from equal initial
values, images and random numbers. ``repeat`` trains twice on the device, as trainings do by
default, and compares bits; and the batches of images that stay on the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from benchmarks.gpu_acceptance_checks import Check, FailedCheckError, Figures, Settings
from nasgan.contracts import DrawnWeights, Ledger, Part, SearchSpace, TrainingSteps
from nasgan.data import ImageSet, ShuffledBatches, placement
from nasgan.engine.device import prepared_torch
from nasgan.evaluation.training_task import DerivedPair
from nasgan.networks.initialise import initialise
from nasgan.randomness import numpy_generator, seeded, torch_generator
from nasgan.training import AdversarialTrainer, ChargedTrainer, TrainerSettings
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_search_spaces.agan.space import AGANSpace
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_search_spaces.baselines.space import BaselinesSpace

__all__ = ["Case", "agree", "agreement", "pixels", "repeat", "stepper", "trainer_of"]

SPACES: dict[str, Callable[..., SearchSpace]] = {
    "autogan": AutoGANSpace,
    "adversarial_nas": AdversarialNASSpace,
    "agan": AGANSpace,
    "baselines": BaselinesSpace,
}
MODES = ("derived", "path", "soft")
# Relative, in float64, after two iterations. Parameters without an influence, such as biases before
# batch norm, have rounding errors for gradients, which Adam makes into steps: 7e-9 was seen.
LIMITS = {"losses": 1e-8, "architecture": 1e-8, "networks": 1e-6}
SMALLEST = 1e-3  # tensors below are compared absolutely
SEED = 3

Step = Callable[[], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """What is trained and how.

    Attributes:
        space: name of a search space.
        mode: ``derived`` networks, a supernet on a sampled ``path``, or a ``soft`` one, whose
            options are mixed by weights with gradients.
        loss: of the trainer.
        classes: of class-conditional networks, or 0.
        channels: of the generator and the discriminator.
        latent_dim: length of z.
    """

    space: str
    mode: str
    loss: str = "hinge"
    classes: int = 0
    channels: tuple[int, int] = (8, 8)
    latent_dim: int = 12

    def __str__(self) -> str:
        conditional = ["conditional"] if self.classes else []
        return " ".join([self.space, self.mode, self.loss, *conditional])


def pixels(count: int, classes: int = 0) -> ImageSet:
    """Random colour images of 32 x 32, with labels if there are classes."""
    random = torch_generator(SEED, "images")
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=random)
    labels = torch.arange(count) % classes if classes else None
    return ImageSet("random", images, labels, num_classes=classes)


def trainer_of(
    case: Case,
    settings: TrainerSettings,
    device: torch.device,
    *,
    dtype: torch.dtype = torch.float32,
    images: int = 32,
) -> tuple[SearchSpace, AdversarialTrainer]:
    """Fresh networks, the same at each call, and their trainer."""
    space = SPACES[case.space](
        image_size=32,
        image_channels=3,
        generator_channels=case.channels[0],
        discriminator_channels=case.channels[1],
        latent_dim=case.latent_dim,
        num_classes=case.classes,
    )
    if case.mode == "derived":
        architecture = space.sample(numpy_generator(SEED, "architecture"))
        pair: Any = DerivedPair(space, architecture, seed=SEED, initialisation="xavier_uniform")
    else:
        with seeded(SEED, "supernet"):
            pair = space.build_supernet()
            initialise(pair, "xavier_uniform")
    trainer = AdversarialTrainer(
        pair.to(dtype),
        pixels(images, case.classes),
        settings,
        latent_dim=case.latent_dim,
        num_classes=case.classes,
        seed=SEED,
        device=device,
        compile_networks=case.mode == "derived",
    )
    return space, trainer


class SoftSteps:
    """Iterations in the order of AdversarialNAS, whose logits collect gradients and do not move.

    Args:
        space: of the supernet.
        trainer: of the supernet.
        dtype: of the logits.
    """

    def __init__(self, space: SearchSpace, trainer: AdversarialTrainer, dtype: torch.dtype) -> None:
        random = numpy_generator(SEED, "logits")
        self.logits = {
            d.name: torch.tensor(random.standard_normal(len(d.options)), dtype=dtype)
            .to(trainer.device)
            .requires_grad_()
            for d in space.decisions
        }
        self._space = space
        self._trainer = trainer

    def __call__(self) -> tuple[Tensor, Tensor]:
        """One iteration; its losses."""
        charged = ChargedTrainer(self._trainer, self._space, Ledger())
        losses = charged.train_by(self._iteration, generator_steps=1)
        wide = [
            torch.tensor(each, dtype=torch.float64)
            for each in (losses.discriminator, losses.generator[0])
        ]
        return wide[0], wide[1]

    def _iteration(self, steps: TrainingSteps) -> None:
        for critic_step in range(steps.n_critic):
            for_weights, for_architecture = steps.real_images(parts=2)
            if self._weights("discriminator") is not None:
                learned = self._drawn(learning="discriminator")
                loss = steps.discriminator_loss(for_architecture, learned, for_architecture=True)
                torch.autograd.backward(loss)
            fixed = self._drawn(learning=None)
            steps.update_discriminator(steps.discriminator_loss(for_weights, fixed))
            if critic_step == 0:
                learned = self._drawn(learning="generator")
                torch.autograd.backward(steps.generator_loss(learned, for_architecture=True))
                steps.update_generator(steps.generator_loss(fixed))

    def _weights(self, part: Part) -> list[Tensor] | None:
        found = [self.logits[d.name].softmax(0) for d in self._space.part_decisions(part)]
        return found or None

    def _drawn(self, learning: Part | None) -> DrawnWeights:
        def draw(part: Part) -> list[Tensor]:
            weights = self._weights(part) or []
            return weights if part == learning else [w.detach() for w in weights]

        parts: tuple[Part, ...] = ("generator", "discriminator")
        return DrawnWeights(draw, tuple(p for p in parts if self._space.part_decisions(p)))


def stepper(
    case: Case, space: SearchSpace, trainer: AdversarialTrainer, dtype: torch.dtype = torch.float32
) -> Step:
    """What does one iteration of the case."""
    if case.mode == "derived":
        return trainer.iteration
    if case.mode == "soft":
        return SoftSteps(space, trainer, dtype)
    paths = numpy_generator(SEED, "paths")
    return lambda: trainer.iteration(lambda: space.one_hot(space.sample(paths)))


def trained(
    case: Case,
    settings: TrainerSettings,
    device: torch.device,
    *,
    iterations: int,
    dtype: torch.dtype = torch.float32,
) -> dict[str, dict[str, Tensor]]:
    """Losses, gradients of architecture weights and final networks of some iterations, on the CPU.

    Returns:
        Tensors by name, in the groups ``losses``, ``architecture`` and ``networks``.
    """
    space, trainer = trainer_of(case, settings, device, dtype=dtype)
    step = stepper(case, space, trainer, dtype)
    losses = [torch.cat([d, g[None]]) for d, g in (step() for _ in range(iterations))]
    gradients: dict[str, Tensor] = {}
    if isinstance(step, SoftSteps):
        gradients = {k: x.grad for k, x in step.logits.items() if x.grad is not None}
    networks = {
        f"{name} {key}": value
        for name in ("generator", "discriminator")
        for key, value in getattr(trainer, name).state_dict().items()
    }
    groups = {"losses": {"all": torch.stack(losses)}, "architecture": gradients}
    groups["networks"] = networks
    return {
        group: {key: value.detach().cpu() for key, value in tensors.items()}
        for group, tensors in groups.items()
    }


class NumbersOfTheCpu(TorchFunctionMode):
    """Random numbers are drawn on the CPU and moved: the same on every device.

    Each generator has a twin on the CPU that begins at the same seed.
    """

    _DRAWS = (torch.randn, torch.rand, torch.randint, torch.randperm)

    def __init__(self) -> None:
        super().__init__()
        self._twins: dict[torch.Generator, torch.Generator] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        generator = given.get("generator")
        if func not in self._DRAWS or generator is None:
            return func(*args, **given)
        if generator not in self._twins:
            twin = torch.Generator().manual_seed(generator.initial_seed())
            self._twins[generator] = twin
        device = given.pop("device", None)
        return func(*args, **{**given, "generator": self._twins[generator]}).to(device)


def largest_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """Relative to the largest value of each tensor, or to `SMALLEST`; NaN if one is."""
    differences = [
        (found[key].double() - value.double()).abs().max()
        / value.double().abs().max().clamp_min(SMALLEST)
        for key, value in expected.items()
        if value.numel()
    ]
    return float(torch.stack(differences).max()) if differences else 0.0


def agreement(case: Case, device: torch.device) -> Figures:
    """The largest differences between the CPU and the device, by group.

    Raises:
        FailedCheckError: one is above the limit.
    """
    settings = TrainerSettings(
        loss=case.loss,
        generator_batch_size=6,
        discriminator_batch_size=6,
        n_critic=2,
        precision="float32",
        joint_discriminator_pass=True,
    )
    both = []
    for where in (torch.device("cpu"), device):
        with NumbersOfTheCpu():
            both.append(trained(case, settings, where, iterations=2, dtype=torch.float64))
    expected, found = both
    figures = {group: largest_difference(expected[group], found[group]) for group in expected}
    wrong = [group for group, value in figures.items() if not value <= LIMITS[group]]
    if wrong:
        raise FailedCheckError(f"{' and '.join(wrong)} differ from the CPU's", figures)
    return figures


def agree(settings: Settings) -> Iterator[Check]:
    """The checks of the stage."""
    slow = Case("agan", "soft")  # on the CPU
    cases = [Case(space, mode) for mode in MODES for space in SPACES]
    cases.remove(slow)
    cases += [Case(space, "derived", classes=4) for space in SPACES]
    cases += [
        Case("autogan", "derived", "wasserstein_gp"),
        Case("adversarial_nas", "soft", "wasserstein_gp"),
        Case("autogan", "derived", "relativistic_hinge"),
        slow,
    ]
    if settings.smoke:
        cases = [Case("autogan", "derived"), Case("baselines", "path")]
    device = torch.device(settings.device)
    for case in cases:
        needs, limit = (15, 80) if case == slow else (3, 40)
        yield Check(str(case), partial(agreement, case, device), needs, limit)


def repetition(
    case: Case, device: torch.device, *, compiled: str = "off", smoke: bool = False
) -> Figures:
    """Train twice, as ``deterministic=true`` does.

    Raises:
        FailedCheckError: some bits differ.
    """
    batch, iterations = (4, 2) if smoke else (32, 5)
    settings = TrainerSettings(
        generator_batch_size=batch,
        discriminator_batch_size=batch,
        compile=compiled,  # type: ignore[arg-type]  # one of its modes
    )
    config = {"threads": None, "deterministic": True, "trainer": {"compile": compiled}}
    with prepared_torch(config, device):
        first, second = (trained(case, settings, device, iterations=iterations) for _ in range(2))
    tensors = [(a, second[group][key]) for group in first for key, a in first[group].items()]
    different = sum(not torch.equal(a, b) for a, b in tensors)
    figures = {"tensors": len(tensors), "different": different}
    if different:
        raise FailedCheckError("a repetition differs", figures)
    return figures


def images_on_host(device: torch.device, *, smoke: bool) -> Figures:
    """Batches of images that lie on the device, and of the same ones that stay on the host.

    Raises:
        FailedCheckError: they differ.
    """
    count, batches = (64, 10) if smoke else (20_000, 600)
    shape = (count, 3, 32, 32)
    noise = torch.randint(256, shape, generator=torch_generator(SEED, "images"), dtype=torch.uint8)
    image_set = ImageSet("noise", noise, torch.arange(count) % 10)
    figures: dict[str, Any] = {"batches": batches}
    found: dict[str, list[Tensor]] = {}
    for place, memory in (("device", None), ("host", 0)):
        with patch.object(placement, "_memory", lambda _, memory=memory: memory):
            stream = ShuffledBatches(image_set, 64, seed=SEED, device=device)
        stream.next()
        began = time.perf_counter()
        # Of each image its sum, of the last ones all.
        drawn = [stream.next() for _ in range(batches)]
        sums = torch.stack([batch.images.double().sum((1, 2, 3)) for batch in drawn]).cpu()
        figures[f"seconds_{place}"] = time.perf_counter() - began
        labels = [batch.labels for batch in drawn[-1:] if batch.labels is not None]
        found[place] = [sums, drawn[-1].images.cpu(), *(each.cpu() for each in labels)]
    pairs = zip(found["device"], found["host"], strict=True)
    figures["equal"] = all(torch.equal(*pair) for pair in pairs)
    if not figures["equal"]:
        raise FailedCheckError("batches of images on the host are others", figures)
    return figures


def repeat(settings: Settings) -> Iterator[Check]:
    """The checks of the stage."""
    channels = (8, 8) if settings.smoke else (32, 32)
    cases = [Case(space, mode, channels=channels) for mode in MODES for space in SPACES]
    device = torch.device(settings.device)
    for case in cases[: 1 if settings.smoke else None]:
        yield Check(str(case), partial(repetition, case, device, smoke=settings.smoke))
    yield Check("images on the host", partial(images_on_host, device, smoke=settings.smoke))
    if device.type == "cuda":
        case = Case("autogan", "derived", channels=channels)
        graphs = partial(repetition, case, device, compiled="reduce-overhead")
        yield Check("autogan derived, CUDA graphs", graphs, needs=40, limit=120)
