"""A table of made-up trainings whose truth is known: what the tools of tables are measured on.

The curves have the shape of real ones: the logarithm of FID is a sum of effects of options and of
pairs of options, whose weights change along the training, and noise whose spread grows with the
level and that goes along a curve. Nothing in it was ever trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasgan.architecture import Architecture
from nasgan.contracts import SearchSpace
from nasgan.factory import make_search_space
from nasgan.randomness import numpy_generator
from nasgan.tabular.build import build_table
from nasgan.tabular.manifest import Manifest
from nasgan.tabular.rows import Point, Row, RowFile
from nasgan.training import TrainerSettings

__all__ = ["SPACE_SETTINGS", "Truth", "write_synthetic_table"]

SPACE_SETTINGS: dict[str, Any] = {
    "image_size": 16,
    "image_channels": 3,
    "generator_channels": 16,
    "discriminator_channels": 16,
    "latent_dim": 64,
}
STEPS = (60, 150, 300, 600)
_OPTION_EFFECT = 0.12  # sd of an option's part of the logarithm of FID
_PAIR_EFFECT = 0.08
_PAIRS = 12
_SPREAD = 0.15  # between seeds, at the usual level
_ALONG = 0.8  # correlation of a curve's points


@dataclass(frozen=True)
class Truth:
    """What architectures of a space are worth, by rule.

    Attributes:
        space: whose architectures.
        seed: of the rule.
        spread: standard deviation between seeds of the logarithm of FID, at the usual level.
    """

    space: SearchSpace
    seed: int = 0
    spread: float = _SPREAD

    def level(self, architecture: Architecture, step: int) -> float:
        """Mean of the logarithm of FID over seeds."""
        late = step / STEPS[-1]
        options = self.space.encode(architecture)
        level = 4.6 + 0.9 * math.exp(-3 * late)
        for number, option in enumerate(options):
            early, lasting = self._effects(_OPTION_EFFECT, "option", number, option)
            level += lasting + (1 - late) * early
        for number in range(_PAIRS):
            one, two = self._pair(number, len(options))
            early, lasting = self._effects(_PAIR_EFFECT, "pair", number, options[one], options[two])
            level += lasting + (1 - late) * early
        return level

    def curve(self, architecture: Architecture, seed: int) -> Iterator[Point]:
        """The points of one training."""
        rng = numpy_generator(self.seed, "made-up training", architecture.id, seed)
        shared = rng.standard_normal()
        for step in STEPS:
            own = rng.standard_normal()
            noise = math.sqrt(_ALONG) * shared + math.sqrt(1 - _ALONG) * own
            level = self.level(architecture, step)
            log_fid = level + self.spread * math.exp(0.3 * (level - 4.6)) * noise
            metrics = {
                "is": math.exp(2.2 - 0.35 * log_fid / 4.6 + 0.01 * own),
                "fid": math.exp(log_fid),
                "kid": math.exp(1.1 * log_fid - 8 + 0.05 * own),
            }
            yield Point(step, step * self.seconds_per_step(architecture), metrics)

    def seconds_per_step(self, architecture: Architecture) -> float:
        """Of one idle core."""
        return 0.05 * (1 + 0.1 * sum(self.space.encode(architecture)) / len(architecture))

    def _effects(self, size: float, *names: str | int) -> np.ndarray:
        return size * numpy_generator(self.seed, *names).standard_normal(2)

    def _pair(self, number: int, decisions: int) -> tuple[int, int]:
        drawn = numpy_generator(self.seed, "pair", number).choice(decisions, 2, replace=False)
        return int(drawn[0]), int(drawn[1])


def write_synthetic_table(
    folder: Path,
    *,
    architectures: int = 300,
    seeds: int = 2,
    repeated: int = 30,
    repeated_seeds: int = 6,
    truth: Truth | None = None,
    chosen: Sequence[Architecture] | None = None,
) -> Path:
    """Write made-up trainings as ``nasgan tabulate`` leaves real ones, and build their table.

    Args:
        folder: of the rows and of the file.
        architectures: drawn at random.
        seeds: trainings of each.
        repeated: so many have ...
        repeated_seeds: ... this many trainings.
        truth: None: that of the seed 0, in the space ``autogan`` at 16 pixels.
        chosen: the architectures; None: drawn at random.

    Returns:
        The table's file.
    """
    truth = truth or Truth(make_search_space("autogan", **SPACE_SETTINGS))
    space = truth.space
    rng = numpy_generator(truth.seed, "made-up table")
    drawn = chosen or [space.sample(rng) for _ in range(architectures)]
    manifest = Manifest(
        settings={
            "search_space": {
                "name": space.name,
                "version": space.version,
                "settings": dict(space.settings),
            },
            "protocol": "made_up-train-2k-lite0_r64-v1",
            "metrics": ["is", "fid", "kid"],
            "trainer": asdict(TrainerSettings(n_critic=2)),
        },
        decisions={d.name: list(d.options) for d in space.decisions},
        designs=({"kind": "uniform", "seeds": seeds},),
        bound=None,
        environments=(),
        licence="CC0-1.0",
    )
    manifest.claim(folder)
    file = RowFile(folder, "1of1")
    for number, architecture in enumerate(drawn):
        for seed in range(repeated_seeds if number < repeated else seeds):
            file.append(_row(truth, architecture, seed))
    build_table([folder], folder / "synthetic-v1.npz")
    return folder / "synthetic-v1.npz"


def _row(truth: Truth, architecture: Architecture, seed: int) -> Row:
    curve = tuple(truth.curve(architecture, seed))
    options = truth.space.encode(architecture)
    # Larger is a little worse, as in the field's only public table.
    worse = truth.level(architecture, STEPS[-1]) - 4.6
    size = int(1e5 * math.exp(0.3 * worse + 0.05 * sum(options)))
    return Row(
        architecture=architecture.id,
        options=options,
        seed=seed,
        curve=curve,
        steps=STEPS[-1],
        images=1000,
        seconds=curve[-1].seconds,
        device_seconds=curve[-1].seconds,
        parameters={"generator": size, "discriminator": 100_000},
        macs={"generator": 100 * size, "discriminator": 10**7},
    )
