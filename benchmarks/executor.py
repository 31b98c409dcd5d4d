"""Workers against one process: 16 candidates on 2 workers in at most 0.55 of one thread's time.

Trains and scores the same candidates from scratch (``evaluator=scratch``, the digits) in three ways
within one run: in this process with all cores, in this process with one thread, and by
``executor=processes`` with one thread a worker. The time of the workers includes their start. On
Linux the cores that other programs took meanwhile are printed, too: with more than a tenth of one,
the clock says little, least of all about one process with several threads. Then compare processor
times: those of the busiest worker and of one thread are what the clock would show on idle cores,
and with ``OMP_WAIT_POLICY=passive`` half that of two threads is the least that they can take.

    python benchmarks/executor.py [--candidates 16] [--workers 2] [--steps 100] [--rounds 1]
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasgan.architecture import Architecture
from nasgan.cli.compose import compose
from nasgan.contracts import Evaluation, EvaluationPool, Proposal, TrainerSettings
from nasgan.engine.parts import load_splits, make_space
from nasgan.engine.workers import WORKER_BUILDER, open_evaluator
from nasgan.evaluation import InProcessPool
from nasgan.evaluation.executors import ProcessExecutor, WorkOrder

TARGET = 0.55
ALL_CORES, ONE_THREAD, WORKERS = "in this process", "in this process, 1 thread", "workers"


class Bench:
    """The candidates, and the ways to score them.

    Args:
        options: of the command line.
        folder: for files of the evaluations.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.config: Mapping[str, Any] = compose(
            "search",
            [
                "strategy=random_scratch",
                f"search_space={options.space}",
                f"dataset.suggested.generator_channels={options.channels}",
                f"dataset.suggested.discriminator_channels={options.channels}",
                f"evaluator.generator_steps={options.steps}",
                "budget=unlimited",
            ],
        )
        space = make_space(
            self.config, load_splits(self.config["dataset"]).train, TrainerSettings()
        )
        rng = np.random.default_rng(0)
        drawn = dict.fromkeys(space.sample(rng) for _ in range(100 * options.candidates))
        self.proposals = [Proposal(made) for made in list(drawn)[: options.candidates]]

    def in_process(self, threads: int) -> list[Evaluation]:
        """All candidates, one after the other."""
        evaluator, ledger = open_evaluator(self._settings(), device="cpu", threads=threads)
        return score(InProcessPool(evaluator, ledger), self.proposals)

    def workers(self) -> list[Evaluation]:
        """All candidates by worker processes, which start and end here."""
        evaluator, ledger = open_evaluator(self._settings(), device="cpu", threads=1)
        executor = ProcessExecutor(workers=self.options.workers, threads=1)
        pool = executor.open(evaluator, ledger, WorkOrder(WORKER_BUILDER, self._settings()))
        return score(pool, self.proposals)

    def _settings(self) -> dict[str, Any]:
        return {"config": self.config, "folder": str(self.folder)}


def score(pool: EvaluationPool, proposals: Sequence[Proposal]) -> list[Evaluation]:
    """The evaluations of ``proposals``, in their order."""
    waiting = list(proposals)
    arrived: dict[Architecture, Evaluation] = {}
    while len(arrived) < len(proposals):
        while waiting and pool.room() > 0:
            pool.submit(waiting.pop(0))
        arrived.update({made.architecture: made for made in pool.advance()})
    busiest = max(map(processor_seconds_of, children()), default=math.nan)
    if not math.isnan(busiest):
        print(f"  processor time of the busiest worker {busiest:8.1f} s")
    pool.close()
    return [arrived[proposal.architecture] for proposal in proposals]


def processor_seconds() -> float:
    """Used so far by this process and by those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def children() -> list[int]:
    """The processes that this one has started; none where that is unknown."""
    file = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def processor_seconds_of(pid: int) -> float:
    """Used so far by another process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_seconds() -> float:
    """Used so far by all programs of the machine; NaN if unknown."""
    try:
        ticks = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    except OSError:
        return math.nan
    user, nice, system, _, _, interrupts, soft_interrupts, _ = ticks
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


def measure(way: str, run: Callable[[], list[Evaluation]]) -> tuple[float, list[float | None]]:
    """Print and give the seconds of a run, and its scores."""
    date = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    started, used, everything = time.perf_counter(), processor_seconds(), machine_seconds()
    scores = [evaluation.score for evaluation in run()]
    elapsed, used = time.perf_counter() - started, processor_seconds() - used
    others = (machine_seconds() - everything - used) / elapsed
    print(
        f"  {way:<26}{elapsed:8.1f} s {used:8.1f} s of processor time; other programs "
        f"{others:5.2f} cores   ({date})",
        flush=True,
    )
    return elapsed, scores


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 if the target is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--candidates", type=int, default=16)
    add("--workers", type=int, default=2, help="and threads of the one process")
    add("--space", default="autogan")
    add("--channels", type=int, default=32, help="widths of the networks")
    add("--steps", type=int, default=100, help="generator steps of each training")
    add("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    print(
        f"{options.candidates} candidates of {options.space}, 16 px, {options.channels} channels, "
        f"{options.steps} generator steps; {options.workers} workers; torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        ways: dict[str, Callable[[], list[Evaluation]]] = {
            ALL_CORES: lambda: bench.in_process(options.workers),
            WORKERS: bench.workers,
            ONE_THREAD: lambda: bench.in_process(1),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        scores: dict[str, list[float | None]] = {}
        for _ in range(options.rounds):
            for way, run in ways.items():
                elapsed, scores[way] = measure(way, run)
                seconds[way].append(elapsed)
    ratios = {
        way: statistics.median(
            ours / theirs for ours, theirs in zip(seconds[WORKERS], seconds[way], strict=True)
        )
        for way in (ALL_CORES, ONE_THREAD)
    }
    equal = scores[WORKERS] == scores[ONE_THREAD]
    print(f"  workers / in this process            {ratios[ALL_CORES]:8.3f}")
    one_thread = f"{ratios[ONE_THREAD]:8.3f}   (target <= {TARGET})"
    print(f"  workers / in this process, 1 thread  {one_thread}")
    print(f"  the scores of workers and one thread {'are equal' if equal else 'DIFFER'}")
    return 0 if equal and ratios[ONE_THREAD] <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
