"""Runs in which all texts that can hold anything do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report_samples import write_run, write_status

from nasgan.architecture import Architecture
from nasgan.runs.record import RECORD_FILE

__all__ = ["HOSTILE", "write_hostile_runs"]

HOSTILE = "</script></title><script>alert(1)</script><img src=x onerror='alert(2)'>\"'`&{{7*7}}"


def write_hostile_runs(root: Path) -> None:
    """Write completed runs, a failed one, one that runs, and a file that is no record."""
    choices = ((f"{HOSTILE}.0-1", HOSTILE), (f"{HOSTILE}.norm", f"x{HOSTILE}"))
    architecture = Architecture(HOSTILE, 1, choices).to_json()
    graph = {
        "title": HOSTILE,
        "nodes": [
            {"id": HOSTILE, "label": HOSTILE, "group": HOSTILE, "lines": [HOSTILE]},
            {"id": "b", "label": "b", "group": HOSTILE},
        ],
        "edges": [{"source": HOSTILE, "target": "b", "label": HOSTILE}],
    }
    changes: dict[str, Any] = {
        "strategy": HOSTILE,
        "search_space": HOSTILE,
        "dataset": HOSTILE,
        "protocol": HOSTILE,
        "architecture": architecture,
        "graphs": [graph],
        "decisions": {name: [HOSTILE, f"x{HOSTILE}"] for name, _ in choices},
        "metrics": {"fid": 3.0, HOSTILE: 4.0},
        "proxy_correlation": {
            "metric": HOSTILE,
            "fidelity": HOSTILE,
            "generator_steps": 1,
            "n": 2,
            "spearman": None,
            "kendall": None,
            "points": [{"architecture": HOSTILE, "search": 1.0, "final": k} for k in range(2)],
        },
        "bound": {"metrics": {"fid": 1.0, HOSTILE: 2.0}, "num_images": 5},
        "config": {HOSTILE: HOSTILE},
        "config_hash": HOSTILE,
        "environment": {
            "nasgan": {"version": HOSTILE, "commit": HOSTILE, "dirty": True},
            "plugins": {HOSTILE: HOSTILE},
            "device": HOSTILE,
        },
        "tuning_budget": HOSTILE,
        "experiment": HOSTILE,
    }
    for seed in range(3):
        record = write_run(root / f"{seed}", seed=seed, run_id=f"{HOSTILE}{seed}", **changes)
        lines = (root / f"{seed}" / "history.jsonl").read_text(encoding="utf-8").splitlines()
        shares = {name: {HOSTILE: 0.5, "</svg>": 0.5} for name, _ in choices}
        spent = record.cost["search"]
        first = {"index": 0, "kind": "values", "options": shares, "spent": spent}
        extra = json.dumps({"kind": "odd", "fidelity": HOSTILE})
        changed = [line.replace('"shared"', json.dumps(HOSTILE)) for line in lines]
        text = "\n".join([json.dumps(first), extra, "damaged", *changed]) + "\n"
        (root / f"{seed}" / "history.jsonl").write_text(text, encoding="utf-8")
    failed = {"status": "failed", "failure": HOSTILE, "architecture": None, "metrics": None}
    write_run(root / "failed", seed=8, grid_pixels=0, **{**changes, **failed, "graphs": []})
    write_status(root / "running", "running", message=HOSTILE, phase=HOSTILE)
    odd = root / HOSTILE.replace("/", "∕")
    odd.mkdir()
    (odd / RECORD_FILE).write_text(json.dumps({"format": HOSTILE}), encoding="utf-8")
