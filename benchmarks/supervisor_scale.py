"""Ten thousand pieces of work through one supervisor, with processes and machines killed meanwhile.

The pieces sleep, from a tenth of a second to ``--longest``. Meanwhile a process is killed every
``--kill-every`` seconds; on a Ray cluster a node, and half-way between two of them a process of a
node, and after half of the pieces a node joins. Every piece must be heard exactly once. Printed:
the time against the least possible one, the time of this process for each piece, the files of signs
of life, and its memory. The last three have bounds, about twice what was measured with ten thousand
pieces (docs/executors.md): where one is passed, the exit code is 1.

    python benchmarks/supervisor_scale.py [--pieces 10000] [--slots 8] [--longest 2.0]
    python benchmarks/supervisor_scale.py --nodes 8 --slots 8 --kill-every 25
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasgan.supervisor import Outcome, Piece, Places, Retries, Slots, Supervisor

SHORTEST = 0.1


@dataclass(frozen=True)
class Bounds:
    """What a run may take, beside the time.

    Attributes:
        files: at once, a slot.
        megabytes: of this process.
        milliseconds: of this process, a piece.
        seconds: of this process, once: imports and the connection.
    """

    files: float
    megabytes: float
    milliseconds: float
    seconds: float


OF_SLOTS = Bounds(files=1.2, megabytes=60, milliseconds=2.0, seconds=2.0)
OF_RAY = Bounds(files=1.2, megabytes=230, milliseconds=7.0, seconds=4.0)


@dataclass(frozen=True)
class Figures:
    """What a run has taken; see `Bounds`."""

    pieces: int
    slots: int
    heard_once: bool
    seconds: float
    files: int
    files_left: int
    megabytes: float

    def faults(self, bounds: Bounds) -> list[str]:
        """Where it was too much, in a line each."""
        files = bounds.files * self.slots
        seconds = bounds.seconds + bounds.milliseconds * self.pieces / 1000
        wrong = {
            "a piece was not heard, or twice": not self.heard_once,
            f"more than {files:.0f} files at once": self.files > files,
            "files are left at the end": self.files_left > 0,
            f"more than {bounds.megabytes:.0f} MB": self.megabytes > bounds.megabytes,
            f"more than {seconds:.1f} s of this process": self.seconds > seconds,
        }
        return [what for what, is_so in wrong.items() if is_so]


def slept(order: Mapping[str, Any]) -> dict[str, Any]:
    """A piece of work."""
    time.sleep(order["seconds"])
    return {"key": order["key"], "pid": os.getpid()}


class Killer:
    """Kills something every so many seconds.

    Args:
        kill: does it.
        every: seconds; 0: never.
        first: the part of them after which it is first done.
    """

    def __init__(self, kill: Callable[[], None], every: float, first: float = 1.0) -> None:
        self.kills = 0
        self._kill = kill
        self._every = every
        self._next = time.monotonic() + first * every

    def look(self) -> None:
        """Kill, if it is time."""
        if self._every and time.monotonic() >= self._next:
            self._kill()
            self.kills += 1
            self._next = time.monotonic() + self._every


def kill_one(pids: Sequence[int], rng: random.Random) -> None:
    """End a worker, busy or idle."""
    if pids:
        with suppress(ProcessLookupError):
            os.kill(rng.choice(pids), signal.SIGKILL)


def most_megabytes() -> float:
    """What this process has held at once; `getrusage` begins at what its parent had."""
    (kib,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(kib) / 1024


def measure(
    supervisor: Supervisor,
    folder: Path,
    options: argparse.Namespace,
    killers: Sequence[Killer],
    at_half: Callable[[], object],
) -> Figures:
    """Have all pieces done and print."""
    rng = random.Random(options.seed)  # noqa: S311 - a simulation
    heard: Counter[str] = Counter()
    retries: list[int] = []
    total = 0.0

    def hear(outcome: Outcome) -> None:
        heard[str(outcome.result["key"] if not outcome.failure else outcome.failure)] += 1
        retries.append(outcome.retries)

    for number in range(options.pieces):
        seconds = rng.uniform(SHORTEST, options.longest)
        total += seconds
        order = {"seconds": seconds, "key": str(number)}
        supervisor.begin(Piece(str(number), str(number), "supervisor_scale:slept", order), hear)
    started, used = time.perf_counter(), time.process_time()
    most_files, joined = 0, False
    while sum(heard.values()) < options.pieces:
        supervisor.advance(0.2)
        for killer in killers:
            killer.look()
        most_files = max(most_files, sum(1 for _ in folder.iterdir()))
        if not joined and sum(heard.values()) >= options.pieces / 2:
            at_half()
            joined = True
    elapsed, used = time.perf_counter() - started, time.process_time() - used
    slots = options.slots * max(1, options.nodes)
    figures = Figures(
        pieces=options.pieces,
        # Those of the node that has joined, too.
        slots=slots + options.slots * bool(options.nodes),
        heard_once=heard == Counter(str(number) for number in range(options.pieces)),
        seconds=used,
        files=most_files,
        files_left=sum(1 for _ in folder.iterdir()),
        megabytes=most_megabytes(),
    )
    kills = " and ".join(str(killer.kills) for killer in killers)
    print(f"  {options.pieces} pieces, {slots} slots, {kills} kills, {sum(retries)} retries")
    print(f"  {elapsed:8.1f} s; sleeping alone on all slots {total / slots:8.1f} s")
    print(f"  {1000 * used / options.pieces:8.2f} ms of this process for each piece")
    print(f"  {figures.files:8d} files at once, {figures.files_left} at the end")
    print(f"  {figures.megabytes:8.0f} MB at the most")
    print(f"  every piece was heard {'once' if figures.heard_once else 'NOT once'}")
    return figures


def on_slots(options: argparse.Namespace, folder: Path) -> Figures:
    """The same on processes of this machine."""
    rng = random.Random(options.seed)  # noqa: S311 - a simulation
    slots = Slots(options.slots)
    killer = Killer(lambda: kill_one(slots.pids, rng), options.kill_every)
    with closing(_supervisor(slots, folder)) as supervisor:
        return measure(supervisor, folder, options, [killer], lambda: None)


def on_ray(options: argparse.Namespace, folder: Path) -> Figures:
    """The same on a cluster of nodes that are groups of processes here."""
    sys.path.append(str(Path(__file__).parent.parent / "tests" / "supervisor"))
    from nasgan.supervisor.ray_tasks import RayTasks

    rng = random.Random(options.seed)  # noqa: S311 - a simulation
    with ExitStack() as stack:
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="r")))
        made = importlib.import_module("ray_nodes").Nodes(short / "ray", cpus=options.slots)
        nodes = stack.enter_context(made)
        names = [f"node{number}" for number in range(1, options.nodes)]
        for name in names:
            nodes.join(name)

        def join(name: str) -> None:
            nodes.join(name)
            names.append(name)

        # A node takes seconds to come, in which the others go on.
        joining = stack.enter_context(ThreadPoolExecutor(1))

        def kill() -> None:
            # The first one stays, and a new one takes the place of each that goes.
            if names:
                gone = names.pop(rng.randrange(len(names)))
                nodes.kill(gone)
                joining.submit(join, f"{gone}x")

        killers = [
            Killer(kill, options.kill_every),
            Killer(lambda: kill_one(nodes.workers(), rng), options.kill_every, first=0.5),
        ]
        places = RayTasks(nodes.address, cpus=1, gpus=0)
        supervisor = stack.enter_context(closing(_supervisor(places, folder)))
        return measure(supervisor, folder, options, killers, lambda: joining.submit(join, "late"))


def _supervisor(places: Places, folder: Path) -> Supervisor:
    return Supervisor(places, Retries(losses=100), folder=folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 if every piece was heard once, within the bounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--pieces", type=int, default=10_000)
    add("--slots", type=int, default=8, help="of this machine, or of each node")
    add("--nodes", type=int, default=0, help="of a Ray cluster; 0: processes of this machine")
    add("--longest", type=float, default=2.0, help="seconds of the longest piece")
    add("--kill-every", type=float, default=2.0, help="seconds; 0: never")
    add("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = (on_ray if options.nodes else on_slots)(options, Path(folder))
    faults = figures.faults(OF_RAY if options.nodes else OF_SLOTS)
    for fault in faults:
        print(f"  FAULT: {fault}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
