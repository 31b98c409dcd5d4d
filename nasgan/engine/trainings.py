"""Final trainings in other processes: several at once, random architectures beside the search."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasgan import atomic
from nasgan.architecture import Architecture
from nasgan.contracts import Cost, Evaluation, SearchSpace
from nasgan.engine.device import device_name
from nasgan.engine.parts import Inputs, SearchParts
from nasgan.errors import CheckpointError, NasganError
from nasgan.evaluation import TrainingPlan
from nasgan.evaluation.attempts import newest_attempt
from nasgan.reading import digest_of_json, load_json
from nasgan.runs.environment import collect_environment, names_its_code
from nasgan.runs.loggers import run_log
from nasgan.state_files import load_state
from nasgan.supervisor import Outcome, Piece, Supervisor, Work

__all__ = [
    "RESULT_FILE",
    "SHARED_FOLDER",
    "Trained",
    "Trainings",
    "read_result",
    "shared_folder",
    "write_result",
]

RESULT_FILE = "training.json"
"""In the folder of a training that is over, see `nasgan.engine.workers.train`."""

_TRAIN = "nasgan.engine.workers:train"


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write `RESULT_FILE`, with a digest of what it holds.

    Raises:
        StorageError: it cannot be written.
    """
    atomic.write_json(folder / RESULT_FILE, {"result": result, "digest": digest_of_json(result)})


def read_result(folder: Path) -> dict[str, Any] | None:
    """What `write_result` wrote, if its networks are there, too; None if there is none.

    One that is damaged is set aside with a warning: it counts as none.
    """
    file = folder / RESULT_FILE
    if not file.exists():
        return None
    try:
        held = load_json(file, CheckpointError, "training")
        if not isinstance(held, dict) or held.get("digest") != digest_of_json(held.get("result")):
            raise CheckpointError(f"{file}: this training is truncated or damaged")
        result: dict[str, Any] = held["result"]
        if result["networks"] is not None:
            load_state(folder / result["networks"])
    except CheckpointError as error:
        aside = file.with_name(f"unusable-{file.name}")
        with suppress(FileNotFoundError):  # another run of the sweep was first
            file.replace(aside)
        run_log.warning("%s; it is trained again, and the file kept as %s", error, aside.name)
        return None
    return result


@dataclass(frozen=True)
class Trained:
    """A training that is over.

    Attributes:
        evaluation: of the architecture.
        curve: every score.
        costs: what had been spent at each of them.
        kept: index of the point whose networks are kept; None if there is none.
        file: of those networks.
    """

    evaluation: Evaluation
    curve: list[dict[str, Any]]
    costs: list[Cost]
    kept: int | None
    file: Path | None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], folder: Path) -> Trained:
        """From what `nasgan.engine.workers.train` gives."""
        return cls(
            Evaluation.from_json(data["evaluation"]),
            list(data["curve"]),
            [Cost.from_json(cost) for cost in data["costs"]],
            data["kept"],
            None if data["networks"] is None else folder / data["networks"],
        )

    def networks(self) -> dict[str, Any] | None:
        """The kept ones, from their file."""
        return None if self.file is None else dict(load_state(self.file))


class Trainings:
    """Has architectures trained in full by a supervisor; each once, in a folder of its own.

    Args:
        supervisor: of the run; None: it trains none, and finds those that others have trained.
        config: the run's.
        plan: of each training.
        folder: for those of this run alone.
        shared: folder for those that other runs may ask for, too, with the name under which this
            run asks; None: there is none.
        beside_the_search: whether the search computes in this process, which then takes a place.
    """

    def __init__(
        self,
        supervisor: Supervisor | None,
        config: Mapping[str, Any],
        plan: TrainingPlan,
        folder: Path,
        shared: Path | None,
        *,
        beside_the_search: bool,
    ) -> None:
        self._supervisor = supervisor
        self._config = dict(config)
        self._plan = plan
        self._folder = folder
        self._shared = None if shared is None else shared.absolute()
        self._beside = beside_the_search
        self._works: dict[str, Work] = {}
        self._ended: dict[str, Trained] = {}

    @property
    def trains(self) -> bool:
        """Whether it has something trained."""
        return self._supervisor is not None

    def steps(self, architecture: Architecture) -> int | None:
        """Generator steps done, as far as is known; all, if it is over; None if it waits."""
        if architecture.id in self._ended:
            return self._plan.generator_steps
        work = self._works.get(architecture.id)
        return work.progress if work is not None and work.begun else None

    def find(self, architecture: Architecture, *, shared: bool = False) -> Trained | None:
        """Its training, if it is over already, here or by another run; see `begin`."""
        key, folder = architecture.id, self._folder_of(architecture, shared=shared)
        if key not in self._ended and (made := read_result(folder)) is not None:
            run_log.info("training of %s: its result is in %s", key, folder)
            self._end(key, made, folder)
        return self._ended.get(key)

    def half_done(
        self, architecture: Architecture, *, shared: bool = False
    ) -> tuple[Any, list[Cost]] | None:
        """Its task's state where the farthest attempt has left it, and the cost at each score."""
        state = newest_attempt(self._folder_of(architecture, shared=shared))
        if state is None:
            return None
        return state["task"], [Cost.from_json(cost) for cost in state["costs"]]

    def _folder_of(self, architecture: Architecture, *, shared: bool) -> Path:
        root = self._shared if shared and self._shared is not None else self._folder
        return (root / architecture.id).absolute()

    def begin(self, architecture: Architecture, *, shared: bool = False) -> None:
        """Have it trained, unless it is or was.

        Args:
            architecture: which.
            shared: whether other runs of a sweep will ask for it, too.
        """
        key = architecture.id
        if key in self._works or self.find(architecture, shared=shared) is not None:
            return
        assert self._supervisor is not None
        folder = self._folder_of(architecture, shared=shared)
        piece = Piece(
            key=f"training-{key}",
            title=f"the training of {key}",
            work=_TRAIN,
            order={
                "config": self._config,
                "architecture": architecture.to_json(),
                "folder": str(folder),
                "shared": folder.parent == self._shared,
            },
        )
        self._works[key] = self._supervisor.begin(
            piece, lambda outcome: self._hear(key, outcome, folder), background=True
        )

    def _hear(self, key: str, outcome: Outcome, folder: Path) -> None:
        del self._works[key]
        if outcome.failure:
            raise NasganError(f"the training of {key}: {outcome.failure}")
        self._end(key, outcome.result, folder)

    def _end(self, key: str, result: Mapping[str, Any], folder: Path) -> None:
        self._ended[key] = Trained.from_json(result, folder)

    def go_on_beside_the_search(self) -> None:
        """Hear what has ended, without waiting.

        Where the candidates are done by the supervisor, too, at least half of it is theirs.
        """
        supervisor = self._supervisor
        assert supervisor is not None
        if self._beside:
            supervisor.reserve = supervisor.places.ours
        else:
            supervisor.most_in_background = supervisor.size // 2
        supervisor.advance(0.0)

    def result(self, architecture: Architecture, seconds: float) -> Trained | None:
        """The training of ``architecture``, which was begun; None if it is not over.

        Args:
            architecture: which.
            seconds: to wait at the most.

        Raises:
            NasganError: it failed for good.
        """
        supervisor = self._supervisor
        assert supervisor is not None
        supervisor.reserve, supervisor.most_in_background = 0, None
        if architecture.id not in self._ended:
            supervisor.advance(seconds)
        return self._ended.get(architecture.id)


# Where the runs of a sweep find the trainings that all of them ask for

SHARED_FOLDER = "trainings"
"""Below ``output_root``: trainings of random architectures, which the runs of a sweep share."""

_KEY_DIGITS = 24


def shared_folder(
    parts: SearchParts, run_dir: Path, bench: Inputs, space: SearchSpace, plan: TrainingPlan
) -> Path | None:
    """Where runs that train an architecture in the same way find each other's trainings.

    Its name stands for all that makes a training's result: data, space, trainer, protocol, plan,
    seed, threads, device, processor, and the code.

    Args:
        parts: the run's.
        run_dir: the run's folder.
        bench: its data, trainer and protocol.
        space: at the widths of the final phase.
        plan: of each training.

    Returns:
        A folder below ``output_root``; None if the run lies elsewhere, or nobody knows which code
        it runs, see `nasgan.runs.environment.names_its_code`.
    """
    config = parts.config
    root = Path(config["output_root"]).absolute()
    if root not in run_dir.absolute().parents:
        return None
    device = device_name(bench.device)
    environment = collect_environment(device, config)
    if not names_its_code(environment):
        return None
    identity = {
        "images": bench.images.checksum,
        "features": bench.harness.extractor.fingerprint,
        "space": [space.name, space.version, space.settings],
        "trainer": asdict(bench.trainer),
        "protocol": bench.harness.protocol.id,
        "metrics": list(bench.harness.metrics),
        "objective": bench.objective.to_json(),
        "plan": asdict(plan),
        "threads": config["threads"],
        "deterministic": config["deterministic"],
        "device": [device, environment["cpu"]],
        "executor": parts.executor.own_arithmetic,
        "nasgan": environment["nasgan"],
        "packages": environment["packages"],
        "plugins": environment["plugins"],
    }
    text = json.dumps(identity, sort_keys=True, default=str)
    name = hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
    return root / SHARED_FOLDER / f"{name}-s{config['seed']}"
