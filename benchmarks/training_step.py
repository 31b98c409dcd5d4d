"""Training step of ``autogan_a``: nasgan's trainer against the plain formulation.

Plain: `benchmarks.plain_autogan`, fed by a PIL DataLoader with worker processes. nasgan: its own
trainer with its own data, eager, compiled, with CUDA graphs (``reduce-overhead``), in each
precision. First both train a small pair in float64 from equal weights and latents, and their losses
are compared. Then the variants run in turn in one process; the table gives medians and ratios.
Synthetic pixels: no data are needed.

    python benchmarks/training_step.py --threads 1
    python benchmarks/training_step.py --device cuda
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.input_pipeline import PilImages, published_batches
from benchmarks.plain_autogan import PlainDiscriminator, PlainGenerator, PlainStep
from nasgan.contracts import Supernet
from nasgan.data import ImageSet, ShuffledBatches
from nasgan.networks.initialise import initialise
from nasgan.randomness import derive_seed, seeded, torch_generator
from nasgan.training import AdversarialTrainer, TrainerSettings
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace

SIDE, LATENT_DIM, SEED = 32, 128, 0
TARGETS = {"eager": 1.25, "compiled": 1.4}  # on a CPU, batch 8 to 16
TARGET_CUDA = 3.0  # the best variant, batch 64 to 128
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


KINDS = {"off": "eager", "default": "compiled", "reduce-overhead": "compiled with CUDA graphs"}


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


def working_steps(
    images: ImageSet, batch: int, options: argparse.Namespace
) -> tuple[dict[str, Step], list[str]]:
    """The variants that run here, warmed up, and why others do not."""
    steps: dict[str, Step] = {"plain": plain_step(images, batch, options)}
    remarks = []
    for precision in options.precision:
        for mode in options.compile:
            variant = Variant(mode, precision)
            started = time.perf_counter()
            try:
                step = our_step(images, batch, variant, options)
                seconds(step, options, options.warm_up)
            except Exception as error:  # torch.compile fails in many ways; the others go on
                remarks.append(f"{variant.name}: does not run here ({_first_line(error)})")
                continue
            steps[variant.name] = step
            if mode != "off":
                spent = time.perf_counter() - started
                remarks.append(f"{variant.name}: {spent:.0f} s to compile and warm up")
    seconds(steps["plain"], options, options.warm_up)
    return steps, remarks


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]


def skipped_graphs() -> int:
    """How many graphs torch.compile refused to record as CUDA graphs, so far."""
    try:
        from torch._dynamo.utils import counters
    except ImportError:
        return 0
    return int(counters["inductor"]["cudagraph_skips"])


def measure(steps: dict[str, Step], options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds an iteration of each variant, in turn, round by round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, options, options.iterations))
    return times


def report(times: dict[str, list[float]], batch: int, n_critic: int = 5) -> dict[str, float]:
    """Print the table of one batch size; the ratio of each variant to the plain formulation.

    A ratio is the median over the rounds of the ratios within a round.
    """
    width = max(map(len, times)) + 2
    print(f"\n{f'batch {batch} / {2 * batch}':<{width}}  ms/iteration   lowest  images/s   ratio")
    ratios = {}
    for name, own in times.items():
        middle = statistics.median(own)
        ratios[name] = statistics.median(a / b for a, b in zip(times["plain"], own, strict=True))
        rate = n_critic * batch / middle
        print(
            f"{name:<{width}}  {1e3 * middle:12.1f} {1e3 * min(own):8.1f}  {rate:8.1f}"
            f"  {ratios[name]:6.2f}"
        )
    return ratios


def meets_targets(ratios: dict[str, float], device: torch.device) -> bool:
    """Print how the ratios compare with what was asked for."""
    if device.type == "cuda":
        best = max(ratios.values())
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
    add("--rounds", type=int, default=5)
    add("--iterations", type=int, help="timed together; CPU: 1, CUDA: 20")
    add("--warm-up", type=int, default=3, help="iterations before the first round")
    options = parser.parse_args(arguments)
    cuda = options.device.type == "cuda"
    options.channels = tuple(options.channels)
    options.batch = options.batch or ([64, 128] if cuda else [8, 16])
    options.compile = options.compile or (list(KINDS) if cuda else ["off", "default"])
    options.iterations = options.iterations or (20 if cuda else 1)
    if not options.precision:
        options.precision = ["float32"]
        if cuda:
            options.precision += ["tf32", *(["bf16"] if torch.cuda.is_bf16_supported() else [])]
    return options


def main(arguments: list[str] | None = None) -> int:
    """Check, measure and print; return 0 if the losses are equal and the targets met."""
    options = parsed(arguments)
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
        skipped = skipped_graphs()
        steps, remarks = working_steps(images, batch, options)
        ratios = report(measure(steps, options), batch)
        met &= meets_targets(ratios, device)
        if skipped_graphs() > skipped:
            remarks.append(f"{skipped_graphs() - skipped} graphs were not run as CUDA graphs")
        print("\n".join(remarks))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
