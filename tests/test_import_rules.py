"""The house rules of imports: floors, no circles, and wings that never meet.

Every import statement counts, also a late one and one under TYPE_CHECKING: what a type checker
follows, a reader follows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A unit is a module or a folder directly in nasgan/. It imports from floors below its own.
FLOORS = {
    "errors": 1,
    "reading": 1,
    "atomic": 1,
    "architecture": 1,
    "graph": 1,
    "registry": 1,
    "randomness": 1,
    "state_files": 1,
    "schema": 1,
    "conversion": 1,
    "machine": 1,
    "pareto": 1,
    "run_settings": 1,
    "nodes": 1,
    "objects": 1,
    "networks": 1,
    "data": 2,
    "metrics": 2,
    "contracts": 2,
    "supervisor": 2,
    "factory": 3,
    "training": 3,
    "evaluation": 3,
    "runs": 3,
    "tabular": 3,
    "leaderboard": 4,
    "engine": 5,
    "report": 5,
    "publishing": 6,
    "testing": 6,
    "cli": 7,
    "__main__": 8,
    "api": 8,  # `nasgan.search(...)`: what the command line does, from Python
}

# On one floor, what stands on what. Floor 1 is an order of small modules; the contracts name images
# and scores; on floor 3 evaluators bring the parts of a run together.
SIDEWAYS = {
    "reading": {"errors"},
    "atomic": {"errors"},
    "registry": {"errors"},
    "architecture": {"errors", "atomic", "reading"},
    "graph": {"errors", "architecture"},
    "state_files": {"errors", "atomic", "reading"},
    "run_settings": {"errors", "nodes"},
    "schema": {"errors", "reading"},
    "conversion": {"errors"},
    "nodes": {"conversion", "errors", "registry"},
    "objects": {"architecture", "errors", "nodes"},
    "networks": {"errors"},
    "contracts": {"data", "metrics"},
    "evaluation": {"tabular", "training"},
    "tabular": {"factory", "runs"},
}

# Search spaces know neither data nor scores, although these are no higher than the contracts.
NOT_FOR_SPACES = {"data", "metrics"}

WINGS = {
    "nasgan_search_spaces": (ROOT / "search_spaces" / "nasgan_search_spaces", 2),
    "nasgan_strategies": (ROOT / "strategies" / "nasgan_strategies", 3),
}


# Members of a wing that the others may stand on; they bring no plugin, and stand on none.
SHARED = {"nasgan_search_spaces": {"halves"}, "nasgan_strategies": {"gradient"}}


@cache
def imported_names(path: Path, package: str) -> tuple[str, ...]:
    """Dotted names that the file imports, relative ones resolved; ``package`` holds the file."""
    return tuple(_imported_names(path, package))


def _imported_names(path: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(
                    [*parents[: len(parents) - node.level + 1], *([base] if base else [])]
                )
            yield from (f"{base}.{alias.name}" for alias in node.names)


def modules(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every Python file of a package, and the dotted name of the package it is in."""
    for path in sorted(folder.rglob("*.py")):
        yield path, ".".join([folder.name, *path.relative_to(folder).parts[:-1]])


def unit_of(path: Path) -> str:
    first = path.relative_to(ROOT / "nasgan").parts[0]
    return first.removesuffix(".py")


def core_imports() -> Iterator[tuple[Path, str, str]]:
    """``(file, its unit, imported unit)`` for every import inside nasgan."""
    for path, package in modules(ROOT / "nasgan"):
        unit = unit_of(path)
        if unit in ("__init__", "conf"):  # the package's face names what is inside
            continue
        for name in imported_names(path, package):
            parts = name.split(".")
            if parts[0] == "nasgan" and len(parts) > 1 and parts[1] in FLOORS:
                yield path, unit, parts[1]


def test_every_unit_has_a_floor() -> None:
    units = {unit_of(path) for path, _ in modules(ROOT / "nasgan")} - {"__init__", "conf"}
    assert units - set(FLOORS) == set()


def test_the_picture_of_the_house_shows_every_unit_on_its_floor() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\d) \| `(\w+)` \| .+ \| (.*)\|$", text, re.MULTILINE)
    assert {unit: int(floor) for floor, unit, _ in lines} == FLOORS
    beside = {unit: set(re.findall(r"`(\w+)`", names)) for _, unit, names in lines}
    assert {unit: names for unit, names in beside.items() if names} == SIDEWAYS


def test_no_unit_imports_from_a_higher_floor() -> None:
    upward = [
        f"{path.relative_to(ROOT)} (floor {FLOORS[unit]}) imports {used} (floor {FLOORS[used]})"
        for path, unit, used in core_imports()
        if FLOORS[used] > FLOORS[unit]
    ]
    assert upward == []


def test_imports_on_one_floor_are_only_the_declared_ones() -> None:
    undeclared = [
        f"{path.relative_to(ROOT)} imports {used}"
        for path, unit, used in core_imports()
        if used != unit and FLOORS[used] == FLOORS[unit] and used not in SIDEWAYS.get(unit, ())
    ]
    assert undeclared == []


def test_there_is_no_circle_between_units() -> None:
    below: dict[str, set[str]] = {unit: set() for unit in FLOORS}
    for _, unit, used in core_imports():
        if used != unit:
            below[unit].add(used)
    standing = dict(below)
    while standing:
        free = {unit for unit, used in standing.items() if not used & set(standing)}
        assert free, f"these units import each other in a circle: {sorted(standing)}"
        standing = {unit: used for unit, used in standing.items() if unit not in free}


def test_the_core_never_imports_a_strategy_or_a_space() -> None:
    offenders = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, package in modules(ROOT / "nasgan")
        for name in imported_names(path, package)
        if name.split(".")[0] in WINGS
    ]
    assert offenders == []


@pytest.mark.parametrize("wing", sorted(WINGS))
def test_a_wing_stands_on_its_floor_and_on_no_other_wing(wing: str) -> None:
    folder, floor = WINGS[wing]
    offenders = []
    for path, package in modules(folder):
        own = path.relative_to(folder).parts[0].removesuffix(".py")
        for name in imported_names(path, package):
            parts = name.split(".")
            foreign_wing = parts[0] in WINGS and parts[0] != wing
            allowed = {own} if own in SHARED.get(wing, ()) else {own, *SHARED.get(wing, ())}
            foreign_member = parts[0] == wing and len(parts) > 1 and parts[1] not in allowed
            unit = parts[1] if len(parts) > 1 else "cli"  # plain `import nasgan` reaches all
            too_high = parts[0] == "nasgan" and FLOORS.get(unit, 0) > floor
            aside = parts[0] == "nasgan" and floor == 2 and unit in NOT_FOR_SPACES
            if foreign_wing or foreign_member or too_high or aside:
                offenders.append(f"{path.relative_to(ROOT)} imports {name}")
    assert offenders == []


def test_an_import_for_type_checkers_counts(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from nasgan.engine import load\n"
        "def late():\n    from ..data import probe\n",
        encoding="utf-8",
    )
    names = set(imported_names(file, "nasgan.training"))
    assert {"nasgan.engine.load", "nasgan.data.probe"} <= names
