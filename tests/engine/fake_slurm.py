#!/usr/bin/env python3
"""What submitit asks of Slurm, on this machine: every task of an array starts at once.

`install` puts this program into a folder under the names of Slurm's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
_JOB = 7


def install(folder: Path) -> None:
    """Make ``folder`` the ``bin`` of a Slurm whose one array is ``folder/array.sh``."""
    folder.mkdir()
    text = Path(__file__).read_text().replace("/usr/bin/env python3", sys.executable, 1)
    for name in ("sbatch", "srun", "sacct", "scontrol"):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def sbatch(script: str) -> None:
    text = Path(script).read_text()
    (FOLDER / "array.sh").write_text(text)
    last = re.search(r"^#SBATCH --array=0-(\d+)", text, re.MULTILINE)
    for task in range(int(last[1]) + 1 if last else 1):
        _start(str(task))
    print(f"Submitted batch job {_JOB}")


def scontrol(verb: str, job: str) -> None:
    assert verb == "requeue"
    with (FOLDER / "requeued.txt").open("a") as log:
        log.write(f"{job}\n")
    _start(job.partition("_")[2])


def srun(*arguments: str) -> None:
    program = next(i for i, text in enumerate(arguments) if text == sys.executable)
    os.execv(sys.executable, arguments[program:])


def sacct(*arguments: str) -> None:
    """Knows of no job: submitit then waits for its result."""


def _start(task: str) -> None:
    numbers = {"SLURM_JOB_ID": str(_JOB), "SLURM_ARRAY_JOB_ID": str(_JOB)}
    numbers |= {"SLURM_ARRAY_TASK_ID": task, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
    numbers |= {"SLURM_NODEID": "0", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    with (FOLDER / f"task{task}.log").open("a") as log:
        subprocess.Popen(
            ["bash", str(FOLDER / "array.sh")],
            env={**os.environ, **numbers},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


if __name__ == "__main__":
    name = Path(sys.argv[0]).name
    {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scontrol": scontrol}[name](*sys.argv[1:])
