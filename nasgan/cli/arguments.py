"""Command lines as people write them, as Hydra reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra._internal.utils import get_args_parser

from nasgan.run_settings import with_home

__all__ = ["flags_last", "with_homes"]

# A path that begins with ~, as a value or as one of several.
_AT_HOME = re.compile(r"(?<=[=,\[])~[\w.-]*(?:/[^,\[\]{}()'\"]*)?(?=[,\]]|$)")
_FOR_HYDRA_ITSELF = ("hydra.run.dir=", "hydra.sweep.dir=")


def flags_last(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with the overrides first: flags may stand anywhere among them."""
    found, _ = get_args_parser().parse_known_intermixed_args(list(arguments))
    flags = list(arguments)
    for override in found.overrides:
        flags.remove(override)
    return [*found.overrides, *flags]


def with_homes(overrides: Sequence[str]) -> list[str]:
    """``overrides`` with quotes around paths that begin with ``~``, which Hydra wants there."""
    return [_with_homes(text) for text in overrides]


def _with_homes(text: str) -> str:
    if text.startswith(_FOR_HYDRA_ITSELF):
        return _AT_HOME.sub(lambda found: f"'{with_home(found[0])}'", text)
    return _AT_HOME.sub(r"'\g<0>'", text)
