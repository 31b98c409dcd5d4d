"""The commands and the code that README.md and CONTRIBUTING.md show are tried."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from nasgan.cli.compose import compose
from nasgan.cli.table import SUBVERBS
from nasgan.testing import check_strategy

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("nasgan ")
]


def _python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_composes(command: str) -> None:
    _, verb, *arguments = shlex.split(command)
    if verb in ("list", "doctor") or {"--help", "verify"} & set(arguments):
        return
    if verb == "table":
        assert arguments[0] in SUBVERBS
        return
    overrides = [argument for argument in arguments if argument != "-m"]
    if "-m" in arguments:
        overrides = [re.sub(r"=([^,]+),.*", r"=\1", override) for override in overrides]
    assert compose(verb, overrides)


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 8


def test_the_library_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = _python_blocks(README)
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["images"].shape == (16, 1, 16, 16)
    assert names["run"].metrics["fid"] > 0
    assert (tmp_path / "outputs" / "tiny" / "record.json").is_file()


def test_the_strategy_of_the_contributors_guide_passes_the_conformance_tests() -> None:
    names: dict[str, Any] = {"__name__": "my_package.hill"}
    exec(compile(_python_blocks(CONTRIBUTING)[0], "CONTRIBUTING.md", "exec"), names)
    check_strategy(names["HillClimbing"])
