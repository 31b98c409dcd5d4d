"""The report's page about a table of trained architectures."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_reader import ReadPage
from scipy import stats

from nasgan.architecture import Architecture
from nasgan.cli.main import main
from nasgan.errors import TableError, UnknownNameError
from nasgan.report.page import build_table_report
from nasgan.report.tables import table_view
from nasgan.tabular.manifest import Manifest
from nasgan.tabular.rows import Point, Row, RowFile
from nasgan.tabular.table import load_table

DECISIONS = {"cell.norm": ["none", "batch", "instance"], "cell.skip": ["off", "on"]}
STEPS = (10, 20, 40)


def score(options: tuple[int, int], seed: int, step: int) -> float:
    """The norm decides; early on the skip does. Seeds differ by a little."""
    late = step == STEPS[-1]
    level = options[0] if late else options[1] + 0.1 * options[0]
    return math.exp(3 + 0.5 * level + 0.05 * math.sin(7 * seed + 3 * options[0] + 2 * options[1]))


def write_table(folder: Path, *, broken: int = 0, **changes: Any) -> Path:
    settings = {
        "search_space": {"name": "toy", "version": 1, "settings": {}},
        "protocol": "digits-train-64-digits-v1",
        "metrics": ["is", "is_std", "fid"],
        "objective": {"metric": "fid", "direction": "min"},
    }
    manifest = Manifest(
        settings=settings,
        decisions=DECISIONS,
        designs=({"kind": "all", "seeds": 3},),
        bound=None,
        environments=(),
        licence="CC-BY-4.0",
    )
    manifest.claim(folder)
    file = RowFile(folder, "1of1")
    every = [(a, b, seed) for a in range(3) for b in range(2) for seed in range(3)]
    for number, (a, b, seed) in enumerate(every):
        choices = tuple((n, DECISIONS[n][k]) for n, k in zip(DECISIONS, (a, b), strict=True))
        curve = tuple(
            Point(s, s / 10, {"is": 2.0 + a, "is_std": 0.1, "fid": score((a, b), seed, s)})
            for s in STEPS
        )
        failed = number < broken
        file.append(
            Row(
                architecture=Architecture("toy", 1, choices).id,
                options=(a, b),
                seed=seed,
                curve=curve[:-1] if failed else curve,
                steps=20 if failed else 40,
                images=100,
                seconds=4.0,
                device_seconds=4.0,
                parameters={"generator": 1, "discriminator": 1},
                macs={"generator": 1, "discriminator": 1},
                failure="the loss is not finite (nan)" if failed else "",
            )
        )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("tables") / "toy-v1")


@pytest.fixture(scope="module")
def view(folder: Path) -> dict[str, Any]:
    return table_view("t1", load_table(folder))


def test_the_page_has_a_part_for_each_question(folder):
    report = build_table_report([folder])
    page = ReadPage(report.html)
    assert (page.unclosed, report.num_runs) == ([], 18)
    names = ("overview", "noise", "agreement", "decisions", "best")
    assert {found["id"] for found in page.all("section")} == {f"t1-{name}" for name in names}
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    assert build_table_report([folder]).html == report.html
    assert "from the rows of tables alone" in page.text


def test_two_tables_are_two_parts(folder, tmp_path):
    html = build_table_report([folder, write_table(tmp_path / "again")]).html
    assert {"t1-overview", "t2-overview"} <= {
        found["id"] for found in ReadPage(html).all("section")
    }


def test_the_searched_metric_comes_first_and_spreads_within_a_run_are_left_out(view):
    assert [name for name, _ in view["headlines"]] == ["FID (digits)", "IS (digits)"]
    assert [tab.title for tab in view["noise"]] == ["log FID (digits)", "IS (digits)"]


def test_noise_is_shown_as_every_training_and_as_the_share_of_the_architecture(view):
    every, icc, spread = view["noise"][0].figures
    assert "18 trainings of 6 architectures" in every.picture
    assert every.picture.count("<circle") == 18
    logs = np.log([[score((a, b), k, 40) for k in range(3)] for a in range(3) for b in range(2)])
    between = 3 * logs.mean(1).var(ddof=1)
    within = logs.var(1, ddof=1).mean()
    expected = (between - within) / (between + 2 * within)
    told = re.search(r"40: (\d\.\d+)", icc.picture)
    assert told is not None
    assert float(told[1]) == pytest.approx(expected, abs=0.005)
    assert icc.table is not None
    assert icc.table.rows[-1][3].value == pytest.approx(math.sqrt(within))
    assert "dashed, between seeds of one" in spread.note


def test_steps_are_held_against_each_other(view):
    (figure,) = view["agreement"][0].figures
    means = {
        step: [
            np.mean([math.log(score((a, b), k, step)) for k in range(3)])
            for a in range(3)
            for b in range(2)
        ]
        for step in STEPS
    }
    expected = stats.spearmanr(means[10], means[40]).statistic
    assert f"10: {expected:.2f}" in figure.note
    assert figure.picture.count("<rect") == 9


def test_decisions_are_ordered_by_what_they_explain(view):
    (figure,) = view["decisions"][0].figures
    assert figure.picture.index("cell.norm") < figure.picture.index("cell.skip")
    told = dict(re.findall(r"(cell\.\w+) (-?\d+\.\d)%", figure.picture))
    assert float(told["cell.norm"]) > 90
    assert float(told["cell.skip"]) < 0


def test_the_best_known_stand_with_their_trainings(view):
    best = view["best"][0]
    first = dict(zip(best.headers, best.rows[0], strict=True))
    assert first["cell.norm"].text == "none"
    assert first["Trainings"].value == 3
    assert len(best.rows) == 6
    assert "the best known is" in view["headlines"][0][1]


def test_failures_are_counted_by_reason(tmp_path):
    view = table_view("t1", load_table(write_table(tmp_path / "t", broken=2)))
    assert view["failures"] is not None
    assert view["failures"].title == "2 of 18 trainings broke down"
    assert "the loss is not finite: 2" in view["failures"].picture
    html = build_table_report([tmp_path / "t"]).html
    assert 'id="t1-failures"' in html


def test_the_verb_makes_it_and_refuses_what_it_cannot_use(folder, tmp_path, capsys):
    out = tmp_path / "table.html"
    assert main(["report", f"table={folder}", f"out={out}"]) == 0
    assert "toy-v1" in out.read_text(encoding="utf-8")
    assert main(["report", f"table={folder}", f"out={out}", "rank_by=is"]) == 2
    assert "leave out rank_by=" in capsys.readouterr().err
    with pytest.raises(UnknownNameError):
        build_table_report(["nowhere"])
    (tmp_path / "bad.npz").write_bytes(b"no table")
    with pytest.raises(TableError):
        build_table_report([tmp_path / "bad.npz"])


def test_names_of_a_table_are_escaped(tmp_path):
    html = build_table_report([write_table(tmp_path / "<b>x")]).html
    assert "<b>x" not in html
    assert ReadPage(html).unclosed == []
