"""Time and memory of a leaderboard of many records: at most 10 s and 500 MB for 10,000.

Makes the records (each about as large as that of a real search) in a temporary folder, then reads
them and builds, writes, verifies and times the leaderboard in a fresh process. What the limits hold
for is `nasgan leaderboard`: reading, building, writing; `verify` reads all records again.

    python benchmarks/leaderboard.py [--records 10000] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nasgan.architecture import Architecture
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.publishing.verification import verify_table
from nasgan.runs.record import RunRecord, hash_config

MOST_SECONDS = 10.0
MOST_MEGABYTES = 500.0
PROTOCOL = "cifar10-train-50k-inceptionv3-v1"


def main() -> None:
    """Make the records, measure, print the table; exit 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3, help="runs in a row")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = make_records(Path(folder), arguments.records, arguments.seeds)
        command = [sys.executable, __file__, "--measure", folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    print(f"{arguments.records} records of {size / 1000:.1f} kB, {arguments.seeds} seeds a row")
    print(f"{'find and read':<24}{found['read']:>10.2f} s")
    print(f"{'build':<24}{found['build']:>10.2f} s")
    print(f"{'CSV, Markdown and JSON':<24}{found['render']:>10.2f} s")
    total = found["read"] + found["build"] + found["render"]
    print(f"{'total':<24}{total:>10.2f} s  (limit {MOST_SECONDS:.0f} s)")
    print(f"{'of it processor time':<24}{found['processor']:>10.2f} s")
    print(f"{'verify the CSV':<24}{found['verify']:>10.2f} s")
    print(f"{'peak memory':<24}{found['memory']:>10.0f} MB (limit {MOST_MEGABYTES:.0f} MB)")
    print(f"{'rows':<24}{found['rows']:>10}")
    if found["records"] != arguments.records:
        sys.exit("records were lost")
    if total > MOST_SECONDS or found["memory"] > MOST_MEGABYTES:
        sys.exit("over the limit")


def measure(root: Path) -> dict[str, float]:
    """Seconds of each part, and the peak memory of this process in MB."""
    processor = time.process_time()
    times = [time.perf_counter()]
    records, problems = find_records([root])
    times.append(time.perf_counter())
    board = build_leaderboard(records)
    times.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".csv", ".md", ".json"):
            board.write(Path(folder, f"board{suffix}"))
        times.append(time.perf_counter())
        spent = time.process_time() - processor
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        verified = verify_table(Path(folder, "board.csv"), records)
        times.append(time.perf_counter())
    # That these many settings of one strategy are not compared over tasks is as it should be.
    faults = [problem for problem in board.problems if problem.is_grave]
    for problem in (*problems, *faults, *verified.differences):
        raise SystemExit(str(problem))
    return {
        "read": times[1] - times[0],
        "build": times[2] - times[1],
        "render": times[3] - times[2],
        "verify": times[4] - times[3],
        "processor": spent,
        "memory": memory,
        "records": len(records),
        "rows": len(board.rows),
    }


def make_records(root: Path, number: int, seeds: int) -> int:
    """Write the records below ``root``; returns the size of one in bytes."""
    rng = random.Random(0)  # noqa: S311 - not for secrets
    content = ""
    for i in range(number):
        setting, seed = divmod(i, seeds)
        folder = root / f"setting{setting}" / f"seed{seed}"
        for inner in ("samples", "checkpoints"):
            (folder / inner).mkdir(parents=True)
        content = json.dumps(_record(rng, setting, seed).to_json(), indent=2)
        # Not flushed to disk one by one as `RunRecord.write` does: that is not measured here.
        (folder / "record.json").write_text(content, encoding="utf-8")
    return len(content)


def _record(rng: random.Random, setting: int, seed: int) -> RunRecord:
    evaluations = [_evaluation(rng) for _ in range(4)]
    config: dict[str, Any] = {
        f"group{g}": {f"setting{k}": [1, 2e-4, "adam"][(g + k) % 3] for k in range(12)}
        for g in range(10)
    }
    # A tenth of the settings differ in the final training, too: as many rows of random ones.
    config.update(seed=seed, strategy={"setting": setting}, trainer={"steps": setting // 10})
    return RunRecord(
        run_id=f"run-{setting}-{seed}",
        kind="search",
        status="completed",
        strategy=f"strategy{setting % 20}",
        search_space=f"space{setting % 3}",
        space_settings={"image_size": 32, "generator_channels": 256, "latent_dim": 128},
        dataset="cifar10",
        protocol=PROTOCOL,
        seed=seed,
        architecture=evaluations[0]["architecture"],
        metrics=evaluations[0]["metrics"],
        objective={"metric": "fid", "direction": "min"},
        parameters={"generator": 4_405_251, "discriminator": 1_053_824},
        macs=1_765_015_552,
        finalists=evaluations[:2],
        average_random={
            "count": 2,
            "failed": 0,
            "metrics": evaluations[2]["metrics"],
            "evaluations": evaluations[2:],
        },
        cost={"search": evaluations[0]["cost"], "final": evaluations[0]["cost"]},
        budget=dict.fromkeys(("architectures", "generator_steps", "images", "device_seconds")),
        timers={"search": 3600.0, "final": 7200.0},
        peak_memory_bytes=2**33,
        config=config,
        config_hash=hash_config(config),
        environment=_environment(),
        dataset_info={"checksum": "0123456789abcdef" * 4, "num_images": 50_000},
        started="2026-01-01T00:00:00.000+00:00",
        ended="2026-01-01T03:00:00.000+00:00",
    )


def _evaluation(rng: random.Random) -> dict[str, Any]:
    names = ("is", "is_std", "fid", "kid", "kid_std", "precision", "recall", "density", "coverage")
    choices = tuple((f"cell{k}.choice", f"option{rng.randrange(3)}") for k in range(14))
    return {
        "architecture": Architecture("autogan", 1, choices).to_json(),
        "metrics": {name: rng.uniform(5, 50) for name in names} | _shares(rng),
        "score": 12.5,
        "fidelity": "final",
        "generator_steps": 50_000,
        "cost": {
            "architectures": 0,
            "generator_steps": 50_000,
            "images": 9_600_000,
            "device_seconds": rng.uniform(5e3, 6e3),
        },
        "failure": "",
    }


def _shares(rng: random.Random) -> dict[str, float]:
    """The metrics that lie between 0 and 1."""
    return {name: rng.random() for name in ("precision", "recall", "coverage")}


def _environment() -> dict[str, Any]:
    return {
        "nasgan": {"version": "0.1.0", "commit": "0123456789" * 4, "dirty": False},
        "python": "3.11.2",
        "packages": {"torch": "2.15.0", "numpy": "2.4.6", "torch-fidelity": "0.4.0"},
        "plugins": {"nasgan-evolution": "0.1.0"},
        "platform": "Linux-6.1.0-x86_64-with-glibc2.36",
        "cpu": "A processor with a rather long model name @ 2.60GHz",
        "cores": 16,
        "device": "NVIDIA H200",
    }


if __name__ == "__main__":
    main()
