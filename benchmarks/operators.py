"""How many operators a training step launches, and what crosses between host and device.

Spectral norms together, as on accelerators, and each layer alone, as on a CPU; and what
``deterministic=true`` adds.

Counted without a device: the networks live on torch's `meta` device, which knows shapes and types
but holds no numbers. Every dispatched operator that is not a view counts, forward, backward and
optimiser; on CUDA each of them is a kernel or a few. A value that is read on the host cannot be had
there and fails; an operator that mixes tensors of the host and of the device fails, too.

    python benchmarks/operators.py
"""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nasgan.architecture import Architecture
from nasgan.contracts import Budget, Ledger, SearchSpace
from nasgan.data import ImageSet, batches
from nasgan.engine.device import ask_to_repeat, kept_algorithms
from nasgan.networks import passes
from nasgan.randomness import derive_seed, numpy_generator
from nasgan.testing import ToyRun
from nasgan.training import AdversarialTrainer, TrainerSettings, trainer
from nasgan.training.charged import ChargedTrainer
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_search_spaces.agan.space import AGANSpace
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_strategies.adversarial.strategy import AdversarialSearch
from nasgan_strategies.alphagan.strategy import AlphaGANSearch, _loss
from nasgan_strategies.gradient.logits import descend_together

__all__ = ["CASES", "DEVICE", "OperatorCount", "counted", "on_device", "repeatable"]

DEVICE = torch.device("meta")

_aten = torch.ops.aten
_COPIES = {_aten._to_copy, _aten.copy_}
#: No kernels: they make room, or tell the profiler where a step begins.
_FREE = {
    _aten.empty,
    _aten.empty_like,
    _aten.empty_strided,
    _aten.new_empty,
    _aten.promote_types,
    _aten.detach,
    _aten._unsafe_view,
}


class OperatorCount(TorchDispatchMode):
    """Counts what is dispatched inside the block to `DEVICE`.

    Attributes:
        operators: dispatched operators by name, views left out.
        copies: those from the host.
        reads: those to the host, which get zeros.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: Counter[str] = Counter()
        self.copies = self.reads = 0

    @property
    def total(self) -> int:
        """All operators."""
        return sum(self.operators.values())

    def __torch_dispatch__(
        self, operator: Any, types: object, args: Any = (), kwargs: Any = None
    ) -> object:
        """Run an operator and count it."""
        kwargs = kwargs or {}
        if operator.overloadpacket is _aten._to_copy and _to_host(args[0], kwargs):
            self.reads += 1
            self.operators[str(operator)] += 1
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if operator.overloadpacket is _aten.exponential_ and args[0].device == DEVICE:
            kwargs = {**kwargs, "generator": None}  # `DEVICE` knows none
        result = operator(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        if not any(tensor.device == DEVICE for tensor in tensors):
            return result
        packet = operator.overloadpacket
        if any(tensor.device != DEVICE and tensor.ndim > 0 for tensor in tensors):
            if packet not in _COPIES:
                raise AssertionError(f"{operator} mixes tensors of the host and of the device")
            self.copies += 1
        if not operator.is_view and packet not in _FREE and operator.namespace == "aten":
            self.operators[str(operator)] += 1
        return result


def _to_host(tensor: Tensor, kwargs: Mapping[str, Any]) -> bool:
    target = kwargs.get("device")
    return target is not None and target.type == "cpu" and tensor.device == DEVICE


@contextlib.contextmanager
def on_device() -> Iterator[None]:
    """Inside, trainers can be made and run on `DEVICE`, which has no random numbers of its own."""

    def generator(seed: int, *names: str | int, device: object = "cpu") -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(seed, *names))

    make = torch.Generator

    def on_host(device: object = "cpu") -> torch.Generator:
        return make()

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch, "Generator", on_host))
        for module in (trainer, batches):
            stack.enter_context(mock.patch.object(module, "torch_generator", generator))
        stack.enter_context(
            mock.patch("torch.optim.adam._device_dtype_check_for_fused", return_value=None)
        )
        yield


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Inside, torch is asked for algorithms that repeat, as ``deterministic=true`` does."""
    with kept_algorithms():
        ask_to_repeat(True)
        yield


def counted(step: Callable[[], object]) -> OperatorCount:
    """What the second call of ``step`` dispatches: the first makes what is kept."""
    with on_device():
        with OperatorCount():
            step()
        count = OperatorCount()
        with count:
            step()
    return count


def make_space(kind: type[SearchSpace], image_size: int = 32) -> SearchSpace:
    """A space of the published size, but narrow: widths do not change the count."""
    return kind(
        image_size=image_size,
        image_channels=3,
        generator_channels=8,
        discriminator_channels=8,
        latent_dim=12,
    )


def make_trainer(pair: Any, space: SearchSpace, **settings: Any) -> AdversarialTrainer:
    """A trainer of ``pair`` on `DEVICE`, with the settings that CUDA would get."""
    given = {"joint_discriminator_pass": True, "precision": "float32"}
    sizes = {"generator_batch_size": 4, "discriminator_batch_size": 4}
    side = space.network.image_size
    images = torch.zeros(64, 3, side, side, dtype=torch.uint8)
    with on_device():
        return AdversarialTrainer(
            pair,
            ImageSet("none", images, checksum="none"),
            TrainerSettings(**{**given, **sizes, **settings}),
            latent_dim=space.network.latent_dim,
            seed=0,
            device=DEVICE,
        )


class DerivedNetworks:
    """The networks of an architecture, on `DEVICE`."""

    def __init__(self, space: SearchSpace, architecture: Architecture) -> None:
        with DEVICE:
            self.generator = space.build_generator(architecture)
            self.discriminator = space.build_discriminator(architecture)


def derived_step(
    space: SearchSpace, architecture: Architecture, **settings: Any
) -> Callable[[], object]:
    """A generator step of the training of one architecture."""
    return make_trainer(DerivedNetworks(space, architecture), space, **settings).iteration


def path_step(space: SearchSpace, **settings: Any) -> Callable[[], object]:
    """A generator step of a supernet on sampled paths."""
    with DEVICE:
        supernet = space.build_supernet()
    training = make_trainer(supernet, space, ema_decay=None, **settings)
    rng = numpy_generator(0, "paths")
    return lambda: training.iteration(lambda: space.one_hot(space.sample(rng)))


def soft_step(space: SearchSpace, relaxation: Any, **settings: Any) -> Callable[[], object]:
    """A generator step of the bilevel search: both networks, and the architecture of both."""
    with DEVICE:
        supernet = space.build_supernet()
    training = make_trainer(supernet, space, ema_decay=None, **settings)
    run = ToyRun(space, Budget(generator_steps=4), shared=True, seed=0)
    run.device = DEVICE
    search = AdversarialSearch(relaxation=relaxation)
    with on_device():
        search.setup(run)
    return lambda: search._iteration(ChargedTrainer(training, space, Ledger()))


def gap_step(space: SearchSpace) -> Callable[[], object]:
    """A step of the logits of both networks down AlphaGAN's duality gap."""
    with DEVICE:
        supernet = space.build_supernet()
    judge = ChargedTrainer(make_trainer(supernet, space, ema_decay=None), space, Ledger())
    run = ToyRun(space, Budget(generator_steps=4), shared=True, seed=0)
    run.device = DEVICE
    search = AlphaGANSearch()
    search.setup(run)
    learning = list(search._logits.values())

    def step() -> None:
        weights = search._weights(learning=True)
        descend_together(learning, _loss(judge, weights) - _loss(judge, weights))

    return step


#: What is measured, as the published searches and trainings run it.
CASES: Mapping[str, Callable[[], Callable[[], object]]] = {
    "autogan_a": lambda: derived_step(make_space(AutoGANSpace), AUTOGAN_A),
    "agan, path": lambda: path_step(make_space(AGANSpace)),
    "adversarial_nas, soft": lambda: soft_step(
        make_space(AdversarialNASSpace), "gumbel_probabilities"
    ),
    "adversarial_nas, straight-through": lambda: soft_step(
        make_space(AdversarialNASSpace), "straight_through"
    ),
}


def main() -> None:
    """Count, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=0, help="name so many of the operators")
    options = parser.parse_args()
    head = ("operators", "repeatable", "each layer alone", "ratio", "copies in", "copies out")
    print(f"{'a generator step of':34}" + "".join(f"{name:>18}" for name in head))
    for name, make in CASES.items():
        count = counted(make())
        with repeatable():
            repeats = counted(make()).total
        with mock.patch.object(passes, "_CHEAP_LAUNCHES", ("cpu", DEVICE.type)):
            alone = counted(make()).total
        ratio = round(count.total / alone, 2)
        values = (count.total, repeats, alone, ratio, count.copies, count.reads)
        print(f"{name:34}" + "".join(f"{value:18,}" for value in values))
        for operator, number in count.operators.most_common(options.most):
            print(f"    {number:8,} {operator}")


if __name__ == "__main__":
    main()
