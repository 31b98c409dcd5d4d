"""Folders of results on the command line: one, or several as ``runs=a,b,c`` or ``runs=[a,b,c]``."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["roots_of", "with_lists"]

_KEYS = re.compile(r"(runs|out|protocol|group_by|where\.\w+)=([^\[\]{}()'\"]*,[^\[\]{}()'\"]*)")
_MULTIRUN = ("-m", "--multirun")


def with_lists(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with the brackets that Hydra wants around several values.

    Without them it takes ``a,b`` for a sweep, which a verb that reads results has no use for;
    with ``-m`` they are left as they are.
    """
    if any(argument in _MULTIRUN for argument in arguments):
        return list(arguments)
    return [_KEYS.sub(r"\1=[\2]", a) if _KEYS.fullmatch(a) else a for a in arguments]


def roots_of(setting: str | Sequence[str]) -> list[str]:
    """The folders of the setting ``runs``."""
    return [setting] if isinstance(setting, str) else list(setting)
