"""Where the runs of a sweep find the trainings that all of them ask for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from nasgan.contracts import SearchSpace
from nasgan.engine.export import device_name
from nasgan.engine.parts import Inputs, SearchParts
from nasgan.evaluation import TrainingPlan
from nasgan.runs.environment import collect_environment, names_its_code

__all__ = ["SHARED_FOLDER", "are_shared", "shared_folder"]

SHARED_FOLDER = "trainings"
"""Below ``output_root``: trainings of random architectures, which the runs of a sweep share."""

_KEY_DIGITS = 24


def are_shared(parts: SearchParts) -> bool:
    """Whether there may be any that other runs have made."""
    return (Path(parts.config["output_root"]) / SHARED_FOLDER).is_dir()


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
