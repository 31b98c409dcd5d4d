"""Runs from Python: the same as the command line's `search` and `train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nasgan.cli.compose import compose_run
from nasgan.engine import LoadedRun, bind, load, run
from nasgan.errors import NasganError

__all__ = ["search", "train"]


def search(*overrides: str, run_dir: str | Path | None = None) -> LoadedRun:
    """Run ``nasgan search OVERRIDES...``; resumes it, or just loads it if it is finished.

    Args:
        overrides: as on the command line: ``"strategy=random"``, ``"seed=1"``.
        run_dir: the run's folder; by default the one that the command line would take.

    Raises:
        NasganError: bad input, or the run failed; the message gives its reason.
    """
    return _run("search", overrides, run_dir)


def train(
    architecture: str | Path, *overrides: str, run_dir: str | Path | None = None
) -> LoadedRun:
    """Run ``nasgan train architecture=ARCHITECTURE OVERRIDES...``; see `search`.

    Args:
        architecture: a registered name, or the path of an architecture file or of a run.
        overrides: as on the command line.
        run_dir: as for `search`.

    Raises:
        NasganError: as `search`.
    """
    # Quoted, so that Hydra takes any path as it is.
    quoted = str(architecture).replace("\\", "\\\\").replace("'", "\\'")
    return _run("train", [f"architecture='{quoted}'", *overrides], run_dir)


def _run(verb: str, overrides: Sequence[str], run_dir: str | Path | None) -> LoadedRun:
    config, folder = compose_run(verb, overrides)
    outcome = run(bind(config), folder if run_dir is None else Path(run_dir).expanduser())
    if outcome.status == "failed":
        raise NasganError(" ".join(outcome.summary_lines))
    return load(outcome.run_dir)
