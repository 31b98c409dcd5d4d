"""Many processes on one finished run: each is told of it, whoever holds its lock."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasgan.engine import run_config
from nasgan.errors import RunDirectoryError
from nasgan.runs.folder import RunLock

Tiny = Callable[..., dict[str, Any]]


def _ask(config: dict[str, Any], run_dir: str, together: Any, answers: Any) -> None:
    together.wait()
    for _ in range(3):
        try:
            answers.put(run_config(config, Path(run_dir)).status)
        except RunDirectoryError as error:
            answers.put(str(error))


def test_ten_processes_on_a_finished_run_all_get_it(tiny: Tiny, finished: Path) -> None:
    context = multiprocessing.get_context("fork")
    together, answers = context.Barrier(10), context.Queue()
    arguments = (tiny("search"), str(finished), together, answers)
    processes = [context.Process(target=_ask, args=arguments) for _ in range(10)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=120) for _ in range(30)]
    for process in processes:
        process.join()
    assert found == ["already_completed"] * 30


def test_a_run_under_way_still_refuses_a_second_process(tiny: Tiny, tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(RunDirectoryError, match=r"process \d+ is running"):
        run_config(tiny("search"), tmp_path)


def test_a_finished_run_of_other_settings_is_refused_while_it_is_held(
    tiny: Tiny, finished: Path
) -> None:
    with RunLock(finished), pytest.raises(RunDirectoryError, match="another configuration"):
        run_config(tiny("search", "trainer.n_critic=1"), finished)
