"""The final phase in other processes, and the threads of small networks: ratios within one run.

The default search (the digits, AutoGAN's space) with its final trainings one after the other in
this process, and by workers; with the fixed number of threads, and with all cores as torch takes
them without being told. ``--busy N`` runs so many processes beside it that do nothing but compute.
The scores of the first two are compared: they must be equal to the last bit. The load is printed:
on a machine that others use, only the ratios say something.

    python benchmarks/parallel_finals.py [--steps 60] [--busy 2] [--quickstart]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasgan.cli.compose import compose
from nasgan.engine import run_config
from nasgan.machine import load, usable_cores

SERIAL, PARALLEL, OLD = "one process, 1 thread", "workers, 1 thread each", "one process, all cores"


def compute() -> None:
    """Keep a core busy."""
    while True:
        sum(range(1_000_000))


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute, for the time of the block."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=compute, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def timed(way: str, overrides: Sequence[str], folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of a search, and its record."""
    run_dir = folder / way.replace(" ", "_").replace(",", "")
    started = time.perf_counter()
    run_config(compose("search", ["progress=false", *overrides]), run_dir)
    seconds = time.perf_counter() - started
    print(f"  {way:<26}{seconds:8.1f} s   load {load():.1f} on {usable_cores()} cores", flush=True)
    record: dict[str, Any] = json.loads((run_dir / "record.json").read_text())
    return seconds, record


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 if the scores are equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--steps", type=int, default=60, help="generator steps of each final training")
    add("--search", type=int, default=20, help="generator steps of the search")
    add("--busy", type=int, default=0, help="processes that compute beside it")
    add("--quickstart", action="store_true", help="the whole default search instead")
    add("--without-old", action="store_true", help="leave out one process with all cores")
    options = parser.parse_args(arguments)
    size = [
        f"final.generator_steps={options.steps}",
        f"final.eval_every={options.steps}",
        f"budget.generator_steps={options.search}",
        "budget.architectures=4",
    ]
    common = [] if options.quickstart else size
    apart = "nasgan.evaluation.executors.processes._LONG_TRAINING"
    ways = {
        SERIAL: ["executor=in_process"],
        PARALLEL: ["executor=auto"],
        OLD: ["executor=in_process", f"threads={os.cpu_count()}"],
    }
    if options.without_old:
        del ways[OLD]
    module, _, name = apart.rpartition(".")
    # However short the trainings are here, they go to the workers.
    setattr(__import__(module, fromlist=[name]), name, 1)
    with tempfile.TemporaryDirectory() as folder, busy(options.busy):
        found = {way: timed(way, [*common, *more], Path(folder)) for way, more in ways.items()}
    seconds = {way: took for way, (took, _) in found.items()}
    print(f"  workers / one process        {seconds[PARALLEL] / seconds[SERIAL]:8.3f}")
    if OLD in seconds:
        print(f"  one thread / all cores       {seconds[SERIAL] / seconds[OLD]:8.3f}")
    scores = [
        [record["metrics"], record["average_random"]["metrics"]]
        for _, record in (found[SERIAL], found[PARALLEL])
    ]
    equal = scores[0] == scores[1]
    print(f"  the scores of workers and one process {'are equal' if equal else 'DIFFER'}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
