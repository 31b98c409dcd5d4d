"""A reader that leaves (``| head``) ends neither a run nor its output with an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nasgan.atomic import put
from nasgan.runs.record import RunRecord

ENDS_AT_ONCE = "import sys; sys.stdin.readline()"


def test_what_nobody_reads_is_written_to_nobody() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        put(stream, "read\n")
        assert os.read(reading, 100) == b"read\n"
        os.close(reading)
        for _ in range(3):
            put(stream, "lost\n")


def test_a_run_whose_readers_leave_ends_as_any_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nasgan", "search", "+experiment=debug/tiny", "run_dir=r"]
    command += ["device=cpu", "threads=1", "final.random_architectures=0"]
    reader = subprocess.Popen([sys.executable, "-c", ENDS_AT_ONCE], stdin=subprocess.PIPE)
    assert reader.stdin is not None
    # Both streams: `nasgan search 2>&1 | head -1`.
    run = subprocess.Popen(command, cwd=tmp_path, stdout=reader.stdin, stderr=subprocess.STDOUT)
    reader.stdin.close()
    assert run.wait(timeout=300) == 0
    assert RunRecord.read(tmp_path / "r" / "record.json").status == "completed"
    log = (tmp_path / "r" / "search.log").read_text()
    assert "Traceback" not in log
    assert "BrokenPipe" not in log
