"""Outside loggers of a run. What counts is in the run's folder: these only show it elsewhere.

``history.jsonl`` is the plain log, with or without a logger: one JSON object a line, flushed as it
goes. A logger is told the numbers of each of its lines, under the line's index.

Bound from the configuration, e.g. ``_target_: nasgan.runs.loggers.WandbLogger``. The packages
are imported when a run starts.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from nasgan.errors import ConfigError, MissingDependencyError, quoted

__all__ = ["NullLogger", "RunLogger", "SafeLogger", "TensorBoardLogger", "WandbLogger", "run_log"]

logger = logging.getLogger(__name__)

run_log = logging.getLogger("nasgan.run")
"""The log of a run in its folder: its few events, which the terminal does not show.

Its name stands in ``conf/hydra/job_logging/run.yaml``, which keeps it off the terminal.
"""

# Weights & Biases takes no slashes, colons or the like in a run's id.
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]+")
_LOGIN_SECONDS = 60.0
_UPLOAD_SECONDS = 600.0


@runtime_checkable
class RunLogger(Protocol):
    """What the engine tells a logger, in this order; `start` and `finish` once each."""

    def start(self, info: Mapping[str, Any]) -> None:
        """A run begins or resumes; it is then told from its first line again.

        What an unfinished process left of the run in files of the logger's own is to be removed.

        Args:
            info: ``run_id``, ``run_dir``, ``config`` (resolved), and what else describes the run.
        """

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step of the run, by name; steps rise, some are left out."""

    def image(self, name: str, path: Path) -> None:
        """A picture, already written as a PNG file."""

    def artifact(self, path: Path) -> None:
        """A file worth keeping, e.g. ``architecture.json``."""

    def finish(self, status: str) -> None:
        """The run ended: ``"completed"``, ``"failed"`` or ``"interrupted"``."""


class NullLogger:
    """Logs nothing."""

    def _nothing(self, *given: Any, **named: Any) -> None:
        """See the methods of `RunLogger`."""

    start = log = image = artifact = finish = _nothing


class SafeLogger:
    """Lets no logger stop a run: its first exception is warned of, and switches it off.

    Args:
        inner: the logger to guard.
    """

    def __init__(self, inner: RunLogger) -> None:
        self._inner: RunLogger | None = inner

    @property
    def active(self) -> bool:
        """Whether the logger still works."""
        return self._inner is not None

    def _guard(self, what: str, *given: Any) -> None:
        if self._inner is None:
            return
        try:
            getattr(self._inner, what)(*given)
        except Exception as error:
            # Right here and nowhere else: a logger talks to other people's servers and packages,
            # may fail in any way, and holds nothing that the run's own folder does not hold.
            name = type(self._inner).__name__
            self._inner = None
            logger.warning(
                "%s failed in %s and is switched off; the run goes on and its folder stays "
                "complete. %s: %s",
                name,
                what,
                type(error).__name__,
                error,
            )

    start = partialmethod(_guard, "start")
    log = partialmethod(_guard, "log")
    image = partialmethod(_guard, "image")
    artifact = partialmethod(_guard, "artifact")
    finish = partialmethod(_guard, "finish")


class WandbLogger:
    """Weights & Biases, by default offline: files in the run's folder, to be synced later.

    The run keeps its id over resumptions. Online, a resumed run goes on where the server's ends;
    offline, its files are written anew.

    Args:
        project: name of the project.
        mode: ``"offline"`` makes no network connection.
        group: name that joins the runs of a sweep.
        entity: user or team; the account's default if None.
        tags: free words, or one.

    Raises:
        ConfigError: ``mode`` is unknown.
    """

    def __init__(
        self,
        project: str = "nasgan",
        mode: Literal["offline", "online"] = "offline",
        group: str | None = None,
        entity: str | None = None,
        tags: str | Sequence[str] = (),
    ) -> None:
        if mode not in ("offline", "online"):
            raise ConfigError(f"logger.mode must be 'offline' or 'online', got {quoted(mode)}")
        self.project, self.mode, self.group = project, mode, group
        self.entity, self.tags = entity, (tags,) if isinstance(tags, str) else tuple(tags)
        self._wandb: Any = None
        self._run: Any = None

    def start(self, info: Mapping[str, Any]) -> None:
        """See `RunLogger.start`.

        Raises:
            MissingDependencyError: wandb is not installed.
        """
        if self.mode == "offline":
            # Read at import; without it the package reports its own errors over the network.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb
        except ImportError as error:
            raise MissingDependencyError(
                "WandbLogger needs the package wandb: pip install nasgan[wandb]"
            ) from error
        identifier = _NOT_IN_IDS.sub("-", str(info["run_id"]))
        if self.mode == "offline":
            for left in Path(info["run_dir"], "wandb").glob(f"offline-run-*-{identifier}"):
                # Those that were synced are on the server; the others would be there twice.
                if not any(left.glob("*.wandb.synced")):
                    shutil.rmtree(left)
        # A time-out instead of waiting for ever for a server, or for somebody to log in.
        settings = wandb.Settings(silent=True, console="off", login_timeout=_LOGIN_SECONDS)
        if hasattr(settings, "finish_timeout"):
            settings.finish_timeout = _UPLOAD_SECONDS
        self._wandb = wandb
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            group=self.group,
            tags=list(self.tags) or None,
            mode=self.mode,
            id=identifier,
            name=str(info["run_id"]),
            resume="allow" if self.mode == "online" else None,
            # Never the run of a job before this one whose logger has failed.
            reinit="create_new",
            dir=str(info["run_dir"]),
            config=dict(info.get("config", {})),
            settings=settings,
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `RunLogger.log`."""
        self._run.log(dict(values), step=step)

    def image(self, name: str, path: Path) -> None:
        """See `RunLogger.image`."""
        self._run.log({name: self._wandb.Image(str(path))})

    def artifact(self, path: Path) -> None:
        """See `RunLogger.artifact`."""
        artifact = self._wandb.Artifact(f"{self._run.id}-{path.stem}", type=path.stem)
        artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def finish(self, status: str) -> None:
        """See `RunLogger.finish`."""
        if self._run is None:
            return
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == "completed" else 1)


class TensorBoardLogger:
    """TensorBoard event files in the run's folder; a resumed run's are written anew.

    Args:
        folder: where in the run's folder.
    """

    def __init__(self, folder: str = "tensorboard") -> None:
        self.folder = folder
        self._writer: Any = None
        self._step = 0

    def start(self, info: Mapping[str, Any]) -> None:
        """See `RunLogger.start`.

        Raises:
            MissingDependencyError: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError(
                "TensorBoardLogger needs the package tensorboard: pip install nasgan[tensorboard]"
            ) from error
        folder = Path(info["run_dir"]) / self.folder
        suffix = f".{info['run_id']}"
        for left in folder.glob(f"events.out.tfevents.*{suffix}"):
            left.unlink()
        self._writer = SummaryWriter(log_dir=str(folder), filename_suffix=suffix)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """See `RunLogger.log`."""
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, name: str, path: Path) -> None:
        """See `RunLogger.image`."""
        import numpy as np
        from PIL import Image

        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        self._writer.add_image(name, pixels, self._step, dataformats="HWC")

    def artifact(self, path: Path) -> None:
        """See `RunLogger.artifact`; TensorBoard keeps no files, so it shows the text."""
        content = path.read_text(encoding="utf-8")
        indented = "\n".join("    " + line for line in content.splitlines())
        self._writer.add_text(path.name, indented, self._step)

    def finish(self, status: str) -> None:
        """See `RunLogger.finish`."""
        if self._writer is None:
            return
        self._writer.add_text("status", status, self._step)
        self._writer.close()
