"""Train the digits classifier that ships with nasgan as the embedded metric features.

Deterministic (seeded, one thread, CPU): the same machine and torch give the same file.

    python benchmarks/train_digits_classifier.py [--out FILE] [--epochs N]
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from nasgan.atomic import write_file
from nasgan.data import load_digits
from nasgan.metrics.extractors.digits import WEIGHTS, DigitsNetwork

_BATCH = 64
_NOISE = 0.1
_LARGEST_SHIFT = 1


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each batch by up to a pixel and add a little noise: generated digits are not clean."""
    shift = torch.randint(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1, (2,), generator=generator)
    padded = F.pad(images, [_LARGEST_SHIFT] * 4, value=-1.0)
    side = images.shape[-1]
    top, left = (int(s) + _LARGEST_SHIFT for s in shift)
    window = padded[:, :, top : top + side, left : left + side]
    return window + _NOISE * torch.randn(images.shape, generator=generator)


def train(images: Tensor, labels: Tensor, *, epochs: int, seed: int) -> DigitsNetwork:
    """Fit the classifier with AdamW and a cosine schedule."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layer initialisation has no generator argument
        network = DigitsNetwork()
    steps = epochs * math.ceil(len(images) / _BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(images), generator=generator), _BATCH):
            _, logits = network(augment(images[batch], generator))
            loss = F.cross_entropy(logits, labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return network.eval()


def accuracy(network: DigitsNetwork, images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest logit is their label."""
    with torch.no_grad():
        return float((network(images)[1].argmax(dim=1) == labels).double().mean())


def main() -> None:
    """Train, print the accuracies, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    splits = load_digits()
    assert splits.test is not None
    assert splits.train.labels is not None
    assert splits.test.labels is not None
    scaled = [s.images.float() / 127.5 - 1.0 for s in (splits.train, splits.test)]
    network = train(scaled[0], splits.train.labels, epochs=arguments.epochs, seed=arguments.seed)
    data = save({k: v.contiguous() for k, v in network.state_dict().items()})
    write_file(arguments.out, data)
    print(f"train accuracy  {accuracy(network, scaled[0], splits.train.labels):.4f}")
    print(f"test accuracy   {accuracy(network, scaled[1], splits.test.labels):.4f}")
    print(f"{arguments.out}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
