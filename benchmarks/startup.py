"""How long the light verbs take to start, beside the import of torch that they avoid.

Each program runs in a process of its own, in turn; the table gives the fastest of the rounds.

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

LIMIT = 1.5
PROGRAMS = {
    "python (nothing)": ["-c", "pass"],
    "nasgan --help": ["-m", "nasgan", "--help"],
    "nasgan list": ["-m", "nasgan", "list"],
    "nasgan leaderboard --help": ["-m", "nasgan", "leaderboard", "--help"],
    "import torch": ["-c", "import torch"],
}
LIMITED = ("nasgan --help", "nasgan list", "nasgan leaderboard --help")


def main() -> int:
    """Time the programs and print the table; 1 if a light verb is slower than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    best = dict.fromkeys(PROGRAMS, float("inf"))
    for _ in range(rounds):
        for name, arguments in PROGRAMS.items():
            best[name] = min(best[name], seconds(arguments))
    torch = best["import torch"]
    print(f"{'program':26} {'seconds':>8} {'of importing torch':>19}   limit {LIMIT} s")
    for name, taken in best.items():
        verdict = ("ok" if taken < LIMIT else "too slow") if name in LIMITED else ""
        print(f"{name:26} {taken:8.2f} {taken / torch:19.2f}   {verdict}".rstrip())
    return int(any(best[name] >= LIMIT for name in LIMITED))


def seconds(arguments: list[str]) -> float:
    """Wall-clock seconds of one Python process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
