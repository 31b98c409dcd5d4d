"""Training step of ``autogan_a``: nasgan's trainer against the plain formulation.

Plain: `benchmarks.plain_autogan`, fed by a PIL DataLoader with worker processes. nasgan: its own
trainer with its own data, eager, compiled, with CUDA graphs (``reduce-overhead``), in each
precision. First both train a small pair in float64 from equal weights and latents, and their losses
are compared. Then each variant runs in turns with the plain formulation in one process; the table
gives medians, ratios and how many graphs torch.compile has made: a compiled variant without any, or
with some that were not run as CUDA graphs where it is named after them, fails. Synthetic pixels: no
data are needed.

    python benchmarks/training_step.py --threads 1
    python benchmarks/training_step.py --device cuda
    python benchmarks/training_step.py --device cuda --lease     # four minutes at most
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._dynamo.utils import counters

from benchmarks.input_pipeline import PilImages, published_batches
from benchmarks.plain_autogan import PlainDiscriminator, PlainGenerator, PlainStep
from nasgan.contracts import Supernet
from nasgan.contracts.trainer_settings import CUDA_GRAPHS
from nasgan.data import ImageSet, ShuffledBatches
from nasgan.networks.initialise import initialise
from nasgan.randomness import derive_seed, seeded, torch_generator
from nasgan.training import AdversarialTrainer, TrainerSettings
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace

SIDE, LATENT_DIM, SEED = 32, 128, 0
TARGETS = {"eager": 1.25, "compiled": 1.4}  # on a CPU, batch 8 to 16
TARGET_CUDA = 3.0  # the best variant, batch 64 to 128
LEASE_SECONDS = 225.0  # python and torch have to start, too
CHECK_CHANNELS, CHECK_BATCH, CHECK_STEPS, TOLERANCE = (24, 16), 4, 3, 1e-8

Step = Callable[[], object]

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Variant:
    """One way to run nasgan's trainer."""

    compile: str
    precision: str

    @property
    def name(self) -> str:
        """As in the table."""
        return f"nasgan, {KINDS.get(self.compile, self.compile)}, {self.precision}"


KINDS = {"off": "eager", "reduce-overhead": "compiled with CUDA graphs", "default": "compiled"}


def networks(channels: tuple[int, int]) -> Supernet:
    """A fresh pair with the same initial values at every call."""
    space = AutoGANSpace(
        image_size=SIDE,
        generator_channels=channels[0],
        discriminator_channels=channels[1],
        latent_dim=LATENT_DIM,
    )
    with seeded(SEED):
        generator = space.build_generator(AUTOGAN_A)
        discriminator = space.build_discriminator(AUTOGAN_A)
        initialise(generator, "xavier_uniform")
    return Supernet(generator, discriminator)


def plain_networks(channels: tuple[int, int]) -> tuple[PlainGenerator, PlainDiscriminator]:
    """The plain pair with the values of `networks`."""
    pair = networks(channels)
    generator = PlainGenerator(channels[0], LATENT_DIM, SIDE // 8)
    discriminator = PlainDiscriminator(channels[1])
    discriminator.load_state_dict(pair.discriminator.state_dict())
    theirs, ours = generator.state_dict(), pair.generator.state_dict()
    with torch.no_grad():
        for target, source in zip(theirs.values(), ours.values(), strict=True):
            target.copy_(source)
    return generator, discriminator


def settings(batch: int, variant: Variant) -> TrainerSettings:
    """AutoGAN's published settings with another batch."""
    return TrainerSettings(
        discriminator_batch_size=batch,
        generator_batch_size=2 * batch,
        precision="bf16" if variant.precision == "bf16" else "float32",
        tf32=variant.precision != "float32",
        compile=variant.compile,  # type: ignore[arg-type]  # one of argparse's choices
    )


def largest_difference(images: ImageSet, device: torch.device) -> float:
    """Between the losses of both formulations in float64, relative."""
    generator, discriminator = plain_networks(CHECK_CHANNELS)
    order = derive_seed(SEED, "data order")
    stream = ShuffledBatches(images, CHECK_BATCH, seed=order, device=device, dtype=torch.float64)
    plain = PlainStep(
        generator.double().to(device).train(),
        discriminator.double().to(device).train(),
        (batch.images for batch in iter(stream.next, None)),
        torch_generator(SEED, "latents", device=device),
    )
    ours = AdversarialTrainer(
        networks(CHECK_CHANNELS).double(),
        images,
        settings(CHECK_BATCH, Variant("off", "float32")),
        latent_dim=LATENT_DIM,
        seed=SEED,
        device=device,
    )
    largest = 0.0
    for _ in range(CHECK_STEPS):
        for expected, found in zip(plain(), ours.iteration(), strict=True):
            largest = max(largest, float((found.mean() - expected).abs() / expected.abs()))
    return largest


def endless(images: PilImages, batch: int, workers: int, device: torch.device) -> Iterator[Tensor]:
    """Epoch after epoch of the published DataLoader."""
    while True:
        yield from published_batches(images, batch, workers, device)


def plain_step(images: ImageSet, batch: int, options: argparse.Namespace) -> Step:
    """The plain iteration, under torch's own choice of TF32."""
    device = options.device
    generator, discriminator = plain_networks(options.channels)
    step = PlainStep(
        generator.to(device).train(),
        discriminator.to(device).train(),
        endless(PilImages(images.images), batch, options.workers, device),
        torch_generator(SEED, "latents", device=device),
    )

    def run() -> object:
        allow_tf32(matrices=False, convolutions=True)
        return step()

    return run


def our_step(images: ImageSet, batch: int, variant: Variant, options: argparse.Namespace) -> Step:
    """An iteration of the trainer."""
    trainer = AdversarialTrainer(
        networks(options.channels),
        images,
        settings(batch, variant),
        latent_dim=LATENT_DIM,
        seed=SEED,
        device=options.device,
    )
    tf32 = trainer.settings.tf32

    def run() -> object:
        allow_tf32(matrices=tf32, convolutions=tf32)
        return trainer.iteration()

    return run


def allow_tf32(*, matrices: bool, convolutions: bool) -> None:
    """Set the switches that the variants of this process share."""
    torch.backends.cuda.matmul.allow_tf32 = matrices
    torch.backends.cudnn.allow_tf32 = convolutions


def seconds(step: Step, options: argparse.Namespace, iterations: int) -> float:
    """Mean time of an iteration."""
    clock = CLOCKS[options.clock]
    _wait(options.device)
    started = clock()
    for _ in range(iterations):
        step()
    _wait(options.device)
    return (clock() - started) / iterations


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Figures:
    """What was measured of a variant.

    Attributes:
        plain: seconds an iteration of the plain formulation, round by round.
        own: those of the variant.
        graphs: that torch.compile has made of it.
        skipped: of these, how many it refused to run as CUDA graphs.
        warm_up: seconds until the first round: compilation.
    """

    plain: list[float]
    own: list[float]
    graphs: int
    skipped: int
    warm_up: float

    @property
    def ratio(self) -> float:
        """How many times faster than plain: the median of the ratios within a round."""
        return statistics.median(a / b for a, b in zip(self.plain, self.own, strict=True))


def measured(
    variant: Variant, plain: Step, images: ImageSet, options: argparse.Namespace
) -> Figures:
    """The variant in turns with the plain formulation, which is warm."""
    counts = graph_counts()
    started = time.perf_counter()
    step = our_step(images, options.batch_size, variant, options)
    seconds(step, options, options.warm_up)
    warm_up = time.perf_counter() - started
    rounds = [
        (seconds(plain, options, options.iterations), seconds(step, options, options.iterations))
        for _ in range(options.rounds)
    ]
    graphs, skipped = (new - old for new, old in zip(graph_counts(), counts, strict=True))
    return Figures([a for a, _ in rounds], [b for _, b in rounds], graphs, skipped, warm_up)


def graph_counts() -> tuple[int, int]:
    """How many graphs torch.compile has made, and refused to run as CUDA graphs, so far."""
    return int(counters["stats"]["unique_graphs"]), int(counters["inductor"]["cudagraph_skips"])


def fault(variant: Variant, found: Figures, device: torch.device) -> str:
    """Why the figures are not those of what the variant is called; empty if they are."""
    if variant.compile == "off":
        return ""
    if not found.graphs:
        return "torch.compile has made no graph: these are eager figures"
    if variant.compile in CUDA_GRAPHS and device.type == "cuda" and found.skipped:
        return f"{found.skipped} graphs were not run as CUDA graphs"
    return ""


def table(
    images: ImageSet, options: argparse.Namespace, ends: float
) -> tuple[dict[str, Figures], list[str], bool]:
    """Measure and print the variants, those first that tell most.

    Args:
        images: to train on.
        options: with the ``batch_size``.
        ends: the moment (`time.perf_counter`) by which all has to be over.

    Returns:
        The figures by variant, remarks, and whether all variants were what they are called.
    """
    plain = plain_step(images, options.batch_size, options)
    seconds(plain, options, options.warm_up)
    heading = f"batch {options.batch_size} / {2 * options.batch_size}"
    print(f"\n{heading:<45}  ms/iteration   lowest  images/s   ratio  graphs")
    figures: dict[str, Figures] = {}
    remarks = []
    honest = True
    longest = {True: 0.0, False: 0.0}  # of those compiled, and eager
    for variant in [Variant(m, p) for p in options.precision for m in options.compile]:
        started = time.perf_counter()
        if started + longest[variant.compile != "off"] > ends:
            remarks.append(f"{variant.name}: left out, the time is up")
            continue
        try:
            found = measured(variant, plain, images, options)
        except Exception as error:  # torch.compile fails in many ways; the others go on
            remarks.append(f"{variant.name}: does not run here ({_first_line(error)})")
            continue
        took = time.perf_counter() - started
        longest[variant.compile != "off"] = max(took, longest[variant.compile != "off"])
        figures[variant.name] = found
        print(_row(variant.name, found.own, options.batch_size, found))
        wrong = fault(variant, found, options.device)
        honest &= not wrong
        remarks += [f"{variant.name}: FAILED, {wrong}"] if wrong else []
        if variant.compile != "off":
            remarks.append(f"{variant.name}: {found.warm_up:.0f} s to compile and warm up")
    if figures:
        every = [own for found in figures.values() for own in found.plain]
        print(_row("plain", every, options.batch_size))
    return figures, remarks, honest


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]


def _row(
    name: str, times: list[float], batch: int, found: Figures | None = None, n_critic: int = 5
) -> str:
    middle = statistics.median(times)
    rate = n_critic * batch / middle
    ratio, graphs = ("", "") if found is None else (f"{found.ratio:.2f}", f"{found.graphs}")
    return (
        f"{name:<45}  {1e3 * middle:12.1f} {1e3 * min(times):8.1f}  {rate:8.1f}  {ratio:>6}"
        f"  {graphs:>6}"
    )


def meets_targets(ratios: dict[str, float], device: torch.device) -> bool:
    """Print how the ratios compare with what was asked for."""
    if device.type == "cuda":
        best = max(ratios.values(), default=0.0)
        print(f"best variant: {best:.2f} (target {TARGET_CUDA})")
        return best >= TARGET_CUDA
    met = True
    for kind, target in TARGETS.items():
        for name, ratio in ratios.items():
            if name == f"nasgan, {kind}, float32":
                print(f"{kind}: {ratio:.2f} (target {target})")
                met &= ratio >= target
    return met


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The options, with defaults that fit the device."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--device", type=torch.device, default=torch.device("cpu"))
    add("--batch", type=int, nargs="+", help="real images a critic step; CPU: 8 16, CUDA: 64 128")
    add("--channels", type=int, nargs=2, default=(256, 128), metavar=("G", "D"))
    add("--compile", nargs="+", choices=list(KINDS), help="CPU: off default; CUDA: all")
    add("--precision", nargs="+", choices=["float32", "tf32", "bf16"], help="CPU: float32")
    add("--threads", type=int, help="of torch; default: its own choice")
    # The CPU clock holds still while others use the machine. It does not see the loader's workers.
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu: for busy machines, 1 thread")
    add("--workers", type=int, default=2, help="of the PIL DataLoader")
    add("--rounds", type=int, default=5, help="of each variant and the plain formulation in turns")
    add("--iterations", type=int, help="timed together; CPU: 1, CUDA: 20")
    add("--warm-up", type=int, default=3, help="iterations before the first round")
    add("--lease", action="store_true", help="end within 4 minutes: one batch, 3 short rounds")
    options = parser.parse_args(arguments)
    cuda = options.device.type == "cuda"
    if options.lease:
        options.rounds = min(options.rounds, 3)
        options.batch = options.batch or ([64] if cuda else [8])
        options.iterations = options.iterations or (10 if cuda else 1)
    options.channels = tuple(options.channels)
    options.batch = options.batch or ([64, 128] if cuda else [8, 16])
    options.compile = options.compile or (list(KINDS) if cuda else ["off", "default"])
    options.iterations = options.iterations or (20 if cuda else 1)
    if not options.precision:
        options.precision = ["float32"]
        if cuda:
            has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            options.precision = [*(["bf16"] if has_bf16 else []), "tf32", "float32"]
    return options


def main(arguments: list[str] | None = None) -> int:
    """Check, measure and print; return 0 if the losses are equal and the targets met."""
    options = parsed(arguments)
    ends = time.perf_counter() + LEASE_SECONDS if options.lease else math.inf
    if options.threads:
        torch.set_num_threads(options.threads)
    random = torch.Generator().manual_seed(SEED)
    pixels = torch.randint(0, 256, (10_000, 3, SIDE, SIDE), dtype=torch.uint8, generator=random)
    images = ImageSet("synthetic", pixels)

    device = options.device
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"autogan_a, {options.channels[0]}/{options.channels[1]} channels, {SIDE}x{SIDE}, 5 critic "
        f"steps an iteration; {hardware}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, {options.rounds} rounds, {options.clock} clock"
    )
    difference = largest_difference(images, device)
    met = difference <= TOLERANCE
    print(
        f"losses of {CHECK_STEPS} iterations in float64 against the plain formulation: "
        f"{'equal' if met else 'DIFFERENT'}, {difference:.1e} (limit {TOLERANCE:g})"
    )
    for batch in options.batch:
        options.batch_size = batch
        figures, remarks, honest = table(images, options, ends)
        met &= honest and meets_targets({k: v.ratio for k, v in figures.items()}, device)
        print("\n".join(remarks))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
