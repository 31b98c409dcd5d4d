"""Eight runs write into one results folder while a reader makes leaderboards of it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from record_samples import record

from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.runs.folder import RunLock
from nasgan.runs.history import HISTORY_FILE, History, read_history
from nasgan.runs.record import RECORD_FILE, RunRecord
from nasgan.runs.status import STATUS_FILE, Status

_PROCESSES = 8
_RUNS = 6
_REWRITES = 4


def _fid(worker: int, run: int, step: int) -> float:
    return 100.0 * step + 10.0 * worker + run


def _write_runs(root: str, worker: int) -> None:
    for run in range(_RUNS):
        folder = Path(root) / f"seed{run}" / f"worker{worker}"
        with RunLock(folder):
            history = History(folder / HISTORY_FILE)
            for step in range(_REWRITES):
                Status("search", progress=step / _REWRITES).write(folder / STATUS_FILE)
                history.append({"worker": worker, "step": step, "filler": "x" * 2000})
                # A rerun replaces its record: a reader must see the old or the new one.
                record(f"strategy{worker}", run, fid=_fid(worker, run, step)).write(
                    folder / RECORD_FILE
                )
            Status("final", state="completed").write(folder / STATUS_FILE)


def test_no_record_is_lost_or_torn(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_write_runs, args=(str(tmp_path), i)) for i in range(_PROCESSES)
    ]
    for worker in workers:
        worker.start()
    counts = []
    while any(worker.is_alive() for worker in workers):
        found, problems = find_records([tmp_path])
        assert all("no record yet" in problem.message for problem in problems)
        build_leaderboard(found).to_csv()
        counts.append(len(found))
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * _PROCESSES
    assert counts == sorted(counts), "a record vanished while the runs went on"

    found, problems = find_records([tmp_path])
    assert (len(found), problems) == (_PROCESSES * _RUNS, [])
    board = build_leaderboard(found)
    assert [row["n_seeds"] for row in board.rows] == [_RUNS] * _PROCESSES
    assert board.problems == ()
    for run in found:
        assert run.path is not None
        last = RunRecord.read(run.path)
        assert last.metrics is not None
        fids = {_fid(worker, last.seed, _REWRITES - 1) for worker in range(_PROCESSES)}
        assert last.metrics["fid"] in fids
        assert len(read_history(run.path.with_name(HISTORY_FILE))) == _REWRITES
        assert Status.read(run.path.with_name(STATUS_FILE)).state == "completed"
    assert not list(tmp_path.rglob("*.tmp"))
