"""Runs a verb as a Hydra application: overrides, ``--help``, ``--cfg``, sweeps, tab completion."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hydra
from hydra._internal.utils import get_args_parser
from hydra.types import RunMode

from nasgan.cli.arguments import flags_last, with_homes
from nasgan.cli.compose import VERSION_BASE, compose_run, compose_sweep, sweep_jobs
from nasgan.cli.configs import config_uri, register_plugin_configs
from nasgan.cli.console import say
from nasgan.cli.hydra_job import Job, Work
from nasgan.cli.hydra_rules import guard_hydra
from nasgan.cli.messages import COMPOSITION_ERRORS, explain
from nasgan.cli.resolvers import register_resolvers, sweep_name
from nasgan.cli.sweep import SweepLog, complaint, summary
from nasgan.errors import ConfigError, NasganError
from nasgan.run_settings import absolute

if TYPE_CHECKING:
    from nasgan.engine.run_directory import NewFolders

__all__ = ["SweepError", "run_app"]

_log = logging.getLogger(__name__)

# Experiments may hold whole sweeps.
_SETS_THE_MODE = re.compile(r"\+*(hydra\.mode|experiment)=")


class SweepError(NasganError):
    """A job of a sweep failed; what happened was shown when it did."""


class _Plan(NamedTuple):
    """What a command line asks for.

    Attributes:
        sweep: the log of the sweep, if it is one.
        jobs: the overrides of the sweep's jobs, where they are known before it runs.
        folder: of a single run.
        new: the folders that a single run will make.
    """

    sweep: SweepLog | None = None
    jobs: Sequence[tuple[str, ...]] = ()
    folder: Path | None = None
    new: NewFolders | None = None


def run_app(verb: str, work: Work, arguments: Sequence[str]) -> int:
    """Run ``nasgan VERB ARGUMENTS...``.

    Args:
        verb: name of the primary configuration.
        work: a function of a module, so that launchers can send it to other processes.
        arguments: what follows the verb.

    Returns:
        The exit code of the work.

    Raises:
        ConfigError: something is wrong with the arguments.
        SweepError: a job of a sweep failed.
        SystemExit: by Hydra, after printing help or a configuration.
    """
    arguments = with_homes(flags_last(arguments))
    plan = _check_before_start(verb, arguments)
    register_plugin_configs()
    register_resolvers()
    job = Job(verb, work, plan.sweep)
    main = hydra.main(version_base=VERSION_BASE, config_path=config_uri(), config_name=verb)
    with _command_line(arguments), _errors_raised(), ExitStack() as at_the_end:
        at_the_end.callback(guard_hydra())
        try:
            if plan.sweep is not None:
                _run_sweep(main(job), plan.sweep, plan.jobs)
            else:
                main(job)()
        except SweepError:
            raise
        except COMPOSITION_ERRORS as error:
            raise explain(error, verb) from error
        except OSError:
            if plan.new is not None:
                plan.new.remove()
            raise
    if job.error is not None:
        if isinstance(job.error, NasganError):
            _leave_nothing(verb, plan)
        raise job.error
    return job.exit_code


def _leave_nothing(verb: str, plan: _Plan) -> None:
    """Remove the folders that a refused run has made, where only its log is in them."""
    if plan.folder is None or plan.new is None or plan.folder not in plan.new:
        return
    if plan.folder.is_dir() and {path.name for path in plan.folder.iterdir()} <= {f"{verb}.log"}:
        shutil.rmtree(plan.folder, ignore_errors=True)
        plan.new.remove()


def _run_sweep(
    start: Callable[[], object], sweep: SweepLog, jobs: Sequence[tuple[str, ...]]
) -> None:
    """Run all jobs; show how they ended.

    Raises:
        SweepError: some failed, or the launcher did.
    """
    stopped = ""
    is_whole = False
    try:
        with sweep.watched():
            try:
                start()
                is_whole = True
            except Exception as error:
                if not sweep.read():
                    if isinstance(error, (NasganError, *COMPOSITION_ERRORS)):
                        raise
                    raise ConfigError(
                        f"hydra/launcher could not start the sweep: {type(error).__name__}: "
                        f"{error} (nothing has run; NASGAN_DEBUG=1 shows where it stopped)"
                    ) from error
                _log.debug("the launcher stopped", exc_info=error)
                stopped = f"{type(error).__name__}: {error}"
    finally:
        notes = sweep.read()
        say(*summary(notes, is_whole=is_whole, planned=jobs))
        sweep.remove()
    if stopped:
        raise SweepError(
            f"the launcher stopped ({stopped}); what it has put into a queue may go on. The same "
            "command skips what is finished and resumes the rest"
        )
    if wrong := complaint(notes):
        raise SweepError(wrong)


def _check_before_start(verb: str, arguments: Sequence[str]) -> _Plan:
    """Refuse a bad single run before Hydra makes its folder; prepare the log of a sweep."""
    flags, unknown = get_args_parser().parse_known_args(list(arguments))
    if flags.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun loads a pickle, which can run any code: refused")
    if unknown:
        raise ConfigError(f"unknown flag {unknown[0]}; see nasgan {verb} --help")
    if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
        return _Plan()
    overrides = [*flags.overrides, *_search_path(flags)]
    if flags.multirun or flags.config_dir or any(map(_SETS_THE_MODE.match, flags.overrides)):
        plan = _open_sweep(verb, flags, overrides)
        if plan.sweep is not None:
            return plan
    if flags.config_path:
        return _Plan()
    config, folder = compose_run(verb, overrides, name=flags.config_name)
    plan = _Plan()
    if verb in ("search", "train"):
        from nasgan.engine.run_directory import NewFolders
        from nasgan.engine.workbench import check_config

        check_config(config)
        plan = _Plan(folder=folder, new=NewFolders(folder))
    if verb == "train" and isinstance(config["architecture"], str):
        from nasgan.factory import load_architecture

        load_architecture(config["architecture"])
    return plan


def _search_path(flags: Namespace) -> list[str]:
    """The folder of ``--config-dir`` as an override."""
    if not flags.config_dir:
        return []
    folder = Path(absolute(flags.config_dir))
    if not folder.is_dir():
        raise ConfigError(f"--config-dir {flags.config_dir}: there is no such folder")
    return [f"hydra.searchpath=['file://{folder}']"]


def _open_sweep(verb: str, flags: Namespace, overrides: Sequence[str]) -> _Plan:
    """The sweep that the command line or an experiment asks for, if one does."""
    if flags.config_path:
        if flags.multirun:
            raise ConfigError("--config-path does not go with a sweep; use --config-dir")
        return _Plan()
    settings = compose_sweep(verb, overrides, name=flags.config_name)
    if not flags.multirun and settings.mode != RunMode.MULTIRUN:
        return _Plan()
    log = SweepLog.new(Path(settings.sweep.dir), sweep_name(verb, flags.overrides))
    return _Plan(log, sweep_jobs(settings, overrides))


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads its arguments from ``sys.argv`` and the program's name for tab completion."""
    before = sys.argv
    sys.argv = ["nasgan", *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _errors_raised() -> Iterator[None]:
    """Let Hydra raise its errors, where it would print them and leave."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before
