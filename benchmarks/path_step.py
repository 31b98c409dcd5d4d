"""What a training step of the supernet along one path costs beyond the architecture's own network.

For one random architecture of each space, a step of the supernet's training along its path and a
step of the derived networks' training (the same trainer, batches and losses) run in turn in one
process. An unselected option must cost nothing: its parameters are neither run nor updated.

    python benchmarks/path_step.py --threads 1 --clock cpu
    python benchmarks/path_step.py --device cuda --image-size 32 --channels 256 --batch 64
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from nasgan.contracts import Ledger, SearchSpace
from nasgan.data import ImageSet, load_digits
from nasgan.evaluation.training_task import DerivedPair
from nasgan.randomness import numpy_generator
from nasgan.training import AdversarialTrainer, SupernetTraining, TrainerSettings
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_search_spaces.agan.space import AGANSpace
from nasgan_search_spaces.autogan.space import AutoGANSpace

SEED = 0
TARGET = 1.1
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
SPACES: dict[str, type[SearchSpace]] = {
    "autogan": AutoGANSpace,
    "adversarial_nas": AdversarialNASSpace,
    "agan": AGANSpace,
}


def steps(
    name: str, number: int, images: ImageSet, options: argparse.Namespace
) -> dict[str, Callable[[], object]]:
    """One generator step (with its discriminator steps) of the supernet, and of the pair."""
    space = SPACES[name](
        image_size=images.image_size,
        image_channels=images.image_channels,
        generator_channels=options.channels,
        discriminator_channels=options.channels,
    )
    architecture = space.sample(numpy_generator(SEED, "architectures", number))
    settings = TrainerSettings(
        generator_batch_size=options.batch, discriminator_batch_size=options.batch, n_critic=2
    )
    shared = SupernetTraining(
        space, images, settings, ledger=Ledger(), seed=SEED, device=options.device
    )
    pair = AdversarialTrainer(
        DerivedPair(space, architecture, seed=SEED, initialisation=settings.initialisation),
        images,
        replace(settings, ema_decay=None, lr_decay="none"),
        latent_dim=space.network.latent_dim,
        seed=SEED,
        device=options.device,
        compile_networks=False,
    )
    return {
        "path": lambda: shared.train(lambda: architecture, generator_steps=1),
        "pair": lambda: [loss.sum().item() for loss in pair.iteration()],
    }


def seconds(run: Callable[[], object], options: argparse.Namespace) -> float:
    """Of one call, which reads the losses and so waits for the device."""
    clock = CLOCKS[options.clock]
    started = clock()
    run()
    return clock() - started


def compare(name: str, images: ImageSet, options: argparse.Namespace) -> bool:
    """Print the costs in one space; whether they keep to the target."""
    ratios, path, pair = [], [], []
    for number in range(options.architectures):
        runs = steps(name, number, images, options)
        for run in runs.values():
            seconds(run, options)
        times: dict[str, list[float]] = {key: [] for key in runs}
        for _ in range(options.rounds):
            for key, run in runs.items():
                times[key].append(seconds(run, options))
        path.append(statistics.median(times["path"]))
        pair.append(statistics.median(times["pair"]))
        ratios.append(path[-1] / pair[-1])
    ratio = statistics.median(ratios)
    each = ", ".join(f"{value:.3f}" for value in ratios)
    middle = statistics.median(path), statistics.median(pair)
    print(
        f"{name:16}  path {middle[0]:7.3f} s  derived {middle[1]:7.3f} s"
        f"  ratio {ratio:.3f}  (target <= {TARGET}; {each})"
    )
    return ratio <= TARGET


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 if the target is met in all spaces."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--spaces", nargs="+", choices=list(SPACES), default=list(SPACES))
    add("--architectures", type=int, default=3, help="random ones of each space")
    add("--rounds", type=int, default=5)
    add("--image-size", type=int, default=16)
    add("--channels", type=int, default=32, help="widths of generator and discriminator")
    add("--batch", type=int, default=16)
    add("--device", type=torch.device, default=torch.device("cpu"))
    add("--threads", type=int, help="of torch; default: its own choice")
    # The CPU clock holds still while others use the machine.
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu: for busy machines, 1 thread")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    images = load_digits(image_size=options.image_size).train.to(options.device)
    print(
        f"{options.image_size} px, {options.channels} channels, batch {options.batch}; "
        f"{options.device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{options.clock} clock"
    )
    met = [compare(name, images, options) for name in options.spaces]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
