"""Small valid run records for the tests of the results."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from nasgan.architecture import Architecture
from nasgan.runs.record import RunRecord, hash_config

DIGITS = "digits-train-2k-digits-v1"


def architecture(index: int = 0) -> dict[str, Any]:
    return Architecture("autogan", 1, (("cell1.norm", f"option{index}"),)).to_json()


def cost(**amounts: float) -> dict[str, float]:
    none = {"architectures": 0, "generator_steps": 0, "images": 0, "device_seconds": 0.0}
    return {**none, **amounts}


def evaluation(index: int = 0, *, failure: str = "", **metrics: float) -> dict[str, Any]:
    return {
        "architecture": architecture(index),
        "metrics": {} if failure else metrics,
        "score": None if failure else metrics.get("fid"),
        "fidelity": "final",
        "generator_steps": 100,
        "cost": cost(generator_steps=100, images=6400, device_seconds=7.0),
        "failure": failure,
    }


def average_random(*evaluations: dict[str, Any]) -> dict[str, Any]:
    failed = sum(bool(item["failure"]) for item in evaluations)
    return {
        "count": len(evaluations),
        "failed": failed,
        "metrics": {},
        "evaluations": list(evaluations),
    }


def record(strategy: str = "random", seed: int = 0, fid: float = 20.0, **changes: Any) -> RunRecord:
    run_id = changes.get("run_id", f"{strategy}-{seed}")
    space = changes.get("search_space", "")
    moment = crc32(f"{strategy} {seed}".encode())
    # No two runs take equally long: then they are told to be copies.
    blink = 1e-14 * (crc32(f"{run_id!a} {space!a}".encode()) % 100_000)
    values: dict[str, Any] = {
        "run_id": f"{strategy}-{seed}",
        "kind": "search",
        "status": "completed",
        "strategy": strategy,
        "search_space": "autogan",
        "space_settings": {"image_size": 16, "generator_channels": 32},
        "dataset": "digits",
        "protocol": DIGITS,
        "seed": seed,
        "architecture": architecture(),
        "metrics": {"is": 7.5, "is_std": 0.1, "fid": fid},
        "objective": {"metric": "fid", "direction": "min"},
        "parameters": {"generator": 4_405_251, "discriminator": 1_053_824},
        "macs": 1_765_015_552,
        "finalists": [evaluation(0, fid=fid), evaluation(1, failure="collapsed")],
        "cost": {
            "search": cost(architectures=10, generator_steps=600, images=9, device_seconds=60.0),
            "final": cost(generator_steps=200, images=12_800, device_seconds=14.5 + blink),
        },
        "budget": cost(architectures=10, generator_steps=None, images=None, device_seconds=None),
        "timers": {"search": 60.0, "final": 14.5},
        "peak_memory_bytes": 123,
        "config": {"seed": seed, "strategy": {"name": strategy}, "trainer": {"lr": 2e-4}},
        "config_hash": f"hash-of-{strategy}",
        "environment": {
            "nasgan": {"version": "0.1.0", "commit": "abc123", "dirty": False},
            "python": "3.11.2",
            "packages": {"torch": "2.15.0", "numpy": "2.4.6"},
            "plugins": {},
            "cpu": "A CPU",
            "cores": 2,
            "device": "cpu",
        },
        "dataset_info": {"checksum": "0123456789abcdef", "num_images": 1438},
        "started": f"2026-11-22T10:00:{moment % 60:02d}.{moment // 60 % 1000:03d}+00:00",
        "ended": "2026-11-22T10:05:00.000+00:00",
    }
    return RunRecord(**{**values, **changes})


def failed_record(strategy: str = "random", seed: int = 0, **changes: Any) -> RunRecord:
    failed = {"status": "failed", "failure": "NaN loss", "architecture": None, "metrics": None}
    return record(strategy, seed, **{**failed, **changes})


def sound_record(
    strategy: str = "random", seed: int = 0, fid: float = 20.0, **changes: Any
) -> RunRecord:
    """A record that agrees with itself: hash and configuration, scores and finalists.

    ``final`` says how long results were trained; ``lr`` makes another setting.
    """
    metrics = {"is": 7.5 + seed / 8, "is_std": 0.1, "fid": fid}
    config = {
        "seed": seed,
        "output_root": "/home/somebody/outputs",
        "strategy": {"name": strategy},
        "search_space": changes.get("search_space", "autogan"),
        "trainer": {"lr": changes.pop("lr", 2e-4)},
        "final": {"top_k": 2, "generator_steps": changes.pop("final", 100)},
    }
    values = {
        "run_id": f"{strategy}-{changes.get('search_space', 'autogan')}-{seed}",
        "metrics": metrics,
        "finalists": [evaluation(0, **metrics), evaluation(1, failure="collapsed")],
        "config": config,
        "config_hash": hash_config(config),
    }
    return record(strategy, seed, fid, **{**values, **changes})
