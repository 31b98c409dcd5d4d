"""Time and size of a report of many runs: at most 60 s and 20 MB for 100.

Makes the runs (searches in three spaces with their drawings, long histories and colour grids) in a
temporary folder, then makes the report of them in a fresh process, and once more as `nasgan watch`
does when another run has ended.

    python benchmarks/report.py [--runs 100] [--seeds 4] [--lines 3000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nasgan.report.page import build_report
from nasgan.runs.record import RunRecord, hash_config

if TYPE_CHECKING:
    from nasgan.contracts import SearchSpace

MOST_SECONDS = 60.0
MOST_MEGABYTES = 20.0
STRATEGIES = ("random", "rl", "adversarial", "evolution")
PROTOCOL = "cifar10-train-50k-inceptionv3-v1"


def main() -> None:
    """Make the runs, measure, print the table; exit 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=4, help="runs in a row")
    parser.add_argument("--lines", type=int, default=3000, help="of each run's history")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), arguments.runs, arguments.seeds, arguments.lines)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        command = [sys.executable, __file__, "--measure", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    print(f"{arguments.runs} runs of {arguments.lines} lines, {size:.0f} MB of files")
    print(f"{'report':<24}{found['first']:>10.1f} s  (limit {MOST_SECONDS:.0f} s)")
    print(f"{'of it processor time':<24}{found['processor']:>10.1f} s")
    print(f"{'once more':<24}{found['again']:>10.1f} s")
    print(f"{'page':<24}{found['size']:>10.1f} MB (limit {MOST_MEGABYTES:.0f} MB)")
    print(f"{'peak memory':<24}{found['memory']:>10.0f} MB")
    if found["runs"] != arguments.runs:
        sys.exit("runs were lost")
    if found["first"] > MOST_SECONDS or found["size"] > MOST_MEGABYTES:
        sys.exit("over the limit")


def measure(root: Path) -> dict[str, float]:
    """Seconds, megabytes, and the peak memory of this process in MB."""
    processor = time.process_time()
    times = [time.perf_counter()]
    report = build_report([root])
    times.append(time.perf_counter())
    processor = time.process_time() - processor
    build_report([root])
    times.append(time.perf_counter())
    return {
        "first": times[1] - times[0],
        "again": times[2] - times[1],
        "processor": processor,
        "size": len(report.html.encode("utf-8")) / 1e6,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "runs": report.num_runs,
    }


def make_runs(root: Path, number: int, seeds: int, lines: int) -> None:
    """Write the folders of ``number`` runs below ``root``."""
    # The process that measures has no use for torch.
    from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
    from nasgan_search_spaces.agan.space import AGANSpace
    from nasgan_search_spaces.autogan.space import AutoGANSpace

    spaces = (
        AutoGANSpace(image_size=32),
        AdversarialNASSpace(image_size=32),
        AGANSpace(image_size=32),
    )
    for i in range(number):
        setting, seed = divmod(i, seeds)
        strategy = STRATEGIES[setting % len(STRATEGIES)]
        space = spaces[setting // len(STRATEGIES) % len(spaces)]
        rng = np.random.default_rng(i)
        folder = root / f"setting{setting}" / f"seed{seed}"
        (folder / "samples").mkdir(parents=True)
        record = _record(space, strategy, setting, seed, rng)
        (folder / "record.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
        with (folder / "history.jsonl").open("w", encoding="utf-8") as stream:
            for k, line in enumerate(_history(space, strategy, lines, record, rng)):
                stream.write(json.dumps({"index": k, **line}) + "\n")
        # Sixty-four smooth images of 32 px, each pixel doubled, as the runs save them.
        small = rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)
        grid = Image.fromarray(small).resize((270, 270), Image.Resampling.BICUBIC)
        grid.resize((540, 540), Image.Resampling.NEAREST).save(folder / "samples" / "final.png")


def _history(
    space: SearchSpace, strategy: str, lines: int, record: RunRecord, rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    names = {decision.name: len(decision.options) for decision in space.decisions}
    incumbent, best = "", float("inf")
    for k in range(1, lines + 1):
        spent = _cost(k, k * 10)
        if strategy != "random" and k % 10 == 0:
            shares = {name: list(rng.dirichlet(np.ones(count))) for name, count in names.items()}
            yield {"kind": "values", "phase": "search", "options": shares, "spent": spent}
        elif strategy != "adversarial" and k % 15 == 0:
            evaluation = _evaluation(space, float(rng.uniform(20, 60)), rng, "shared")
            if evaluation["score"] < best:
                best, incumbent = evaluation["score"], evaluation["architecture"]["id"]
            extra = {"incumbent": incumbent, "spent": spent}
            yield {"kind": "evaluation", "phase": "search", **evaluation, **extra}
        else:
            values = {"loss_generator": rng.normal(), "loss_discriminator": rng.normal()}
            yield {"kind": "values", "phase": "search", "values": values, "spent": spent}
    name = (record.architecture or {})["id"]
    yield {"kind": "finalists", "phase": "final", "architectures": [name]}
    for k in range(1, 21):
        point = {"architecture": name, "metrics": {"fid": 12 + 60 / k}, "spent": _cost(1, k * 2500)}
        yield {"kind": "checkpoint", "phase": "final", **point}


def _record(
    space: SearchSpace, strategy: str, setting: int, seed: int, rng: np.random.Generator
) -> RunRecord:
    architecture = space.sample(rng)
    tried = [_evaluation(space, float(rng.uniform(10, 30)), rng, "final") for _ in range(4)]
    config: dict[str, Any] = {
        f"group{g}": {f"setting{k}": [1, 2e-4, "adam"][(g + k) % 3] for k in range(12)}
        for g in range(10)
    }
    config.update(seed=seed, setting=setting, final={"top_k": 2, "generator_steps": 50_000})
    return RunRecord(
        run_id=f"run-{setting}-{seed}",
        kind="search",
        status="completed",
        strategy=strategy,
        search_space=space.name,
        space_settings={"image_size": 32},
        dataset="cifar10",
        protocol=PROTOCOL,
        seed=seed,
        architecture=architecture.to_json(),
        graphs=[graph.to_json() for graph in space.describe(architecture)],
        decisions={decision.name: list(decision.options) for decision in space.decisions},
        metrics=tried[0]["metrics"],
        objective={"metric": "fid", "direction": "min"},
        parameters={"generator": 4_405_251 + setting, "discriminator": 1_053_824},
        macs=1_765_015_552,
        finalists=tried[:2],
        average_random={
            "count": 2,
            "failed": 0,
            "metrics": tried[2]["metrics"],
            "evaluations": tried[2:],
        },
        cost={"search": _cost(200, 30_000), "final": _cost(2, 100_000)},
        budget=dict.fromkeys(("architectures", "generator_steps", "images", "device_seconds")),
        config=config,
        config_hash=hash_config(config),
        environment={"nasgan": {"version": "0.1.0", "commit": "01" * 20, "dirty": False}},
        dataset_info={"checksum": "0123456789abcdef" * 4, "num_images": 50_000},
        started="2026-01-01T00:00:00.000+00:00",
        ended=f"2026-01-01T03:00:{seed:02d}.000+00:00",
    )


def _evaluation(
    space: SearchSpace, score: float, rng: np.random.Generator, fidelity: str
) -> dict[str, Any]:
    return {
        "architecture": space.sample(rng).to_json(),
        "metrics": {"is": 10 - score / 10, "is_std": 0.1, "fid": score, "kid": score / 1000},
        "score": score,
        "fidelity": fidelity,
        "generator_steps": 50_000,
        "cost": _cost(1, 50_000),
        "failure": "",
    }


def _cost(architectures: int, steps: int) -> dict[str, Any]:
    return {
        "architectures": architectures,
        "generator_steps": steps,
        "images": steps * 64,
        "device_seconds": steps * 0.1,
    }


if __name__ == "__main__":
    main()
