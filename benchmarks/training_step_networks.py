"""What each exact rearrangement of the networks gains in a GAN training step of ``autogan_a``.

One iteration is five discriminator steps and one generator step, forward and backward, without
optimisers and data. The variants run in turn in one process; the table gives medians, ratios to the
plain formulation (two discriminator passes, operations in their published order, contiguous maps,
eager), and the multiply-adds that an iteration really executes.

    python benchmarks/training_step_networks.py
    python benchmarks/training_step_networks.py --channels 256 128 --batch-size 64 --device cuda \
        --dtype bfloat16 --compile reduce-overhead
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nasgan.networks.resampling import set_published_order
from nasgan.networks.spectral_norm import sample_groups
from nasgan.randomness import seeded
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace

DISCRIMINATOR_STEPS = 5
WARM_UP = 3


@dataclass(frozen=True)
class Variant:
    """One formulation of the same training step."""

    name: str
    channels_last: bool = False
    joint: bool = False
    rearranged: bool = False
    compile: str | None = None


class Step:
    """The iteration of one variant."""

    def __init__(self, variant: Variant, options: argparse.Namespace) -> None:
        self.variant, self.batch = variant, options.batch_size
        self.device = torch.device(options.device)
        self.dtype = getattr(torch, options.dtype)
        space = AutoGANSpace(
            image_size=32,
            generator_channels=options.channels[0],
            discriminator_channels=options.channels[1],
        )
        with seeded(0):
            self.generator = self._placed(space.build_generator(AUTOGAN_A))
            self.discriminator = self._placed(space.build_discriminator(AUTOGAN_A))
        self.generate: Callable[[Tensor], Tensor] = self.generator
        self.judge: Callable[[Tensor], Tensor] = self.discriminator
        if variant.compile:
            self.generate = torch.compile(self.generator, mode=variant.compile, dynamic=False)
            self.judge = torch.compile(self.discriminator, mode=variant.compile, dynamic=False)
        self.real = torch.rand(self.batch, 3, 32, 32, device=self.device) * 2 - 1

    def __call__(self) -> None:
        """Run one iteration."""
        for _ in range(DISCRIMINATOR_STEPS):
            self._step_discriminator()
        self._step_generator()

    def _placed(self, network: nn.Module) -> nn.Module:
        set_published_order(network, not self.variant.rearranged)
        layout = torch.channels_last if self.variant.channels_last else torch.contiguous_format
        return network.to(self.device).to(memory_format=layout).train()

    def _step_discriminator(self) -> None:
        self.discriminator.zero_grad()
        with self._autocast():
            with torch.no_grad():
                fake = self.generate(self._latents(self.batch)).clone()
            on_real, on_fake = self._logits(self.real, fake)
            loss = F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
        torch.autograd.backward(loss)

    def _step_generator(self) -> None:
        self.generator.zero_grad()
        self.discriminator.requires_grad_(False)
        with self._autocast():
            loss = -self.judge(self.generate(self._latents(2 * self.batch))).mean()
        torch.autograd.backward(loss)
        self.discriminator.requires_grad_(True)

    def _logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        if not self.variant.joint:
            return self.judge(real), self.judge(fake)
        sizes = [len(real), len(fake)]
        with sample_groups(self.discriminator, sizes):
            on_real, on_fake = torch.split(self.judge(torch.cat([real, fake])), sizes)
        return on_real, on_fake

    def _latents(self, count: int) -> Tensor:
        return torch.randn(count, 128, device=self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def macs(step: Step) -> int:
    """Multiply-adds that one iteration executes, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops()) // 2


def timed(step: Step) -> float:
    """Seconds of one iteration."""
    _synchronise(step.device)
    start = time.perf_counter()
    step()
    _synchronise(step.device)
    return time.perf_counter() - start


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def variants(compile_mode: str) -> list[Variant]:
    """The formulations to compare, the plain one first."""
    every = Variant("all", channels_last=True, joint=True, rearranged=True)
    listed = [
        Variant("plain"),
        Variant("joint pass", joint=True),
        Variant("rearranged", rearranged=True),
        Variant("channels_last", channels_last=True),
        replace(every, name="all but the joint pass", joint=False),
        every,
    ]
    if compile_mode != "off":
        listed.append(replace(every, name=f"all, compiled ({compile_mode})", compile=compile_mode))
    return listed


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--channels", type=int, nargs=2, default=(64, 64), metavar=("G", "D"))
    parser.add_argument("--batch-size", type=int, default=8, help="real images a step")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--compile", default="off", help="off, default, reduce-overhead, ...")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    steps = [Step(variant, options) for variant in variants(options.compile)]
    counts = [macs(step) if step.variant.compile is None else 0 for step in steps]
    for step in steps:
        for _ in range(WARM_UP):
            step()
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(options.rounds):
        for step, times in zip(steps, seconds, strict=True):
            times.append(timed(step))

    plain = statistics.median(seconds[0])
    width = max(len(step.variant.name) for step in steps)
    print(f"{'variant':{width}}  ms/iteration  speed-up  GMAC")
    for step, times, count in zip(steps, seconds, counts, strict=True):
        median = statistics.median(times)
        executed = f"{count / 1e9:.1f}" if count else ""
        name = step.variant.name
        print(f"{name:{width}}  {1e3 * median:12.1f}  {plain / median:8.2f}  {executed}")


if __name__ == "__main__":
    main()
