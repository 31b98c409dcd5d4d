"""How a place in a network runs the chosen option of a decision, or mixes several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import TypeAlias

from torch import Tensor, nn

from nasgan.architecture import Decision
from nasgan.contracts import chosen_option, mix_options
from nasgan.errors import ArchitectureError
from nasgan.networks.resampling import upsample, upsample_conv

__all__ = ["Choice", "Options", "UpsampleConv", "as_choice", "share_of"]

#: The name of the chosen option, or a weight vector over all options of the decision.
Choice: TypeAlias = str | Tensor


def as_choice(decision: Decision, weight: Tensor) -> Choice:
    """What ``weight`` selects: an option's name if it is one-hot and needs no gradient.

    Raises:
        ArchitectureError: the weight has not one entry per option.
    """
    if weight.shape != (len(decision.options),):
        raise ArchitectureError(
            f"decision {decision.name!r} has {len(decision.options)} options and needs a weight "
            f"vector of that length, got shape {tuple(weight.shape)}"
        )
    chosen = None if weight.requires_grad else chosen_option(weight)
    return weight if chosen is None else decision.options[chosen]


def share_of(choice: Choice, options: Sequence[str], including: Collection[str]) -> Tensor | bool:
    """How much an optional part counts: the summed weight of the options ``including`` it.

    True or False, without a tensor, where one option is chosen for sure.
    """
    if isinstance(choice, str):
        return choice in including
    chosen = chosen_option(choice)
    if chosen is not None and options[chosen] not in including:
        return False
    return sum(
        (choice[k] for k, name in enumerate(options) if name in including), choice.new_zeros(())
    )


class Options(nn.ModuleDict):
    """The options that a network holds for one decision at one place, by name.

    A derived network holds only the chosen one, under the same name as in the supernet.
    """

    def __init__(self, modules: Iterable[tuple[str, nn.Module]]) -> None:
        super().__init__(dict(modules))

    def forward(self, choice: Choice, *inputs: object) -> Tensor:
        """Run the chosen option on ``inputs``, or mix the outputs of all."""
        return self.apply_by(lambda module: module(*inputs), choice)

    def apply_by(self, run: Callable[[nn.Module], Tensor], choice: Choice) -> Tensor:
        """Let ``run`` run the chosen option, or mix what it makes of all."""
        if isinstance(choice, str):
            return run(self[choice])
        return mix_options(choice, [partial(run, module) for module in self.values()])


class UpsampleConv(nn.Module):
    """Enlarge by the chosen mode, then convolve; widths stay.

    A mixture mixes the enlarged maps and convolves once.

    Args:
        channels: width.
        kernel_size: of the convolution, pixels.
        modes: the modes it holds, of ``bilinear``, ``nearest``, ``deconvolution`` (transposed 2x2
            convolutions of stride 2, one per doubling).
        doublings: binary logarithm of the enlargement.
    """

    def __init__(
        self, channels: int, kernel_size: int, modes: Sequence[str], doublings: int = 1
    ) -> None:
        super().__init__()
        self.modes = tuple(modes)
        self.factor = 2**doublings
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)
        self.deconvolution: nn.Module = nn.Identity()
        if "deconvolution" in modes:
            self.deconvolution = nn.Sequential(
                *[nn.ConvTranspose2d(channels, channels, 2, stride=2) for _ in range(doublings)]
            )
        self.published_order = False

    def forward(self, x: Tensor, mode: Choice) -> Tensor:
        """Map (N, C, H, W) to (N, C, H * 2**doublings, W * 2**doublings)."""
        if isinstance(mode, str) and mode != "deconvolution":
            return upsample_conv(
                x, self.conv, mode, self.factor, published_order=self.published_order
            )
        if isinstance(mode, str):
            enlarged = self._enlarge(x, mode)
        else:
            enlarged = mix_options(mode, [partial(self._enlarge, x, name) for name in self.modes])
        y: Tensor = self.conv(enlarged)
        return y

    def _enlarge(self, x: Tensor, mode: str) -> Tensor:
        if mode == "deconvolution":
            y: Tensor = self.deconvolution(x)
            return y
        return upsample(x, mode, self.factor)
