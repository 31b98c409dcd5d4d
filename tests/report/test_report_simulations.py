"""The report's part on simulated searches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from page_reader import ReadPage
from simulation_samples import ENDED, search, some_searches, write_simulations

from nasgan.report.chapters import collect
from nasgan.report.live import LivePage
from nasgan.report.page import build_report
from nasgan.report.simulated import simulated_views
from nasgan.report.views import Cell
from nasgan.runs.simulations import MANIFEST_FILE, SEARCHES_FILE


def view(*roots: Path) -> dict[str, Any]:
    (chapter,) = collect(roots).chapters
    (found,) = simulated_views(chapter)
    return found


def cells(found: dict[str, Any], strategy: str) -> dict[str, Cell]:
    (row,) = (row for row in found["table"].rows if row[0].text == strategy)
    return dict(zip(found["table"].headers, row, strict=True))


def test_the_page_has_a_part_for_them(tmp_path):
    write_simulations(tmp_path, some_searches())
    report = build_report([tmp_path])
    assert report.num_runs == 8
    page = ReadPage(report.html)
    assert page.unclosed == []
    sections = {found["id"] for found in page.all("section")}
    assert sections == {
        f"c1-{name}" for name in ("overview", "leaderboard", "seeds", "simulated", "runs")
    }
    assert "simulated searches" in page.text
    assert build_report([tmp_path]).html == report.html


def test_the_table_says_what_was_found_and_how_surely_it_beats_the_baseline(tmp_path):
    write_simulations(tmp_path, some_searches())
    found = view(tmp_path)
    assert [row[0].text for row in found["table"].rows] == ["good", "random"]
    good = cells(found, "good")
    assert good["Found, FID (table) ↓"].value == pytest.approx(12.5)
    assert good["Regret ↓"].value == pytest.approx(2.5)
    assert good["Gain over random"].value == pytest.approx(4.0)
    # Four wins of four; Wilson (1927) gives 4 / (4 + z²) as the lower end.
    z = 1.959964
    assert good["Better than random"].text == "1"
    assert good["Better than random"].note == f"{4 / (4 + z * z):.2f} to 1"
    assert good["Mean rank"].value == 1
    assert cells(found, "random")["Better than random"].text == ""
    assert (
        "8 searches on the exact table toy-v1 (checksum 12ab12ab12ab) with 4 seeds"
        in (found["facts"])
    )
    assert "budget of 1000 generator steps" in found["facts"]
    assert "average ranks over 4 seeds" in found["words"].lower()


def test_the_pictures_follow_the_budget(tmp_path):
    write_simulations(tmp_path, some_searches())
    titles = {figure.title: figure for figure in view(tmp_path)["figures"]}
    assert list(titles) == [
        "Regret of FID (table) ↓",
        "Mean rank ↓",
        "Probability of finding a better one than random ↑",
        "Average ranks at the end",
    ]
    assert "good ends at 2.5; random ends at 6.5" in titles["Regret of FID (table) ↓"].picture
    assert "good ends at 1; random ends at 2" in titles["Mean rank ↓"].picture
    better = titles["Probability of finding a better one than random ↑"]
    assert "good ends at 1" in better.picture
    assert "chance" in better.picture
    assert "Average ranks: good 1.00, random 2.00" in titles["Average ranks at the end"].picture


def test_regret_over_the_budget_is_the_mean_over_seeds(tmp_path):
    write_simulations(tmp_path, some_searches())
    (figure, *_) = view(tmp_path)["figures"]
    assert figure.table is not None
    (good,) = (row for row in figure.table.rows if row[0].text == "good")
    # A quarter of the budget: the second of the two finds, regrets 1 to 4.
    assert good[1].value == pytest.approx(2.5)
    assert math.isclose(float(good[1].text), 2.5)


def test_searches_of_two_files_stand_in_one_comparison(tmp_path):
    write_simulations(tmp_path / "first", some_searches())
    more = [
        *(search("other", seed, [25.0 + seed, 14.5 + seed]) for seed in range(4)),
        *(search("random", seed, [30.0, 25.0 + seed, 15.0 + seed]) for seed in range(4)),
    ]
    later = ENDED.replace("10:00:09", "11:00:09")
    write_simulations(tmp_path / "second", more, ended=later)
    found = view(tmp_path)
    assert [row[0].text for row in found["table"].rows] == ["good", "other", "random"]
    assert cells(found, "other")["Better than random"].value == 1
    problems = [problem.message for problem in collect([tmp_path]).problems]
    assert len(problems) == 4
    assert all("ended later" in problem for problem in problems)


def test_what_was_searched_for_another_metric_stands_apart(tmp_path):
    write_simulations(tmp_path / "fid", some_searches())
    write_simulations(tmp_path / "is", some_searches(), metric="is", best_known=99.0)
    (chapter,) = collect([tmp_path]).chapters
    found = simulated_views(chapter)
    assert len(found) == 2
    for one, metric in zip(found, ("FID", "IS"), strict=True):
        assert [row[0].text for row in one["table"].rows].count("good") <= 1
        assert len(one["table"].rows) == 2
        assert any(metric in head for head in one["table"].headers)


def test_a_search_without_a_result_is_counted(tmp_path):
    write_simulations(tmp_path, [*some_searches(), *[search("none", k, []) for k in range(4)]])
    lost = cells(view(tmp_path), "none")
    assert (lost["Without result"].value, lost["Regret ↓"].text) == (4, "")
    assert lost["Better than random"].value == 0


def test_one_seed_has_no_test_and_still_a_page(tmp_path):
    write_simulations(tmp_path, some_searches(1))
    found = view(tmp_path)
    assert found["words"] == "Too few strategies or seeds for a test of average ranks."
    assert len(found["figures"]) == 3


def test_names_from_the_file_are_escaped(tmp_path):
    name = "<script>alert(1)</script>"
    write_simulations(tmp_path, [*some_searches(3), *[search(name, k, [9.0]) for k in range(3)]])
    html = build_report([tmp_path]).html
    assert "<script>alert" not in html
    assert ReadPage(html).unclosed == []


def test_a_live_page_follows_no_link_out_of_its_folder(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside" / "simulated"
    for name in (SEARCHES_FILE, MANIFEST_FILE):
        write_simulations(outside, some_searches())
        write_simulations(inside, some_searches())
        assert len(collect([tmp_path / "inside"], confined=True).chapters) == 1
        (inside / name).unlink()
        (inside / name).symlink_to(outside / name)
        assert collect([tmp_path / "inside"], confined=True).chapters == ()


def test_a_live_page_changes_when_they_come(tmp_path):
    page = LivePage([str(tmp_path)])
    before = page.digest()
    write_simulations(tmp_path / "simulated", some_searches())
    page = LivePage([str(tmp_path)])
    assert page.digest() != before
