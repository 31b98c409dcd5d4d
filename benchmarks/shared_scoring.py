"""What scoring with shared weights costs beyond the images and their features.

Several candidates of the AutoGAN space are scored in one group by `SharedEvaluator`, by the
search's objective as is its default (``--metrics all``: by everything), and against that each of
them as a stand-alone network generates as many images and the extractor makes their features in one
call. Both run in turn in one process. First the group's scores are compared with those of each
candidate alone. Data are the digits that come with scikit-learn; for Lite0 they can be repeated
(``--reference``) to a set as large as CIFAR-10.

    python benchmarks/shared_scoring.py --threads 1 --clock cpu
    python benchmarks/shared_scoring.py --features lite0 --reference 50000 --channels 128
    python benchmarks/shared_scoring.py --device cuda --features lite0 --channels 128
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from nasgan.contracts import Ledger, Objective, Proposal, inherit_weights
from nasgan.data import ImageSet, load_digits
from nasgan.evaluation import Run, SharedEvaluator
from nasgan.metrics import build_harness, make_features, to_uint8
from nasgan.metrics.extractor import FeatureExtractor
from nasgan.randomness import numpy_generator, torch_generator
from nasgan.training import TrainerSettings
from nasgan_search_spaces.autogan.space import AutoGANSpace

SEED = 0
TARGET = 1.1
TOLERANCE = 1e-3  # of scores, relative: float32 features in batches of another make-up
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SIDES = {"digits": 16, "lite0": 32, "inceptionv3": 32}


class Bench:
    """One extractor, one supernet and a group of candidates."""

    def __init__(self, features: str, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.extractor = make_features(features, device=options.device)
        images = real_images(features, options.reference).to(options.device)
        space = AutoGANSpace(
            image_size=images.image_size,
            image_channels=images.image_channels,
            generator_channels=options.channels,
            discriminator_channels=8,
        )
        self.harness = build_harness(
            images, self.extractor, num_images=options.images, cache_dir=folder
        )
        run = Run(
            space=space,
            images=images,
            trainer_settings=TrainerSettings(generator_batch_size=16, discriminator_batch_size=8),
            harness=self.harness,
            objective=Objective("fid", "min"),
            ledger=Ledger(),
            seed=SEED,
            device=options.device,
            folder=folder,
        )
        shared = run.shared_weights
        rng = numpy_generator(SEED, "candidates")
        architectures = [space.sample(rng) for _ in range(options.candidates)]
        # Running statistics that are not those of fresh layers: a few steps along the paths.
        for architecture in architectures:
            shared.train(lambda: architecture, generator_steps=1)  # noqa: B023
        self.proposals = [Proposal(architecture) for architecture in architectures]
        self.evaluator = SharedEvaluator(
            num_images=options.images,
            together=options.candidates,
            metrics=options.metrics,
        )
        run.score_with(self.evaluator)
        self.networks = []
        for architecture in architectures:
            network = space.build_generator(architecture).to(options.device)
            network = network.to(memory_format=torch.channels_last)
            inherit_weights(network, shared.supernet.generator)
            self.networks.append(network.eval())

    def score(self) -> list[dict[str, float]]:
        """The scores of the group."""
        return [dict(made.metrics) for made in self.evaluator.score_together(self.proposals)]

    def alone(self) -> list[dict[str, float]]:
        """The scores of each candidate by itself."""
        return [dict(self.evaluator.score_together([one])[0].metrics) for one in self.proposals]

    def generate(self) -> None:
        """The images of every candidate, and their features."""
        for network in self.networks:
            images_and_features(network, self.extractor, self.options.images)


def images_and_features(network: nn.Module, extractor: FeatureExtractor, count: int) -> None:
    """What no way of scoring can do without."""
    latents = torch_generator(SEED, "evaluation latents", device=extractor.device)
    made = []
    with torch.no_grad():
        for start in range(0, count, extractor.batch_size):
            size = min(extractor.batch_size, count - start)
            z = torch.randn((size, 128), generator=latents, device=extractor.device)
            made.append(to_uint8(network(z)))
    extractor(torch.cat(made)).features.sum().item()


def real_images(features: str, reference: int | None) -> ImageSet:
    """Digits as the features like them, repeated with a shift where more are asked for."""
    side = SIDES[features]
    digits = load_digits(image_size=side).train
    if features != "digits":
        digits = ImageSet("digits_rgb", digits.images.expand(-1, 3, -1, -1))
    if reference is None or reference <= len(digits):
        return digits if reference is None else digits.subset(range(reference))
    repeats = -(-reference // len(digits))
    shifted = [digits.images.roll(k % side, -1).roll(k // side, -2) for k in range(repeats)]
    return ImageSet("digits_repeated", torch.cat(shifted)[:reference])


def largest_difference(
    group: Sequence[dict[str, float]], alone: Sequence[dict[str, float]]
) -> float:
    """Relative, over all scores but the spreads and those that count neighbours."""
    names = [name for name in ("is", "fid") if name in group[0]]
    return max(
        abs(ours[name] - theirs[name]) / max(abs(theirs[name]), 1e-6)
        for ours, theirs in zip(group, alone, strict=True)
        for name in names
    )


def seconds(run: Callable[[], object], options: argparse.Namespace) -> float:
    """Of one call."""
    clock = CLOCKS[options.clock]
    started = clock()
    run()
    if options.device.type == "cuda":
        torch.cuda.synchronize(options.device)
    return clock() - started


def compare(features: str, options: argparse.Namespace, folder: Path) -> bool:
    """Print the costs with one extractor; whether they keep to the target."""
    bench = Bench(features, options, folder)
    difference = largest_difference(bench.score(), bench.alone())
    bench.generate()
    runs = {"score": bench.score, "generate": bench.generate, "one by one": bench.alone}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, options) / options.candidates)
    middle = {name: statistics.median(own) for name, own in times.items()}
    pairs = zip(times["score"], times["generate"], strict=True)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(
        f"\n{features}: {options.images} images a candidate, {options.candidates} candidates, "
        f"reference of {len(bench.harness.reference.features)}, batches of "
        f"{bench.extractor.batch_size}"
    )
    print(f"  images and features               {middle['generate']:8.2f} s a candidate")
    print(f"  scored, the group in one piece    {middle['score']:8.2f} s")
    print(f"  scored one by one                 {middle['one by one']:8.2f} s")
    print(f"  group / images and features       {ratio:8.3f}   (target <= {TARGET})")
    print(f"  group against one by one, FID, IS {difference:8.1e}   (limit {TOLERANCE:g})")
    return ratio <= TARGET and difference <= TOLERANCE


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 if the targets are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--features", nargs="+", default=["digits", "lite0"], choices=list(SIDES))
    add("--images", type=int, default=5000, help="behind a score")
    add("--candidates", type=int, default=4, help="of the group")
    add("--metrics", choices=["objective", "all"], default="objective")
    add("--reference", type=int, help="real images; default: the 1,438 digits")
    add("--channels", type=int, default=32, help="width of the generator")
    add("--device", type=torch.device, default=torch.device("cpu"))
    add("--threads", type=int, help="of torch; default: its own choice")
    # The CPU clock holds still while others use the machine.
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu: for busy machines, 1 thread")
    add("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    print(
        f"AutoGAN space, {options.channels} channels; {options.device.type}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.clock} clock; "
        f"metrics: {options.metrics}"
    )
    with tempfile.TemporaryDirectory() as folder:
        met = [compare(features, options, Path(folder)) for features in options.features]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
