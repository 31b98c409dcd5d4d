"""How large the house is, and how much of it a reader crosses to follow one command.

Counts lines and files of ``nasgan/``; the functions and files of it that a tiny search and
``nasgan leaderboard`` call; how often a search composes its configuration, checks it and makes its
strategy; and the public names of `nasgan.contracts`. Each command runs in a process of its own.

    python benchmarks/house.py
    python benchmarks/house.py --names search      # the functions, too
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "nasgan"
STRATEGIES = ROOT / "strategies"
COMMANDS = {
    "search": ["search", "+experiment=debug/tiny", "run_dir=runs/tiny", "progress=false"],
    "leaderboard": ["leaderboard", "runs=runs", "out=board.csv"],
}
COMPOSES = "load_configuration"
CHECKS = ("check_config",)
BODIES = ("<module>", "<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", choices=sorted(COMMANDS), help="list what this command calls")
    parser.add_argument("--watched", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.watched:
        return watched(*given.watched)
    files = sorted(HOUSE.rglob("*.py"))
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    from nasgan import contracts

    print(f"{'nasgan/':34} {lines} lines in {len(files)} files")
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measured(words, Path(folder)) for name, words in COMMANDS.items()}
    for name, seen in found.items():
        places = {line.partition(":")[0] for line in seen["functions"]}
        print(f"{'nasgan ' + name:34} {len(seen['functions'])} functions in {len(places)} files")
    search = found["search"]["counts"]
    print(f"{'compositions of one search':34} {search.get('compositions', 0)}")
    print(f"{'checks of its configuration':34} {search.get('checks', 0)}")
    print(f"{'strategies made':34} {search.get('strategies', 0)}")
    print(f"{'public names of nasgan.contracts':34} {len(contracts.__all__)}")
    if given.names:
        print(*found[given.names]["functions"], sep="\n")
    return 0


def measured(words: list[str], folder: Path) -> dict[str, Any]:
    """What ``nasgan WORDS...`` calls, run in ``folder``."""
    out = folder / "calls.json"
    command = [sys.executable, str(Path(__file__).resolve()), "--watched", str(out), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


def watched(out: str, *words: str) -> int:
    """Run the command line under a profiler; write what it saw to ``out``."""
    sys.path[:0] = [str(ROOT), str(STRATEGIES), str(ROOT / "search_spaces")]
    from nasgan.cli.main import main as command_line

    with watching() as seen:
        exit_code = command_line(words)
    names = {
        f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_firstlineno} {code.co_name}"
        for code in seen.codes
        if code.co_name not in BODIES and not is_class_body(code)
    }
    text = json.dumps({"functions": sorted(names), "counts": seen.counts})
    Path(out).write_text(text, encoding="utf-8")
    return exit_code


class Seen(NamedTuple):
    """What is called: of nasgan each function's code, and how often what should happen once."""

    codes: set[CodeType]
    counts: Counter[str]


@contextmanager
def watching() -> Iterator[Seen]:
    """Meanwhile, note what is called, in all threads."""
    seen = Seen(set(), Counter())

    def note(frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(str(HOUSE)):
            seen.codes.add(code)
            seen.counts["checks"] += code.co_name in CHECKS
        elif code.co_name == COMPOSES and "hydra" in code.co_filename:
            seen.counts["compositions"] += 1
        elif code.co_name == "__init__" and code.co_filename.startswith(str(STRATEGIES)):
            seen.counts["strategies"] += is_strategy(frame.f_locals.get("self"))

    before = sys.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


def is_strategy(made: object) -> bool:
    """Whether ``made`` is a strategy, not a part of one."""
    from nasgan.contracts import SearchStrategy

    return isinstance(made, SearchStrategy)


def is_class_body(code: CodeType) -> bool:
    """Whether ``code`` ran once, at import, to make a class."""
    return "__qualname__" in code.co_names and "__module__" in code.co_names


if __name__ == "__main__":
    sys.exit(main())
