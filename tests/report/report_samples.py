"""Folders of runs that look like those of a real sweep, made in milliseconds and without torch."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nasgan.architecture import Architecture, Decision
from nasgan.runs.record import RunRecord, hash_config
from nasgan_search_spaces.adversarial_nas.decisions import (
    discriminator_decisions,
    generator_decisions,
)
from nasgan_search_spaces.adversarial_nas.drawing import draw_discriminator
from nasgan_search_spaces.adversarial_nas.drawing import draw_generator as draw_nas_generator
from nasgan_search_spaces.autogan.decisions import DECISIONS
from nasgan_search_spaces.autogan.drawing import draw_generator

PROTOCOL = "cifar10-train-50k-inceptionv3-v1"
SPACES: Mapping[str, tuple[Decision, ...]] = {
    "autogan": DECISIONS,
    "adversarial_nas": generator_decisions() + discriminator_decisions(4),
}
# How good a method gets, and how fast: FID at the end, and generator steps of its search.
METHODS: Mapping[str, tuple[float, float]] = {
    "random": (16.5, 30_000),
    "rl": (13.2, 30_000),
    "adversarial": (12.1, 30_000),
}
_STARTED = "2026-11-20T08:00:00.000+00:00"
_EVALUATIONS = 48


def write_sweep(
    root: Path,
    *,
    methods: Sequence[str] = tuple(METHODS),
    spaces: Sequence[str] = tuple(SPACES),
    seeds: int = 3,
    grid_pixels: int = 256,
    with_histories: bool = True,
) -> int:
    """Write a run for each method, space and seed; returns how many."""
    count = 0
    for method in methods:
        for space in spaces:
            for seed in range(seeds):
                folder = root / f"{method}-{space}" / f"seed{seed}"
                write_run(
                    folder,
                    method,
                    space,
                    seed,
                    grid_pixels=grid_pixels,
                    with_history=with_histories,
                )
                count += 1
    return count


def write_run(
    folder: Path,
    method: str = "random",
    space: str = "autogan",
    seed: int = 0,
    *,
    grid_pixels: int = 64,
    with_history: bool = True,
    **changes: Any,
) -> RunRecord:
    """Write a run's folder: record, history, sample grid and status."""
    rng = random.Random(f"{method}/{space}/{seed}")
    folder.mkdir(parents=True)
    record = run_record(method, space, seed, rng, **changes)
    (folder / "record.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    if with_history:
        lines = history_lines(record, method, space, rng)
        text = "".join(json.dumps({"index": k, **x}) + "\n" for k, x in enumerate(lines))
        (folder / "history.jsonl").write_text(text, encoding="utf-8")
    if grid_pixels and record.status == "completed":
        (folder / "samples").mkdir()
        (folder / "samples" / "final.png").write_bytes(grid_png(rng, grid_pixels))
    write_status(folder, record.status, message=record.failure or "done")
    return record


def write_status(folder: Path, state: str, **changes: Any) -> None:
    """Write a run's status."""
    folder.mkdir(parents=True, exist_ok=True)
    status = {
        "phase": "search",
        "state": state,
        "message": "",
        "progress": 0.4,
        "pid": 1,
        "started": _STARTED,
        "updated": _STARTED,
        **changes,
    }
    (folder / "status.json").write_text(json.dumps(status), encoding="utf-8")


def run_record(method: str, space: str, seed: int, rng: random.Random, **changes: Any) -> RunRecord:
    """A completed search, or a training for methods ``train:NAME``."""
    fid, steps = METHODS.get(method, (15.0, 20_000))
    fid = fid * (1.1 if space == "autogan" else 1.0) * rng.uniform(0.93, 1.07)
    architecture = sample(space, rng)
    is_training = method.startswith("train:")
    config = {
        "seed": seed,
        "strategy": {"name": method},
        "search_space": {"name": space},
        "trainer": {"lr": 2e-4, "n_critic": 5},
        "final": {"top_k": 1, "generator_steps": 50_000, "eval_every": 5_000, "keep": "best"},
        "training": {"generator_steps": 50_000, "eval_every": 5_000, "keep": "best"},
        "metrics": {"features": "inceptionv3"},
        "run_dir": "/somewhere/private",
    }
    search = cost(0 if is_training else 200, 0 if is_training else steps, 0 if is_training else 5e4)
    values: dict[str, Any] = {
        "run_id": f"{method}-{space}-{seed}",
        "kind": "train" if is_training else "search",
        "status": "completed",
        "strategy": "train" if is_training else method,
        "search_space": space,
        "space_settings": {"image_size": 32},
        "dataset": "cifar10",
        "protocol": PROTOCOL,
        "seed": seed,
        "architecture": architecture.to_json(),
        "architecture_name": method.removeprefix("train:") if is_training else None,
        "graphs": graphs(space, architecture),
        "decisions": {d.name: list(d.options) for d in SPACES[space]},
        "metrics": metrics(fid, rng),
        "objective": {"metric": "fid", "direction": "min"},
        "parameters": {
            "generator": rng.randrange(2_000_000, 9_000_000),
            "discriminator": 1_053_824,
        },
        "macs": rng.randrange(10**9, 4 * 10**9),
        "finalists": [evaluation(architecture, fid, rng)],
        "average_random": None if is_training else average_random(space, seed),
        "bound": {"metrics": metrics(3.1, rng), "num_images": 10_000},
        "cost": {"search": search, "final": cost(2, 100_000, 9e4)},
        "budget": {
            "architectures": None,
            "generator_steps": 30_000,
            **dict.fromkeys(("images", "device_seconds")),
        },
        "timers": {"search": 5e4, "final": 9e4},
        "peak_memory_bytes": 9 * 2**30,
        "config": config,
        "config_hash": hash_config(config),
        "environment": environment(),
        "dataset_info": {"checksum": "0123456789abcdef" * 4, "num_images": 50_000},
        "started": _STARTED,
        "ended": f"2026-11-2{1 + seed % 8}T08:00:00.000+00:00",
    }
    if changes.get("status") == "failed":
        values.update(architecture=None, metrics=None, graphs=[], finalists=[], failure="NaN loss")
    return RunRecord(**{**values, **changes})


def history_lines(
    record: RunRecord, method: str, space: str, rng: random.Random
) -> Iterator[dict[str, Any]]:
    """The history of a search with scores, one by gradient, or a training."""
    total = record.cost["search"]
    if method == "adversarial":
        yield from _learned_lines(space, total, rng)
    elif record.kind == "search":
        yield from _scored_lines(record, method, space, total, rng)
    if record.architecture is None:
        return
    name = record.architecture["id"]
    if record.kind == "search":
        yield {"kind": "finalists", "phase": "final", "architectures": [name]}
    best = (record.metrics or {})["fid"]
    for k in range(1, 11):
        value = best * (1 + 3 * math.exp(-k / 2)) / (1 + 3 * math.exp(-5))
        spent = cost(0, k * 5_000, k * 4_500.0)
        point = {"generator_steps": k * 5_000, "score": value, "metrics": {"fid": value}}
        yield {
            "kind": "checkpoint",
            "phase": "final",
            "architecture": name,
            **point,
            "spent": spent,
        }
    # A random architecture, whose scores are none of the result's.
    yield {
        "kind": "checkpoint",
        "phase": "final",
        "architecture": "another" if record.kind == "search" else name,
        "metrics": {"fid": 1.0 if record.kind == "search" else best},
        "spent": cost(1, 55_000, 5e4),
    }


def _scored_lines(
    record: RunRecord, method: str, space: str, total: Mapping[str, float], rng: random.Random
) -> Iterator[dict[str, Any]]:
    best, incumbent = math.inf, None
    for k in range(1, _EVALUATIONS + 1):
        share = k / _EVALUATIONS
        architecture = sample(space, rng)
        drift = 0.45 * share if method == "rl" else 0.0
        score = 62 * rng.uniform(0.7, 1.3) * (1 - drift)
        if score < best:
            best, incumbent = score, architecture.id
        spent = {unit: value * (0.5 + 0.5 * share) for unit, value in total.items()}
        if method == "rl":
            shares = {d.name: _peaked(len(d.options), 3 * share) for d in SPACES[space]}
            values = {"loss_controller": rng.random()}
            yield {
                "kind": "values",
                "phase": "search",
                "values": values,
                "options": shares,
                "spent": spent,
            }
        yield {
            "kind": "evaluation",
            "phase": "search",
            **evaluation(architecture, score, rng, fidelity="shared"),
            "incumbent": incumbent,
            "spent": spent,
        }


def _learned_lines(
    space: str, total: Mapping[str, float], rng: random.Random
) -> Iterator[dict[str, Any]]:
    favourites = [rng.randrange(len(d.options)) for d in SPACES[space]]
    for k in range(30):
        shares = {
            d.name: _peaked(len(d.options), 4 * k / 30, favourite)
            for d, favourite in zip(SPACES[space], favourites, strict=True)
        }
        spent = {unit: value * (k + 1) / 30 for unit, value in total.items()}
        yield {
            "kind": "values",
            "phase": "search",
            "values": {"entropy": 1.0},
            "options": shares,
            "spent": spent,
        }


def _peaked(count: int, sharpness: float, favourite: int = 0) -> list[float]:
    weights = [math.exp(sharpness if k == favourite else 0.1 * k) for k in range(count)]
    return [weight / sum(weights) for weight in weights]


def sample(space: str, rng: random.Random) -> Architecture:
    """An architecture; where an edge may be none it seldom is."""
    choices = tuple((d.name, rng.choice(d.options[-3:])) for d in SPACES[space])
    return Architecture(space, 1, choices)


def graphs(space: str, architecture: Architecture) -> list[dict[str, Any]]:
    if space == "autogan":
        return [draw_generator(architecture, 32).to_json()]
    options = dict(architecture.choices)
    up = {name: option for name, option in options.items() if name.startswith("up")}
    down = {name: option for name, option in options.items() if name.startswith("down")}
    return [draw_nas_generator(up, 32, 3).to_json(), draw_discriminator(down, 32).to_json()]


def metrics(fid: float, rng: random.Random) -> dict[str, float]:
    return {
        "is": 10.5 - 0.15 * fid + rng.uniform(-0.1, 0.1),
        "is_std": 0.1,
        "fid": fid,
        "kid": fid / 2000,
        "precision": 0.75 - fid / 200,
        "recall": 0.6 - fid / 100,
    }


def evaluation(
    architecture: Architecture, fid: float, rng: random.Random, fidelity: str = "final"
) -> dict[str, Any]:
    return {
        "architecture": architecture.to_json(),
        "metrics": metrics(fid, rng),
        "score": fid,
        "fidelity": fidelity,
        "generator_steps": 50_000,
        "cost": cost(1, 50_000, 4.5e4),
        "failure": "",
    }


def average_random(space: str, seed: int) -> dict[str, Any]:
    rng = random.Random(f"average/{space}/{seed}")
    tried = [evaluation(sample(space, rng), rng.uniform(17, 24), rng) for _ in range(2)]
    return {"count": 2, "failed": 0, "metrics": tried[0]["metrics"], "evaluations": tried}


def cost(architectures: int, steps: float, seconds: float) -> dict[str, float]:
    return {
        "architectures": architectures,
        "generator_steps": int(steps),
        "images": int(steps) * 64,
        "device_seconds": float(seconds),
    }


def environment() -> dict[str, Any]:
    return {
        "nasgan": {"version": "0.1.0", "commit": "0123456789" * 4, "dirty": False},
        "python": "3.11.2",
        "packages": {"torch": "2.15.0", "numpy": "2.4.6", "torch-fidelity": "0.4.0"},
        "plugins": {},
        "cpu": "A processor",
        "cores": 16,
        "device": "NVIDIA H200",
    }


def grid_png(rng: random.Random, side: int) -> bytes:
    """Noisy colours, which are the hardest to encode."""
    size = max(8, side // 8)
    noise = Image.frombytes("RGB", (size, size), rng.randbytes(3 * size * size))
    picture = noise.resize((side, side), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()
