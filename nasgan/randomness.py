"""Every random number comes from the run's one seed, by a named stream.

Streams are independent of the order in which they are made: the stream ``"latents"`` of seed 3 is
the same whether or not something else drew numbers before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["RandomStreams", "derive_seed", "numpy_generator", "seeded", "torch_generator"]


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream ``names`` of the run seed ``seed``."""
    key = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator for the stream ``names`` of ``seed``."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))


def torch_generator(
    seed: int, *names: str | int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A torch generator on ``device`` for the stream ``names`` of ``seed``."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Run a block whose global torch CPU numbers (layer initialisation) come from a stream.

    The global generator is put back afterwards. Build networks on the CPU inside, move them after:
    then their initial values do not depend on the device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, *names))
        yield


class RandomStreams:
    """Named numpy generators of one seed, whose positions are part of a checkpoint.

    Args:
        seed: the run's seed.
        scope: prefix of every stream's name, to keep two owners apart.
    """

    def __init__(self, seed: int, scope: str) -> None:
        self._seed = seed
        self._scope = scope
        self._streams: dict[str, np.random.Generator] = {}

    def __getitem__(self, name: str) -> np.random.Generator:
        """The stream ``name``, made on first use; drawing from it moves its position."""
        if name not in self._streams:
            self._streams[name] = numpy_generator(self._seed, self._scope, name)
        return self._streams[name]

    def state_dict(self) -> dict[str, Any]:
        """Positions of all streams made so far, as plain numbers."""
        return {name: stream.bit_generator.state for name, stream in self._streams.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._streams.clear()
        for name, position in state.items():
            self[name].bit_generator.state = dict(position)
