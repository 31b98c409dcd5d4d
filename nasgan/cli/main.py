"""``nasgan VERB ...``: finds the verb and turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata

from nasgan.cli.console import complain, heading, is_refusal, log_warnings, named, say, table
from nasgan.errors import NasganError, UnknownNameError

__all__ = ["VERBS", "main", "run_verb"]

VERBS: Mapping[str, str] = {
    "search": "search an architecture, retrain the best, score and record it",
    "train": "train one architecture from scratch, score and record it",
    "tabulate": "train many architectures at several seeds: the rows of a table",
    "table": "build a table from rows, or say what is in one",
    "simulate": "run many searches on a table, in minutes",
    "evaluate": "score the networks of a finished run",
    "sample": "draw images from a finished run",
    "leaderboard": "build the leaderboard from run records, or verify one",
    "publish": "put runs, tables and report into a folder that others can verify",
    "report": "make one HTML file about many runs",
    "watch": "show that report live while a sweep runs",
    "list": "what there is: spaces, strategies, datasets, architectures, ...",
    "doctor": "what works on this machine, and how to get the rest",
    "new": "write a package that adds a strategy or a search space",
}
"""Every verb is the module of its name in this package, with a function ``run(arguments)``, or one
of those that `_SHARED` modules hold, with ``run(verb, arguments)``."""

_SHARED: Mapping[str, str] = {
    **dict.fromkeys(("search", "train", "tabulate", "evaluate", "sample"), "running"),
    **dict.fromkeys(("report", "watch", "publish"), "pages"),
}

_INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows ``nasgan``; by default the process's own.

    Returns:
        0 if all went well, 1 if a run failed, 2 for bad input, 130 when interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    is_debugging = "1" in (os.environ.get("NASGAN_DEBUG"), os.environ.get("HYDRA_FULL_ERROR"))
    try:
        with warnings.catch_warnings():
            if not is_debugging:
                log_warnings()
            return _dispatch(arguments)
    except BrokenPipeError:
        # The reader (`| head`) has gone; leave without a second error at the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (NasganError, OSError) as raised:
        error = named(raised)
        if not isinstance(error, NasganError):
            raise
        if is_debugging:
            traceback.print_exc()
        else:
            complain(str(error))
        return 1 if _is_sweep_failure(error) or not is_refusal(error) else 2
    except KeyboardInterrupt:
        complain("interrupted; the same command resumes")
        return _INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] in (["-sc"], ["--shell-completion"]):
        from nasgan.cli.completion import run as complete

        return complete(arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        say(*_help())
        return 0
    verb, *rest = arguments
    if verb == "--version" or "--version" in rest:
        say(f"nasgan {_version()}")
        return 0
    if verb not in VERBS:
        raise UnknownNameError("verb", verb, [*VERBS, "leaderboard verify"])
    return run_verb(verb, rest)


def run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Run one of `VERBS`; its module is imported now.

    Raises:
        NasganError: bad input, or the verb failed.
    """
    name = _SHARED.get(verb, "listing" if verb == "list" else verb)
    module = importlib.import_module(f"nasgan.cli.{name}")
    return int(module.run(verb, arguments) if verb in _SHARED else module.run(arguments))


def _is_sweep_failure(error: NasganError) -> bool:
    """By name: importing the class would import Hydra for every verb."""
    return type(error).__name__ == "SweepError"


def _help() -> list[str]:
    return [
        "Benchmark neural architecture search for generative adversarial networks.",
        "",
        "Usage: nasgan VERB [group=option ...] [key=value ...]",
        "",
        heading("Verbs"),
        *table(VERBS.items()),
        "",
        heading("First steps"),
        *table(
            [
                ("nasgan search", "the embedded default: minutes on a CPU, no download"),
                ("nasgan leaderboard", "a table of all runs in outputs/"),
                ("nasgan report", "the same with curves, images and architectures, as HTML"),
                ("nasgan search --help", "settings and examples of a verb"),
                ("nasgan doctor", "check this machine"),
            ]
        ),
        "",
        'Tab completion for bash: eval "$(nasgan -sc install=bash)"',
    ]


def _version() -> str:
    try:
        return metadata.version("nasgan")
    except metadata.PackageNotFoundError:
        from nasgan.registry import STRATEGIES, plugins

        own = [p.version for p in plugins(STRATEGIES) if p.distribution == "nasgan"]
        return own[0] if own else "unknown (not installed)"


if __name__ == "__main__":
    sys.exit(main())
