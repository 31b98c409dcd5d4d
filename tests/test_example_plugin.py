"""examples/nasgan-evolution as its users get it: both wheels in an environment of their own."""

from __future__ import annotations

import re
import sys
import venv
from pathlib import Path

import pytest
from built_packages import build_wheel, run

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "nasgan-evolution"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of a fresh environment with both packages.

    What they depend on comes from the running environment, to spare gigabytes: its folders are
    behind the fresh one's own, and its editable installations do not count.
    """
    folder = tmp_path_factory.mktemp("example")
    wheels = [str(build_wheel(source, folder)) for source in (ROOT, EXAMPLE)]
    home = folder / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    (site,) = home.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "shared.pth").write_text("\n".join(shared) + "\n", encoding="utf-8")
    install = ["install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--force-reinstall"]
    python = str(home / "bin" / "python")
    run([sys.executable, "-m", "pip", "--python", python, *install, *wheels], cwd=folder)
    out = run([python, "-c", "import nasgan, sys; sys.stdout.write(nasgan.__file__)"], cwd=folder)
    assert out.startswith(str(site))
    return home / "bin"


def test_the_example_is_a_package_of_under_two_hundred_lines() -> None:
    files = [path for kind in ("py", "yaml") for path in EXAMPLE.rglob(f"*.{kind}")]
    assert len(files) >= 5
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) < 200


def test_the_strategy_shows_up_wherever_strategies_do(programs: Path, tmp_path: Path) -> None:
    nasgan = str(programs / "nasgan")
    listed = run([nasgan, "list", "strategies"], cwd=tmp_path)
    assert re.search(r"^  aging_evolution  .*\[nasgan-evolution\]$", listed, re.MULTILINE)
    (offered,) = re.findall(
        r"^  strategy +(.*)$", run([nasgan, "search", "--help"], cwd=tmp_path), re.MULTILINE
    )
    assert {"aging_evolution", "aging_evolution_inherit", "[random]"} <= set(offered.split(", "))
    line = {"COMP_LINE": "nasgan search strategy=agi"}
    completed = run([nasgan, "-sc", "query=bash"], cwd=tmp_path, environment=line)
    assert completed.split() == ["strategy=aging_evolution", "strategy=aging_evolution_inherit"]


def test_it_runs_in_sweeps_and_reaches_leaderboard_and_report(
    programs: Path, tmp_path: Path
) -> None:
    nasgan = str(programs / "nasgan")
    chosen = "strategy=glob([aging*,random])"
    several = "objective=[fid,parameters]"
    command = [nasgan, "search", "-m", chosen, several, "+experiment=debug/tiny", "progress=false"]
    swept = run(command, cwd=tmp_path)
    assert "Sweep of 3 jobs: 3 completed" in swept
    board = run([nasgan, "leaderboard"], cwd=tmp_path)
    rows = set(re.findall(r"^  -\s+(\S+)", board, re.MULTILINE))
    assert {
        "aging_evolution_pareto",
        "aging_evolution_inherit_scratch_pareto",
        "random_pareto",
    } <= rows, board
    run([nasgan, "report"], cwd=tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Pareto fronts of aging_evolution_pareto" in page


def test_it_passes_the_conformance_suite_there(programs: Path) -> None:
    python = str(programs / "python")
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    out = run([python, "-m", "pytest", *options, str(EXAMPLE / "tests")], cwd=programs)
    assert re.search(r"^\d+ passed", out, re.MULTILINE), out
