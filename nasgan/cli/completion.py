"""Tab completion: Hydra's, for a program whose first word is a verb.

The shell function that Hydra installs calls ``nasgan -sc query=SHELL`` with the line typed so far
in ``COMP_LINE``. The verb is completed here; what follows it is the verb's Hydra application's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from nasgan.cli.console import say
from nasgan.cli.key_values import READING_VERBS, names_of

__all__ = ["run"]

_EXPERIMENT = "+experiment="
_HYDRA_VERBS = ("search", "train", "tabulate", "evaluate", "sample")


def run(arguments: Sequence[str]) -> int:
    """Install, uninstall or query tab completion, as Hydra's ``-sc`` says."""
    if not any(argument.startswith("query=") for argument in arguments):
        return _hydra("search", arguments)
    program, verb, rest = _split(os.environ.get("COMP_LINE", ""))
    if rest is None:
        say(*_verbs_like(verb))
        return 0
    word = rest.split(" ")[-1]
    if verb == "list":
        from nasgan.cli.listing import SECTIONS

        say(*(name for name in SECTIONS if name.startswith(word)))
    elif verb == "new":
        from nasgan.cli.new import KINDS

        say(*(kind for kind in KINDS if kind.startswith(word) and " " not in rest))
    elif verb in READING_VERBS:
        say(*(f"{name}=" for name in names_of(verb) if f"{name}=".startswith(word)))
    elif verb in _HYDRA_VERBS and word.startswith(_EXPERIMENT):
        say(*_experiments_like(word))
    elif verb in _HYDRA_VERBS:
        os.environ["COMP_LINE"] = f"{program} {rest}"
        return _hydra(verb, arguments)
    return 0


def _experiments_like(word: str) -> list[str]:
    """Hydra does not complete options in the subfolders of a group, where most of these are."""
    from nasgan.cli.config_options import options

    words = [f"{_EXPERIMENT}{option.name}" for option in options("experiment")]
    return [found for found in words if found.startswith(word)]


def _hydra(verb: str, arguments: Sequence[str]) -> int:
    from nasgan.cli.main import run_verb

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it would be in the middle of the line that is being typed
    try:
        return run_verb(verb, arguments)
    finally:
        logging.disable(before)


def _split(line: str) -> tuple[str, str, str | None]:
    """Program, verb, and what follows the verb; None while the verb is still being typed."""
    program, _, after = line.lstrip().partition(" ")
    verb, gap, rest = after.lstrip().partition(" ")
    return program, verb, rest.lstrip() if gap else None


def _verbs_like(start: str) -> list[str]:
    from nasgan.cli.main import VERBS

    return [verb for verb in VERBS if verb.startswith(start)]
