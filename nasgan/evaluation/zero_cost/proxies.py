"""The zero-cost proxies by name: what each is of, which direction is better, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import torch
from torch import Tensor

from nasgan.architecture import Architecture, Part
from nasgan.contracts import AdversarialLoss, NetworkPair, SearchSpace
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.evaluation.training_task import DerivedPair
from nasgan.evaluation.zero_cost.measures import (
    Rectifiers,
    conditioning,
    gradient_norm,
    has_foreign_norms,
    jacobian_correlation,
    ntk_condition,
    ntk_mmd,
    nwot,
    snip,
    spectrum_distance,
    synflow,
    zico,
)
from nasgan.evaluation.zero_cost.untrained import (
    Gradients,
    Half,
    Inputs,
    Untrained,
    untrained,
)
from nasgan.networks.cost import count_macs, count_parameters

__all__ = ["PROXIES", "Proxy", "check_defined", "check_proxies", "measured"]

_LEAST_SIDE = 4


@dataclass(frozen=True)
class Proxy:
    """One proxy.

    Attributes:
        name: its name; ``_g`` is of the generator, ``_d`` of the discriminator.
        direction: of which more or less is taken for better, as in its source.
        sees: the networks on whose decisions it depends.
        measure: its value; not finite where it has none.
        lack: why it is not defined for a pair, in words; empty if it is. Of networks without
            values, on torch's meta device.
    """

    name: str
    direction: Literal["min", "max"]
    sees: tuple[Part, ...]
    measure: Callable[[Untrained], float]
    lack: Callable[[Untrained], str] = lambda _: ""


def _parameters(half: Half) -> float:
    return count_parameters(half.network)


def _macs(half: Half) -> float:
    labels = half.labels[0]
    given = {} if labels is None else {"labels": labels[:1]}
    return count_macs(half.network, half.inputs[0][:1], **given)


def _no_rectifier(half: Half) -> str:
    with torch.no_grad(), Rectifiers() as seen:
        half.batch()
    return "" if seen.signs else "has no rectifier (ReLU, leaky ReLU or PReLU) whose signs count"


def _normed_by_torch(half: Half) -> str:
    if has_foreign_norms(half.network):
        return "makes its weights by torch's parametrizations or hooks, which cannot be left out"
    return ""


def _fixed(half: Half) -> str:
    return "" if any(True for _ in half.network.parameters()) else "has no parameters"


def _anything(_: Half) -> str:
    return ""


def _of_one(
    name: str,
    direction: Literal["min", "max"],
    measure: Callable[[Half], float],
    lack: Callable[[Half], str] = _anything,
) -> list[Proxy]:
    """The proxy ``name`` of each network by itself."""

    def of(part: Part) -> Proxy:
        return Proxy(
            f"{name}_{part[0]}",
            direction,
            (part,),
            lambda pair: measure(pair.half(part)),
            partial(_lack_of, part, lack),
        )

    return [of("generator"), of("discriminator")]


def _of_losses(name: str, measure: Callable[[Gradients], float]) -> list[Proxy]:
    """The proxy ``name`` of each player's loss, which depends on both networks."""

    def of(part: Part) -> Proxy:
        return Proxy(
            f"{name}_{part[0]}",
            "max",
            ("generator", "discriminator"),
            lambda pair: measure(pair.gradients(part)),
            partial(_lack_of, part, _fixed),
        )

    return [of("generator"), of("discriminator")]


def _lack_of(part: Part, lack: Callable[[Half], str], pair: Untrained) -> str:
    found = lack(pair.half(part))
    return found and f"the {part} {found}"


def _too_small(pair: Untrained) -> str:
    side = pair.inputs.real[0].shape[-1]
    return "" if side >= _LEAST_SIDE else f"images of {side} pixels have no spectrum"


def _spectrum(pair: Untrained) -> float:
    return spectrum_distance(torch.cat(pair.generated), torch.cat(pair.inputs.real))


_BOTH: tuple[Part, ...] = ("generator", "discriminator")
_KERNEL_LACK = partial(_lack_of, "discriminator", _fixed)

PROXIES: Final[Mapping[str, Proxy]] = {
    proxy.name: proxy
    for proxy in [
        *_of_one("parameters", "max", _parameters),
        *_of_one("macs", "max", _macs),
        *_of_one("nwot", "max", nwot, _no_rectifier),
        *_of_one("jacobian", "max", jacobian_correlation),
        *_of_one("synflow", "max", synflow, _normed_by_torch),
        *_of_losses("snip", snip),
        *_of_losses("gradient_norm", gradient_norm),
        *_of_losses("zico", zico),
        Proxy(
            "conditioning_g",
            "min",
            ("generator",),
            lambda pair: conditioning(pair.generator, pair.inputs.directions),
        ),
        Proxy("spectrum_g", "min", ("generator",), _spectrum, _too_small),
        Proxy(
            "ntk_condition_d",
            "min",
            _BOTH,
            lambda pair: ntk_condition(*pair.tangents),
            _KERNEL_LACK,
        ),
        Proxy("ntk_mmd_d", "max", _BOTH, lambda pair: ntk_mmd(*pair.tangents), _KERNEL_LACK),
    ]
}
"""All proxies by name."""


def measured(
    pair: NetworkPair,
    inputs: Inputs,
    loss: AdversarialLoss,
    names: Iterable[str] = tuple(PROXIES),
) -> dict[str, float]:
    """The proxies of a pair, which stays as it is.

    Args:
        pair: at its initial values.
        inputs: the images and latents to look at it with.
        loss: of its training.
        names: of the proxies; checked.

    Returns:
        The value of each; one that is not finite where there is none.
    """
    with untrained(pair, inputs, loss) as held:
        return {name: PROXIES[name].measure(held) for name in names}


def check_proxies(names: Sequence[str]) -> None:
    """Refuse a list of proxies.

    Raises:
        ConfigError: one is unknown or named twice, or there is none.
    """
    if not names:
        raise ConfigError("evaluator.proxies is empty: name at least one, for example nwot_g")
    for name in names:
        if name not in PROXIES:
            raise UnknownNameError("zero-cost proxy", name, PROXIES)
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ConfigError(f"evaluator.proxies names {', '.join(twice)} more than once")


def check_defined(
    names: Iterable[str],
    space: SearchSpace,
    architecture: Architecture,
    inputs: Inputs,
    loss: AdversarialLoss,
) -> None:
    """Refuse proxies that a space's networks do not have; nothing is computed or drawn.

    Args:
        names: of the proxies.
        space: builds the networks, on torch's meta device.
        architecture: one of the space.
        inputs: for their shapes.
        loss: of the training.

    Raises:
        ConfigError: a proxy is not defined; says why.
    """
    with torch.device("meta"):
        pair = DerivedPair(space, architecture, seed=0, initialisation="default")
    with untrained(pair, _hollow(inputs), loss) as held:
        for name in names:
            lack = PROXIES[name].lack(held)
            if lack:
                raise ConfigError(
                    f"evaluator.proxies: {name} is not defined in the search space {space.name!r}: "
                    f"{lack}; leave it out"
                )


def _hollow(inputs: Inputs) -> Inputs:
    """The shapes of the first batch."""

    def hollow(batches: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (batches[0].to("meta"),)

    def labels(batches: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return (None if batches[0] is None else batches[0].to("meta"),)

    return Inputs(
        hollow(inputs.real),
        hollow(inputs.z),
        inputs.directions.to("meta"),
        labels(inputs.real_labels),
        labels(inputs.labels),
    )
