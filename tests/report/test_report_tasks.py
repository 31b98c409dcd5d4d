"""What a chapter says of its tasks, each for itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_samples import write_run, write_sweep

from nasgan.report.boards import board_table, headlines
from nasgan.report.chapters import collect
from nasgan.report.curves import search_tabs, training_tabs
from nasgan.report.figures import proxy_figures, seed_tabs, tradeoff_tabs


def test_a_bound_of_few_images_is_not_called_the_best_that_can_be(tmp_path: Path) -> None:
    def told(number: int, rank_by: str = "fid") -> str:
        bound = {"metrics": {"fid": 3.0, "is": 9.0, "kid": 0.1}, "num_images": number}
        write_run(tmp_path / f"{number}-{rank_by}", bound=bound, grid_pixels=0)
        (chapter,) = collect([tmp_path / f"{number}-{rank_by}"], rank_by=rank_by).chapters
        return dict(headlines(chapter))["real test images"]

    few = "fewer than the 50,000 of the generators"
    assert told(359) == (
        f"3 with 359 images, {few}: FID is biased upwards by that, so it is no strict bound"
    )
    assert "IS is biased downwards" in told(359, "is")
    assert told(359, "kid") == f"0.1 with 359 images, {few}", "KID has no bias"
    assert told(50_000) == "3 with 50,000 images"


def test_charts_hold_one_task_each(tmp_path: Path) -> None:
    write_sweep(tmp_path, methods=["rl"], spaces=["autogan"], grid_pixels=0)
    small = dict.fromkeys(("architectures", "images", "device_seconds"))
    for seed in range(3):
        budget = {**small, "generator_steps": 5_000}
        config = {"seed": seed, "final": {"top_k": 1, "generator_steps": 50_000}}
        changes = {"run_id": f"small-{seed}", "budget": budget, "config": config}
        write_run(tmp_path / f"small{seed}", "rl", seed=seed, grid_pixels=0, **changes)
    (chapter,) = collect([tmp_path]).chapters
    large, little = (
        f"autogan · search {steps} generator steps; final 1 x 50000 steps"
        for steps in (30_000, 5_000)
    )
    for tabs in (
        seed_tabs(chapter),
        tradeoff_tabs(chapter),
        training_tabs(chapter),
        search_tabs(chapter),
    ):
        for tab in tabs:
            titles = [figure.title.partition(", with")[0] for figure in tab.figures]
            assert titles == [large, little]
            mine = f"mark {chapter.styles['rl'].colour}"
            assert all(figure.picture.count(mine) <= 3 for figure in tab.figures)
    assert [len(tab.figures) for tab in tradeoff_tabs(chapter)] == [2, 2, 2]
    assert all('class="front"' in f.picture for f in tradeoff_tabs(chapter)[0].figures)
    small_prints = [row[1].note for row in board_table(chapter).rows]
    assert small_prints == [""] * 4, "rows of different tasks need no hash to be told apart"


def test_figures_of_one_task_stand_side_by_side(tmp_path: Path) -> None:
    write_sweep(tmp_path, methods=["rl"], spaces=["autogan"], grid_pixels=0)
    (chapter,) = collect([tmp_path]).chapters
    (tab,) = tradeoff_tabs(chapter)
    assert [figure.title for figure in tab.figures] == [
        "Parameters of the generator",
        "Multiply-adds of the generator",
        "Cost from end to end",
    ]


def test_the_average_random_architecture_has_its_points_where_it_leads(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"{seed}", seed=seed, metrics={"fid": 90.0 + seed}, grid_pixels=0)
    (chapter,) = collect([tmp_path]).chapters
    first, second = chapter.rows
    assert first.is_average_random
    assert first.runs == second.runs
    assert len(first.runs) == 3


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (2, "too few for a rank correlation: 2 architectures"),
        (5, "no rank correlation, as all scores of a side are equal; 5 architectures"),
    ],
)
def test_a_proxy_without_a_correlation_says_why(tmp_path: Path, count: int, words: str) -> None:
    proxy = {
        "metric": "fid",
        "fidelity": "shared",
        "generator_steps": 100,
        "n": count,
        "spearman": None,
        "kendall": None,
        "points": [{"architecture": f"a{k}", "search": 1.0, "final": 2.0} for k in range(count)],
    }
    write_run(tmp_path / "a", "rl", proxy_correlation=proxy, grid_pixels=0)
    (chapter,) = collect([tmp_path]).chapters
    (figure,) = proxy_figures(chapter)
    assert figure.note == words
    proxy = {**proxy, "n": 5, "spearman": 0.5, "kendall": 0.25}
    write_run(
        tmp_path / "b",
        "rl",
        seed=1,
        proxy_correlation=proxy
        | {
            "points": [{"architecture": f"a{k}", "search": 1.0 + k, "final": 2.0} for k in range(5)]
        },
        grid_pixels=0,
    )
    (chapter,) = collect([tmp_path]).chapters
    (figure,) = proxy_figures(chapter)
    assert figure.note == "Spearman 0.500, Kendall 0.250; 5 architectures; none for 1 other seed"
