"""Runs a verb as a Hydra application: overrides, ``--help``, ``--cfg``, sweeps, tab completion."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasgan import atomic
from nasgan.cli.compose import VERSION_BASE, compose_run, resolved
from nasgan.cli.configs import config_uri, register_plugin_configs
from nasgan.cli.messages import explain
from nasgan.cli.resolvers import register_resolvers
from nasgan.errors import ConfigError, NasganError

__all__ = ["SweepError", "Work", "run_app"]

Work: TypeAlias = Callable[[dict[str, Any], Path], int]
"""What a verb does with its configuration and folder; returns the exit code."""

_log = logging.getLogger(__name__)

_SEE_ABOVE = "runs of the sweep failed, see above"


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
    _check_before_start(verb, arguments)
    register_plugin_configs()
    register_resolvers()
    job = _Job(verb, work)
    main = hydra.main(version_base=VERSION_BASE, config_path=config_uri(), config_name=verb)
    with _command_line(arguments), _errors_raised():
        try:
            main(job)()
        except SweepError:
            raise
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise explain(error, verb) from error
    if job.error is not None:
        raise job.error
    return job.exit_code


class _Job:
    """One job of Hydra's. Keeps its outcome, which `hydra.main` would drop.

    In a sweep its errors are shown at once, and raised so that Hydra counts the job as failed.
    """

    def __init__(self, verb: str, work: Work) -> None:
        self.verb = verb
        self.work = work
        self.exit_code = 0
        self.error: Exception | None = None

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        register_resolvers()  # a launcher's process starts here, without `run_app`

    def __call__(self, settings: DictConfig) -> None:
        is_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            self.exit_code = self._run(settings)
        except Exception as error:
            if not is_sweep:
                self.error = error
                return
            _log.error("%s", error, exc_info=not isinstance(error, NasganError))
            raise SweepError(_SEE_ABOVE) from error
        if is_sweep and self.exit_code:
            raise SweepError(_SEE_ABOVE)

    def _run(self, settings: DictConfig) -> int:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            config = resolved(self.verb, settings, HydraConfig.get())
        except OmegaConfBaseException as error:
            raise explain(error, self.verb) from error
        if folder != Path.cwd():
            _keep_composition(folder, settings)
        return self.work(config, folder)


def _keep_composition(folder: Path, settings: DictConfig) -> None:
    """Write ``.hydra`` as Hydra would, but never over that of a run that is there already."""
    parts = {
        "config": settings,
        "hydra": OmegaConf.create({"hydra": HydraConfig.get()}),
        "overrides": HydraConfig.get().overrides.task,
    }
    for name, part in parts.items():
        path = folder / ".hydra" / f"{name}.yaml"
        if not path.exists():
            atomic.write_text(path, OmegaConf.to_yaml(part))


def _check_before_start(verb: str, arguments: Sequence[str]) -> None:
    """Refuse a bad single run before Hydra makes its folder."""
    flags, unknown = get_args_parser().parse_known_args(list(arguments))
    if flags.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun loads a pickle, which can run any code: refused")
    shows = flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion
    alters = flags.config_dir or flags.config_path or flags.config_name
    modes = any(override.startswith(("hydra.mode", "+hydra.mode")) for override in flags.overrides)
    if unknown:
        raise ConfigError(f"unknown flag {unknown[0]}; see nasgan {verb} --help")
    if shows or alters or flags.multirun or modes:
        return
    config, _ = compose_run(verb, flags.overrides)
    if verb in ("search", "train"):
        from nasgan.engine.workbench import check_config

        check_config(config)
    if verb == "train" and isinstance(config["architecture"], str):
        from nasgan.factory import load_architecture

        load_architecture(config["architecture"])


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
