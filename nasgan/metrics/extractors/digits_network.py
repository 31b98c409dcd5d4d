"""A small classifier of 16x16 grey digits whose weights ship with the package."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DigitsNetwork"]


class DigitsNetwork(nn.Module):
    """Maps (N, 1, 16, 16) in [-1, 1] to features (N, 64) and logits (N, 10).

    GELU leaves no feature constant, as ReLU could: a dead feature would make covariances singular.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.features = nn.Linear(32 * 4 * 4, 64)
        self.classifier = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (after the activation) and logits."""
        x = F.gelu(self.conv1(x))
        x = F.gelu(self.conv2(x))
        x = F.gelu(self.conv3(x))
        features = F.gelu(self.features(x.flatten(1)))
        return features, self.classifier(features)
