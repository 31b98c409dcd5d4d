"""Verbs that compute, each a Hydra application: overrides, help, configurations, sweeps."""

from __future__ import annotations

import logging
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.callbacks import Callbacks
from hydra._internal.utils import get_args_parser
from hydra.core import utils as hydra_utils
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from nasgan.cli.compose import (
    VERSION_BASE,
    composed,
    explained,
    flags_last,
    settle,
    single_valued,
    sweep_jobs,
    with_homes,
)
from nasgan.cli.config_options import config_folder, config_uri, register_plugin_configs
from nasgan.cli.console import say, table
from nasgan.cli.hydra_job import Bound, HydraJob, Work, environment
from nasgan.cli.hydra_rules import guard_hydra
from nasgan.cli.resolvers import register_resolvers, sweep_name
from nasgan.cli.sweep import SweepLog, complaint, summary
from nasgan.errors import ConfigError, NasganError
from nasgan.run_settings import absolute
from nasgan.runs.folder import new_folder

__all__ = [
    "SweepError",
    "run",
    "run_app",
]


# A variable that only its processes have.
_TORCHRUN = "TORCHELASTIC_RUN_ID"
_DEVICES = "trainer.devices="


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run the verb; see `nasgan.cli.running.run_app`.

    Of the processes that torchrun starts for a training the first runs it, and the others follow.
    """
    if verb != "train" or _TORCHRUN not in os.environ:
        return run_app(verb, _WORK[verb], arguments)
    from nasgan.engine.follower import follow
    from nasgan.engine.replicas import joined

    with joined() as replicas:
        if replicas.rank == 0:
            return run_app(verb, _train, _on_devices(arguments, replicas.count))
        follow(replicas)
    return 0


def _on_devices(arguments: Sequence[str], count: int) -> list[str]:
    """``arguments`` with the number of processes that torchrun has started.

    Raises:
        ConfigError: they ask for another number.
    """
    wanted = f"{_DEVICES}{count}"
    for argument in arguments:
        if argument.startswith(_DEVICES) and argument != wanted:
            raise ConfigError(
                f"torchrun has started {count} processes, but {argument} asks for others; leave "
                f"{_DEVICES}N out"
            )
    return [*(a for a in arguments if a != wanted), wanted]


def _search(config: dict[str, Any]) -> Bound:
    from nasgan.engine import bind, run

    return partial(run, bind(config))


def _train(config: dict[str, Any]) -> Bound:
    from nasgan.engine import bind, run
    from nasgan.factory import load_architecture

    parts = bind(config)
    if isinstance(config["architecture"], str):
        load_architecture(config["architecture"])  # a name that is misspelt leaves no folder
    return partial(run, parts)


def _tabulate(config: dict[str, Any]) -> Bound:
    def tabulate(_: Path) -> int:
        from nasgan.engine.tabulate import tabulate

        table = tabulate(config)
        say(*table.summary_lines)
        return int(bool(table.left))

    return tabulate


def _evaluate(config: dict[str, Any]) -> Bound:
    def evaluate(_: Path) -> int:
        from nasgan.engine import evaluate_run
        from nasgan.metrics.protocol import display_name

        result = evaluate_run(config)
        protocol = str(result["protocol"])
        if result["remark"]:
            say(f"note   {result['remark']}")
        scores = result["metrics"].items()
        say(f"protocol {protocol}, latents of seed {result['seed']}")
        rows = [(display_name(name, protocol), f"{value:.6g}") for name, value in scores]
        for name, values in result["per_class"].items():
            label = display_name(name, protocol)
            rows += [(f"{label}, class {k}", f"{value:.6g}") for k, value in enumerate(values)]
        say(*table(rows))
        return 0

    return evaluate


def _sample(config: dict[str, Any]) -> Bound:
    def sample(_: Path) -> int:
        from nasgan.engine import sample_run

        say(f"images: {sample_run(config)}")
        return 0

    return sample


_WORK: Mapping[str, Work] = {
    "search": _search,
    "train": _train,
    "tabulate": _tabulate,
    "evaluate": _evaluate,
    "sample": _sample,
}


_log = logging.getLogger(__name__)

# Experiments may hold whole sweeps.
_SETS_THE_MODE = re.compile(r"\+*(hydra\.mode|experiment)=")


class SweepError(NasganError):
    """A job of a sweep failed; what happened was shown when it did."""


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
    flags = _checked_flags(verb, arguments)
    shows = (flags.help, flags.hydra_help, flags.cfg, flags.info, flags.shell_completion)
    if any(shows) or flags.config_path:
        return _run_by_hydra(HydraJob(verb, work), arguments)
    overrides = flags.overrides
    may_sweep = flags.multirun or flags.config_dir or any(map(_SETS_THE_MODE.match, overrides))
    single = single_valued(verb, overrides) if may_sweep else overrides
    whole = composed(verb, single, name=flags.config_name)
    if flags.multirun or whole.hydra.mode == RunMode.MULTIRUN:
        sweep = SweepLog.new(Path(whole.hydra.sweep.dir), sweep_name(verb, flags.overrides))
        jobs = sweep_jobs(whole.hydra, overrides)
        return _run_sweep(HydraJob(verb, work, sweep), sweep, jobs, arguments)
    if len(single) < len(overrides):
        composed(verb, overrides, name=flags.config_name)  # says that they take a sweep
    return _run_once(verb, work, whole)


def _run_once(verb: str, work: Work, whole: DictConfig) -> int:
    """A single run as Hydra would do it, with its log, callbacks and variables."""
    config, folder = settle(verb, whole)
    job = HydraJob(verb, work, bound=work(config))
    with new_folder(folder):
        with explained(verb), ExitStack() as around:
            around.callback(guard_hydra())
            hydra_itself = hydra.initialize_config_dir(
                str(config_folder()), version_base=VERSION_BASE
            )
            around.enter_context(hydra_itself)
            hydra_utils.configure_log(whole.hydra.hydra_logging, whole.hydra.verbose)
            callbacks = Callbacks(whole)
            callbacks.on_run_start(config=whole, config_name=verb)
            context = HydraContext(GlobalHydra.instance().config_loader(), callbacks)
            ended = run_job(job, whole, "hydra.run.dir", None, context)
            callbacks.on_run_end(config=whole, config_name=verb, job_return=ended)
        if job.error is not None:
            raise job.error
    return job.exit_code


def _run_by_hydra(job: HydraJob, arguments: Sequence[str]) -> int:
    """Let Hydra read the command line: help, configurations, completion, sweeps."""
    register_plugin_configs()
    register_resolvers()
    main = hydra.main(version_base=VERSION_BASE, config_path=config_uri(), config_name=job.verb)
    # Hydra then raises its errors, where it would print them and leave.
    raised = environment("HYDRA_FULL_ERROR", "1")
    with _command_line(arguments), raised, ExitStack() as at_the_end:
        at_the_end.callback(guard_hydra())
        with explained(job.verb):
            main(job)()
    if job.error is not None:
        raise job.error
    return job.exit_code


def _run_sweep(
    job: HydraJob, sweep: SweepLog, jobs: Sequence[tuple[str, ...]], arguments: Sequence[str]
) -> int:
    """Run all jobs; show how they ended.

    Raises:
        SweepError: some failed, or the launcher did.
    """
    stopped = ""
    is_whole = False
    try:
        with sweep.watched():
            try:
                _run_by_hydra(job, arguments)
                is_whole = True
            except Exception as error:
                if not sweep.read():
                    if isinstance(error, NasganError):
                        raise
                    raise ConfigError(
                        f"hydra/launcher could not start the sweep: {type(error).__name__}: "
                        f"{error} (nothing has run; NASGAN_DEBUG=1 shows where it stopped)"
                    ) from error
                _log.debug("the launcher stopped", exc_info=error)
                stopped = f"{type(error).__name__}: {error}"
    except KeyboardInterrupt:
        _end_ray()
        sweep.settle()
        raise
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
    return 0


def _end_ray() -> None:
    """Have Ray end what its launcher has begun: by itself it would at the end of this process."""
    ray = sys.modules.get("ray")
    if ray is not None:
        ray.shutdown()


def _checked_flags(verb: str, arguments: Sequence[str]) -> Namespace:
    """Hydra's flags; the folder of ``--config-dir`` is among the overrides, too."""
    flags, unknown = get_args_parser().parse_known_args(list(arguments))
    if flags.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun loads a pickle, which can run any code: refused")
    if unknown:
        raise ConfigError(f"unknown flag {unknown[0]}; see nasgan {verb} --help")
    if flags.config_path and flags.multirun:
        raise ConfigError("--config-path does not go with a sweep; use --config-dir")
    if flags.config_dir:
        folder = Path(absolute(flags.config_dir))
        if not folder.is_dir():
            raise ConfigError(f"--config-dir {flags.config_dir}: there is no such folder")
        flags.overrides.append(f"hydra.searchpath=['file://{folder}']")
    return flags


@contextmanager
def _command_line(arguments: Sequence[str]) -> Iterator[None]:
    """Hydra reads its arguments from ``sys.argv`` and the program's name for tab completion."""
    before = sys.argv
    sys.argv = ["nasgan", *arguments]
    try:
        yield
    finally:
        sys.argv = before
