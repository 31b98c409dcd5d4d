"""Ten thousand pieces of work through one supervisor, with processes and machines killed meanwhile.

The pieces sleep, from a tenth of a second to ``--longest``. Meanwhile a process, or a node of the
Ray cluster, is killed every ``--kill-every`` seconds, and after half of the pieces a node joins.
Every piece must be heard exactly once. Printed: the time against the least possible one, the time
of this process for each piece, the files of signs of life, and its memory.

    python benchmarks/supervisor_scale.py [--pieces 10000] [--slots 8] [--longest 2.0]
    python benchmarks/supervisor_scale.py --nodes 8 --slots 8 --kill-every 25
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

from nasgan.supervisor import Outcome, Piece, Places, Retries, Slots, Supervisor

SHORTEST = 0.1


def slept(order: Mapping[str, Any]) -> dict[str, Any]:
    """A piece of work."""
    time.sleep(order["seconds"])
    return {"key": order["key"], "pid": os.getpid()}


class Killer:
    """Kills something every so many seconds.

    Args:
        kill: does it.
        every: seconds; 0: never.
    """

    def __init__(self, kill: Callable[[], None], every: float) -> None:
        self.kills = 0
        self._kill = kill
        self._every = every
        self._next = time.monotonic() + every

    def look(self) -> None:
        """Kill, if it is time."""
        if self._every and time.monotonic() >= self._next:
            self._kill()
            self.kills += 1
            self._next = time.monotonic() + self._every


def kill_a_process(slots: Slots, rng: random.Random) -> None:
    """End a worker, busy or idle."""
    pids = slots.pids
    if pids:
        with suppress(ProcessLookupError):
            os.kill(rng.choice(pids), signal.SIGKILL)


def measure(
    supervisor: Supervisor,
    folder: Path,
    options: argparse.Namespace,
    killer: Killer,
    at_half: Callable[[], object],
) -> bool:
    """Have all pieces done and print; whether each was heard once."""
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
        killer.look()
        most_files = max(most_files, sum(1 for _ in folder.iterdir()))
        if not joined and sum(heard.values()) >= options.pieces / 2:
            at_half()
            joined = True
    elapsed, used = time.perf_counter() - started, time.process_time() - used
    slots = options.slots * max(1, options.nodes)
    right = heard == Counter(str(number) for number in range(options.pieces))
    print(f"  {options.pieces} pieces, {slots} slots, {killer.kills} kills, {sum(retries)} retries")
    print(f"  {elapsed:8.1f} s; sleeping alone on all slots {total / slots:8.1f} s")
    print(f"  {1000 * used / options.pieces:8.2f} ms of this process for each piece")
    print(f"  {most_files:8d} files at once, {sum(1 for _ in folder.iterdir())} at the end")
    print(f"  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MB at the most")
    print(f"  every piece was heard {'once' if right else 'NOT once'}")
    return right


def on_slots(options: argparse.Namespace, folder: Path) -> bool:
    """The same on processes of this machine."""
    rng = random.Random(options.seed)  # noqa: S311 - a simulation
    slots = Slots(options.slots)
    killer = Killer(lambda: kill_a_process(slots, rng), options.kill_every)
    with closing(_supervisor(slots, folder)) as supervisor:
        return measure(supervisor, folder, options, killer, lambda: None)


def on_ray(options: argparse.Namespace, folder: Path) -> bool:
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

        killer = Killer(kill, options.kill_every)
        places = RayTasks(nodes.address, cpus=1, gpus=0)
        supervisor = stack.enter_context(closing(_supervisor(places, folder)))
        return measure(supervisor, folder, options, killer, lambda: joining.submit(join, "late"))


def _supervisor(places: Places, folder: Path) -> Supervisor:
    return Supervisor(places, Retries(losses=100), folder=folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 if every piece was heard once."""
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
        right = (on_ray if options.nodes else on_slots)(options, Path(folder))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
