"""Runs from Python: the same as the command line's `search` and `train`."""

from __future__ import annotations

from pathlib import Path

from nasgan.cli.compose import compose_run
from nasgan.engine import LoadedRun, Outcome, load, run_search, run_training
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
    config, folder = compose_run("search", overrides)
    return _loaded(run_search(config, folder if run_dir is None else Path(run_dir).expanduser()))


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
    config, folder = compose_run("train", [f"architecture='{quoted}'", *overrides])
    return _loaded(run_training(config, folder if run_dir is None else Path(run_dir).expanduser()))


def _loaded(outcome: Outcome) -> LoadedRun:
    if outcome.status == "failed":
        raise NasganError(" ".join(outcome.summary_lines))
    return load(outcome.run_dir)
