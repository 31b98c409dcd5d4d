from __future__ import annotations

import base64
import io
import os
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from PIL import Image
from report_samples import grid_png, write_run, write_status

from nasgan.leaderboard.ranks import Comparison, PairTest, StrategyRank
from nasgan.leaderboard.summaries import Problem
from nasgan.leaderboard.texts import duration
from nasgan.report.boards import leaders_in_words
from nasgan.report.details import EmbeddedGrid, budget_for, embed_grid
from nasgan.report.live import find_jobs
from nasgan.report.views import short_commit

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=timezone.utc)


def grid_file(folder: Path, side: int = 640) -> Path:
    path = folder / "samples" / "final.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(grid_png(random.Random(0), side))
    return path


def decoded(grid: EmbeddedGrid | None) -> tuple[bytes, Image.Image]:
    assert grid is not None
    kind, _, content = grid.uri.partition(",")
    assert kind == "data:image/webp;base64"
    data = base64.b64decode(content, validate=True)
    return data, Image.open(io.BytesIO(data))


@pytest.mark.parametrize("most", [90_000, 20_000, 10_000])
def test_a_grid_keeps_to_its_bytes(tmp_path: Path, most: int) -> None:
    grid = embed_grid(grid_file(tmp_path), most)
    data, picture = decoded(grid)
    assert len(data) <= most
    assert grid is not None
    assert picture.size == (grid.width, grid.height)
    assert grid.width == grid.height <= 520


def test_a_shrunk_grid_still_shows_its_images(tmp_path: Path) -> None:
    path = tmp_path / "samples" / "final.png"
    path.parent.mkdir()
    picture = Image.new("RGB", (1040, 520), (200, 30, 30))
    picture.paste((20, 40, 220), (520, 0, 1040, 520))
    picture.save(path)
    _, shown = decoded(embed_grid(path, 90_000))
    left, right = (
        shown.convert("RGB").getpixel((130, 130)),
        shown.convert("RGB").getpixel((390, 130)),
    )
    assert left == pytest.approx((200, 30, 30), abs=12)
    assert right == pytest.approx((20, 40, 220), abs=12)


def test_small_grids_are_not_enlarged(tmp_path: Path) -> None:
    grid = embed_grid(grid_file(tmp_path, side=64), 90_000)
    assert grid is not None
    assert (grid.width, grid.height) == (64, 64)


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a not", b"<svg onload='x'/>", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "final.png"
    path.write_bytes(content)
    assert embed_grid(path, 90_000) is None
    assert embed_grid(tmp_path / "absent.png", 90_000) is None


def test_a_link_out_of_the_runs_folder_is_not_followed(tmp_path: Path) -> None:
    secret = grid_file(tmp_path / "elsewhere")
    link = tmp_path / "run" / "samples" / "final.png"
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    assert embed_grid(link, 90_000) is None


def test_many_grids_share_the_room() -> None:
    assert budget_for(1) == budget_for(50) == 90_000
    assert budget_for(300) * 300 <= 9_000_000
    assert budget_for(0) > 0


# Jobs


def test_jobs_that_need_attention_come_first(tmp_path: Path) -> None:
    now = NOW.isoformat(timespec="milliseconds")
    write_run(tmp_path / "a" / "seed0", grid_pixels=0)
    write_status(tmp_path / "a" / "seed1", "running", updated=now, progress=0.376)
    write_status(tmp_path / "a" / "seed2", "failed", message="NaN", updated=now)
    write_status(tmp_path / "a" / "seed3", "running")
    write_status(tmp_path / "a" / "seed4", "interrupted", progress=None)
    write_status(tmp_path / "a" / "seed5", "nonsense")
    found = find_jobs([tmp_path], now=NOW)
    assert [(job.name, job.state) for job in found.jobs] == [
        ("a/seed1", "running"),
        ("a/seed3", "silent"),
        ("a/seed2", "failed"),
        ("a/seed4", "interrupted"),
        ("a/seed5", "unreadable"),
        ("a/seed0", "completed"),
    ]
    assert [job.percent for job in found.jobs[:4]] == [37, 40, 40, None]
    assert found.counts[0] == ("running", 1)
    assert len(found.unfinished) == 5


def test_a_job_that_was_killed_after_its_record_is_completed(tmp_path: Path) -> None:
    write_run(tmp_path / "run", grid_pixels=0)
    write_status(tmp_path / "run", "running")
    assert [job.state for job in find_jobs([tmp_path], now=NOW).jobs] == ["completed"]
    just_now = datetime(2026, 11, 20, 8, 0, tzinfo=timezone.utc) + timedelta(seconds=10)
    assert [job.state for job in find_jobs([tmp_path], now=just_now).jobs] == ["running"]


def test_the_folder_itself_may_be_a_run(tmp_path: Path) -> None:
    write_status(tmp_path / "seed3", "failed", message="x")
    assert [job.name for job in find_jobs([tmp_path / "seed3"]).jobs] == ["seed3"]


def test_links_to_other_folders_are_not_followed(tmp_path: Path) -> None:
    write_status(tmp_path / "elsewhere", "failed", message="secret")
    (tmp_path / "here").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "here" / "link")
    assert find_jobs([tmp_path / "here"]).jobs == ()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0.5559, "0.56 s"), (12.3, "12 s"), (59.7, "60 s"), (61, "1 min 1 s"),
        (3599.9, "1 h"), (7260, "2 h 1 min"), (200_000, "2 d 7 h"),
    ],
)  # fmt: skip
def test_times_are_in_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_commit_is_cut_and_stays_dirty() -> None:
    assert short_commit("0123456789abcdef+dirty") == "0123456789+dirty"
    assert short_commit("") == ""


def _comparison(
    ranks: list[float], p_holm: float, left_out: tuple[Problem, ...] = ()
) -> Comparison:
    names = [f"s{k}" for k in range(len(ranks))]
    return Comparison(
        "fid",
        ("one", "two"),
        tuple(
            StrategyRank(name, rank, None, None, 0) for name, rank in zip(names, ranks, strict=True)
        ),
        tuple(PairTest("s0", name, 2, 0, p_holm, p_holm) for name in names[1:]),
        left_out,
    )


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        (
            _comparison([1.0, 2.0], 0.5),
            "s0 has the best average rank, 1 (no significant difference)",
        ),
        (
            _comparison([1.5, 1.5 + 1e-15], 0.01),
            "s0 and s1 share the best average rank, 1.5 (no significant difference)",
        ),
        (
            _comparison([1.0, 2.0, 3.0], 0.01, (Problem("s9", "lacks a task"),)),
            "s0 has the best average rank, 1 (significantly better than s1, s2); not compared: s9",
        ),
    ],
)
def test_the_headline_claims_no_more_than_the_tests_show(
    comparison: Comparison, words: str
) -> None:
    assert leaders_in_words(comparison) == words
