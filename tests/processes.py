"""What tests ask the system about processes."""

from __future__ import annotations

from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether it runs; one that has ended may wait for someone to ask how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers_of(pid: int) -> list[int]:
    """The workers that ``pid`` has started."""
    every = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(each) for each in every if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text()
    ]
