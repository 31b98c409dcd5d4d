"""EfficientNet-Lite0 for inference, batch norms folded into the convolutions.

Tan and Le, "EfficientNet" (2019), table 1, in the Lite variant of the TensorFlow authors: without
squeeze-and-excitation, ReLU6 in place of swish, stem and head not scaled, TensorFlow's "SAME"
padding (for stride 2 it adds the odd pixel at the end).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasgan.errors import ConfigError
from nasgan.metrics.extractor import linear_float64

__all__ = ["EfficientNetLite0"]

_BATCH_NORM_EPS = 1e-3

# (blocks, kernel, stride of the first block, expansion, output channels): EfficientNet-B0's stages.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class _SameConv(nn.Conv2d):
    """A convolution with bias, padded like TensorFlow's "SAME", then ReLU6 where asked."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        relu6: bool,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=True)
        self.relu6 = relu6

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, right = (_same_padding(side, kernel, stride) for side in x.shape[2:])
        if down == right and down % 2 == 0:
            x = F.conv2d(x, self.weight, self.bias, self.stride, down // 2, 1, self.groups)
        else:
            x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
            x = F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)
        return F.relu6(x, inplace=True) if self.relu6 else x


class _InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project; the input is added where the shapes agree."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = inputs * expansion
        self.adds_input = stride == 1 and inputs == outputs
        expand = [_SameConv(inputs, width, 1, relu6=True)] if expansion > 1 else []
        depthwise = _SameConv(width, width, kernel, stride=stride, groups=width, relu6=True)
        project = _SameConv(width, outputs, 1, relu6=False)
        self.body = nn.Sequential(*expand, depthwise, project)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out.add_(x) if self.adds_input else out


class EfficientNetLite0(nn.Module):
    """Maps (N, 3, H, W) to pooled features (N, 1280) and ImageNet logits (N, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, 32, 3, stride=2, relu6=True)
        blocks: list[nn.Module] = []
        channels = 32
        for count, kernel, stride, expansion, outputs in _STAGES:
            for index in range(count):
                first = index == 0
                blocks.append(
                    _InvertedResidual(
                        channels,
                        outputs,
                        kernel,
                        stride=stride if first else 1,
                        expansion=expansion,
                    )
                )
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = _SameConv(channels, 1280, 1, relu6=True)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features and logits; the classifier runs in float64."""
        pooled = self.head(self.blocks(self.stem(x))).mean(dim=(2, 3), dtype=torch.float32)
        return pooled, linear_float64(pooled, self.classifier.weight, self.classifier.bias)

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Take the published weights, folding each batch norm into the convolution before it.

        The published state lists, in the order of the forward pass, one weight for each
        convolution and four tensors (and a step counter) for each batch norm; convolutions are
        matched in that order, so that any naming of the same network is understood.

        Raises:
            ConfigError: the tensors are not those of EfficientNet-Lite0.
        """
        convolutions = [m for m in self.modules() if isinstance(m, _SameConv)]
        tensors = [v for k, v in state.items() if not k.endswith("num_batches_tracked")]
        expected = 5 * len(convolutions) + 2
        if len(tensors) != expected:
            raise ConfigError(
                f"EfficientNet-Lite0 has {expected} weight tensors, the file has {len(tensors)}"
            )
        with torch.no_grad():
            for conv, (weight, *norm) in zip(convolutions, _groups(tensors[:-2], 5), strict=True):
                _fold(conv, weight, norm)
            for parameter, value in zip(self.classifier.parameters(), tensors[-2:], strict=True):
                _copy(parameter, value)


def _same_padding(side: int, kernel: int, stride: int) -> int:
    """Pixels that "SAME" adds to a side in all, so that ceil(side / stride) come out."""
    return max((-(-side // stride) - 1) * stride + kernel - side, 0)


def _groups(tensors: list[Tensor], size: int) -> Iterator[list[Tensor]]:
    for start in range(0, len(tensors), size):
        yield tensors[start : start + size]


def _fold(conv: nn.Conv2d, weight: Tensor, norm: list[Tensor]) -> None:
    """Set ``conv`` to the convolution followed by its batch norm (in float64, then rounded)."""
    if weight.ndim != 4 or any(t.shape != weight.shape[:1] for t in norm):
        raise ConfigError("the file's tensors are not in the order of EfficientNet-Lite0's layers")
    gain, shift, mean, variance = (t.double() for t in norm)
    scale = gain / (variance + _BATCH_NORM_EPS).sqrt()
    _copy(conv.weight, weight.double() * scale.view(-1, 1, 1, 1))
    assert conv.bias is not None
    _copy(conv.bias, shift - mean * scale)


def _copy(target: Tensor, value: Tensor) -> None:
    if target.shape != value.shape:
        raise ConfigError(
            f"EfficientNet-Lite0 needs a tensor of shape {tuple(target.shape)} where the file has "
            f"{tuple(value.shape)}"
        )
    target.copy_(value)
