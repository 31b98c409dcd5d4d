"""Small files of simulated searches, without a table and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from record_samples import architecture, cost

from nasgan.runs.simulations import SEARCHES_FILE, SimulationFile

STEPS = 100
STARTED = "2026-11-22T10:00:00.000+00:00"
ENDED = "2026-11-22T10:00:09.000+00:00"


def search(strategy: str, seed: int, scores: Sequence[float | None]) -> dict[str, Any]:
    """A search that finds an architecture of each of ``scores`` in turn, one training apart."""

    def spent(count: int) -> dict[str, float]:
        return cost(architectures=count, generator_steps=STEPS * count, device_seconds=7.0 * count)

    incumbents = [
        {"spent": spent(k), "architecture": architecture(k)["id"], "judged": judged}
        for k, judged in enumerate(scores, 1)
    ]
    return {
        "strategy": strategy,
        "seed": seed,
        "architecture": architecture(len(scores)) if scores else None,
        "judged": scores[-1] if scores else None,
        "incumbents": incumbents,
        "spent": spent(max(10, len(scores))),
        "ended_by": "the budget is spent",
    }


def manifest(searches: Sequence[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    strategies = {each["strategy"]: {"name": each["strategy"]} for each in searches}
    return {
        "table": "toy-v1",
        "checksum": "12ab" * 16,
        "protocol": "table:toy-v1",
        "scores": "exact",
        "generator_steps": STEPS,
        "best_known": 10.0,
        "search_space": "autogan",
        "space_settings": {"image_size": 16},
        "dataset": "digits",
        "dataset_info": {"checksum": "0123456789abcdef", "num_images": 1438},
        "metric": "fid",
        "baseline": "random",
        "strategies": strategies,
        "budget": cost(generator_steps=1000, architectures=None, images=None, device_seconds=None),
        "seeds": len({each["seed"] for each in searches}),
        "environment": {"nasgan": {"version": "0.1.0"}, "python": "3.11.2", "device": "simulated"},
        "started": STARTED,
        "ended": ENDED,
        **changes,
    }


def write_simulations(
    folder: Path, searches: Sequence[Mapping[str, Any]], **changes: Any
) -> SimulationFile:
    made = manifest(searches, **changes)
    return SimulationFile(folder / SEARCHES_FILE, made).write(searches)


def some_searches(seeds: int = 4) -> list[dict[str, Any]]:
    """``good`` finds more than ``random`` with every seed, and sooner."""
    return [
        *(search("good", seed, [20.0 + seed, 11.0 + seed]) for seed in range(seeds)),
        *(search("random", seed, [30.0, 25.0 + seed, 15.0 + seed]) for seed in range(seeds)),
    ]
