"""One job of Hydra's: a single run, or one of a sweep, in whatever process the launcher chose."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import configure_log, setup_globals
from omegaconf import DictConfig, OmegaConf

from nasgan import atomic
from nasgan.cli.compose import RUN_VERBS, explained, overruled, resolved
from nasgan.cli.console import is_refusal, log_warnings, named, say
from nasgan.cli.hydra_rules import check_logging, guard_hydra
from nasgan.cli.resolvers import refused_folder, register_resolvers
from nasgan.cli.separate_process import call_in_process
from nasgan.cli.sweep import JobNote, SweepLog, share_of_devices
from nasgan.errors import NasganError, PluginError
from nasgan.runs.folder import KEPT_CONFIGURATION, new_folder
from nasgan.runs.loggers import run_log
from nasgan.runs.record import RECORD_FILE
from nasgan.schema import made_of

__all__ = ["SWEEP_VARIABLE", "Bound", "HydraJob", "Outcome", "Work", "environment", "run_job"]


class Outcome(Protocol):
    """The part of `nasgan.engine.Outcome` that is shown; its import would load torch."""

    @property
    def status(self) -> Literal["completed", "failed", "already_completed"]:
        """A failed run ended without a result; the exit code is then 1."""

    @property
    def summary_lines(self) -> Sequence[str]:
        """What happened and where the results are."""

    @property
    def failure(self) -> str:
        """Why a failed run did."""


Bound: TypeAlias = Callable[[Path], "int | Outcome"]
"""What is done in a folder; returns the exit code or how a run ended."""

Work: TypeAlias = Callable[[dict[str, Any]], Bound]
"""What a verb makes of its configuration: it is checked, and nothing is done yet."""

SWEEP_VARIABLE = "NASGAN_SWEEP"
"""Holds the sweep's name while one of its jobs runs: loggers group by it."""

_log = logging.getLogger(__name__)

_CONSOLE_FILE = "console.log"
_ANY_DEVICE = ("auto", "cuda")
_BAD_ENDS = ("failed", "refused")


class HydraJob:
    """What Hydra calls. Keeps its outcome, which `hydra.main` would drop.

    In a sweep no job raises: what became of it goes into the sweep's log, so that whatever it was,
    the other jobs run. Parallel launchers get a process of its own for each job, which may even
    die; what it prints goes into ``console.log`` in the run's folder.

    Args:
        verb: name of the primary configuration.
        work: what the verb does; a function of a module, so that it can be sent to processes.
        sweep: the sweep's log; None for a single run.
        bound: what ``work`` has made of a single run's configuration already.
    """

    def __init__(
        self, verb: str, work: Work, sweep: SweepLog | None = None, bound: Bound | None = None
    ) -> None:
        self.verb = verb
        self.work = work
        self.sweep = sweep
        self.bound = bound
        self.exit_code = 0
        self.error: Exception | None = None

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        # A launcher's process starts here, without `run_app`.
        register_resolvers()
        guard_hydra()
        log_warnings()

    def __call__(self, settings: DictConfig) -> int:
        """Do the work of the composed ``settings``; returns the exit code."""
        if self.sweep is not None:
            return self._run_in_sweep(settings, self.sweep)
        try:
            end = self._run(settings)
            self.exit_code = end if isinstance(end, int) else int(end.status == "failed")
        except Exception as raised:
            error = named(raised)
            if self.verb in RUN_VERBS:
                # The terminal gets it from whoever has started this.
                run_log.error("%s", error, exc_info=_traced(error))
            self.error = error
            return 1
        return self.exit_code

    def _run_in_sweep(self, settings: DictConfig, sweep: SweepLog) -> int:
        runtime = HydraConfig.get()
        note = JobNote(
            number=runtime.job.num,
            overrides=tuple(runtime.overrides.task),
            folder=runtime.runtime.output_dir,
            state="running",
            is_parallel=_is_parallel(runtime),
        )
        refusal = refused_folder(note.folder)
        if refusal is not None:
            _log.error("%s", refusal)
            shutil.rmtree(note.folder, ignore_errors=True)
            sweep.write(replace(note, state="refused", reason=str(refusal)))
            return 1
        sweep.write(note)
        if note.is_parallel:
            return self._run_apart(note, settings, sweep)
        note = self._noted(note, settings, sweep)
        sweep.write(note)
        return int(note.state in _BAD_ENDS)

    def _run_apart(self, note: JobNote, settings: DictConfig, sweep: SweepLog) -> int:
        job = {
            "verb": self.verb,
            "work": f"{self.work.__module__}:{self.work.__qualname__}",
            "sweep": [str(sweep.folder), sweep.name],
            "note": asdict(note),
            "settings": _plain(settings),
            "hydra": _plain(HydraConfig.get()),
        }
        output = Path(note.folder, _CONSOLE_FILE) if self.verb in RUN_VERBS else None
        failure = call_in_process(run_job, job, output, starter=sweep.pid)
        if failure and sweep.state_of(note.number) == "running":
            sweep.write(replace(note, state="failed", reason=failure))
        return int(sweep.state_of(note.number) in _BAD_ENDS)

    def _noted(self, note: JobNote, settings: DictConfig, sweep: SweepLog) -> JobNote:
        """Do the work; gives the note of how it ended."""
        try:
            with environment(SWEEP_VARIABLE, sweep.name):
                end = self._run(settings, note)
        except Exception as raised:
            error = named(raised)
            _log.error("%s", error, exc_info=not isinstance(error, NasganError))
            if isinstance(error, PluginError):
                run_log.error("its traceback", exc_info=_traced(error))
            reason = str(error) if isinstance(error, NasganError) else _named(error)
            return replace(note, state="refused" if is_refusal(error) else "failed", reason=reason)
        if isinstance(end, int):
            return replace(note, state="failed" if end else "completed")
        return replace(note, state=end.status, reason=end.failure)

    def _run(self, settings: DictConfig, note: JobNote | None = None) -> int | Outcome:
        folder = Path(HydraConfig.get().runtime.output_dir)
        for note_on_choice in overruled(settings, HydraConfig.get()):
            _log.info("%s", note_on_choice)
        with new_folder(folder), ExitStack() as held:
            if folder != Path.cwd():
                _keep_composition(folder, settings)
            end = (self.bound or self._bind(settings, note, held))(folder)
        if not isinstance(end, int):
            # In a sweep one line is enough for a run of an earlier one.
            is_known = note is not None and end.status == "already_completed"
            say(*end.summary_lines[: 1 if is_known else None])
        return end

    def _bind(self, settings: DictConfig, note: JobNote | None, held: ExitStack) -> Bound:
        with explained(self.verb):
            config = resolved(self.verb, settings, HydraConfig.get())
        if note is not None and note.is_parallel and config.get("device") in _ANY_DEVICE:
            share = held.enter_context(share_of_devices(note.number))
            config["device"] = share or config["device"]
        return self.work(config)


def run_job(data: Mapping[str, Any]) -> None:
    """Do a job of a sweep in a process of its own, with what Hydra had set up around it."""
    register_resolvers()
    log_warnings()
    setup_globals()
    whole = OmegaConf.create({**data["settings"], "hydra": data["hydra"]})
    HydraConfig.instance().cfg = whole  # type: ignore[assignment]
    check_logging(whole.hydra.job_logging, "hydra.job_logging")
    configure_log(whole.hydra.job_logging, whole.hydra.verbose)
    module, _, name = data["work"].partition(":")
    folder, sweep_name = data["sweep"]
    sweep = SweepLog(Path(folder), sweep_name)
    job = HydraJob(data["verb"], getattr(importlib.import_module(module), name), sweep)
    note = made_of(JobNote, data["note"])
    sweep.write(job._noted(note, OmegaConf.create(data["settings"]), sweep))


def _plain(config: Any) -> Any:
    """``config`` as JSON data, its references as they are."""
    plain = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    return json.loads(json.dumps(plain, default=str))


def _is_parallel(runtime: Any) -> bool:
    """Whether the launcher runs jobs in other processes, out of sight."""
    return not str(runtime.launcher.get("_target_")).endswith(".BasicLauncher")


def _traced(error: Exception) -> Exception | None:
    """``error`` where a log should hold its traceback: it is nobody's input that is at fault."""
    is_unforeseen = not isinstance(error, NasganError)
    return error if is_unforeseen or isinstance(error, PluginError) else None


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Meanwhile, the variable ``name`` of the environment is ``value``."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _keep_composition(folder: Path, settings: DictConfig) -> None:
    """Write ``.hydra`` as Hydra would, but never over that of a run that is there already."""
    if (folder / RECORD_FILE).exists():
        return  # it is finished, perhaps where nothing can be written
    parts = {
        "config": settings,
        "hydra": OmegaConf.create({"hydra": HydraConfig.get()}),
        "overrides": HydraConfig.get().overrides.task,
    }
    for name, part in parts.items():
        path = folder / KEPT_CONFIGURATION / f"{name}.yaml"
        if not path.exists():
            atomic.write_file(path, OmegaConf.to_yaml(part))
