"""The supernet step of AdversarialNAS: every candidate by itself against merged convolutions.

The four sub-steps of the published iteration, forward and backward without optimisers: beta
(architecture of the discriminator), discriminator weights, alpha (architecture of the generator),
generator weights. The published form computes all gradients in every sub-step and builds the
generator's graph in discriminator steps; ours computes what the sub-step uses. Both run in turn in
one process. Prints, in this order: the largest difference of images, logits, gradients and
spectral-norm buffers in float64; medians; peak saved activations and dispatched operators.

    python benchmarks/supernet.py
    python benchmarks/supernet.py --naive-layout channels_last --rounds 9
    python benchmarks/supernet.py --device cuda --batch-size 100 --precision tf32 --cuda-graphs
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.naive_supernet import NaivePair
from nasgan.contracts import Supernet
from nasgan.networks.spectral_norm import sample_groups
from nasgan.randomness import seeded
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace

SUB_STEPS = ("beta", "discriminator weights", "alpha", "generator weights")
LATENT = 120


class Search:
    """The supernet, its architecture parameters and one batch, in either formulation."""

    def __init__(
        self,
        supernet: Supernet,
        space: AdversarialNASSpace,
        *,
        naive: bool,
        batch: int,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
        bf16: bool = False,
    ) -> None:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.supernet = supernet.to(device, dtype).to(memory_format=layout).train()
        self.naive = NaivePair(self.supernet) if naive else None
        self.bf16, self.device = bf16, device

        def parameters(part: Any) -> list[Tensor]:
            return [
                # Published: the first cell's first edges have two more entries, which are cut off.
                torch.randn(max(len(d.options), 7) if len(d.options) == 5 else len(d.options))
                .to(device, dtype)
                .requires_grad_()
                for d in space.part_decisions(part)
            ]

        with seeded(1):
            self.alpha, self.beta = parameters("generator"), parameters("discriminator")
            shape = (batch, 3, space.network.image_size, space.network.image_size)
            self.real = torch.rand(shape).to(device, dtype).to(memory_format=layout) * 2 - 1
            self.z = torch.randn(batch, LATENT).to(device, dtype)
        self.lengths = [len(d.options) for d in space.part_decisions("discriminator")]

    def run(self, sub_step: str) -> dict[str, Tensor]:
        """One sub-step; afterwards the gradients are in place."""
        for parameter in [*self.supernet.parameters(), *self.alpha, *self.beta]:
            parameter.grad = None
        of_discriminator = sub_step in SUB_STEPS[:2]
        with self._autocast():
            if of_discriminator:
                loss, seen = self._discriminator_loss(sub_step)
            else:
                loss, seen = self._generator_loss(sub_step)
        torch.autograd.backward(loss)
        if self.naive is None:
            self.supernet.requires_grad_(True)
        return seen

    def _discriminator_loss(self, sub_step: str) -> tuple[Tensor, dict[str, Tensor]]:
        weights = self._weights(self.beta, sub_step == "beta")
        if self.naive is not None:
            fake = self._generate(self._weights(self.alpha, True)).detach()
        else:
            self.supernet.discriminator.requires_grad_(sub_step != "beta")
            with torch.no_grad():
                fake = self._generate(self._weights(self.alpha, False))
        on_real, on_fake = self._judge_both(fake, weights)
        loss = F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
        return loss, {"images": fake, "logits": torch.cat([on_real, on_fake]).detach()}

    def _generator_loss(self, sub_step: str) -> tuple[Tensor, dict[str, Tensor]]:
        if self.naive is None:
            self.supernet.discriminator.requires_grad_(False)
            self.supernet.generator.requires_grad_(sub_step != "alpha")
        fake = self._generate(self._weights(self.alpha, sub_step == "alpha"))
        logits = self._judge(fake, self._weights(self.beta, False))
        return -logits.mean(), {"images": fake.detach(), "logits": logits.detach()}

    def _weights(self, parameters: Sequence[Tensor], tracked: bool) -> list[Tensor]:
        with torch.set_grad_enabled(tracked or self.naive is not None):
            rows = [p.softmax(0) for p in parameters]
            if parameters is self.alpha:
                return rows
            pairs = zip(rows, self.lengths, strict=True)
            return [row if len(row) == length else row[:length] for row, length in pairs]

    def _generate(self, weights: list[Tensor]) -> Tensor:
        if self.naive is not None:
            return self.naive.generate(self.z, weights)
        images: Tensor = self.supernet.generator(self.z, weights)
        return images

    def _judge_both(self, fake: Tensor, weights: list[Tensor]) -> Sequence[Tensor]:
        if self.naive is not None:
            return self._judge(self.real, weights), self._judge(fake, weights)
        sizes = [len(self.real), len(fake)]
        with sample_groups(self.supernet.discriminator, sizes):
            logits = self._judge(torch.cat([self.real, fake]), weights)
        return list(torch.split(logits, sizes))

    def _judge(self, x: Tensor, weights: list[Tensor]) -> Tensor:
        if self.naive is not None:
            return self.naive.judge(x, weights)
        logits: Tensor = self.supernet.discriminator(x, weights)
        return logits

    def _autocast(self) -> AbstractContextManager[object]:
        if not self.bf16:
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, torch.bfloat16)

    def results(self, sub_step: str) -> dict[str, Tensor]:
        """The gradients that the sub-step uses, and the buffers."""
        trained = {
            "beta": enumerate(self.beta),
            "alpha": enumerate(self.alpha),
            "discriminator weights": self.supernet.discriminator.named_parameters(),
            "generator weights": self.supernet.generator.named_parameters(),
        }[sub_step]
        found = {f"gradient {name}": p.grad for name, p in trained}
        found |= {f"buffer {name}": b.clone() for name, b in self.supernet.named_buffers()}
        return {name: value for name, value in found.items() if value is not None}


class OperatorCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what reaches the dispatcher."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count and pass on."""
        self.count += 1
        return func(*args, **(kwargs or {}))


class _Saved:
    """A saved tensor; its end can be noticed."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class SavedActivations(torch.autograd.graph.saved_tensors_hooks):
    """Peak bytes that autograd holds for the backward pass beyond ``held``, each storage once."""

    def __init__(self, held: Sequence[Tensor]) -> None:
        self.peak = self.now = 0
        self._counts: dict[int, int] = {}
        self._excluded = {tensor.untyped_storage()._cdata for tensor in held}
        super().__init__(self._pack, lambda saved: saved.tensor)

    def _pack(self, tensor: Tensor) -> _Saved:
        saved = _Saved(tensor)
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._excluded:
            self._counts[key] = self._counts.get(key, 0) + 1
            if self._counts[key] == 1:
                self.now += size
                self.peak = max(self.peak, self.now)
            weakref.finalize(saved, self._release, key, size)
        return saved

    def _release(self, key: int, size: int) -> None:
        self._counts[key] -= 1
        if self._counts[key] == 0:
            self.now -= size


def pair(channels: Sequence[int], **options: Any) -> tuple[Search, Search]:
    """The naive search and ours, with equal values."""
    space = AdversarialNASSpace(
        image_size=32,
        generator_channels=channels[0],
        discriminator_channels=channels[1],
        latent_dim=LATENT,
    )
    naive_last = options.pop("naive_channels_last", False)
    with seeded(0), torch.device("meta" if options.get("device") == "meta" else "cpu"):
        supernet = space.build_supernet()
    twin = copy.deepcopy(supernet)
    return (
        Search(twin, space, naive=True, channels_last=naive_last, **options),
        Search(supernet, space, naive=False, **options),
    )


def largest_differences() -> dict[str, float]:
    """Over all sub-steps in turn, float64, narrow networks; relative to the largest value."""
    searches = pair((16, 12), batch=2, dtype=torch.float64)
    worst: dict[str, float] = {}
    for sub_step in SUB_STEPS:
        seen = [search.run(sub_step) | search.results(sub_step) for search in searches]
        if seen[0].keys() != seen[1].keys():
            raise SystemExit(f"{sub_step}: gradients differ: {seen[0].keys() ^ seen[1].keys()}")
        errors: dict[str, float] = {}
        scales: dict[str, float] = {}
        for name, expected in seen[0].items():
            # Over all parameters: biases before a batch norm have no gradient but rounding.
            kind = name.split()[0] + (f" ({sub_step})" if name.startswith("gradient") else "")
            error = float((seen[1][name] - expected).abs().max())
            errors[kind] = max(errors.get(kind, 0.0), error)
            scales[kind] = max(scales.get(kind, 0.0), float(expected.abs().max()))
        for kind, error in errors.items():
            worst[kind] = max(worst.get(kind, 0.0), error / scales[kind])
    return worst


def counted(search: Search, sub_step: str) -> int:
    """Dispatched operators of a sub-step."""
    counter = OperatorCounter()
    with counter:
        search.run(sub_step)
    return counter.count


def saved_mib(search: Search, sub_step: str) -> tuple[float, float]:
    """Peak saved activations, MiB, and TFLOP, on the meta device."""
    held = [*search.supernet.parameters(), *search.supernet.buffers(), *search.alpha, *search.beta]
    saved = SavedActivations(held)
    with saved, FlopCounterMode(display=False) as flops:
        search.run(sub_step)
    return saved.peak / 2**20, flops.get_total_flops() / 1e12


def as_graph(search: Search, sub_step: str) -> Callable[[], object]:
    """The sub-step as one CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            search.run(sub_step)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        search.run(sub_step)
    return graph.replay


def timed(run: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def print_times(options: argparse.Namespace) -> None:
    """Medians of both formulations, in turn."""
    searches = pair(
        options.channels,
        batch=options.batch_size,
        device=options.device,
        bf16=options.precision == "bf16",
        naive_channels_last=options.naive_layout == "channels_last",
    )
    print(f"\n{'sub-step':22}  naive ms  merged ms  speed-up")
    totals = [0.0, 0.0]
    for sub_step in SUB_STEPS:
        runs: list[Callable[[], object]] = []
        for search in searches:
            graphed = options.cuda_graphs
            runs.append(as_graph(search, sub_step) if graphed else partial(search.run, sub_step))
        seconds: list[list[float]] = [[], []]
        for turn in range(options.rounds + 1):
            for run, times in zip(runs, seconds, strict=True):
                elapsed = timed(run, options.device)
                if turn:
                    times.append(elapsed)
        naive, merged = (statistics.median(times) for times in seconds)
        # Per published iteration: the generator's sub-steps run once in five.
        share = 1.0 if sub_step in SUB_STEPS[:2] else 0.2
        totals = [totals[0] + share * naive, totals[1] + share * merged]
        print(f"{sub_step:22}  {1e3 * naive:8.1f}  {1e3 * merged:9.1f}  {naive / merged:8.2f}")
    print(f"{'a published iteration':22}  {1e3 * totals[0]:8.1f}  {1e3 * totals[1]:9.1f}  "
          f"{totals[0] / totals[1]:8.2f}   ({1 / totals[1]:.2f} merged iterations/s)")  # fmt: skip
    if options.device.startswith("cuda"):
        print_peaks(searches)


def print_peaks(searches: Sequence[Search]) -> None:
    """Peak device memory of each formulation, over all sub-steps."""
    for name, search in zip(("naive", "merged"), searches, strict=True):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        for sub_step in SUB_STEPS:
            search.run(sub_step)
        peak = torch.cuda.max_memory_allocated() - before
        print(f"peak memory beyond what both hold, {name}: {peak / 2**20:.0f} MiB")


def print_counts(options: argparse.Namespace) -> None:
    """Saved activations, arithmetic and operators."""
    wide = pair(options.channels, batch=100, device="meta")
    narrow = pair((8, 8), batch=2)
    print(f"\n{'sub-step':22}  {'saved MiB, batch 100':>22}  {'TFLOP':>14}  {'operators':>16}")
    for sub_step in SUB_STEPS:
        (mib, flop), (our_mib, our_flop) = (saved_mib(search, sub_step) for search in wide)
        count, our_count = (counted(search, sub_step) for search in narrow)
        print(f"{sub_step:22}  {mib:7.0f} -> {our_mib:5.0f} ({mib / our_mib:4.1f})  "
              f"{flop:5.2f} -> {our_flop:5.2f}  {count:6} -> {our_count:4} "
              f"({count / our_count:.1f})")  # fmt: skip


def main() -> None:
    """Check, measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--channels", type=int, nargs=2, default=(160, 80), metavar=("G", "D"))
    parser.add_argument("--batch-size", type=int, default=8, help="of real and of generated images")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "tf32", "bf16"])
    parser.add_argument("--cuda-graphs", action="store_true")
    parser.add_argument(
        "--naive-layout", default="contiguous", choices=["contiguous", "channels_last"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.device.startswith("cuda"):
        torch.backends.cuda.matmul.allow_tf32 = options.precision != "float32"
        torch.backends.cudnn.allow_tf32 = options.precision != "float32"

    for what, error in largest_differences().items():
        print(f"largest relative difference in float64, {what}: {error:.1e}")
        if error > 1e-10:
            raise SystemExit("the two formulations differ: nothing to compare")
    print_counts(options)
    print_times(options)


if __name__ == "__main__":
    main()
