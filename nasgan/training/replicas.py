"""One training in several processes, one a device: what they tell each other.

Each holds the same networks and draws the same random numbers for the whole batch, of which it
takes its rows. Logits are gathered, so that any loss sees the whole batch, and gradients are added
up: what one process would do with the whole batch, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nasgan.errors import ReplicaLostError

__all__ = ["ALONE", "Replicas", "synchronise_batch_norms"]


class Replicas:
    """This process among those of one training.

    Args:
        rank: which it is; 0 leads and alone writes, scores and says what is done next.
        count: how many there are.
        orders: the group that orders go through, on the hosts; None for one process.
    """

    def __init__(self, rank: int, count: int, orders: dist.ProcessGroup | None = None) -> None:
        self.rank = rank
        self.count = count
        self._orders = orders

    def __deepcopy__(self, memo: object) -> Replicas:
        # An averaged generator belongs to the same training.
        return self

    def own(self, whole: Tensor) -> Tensor:
        """This process's rows of a whole batch."""
        return whole if self.count == 1 else whole.chunk(self.count)[self.rank]

    def gathered(self, own: Tensor) -> Tensor:
        """The rows of all; gradients flow to one's own."""
        if self.count == 1:
            return own
        parts = list(self.all(own.detach()).unbind())
        parts[self.rank] = own
        return torch.cat(parts)

    def averaged(self, own: Tensor) -> Tensor:
        """The mean over all; the gradient is that of one's own share in it."""
        if self.count == 1:
            return own
        share = own / self.count
        return share + (self.total(share.detach()) - share.detach())

    def add_up(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes; those that have none have none anywhere."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        summed = self.total(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = torch.split(summed, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def all(self, own: Tensor) -> Tensor:
        """What each process has, (count, ...)."""
        own = own.contiguous()
        made = [torch.empty_like(own) for _ in range(self.count)]
        with _named():
            dist.all_gather(made, own)
        return torch.stack(made)

    def total(self, own: Tensor) -> Tensor:
        """The sum over all processes."""
        made = own.clone(memory_format=torch.contiguous_format)
        with _named():
            dist.all_reduce(made)
        return made

    def tell(self, order: str, given: Any = None) -> None:
        """Have the others do what this one, which leads, is about to do."""
        if self.count > 1 and self.rank == 0:
            with _named():
                dist.broadcast_object_list([order, given], 0, self._orders)

    def heard(self) -> tuple[str, Any]:
        """The next `tell` of the process that leads."""
        message: list[Any] = [None, None]
        with _named():
            dist.broadcast_object_list(message, 0, self._orders)
        return message[0], message[1]


ALONE = Replicas(0, 1)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ReplicaLostError(
            "the training ended because one of its processes did (each device has one); what it "
            "said stands above, and the same command resumes from the last checkpoint"
        ) from error


def synchronise_batch_norms(network: nn.Module, replicas: Replicas) -> None:
    """Have the batch norms of ``network``, in training, normalise by the batch of all processes."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SynchronisedBatchNorm2d
            module.replicas = replicas  # type: ignore[assignment]


class _SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """As `torch.nn.SyncBatchNorm`, also on CPUs and differentiable twice."""

    replicas: Replicas

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of nn.BatchNorm2d
        """Normalise (N, C, H, W)."""
        if not self.training or not self.track_running_stats:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        own = torch.stack([x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)])
        means, variances = _All.apply(own, self.replicas).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        total = self.replicas.count * x.numel() // x.shape[1]
        self._follow(mean.detach(), variance.detach() * (total / (total - 1)))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        y = (x - mean[:, None, None]) * scale[:, None, None]
        if self.affine:
            y = y + self.bias[:, None, None]
        normalised: Tensor = y.to(input.dtype)
        return normalised

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)


class _All(torch.autograd.Function):
    """`Replicas.all`, with gradients to what each process has."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, replicas: Replicas) -> Tensor:
        ctx.replicas = replicas
        return replicas.all(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Total.apply(gradients[0], ctx.replicas)[ctx.replicas.rank], None


class _Total(torch.autograd.Function):
    """`Replicas.total`, with gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, replicas: Replicas) -> Tensor:
        ctx.replicas = replicas
        return replicas.total(own)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Total.apply(gradients[0], ctx.replicas), None
