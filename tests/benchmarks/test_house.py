"""A search goes one way: composed once, checked once, its strategy made once."""

from __future__ import annotations

from pathlib import Path

import pytest

import nasgan
from benchmarks.house import COMMANDS, measured, watching
from nasgan.cli.main import main

SEARCH = ["+experiment=debug/tiny", "final.top_k=0", "progress=false"]


@pytest.mark.parametrize("by", ["command", "python"])
def test_a_search_composes_checks_and_makes_its_strategy_once(by: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with watching() as seen:
        if by == "command":
            assert main(["search", *SEARCH, f"run_dir={folder}"]) == 0
        else:
            nasgan.search(*SEARCH, run_dir=folder)
    assert seen.counts == {"compositions": 1, "checks": 1, "strategies": 1}
    assert (folder / "record.json").is_file()


def test_a_reader_crosses_no_more_of_the_house_than_is_known(tmp_path: Path) -> None:
    """With some room for what is cached; who needs more says so by raising a number here."""
    known = {"search": (760, 100), "leaderboard": (178, 26)}
    for name, words in COMMANDS.items():
        functions = measured(words, tmp_path)["functions"]
        files = {line.partition(":")[0] for line in functions}
        assert len(functions) <= known[name][0]
        assert len(files) <= known[name][1]
