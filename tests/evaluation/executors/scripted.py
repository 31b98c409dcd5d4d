"""An evaluator that does what files say, for workers in other processes."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

from nasgan.contracts import Cost, Evaluation, EvaluationTask, Evaluator, Ledger
from nasgan.errors import DatasetError

BUILDER = "scripted:open_scripted"

_log = logging.getLogger(__name__)


class Script:
    """The folder in which a test and its workers meet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def say(self, architecture: Any, *lines: str) -> None:
        """What to do at the first, second, ... attempt; then the score."""
        (self.folder / f"{architecture.id}.script").write_text("\n".join(lines))

    def let_go(self, architecture: Any) -> None:
        """Ends a ``wait``."""
        (self.folder / f"{architecture.id}.go").touch()

    def attempts(self, architecture: Any) -> list[int]:
        """The processes that have begun it, in order."""
        return [
            int(path.read_text())
            for path in sorted(self.folder.glob(f"{architecture.id}.begun*"))
            if path.read_text()
        ]


class ScriptedEvaluator(Evaluator):
    """Scores by the architecture's id."""

    fidelity = "scratch"

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.script = Script(folder)
        self.ledger = ledger
        self.counts: dict[str, int] = {}

    def begin(self, *proposals):
        return _Task(self, proposals[0].architecture)

    def expected_cost(self, proposal):
        return Cost(architectures=1, generator_steps=proposal.generator_steps or 10)

    def kept(self, architecture):
        count = self.counts.get(architecture.id)
        return {} if count is None else {"count": count}

    def adopt(self, architecture, kept):
        if kept:
            self.counts[architecture.id] = kept["count"]


class _Task(EvaluationTask):
    results: tuple[Evaluation] | None = None

    def __init__(self, evaluator, architecture):
        self.evaluator = evaluator
        self.architecture = architecture

    def advance(self):
        evaluator, name = self.evaluator, self.architecture.id
        folder = evaluator.script.folder
        number = len(list(folder.glob(f"{name}.begun*")))
        temporary = folder / f"{name}.tmp{os.getpid()}"
        temporary.write_text(str(os.getpid()))
        temporary.rename(folder / f"{name}.begun{number}")
        script = folder / f"{name}.script"
        lines = script.read_text().splitlines() if script.exists() else []
        self._do(lines[number] if number < len(lines) else "")
        evaluator.counts[name] = evaluator.counts.get(name, 0) + 1
        cost = Cost(architectures=1, generator_steps=10, device_seconds=0.25)
        evaluator.ledger.charge(cost)
        made = Evaluation(
            self.architecture,
            {"count": float(evaluator.counts[name])},
            float(int(name, 16)),
            "scratch",
            generator_steps=10,
            cost=cost,
        )
        self.results = (made,)

    def _do(self, action):
        if action == "wait":
            go = self.evaluator.script.folder / f"{self.architecture.id}.go"
            while not go.exists():
                time.sleep(0.01)
        elif action == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "raise":
            self.evaluator.ledger.charge(Cost(generator_steps=4, device_seconds=1.5))
            raise RuntimeError("CUDA out of memory")
        elif action == "refuse":
            raise DatasetError("the data are gone")
        elif action == "warn":
            _log.warning("the loss is high")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state):
        pass


def open_scripted(settings, *, device, threads):
    """The builder of the workers."""
    if settings.get("broken"):
        raise RuntimeError("no room for another CUDA context")
    ledger = Ledger()
    return ScriptedEvaluator(Path(settings["folder"]), ledger), ledger
