"""Each run in detail: its images, its architecture, and where it comes from."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from nasgan.leaderboard.summaries import Problem, grouped
from nasgan.leaderboard.texts import duration, shown
from nasgan.reading import open_file
from nasgan.report.chapters import Chapter, LabelledRow, Run
from nasgan.report.drawing import draw_graph, graphs_of
from nasgan.report.figures import direction, searched_label
from nasgan.report.views import Cell, Table, Value, number_cell, short_commit
from nasgan.run_settings import with_places, without_places

__all__ = [
    "EmbeddedGrid",
    "budget_for",
    "embed_grid",
    "problem_table",
    "row_details",
    "run_table",
    "settings",
]

_TOTAL_BYTES = 9_000_000
_MOST_BYTES = 90_000
_LEAST_BYTES = 6_000
_MOST_FILE_BYTES = 60_000_000
_MOST_PIXELS = 110_000_000
_WIDTHS = (520, 420, 320, 240, 180, 120)
_QUALITIES = (86, 72, 55, 35)


@dataclass(frozen=True)
class EmbeddedGrid:
    """A picture that needs no file.

    Attributes:
        uri: a ``data:`` address.
        width: pixels.
        height: pixels.
    """

    uri: str
    width: int
    height: int


def budget_for(count: int) -> int:
    """The bytes that each of ``count`` pictures may take, so that the page stays small."""
    return max(_LEAST_BYTES, min(_MOST_BYTES, _TOTAL_BYTES // max(1, count)))


def embed_grid(path: Path, most_bytes: int) -> EmbeddedGrid | None:
    """Read, shrink and encode a picture; None if there is none that can be read.

    The picture is decoded and encoded anew: nothing of the file itself gets into the page.

    Args:
        path: of a picture; a link out of its run's folder is not followed.
        most_bytes: of the encoded picture; missed only where the smallest size is larger.
    """
    try:
        stat = path.stat()
        inside = path.resolve().is_relative_to(path.parent.parent.resolve())
    except OSError:
        return None
    if not inside or stat.st_size > _MOST_FILE_BYTES:
        return None
    return _embedded(path, stat.st_mtime_ns, most_bytes)


@lru_cache(maxsize=1024)
def _embedded(path: Path, _changed: int, most_bytes: int) -> EmbeddedGrid | None:
    """As `embed_grid`; the file's time tells a changed one from one known."""
    try:
        with (
            open_file(path, most=_MOST_FILE_BYTES) as stream,
            Image.open(stream, formats=("PNG", "JPEG", "WEBP")) as opened,
        ):
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    grid = None
    for width in _WIDTHS:
        height = max(1, round(picture.height * width / picture.width))
        size = (width, height) if width < picture.width else picture.size
        smaller = picture.resize(size, Image.Resampling.BOX) if size != picture.size else picture
        for quality in _QUALITIES:
            stream = io.BytesIO()
            smaller.save(stream, format="WEBP", quality=quality, method=2)
            encoded = base64.b64encode(stream.getvalue()).decode("ascii")
            grid = EmbeddedGrid(f"data:image/webp;base64,{encoded}", *size)
            if stream.getbuffer().nbytes <= most_bytes:
                return grid
    return grid


_MOST_RUNS = 300
_PLACES = frozenset({"run_dir", "output_root"})


def row_details(chapter: Chapter, *, grid_bytes: int) -> list[dict[str, Any]]:
    """The runs of all rows; of very many runs only the first rows in full.

    Each has a ``title``; its ``runs``, best first, as `_detail` shows them; the ``architectures``:
    the runs, those of one architecture as one, unless they have fronts; and how many runs are
    ``left_out``.

    Args:
        chapter: whose runs.
        grid_bytes: that each picture may take.
    """
    left = _MOST_RUNS
    details = []
    for row in chapter.rows:
        if row.is_average_random:
            continue
        runs = _best_first(chapter, row)
        found = [_detail(chapter, run, grid_bytes) for run in runs[: max(0, left)]]
        left -= len(found)
        made = grouped(found, lambda run: str(run["title" if run["front"] else "architecture"]))
        details.append(
            {
                "title": row.label,
                "runs": found,
                "architectures": [_as_one(same) for same in made.values()],
                "left_out": len(runs) - len(found),
                "has_grids": any(run["grid"] for run in found),
            }
        )
    return details


def _as_one(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    titles = ", ".join(run["title"] for run in runs)
    return runs[0] if len(runs) == 1 else {**runs[0], "title": titles, "score": ""}


def _best_first(chapter: Chapter, row: LabelledRow) -> list[Run]:
    metric = chapter.board.ranked_by
    sign = 1 if direction(chapter, metric) == "min" else -1

    def place(run: Run) -> float:
        value = (run.summary.metrics or {}).get(metric)
        return math.inf if value is None else sign * value

    return sorted((run for run in row.runs if run.summary.status == "completed"), key=place)


def _detail(chapter: Chapter, run: Run, grid_bytes: int) -> dict[str, Any]:
    """What a run made: its images, in words, too; its networks, its decisions, its fronts."""
    value = (run.summary.metrics or {}).get(chapter.board.ranked_by)
    score = "" if value is None else f"{chapter.board.ranking_title} {shown(value, 4)}"
    if run.summary.is_untrained:
        score = "not trained (final.top_k=0)"
    classes = run.record.space_settings.get("num_classes")
    order = f"one column for each of {classes} classes" if classes else ""
    architecture = run.record.architecture or {}
    choices = architecture.get("choices", {})
    table = Table.of(f"Decisions of {run.name}", ("Decision", "Option"), [*choices.items()])
    return {
        "title": f"seed {run.summary.seed}",
        "score": score,
        "grid": None if run.grid is None else embed_grid(run.grid, grid_bytes),
        "grid_text": ", ".join(filter(None, (f"Images made by {run.name}", score, order))),
        "grid_note": order,
        "architecture": str(architecture.get("id", "")),
        "drawings": [(g.title, draw_graph(g, of=run.name)) for g in graphs_of(run.record)],
        "choices": table if choices else None,
        "front": _front_table(chapter, run) if run.record.front else None,
    }


def _front_table(chapter: Chapter, run: Run) -> Table:
    """What no other architecture beats in every objective: of the search, and of the finalists."""
    record = run.record
    names = list(dict.fromkeys(name for point in record.front for name in point["values"]))
    rows: list[list[Value]] = [
        [
            str(point["architecture"]["id"]),
            {"search": "in the search", "final": "after training"}[point["phase"]],
            *(number_cell(point["values"].get(name), 4) for name in names),
        ]
        for point in record.front
    ]
    headers = ["Architecture", "Scored", *(searched_label(chapter, name) for name in names)]
    return Table.of(f"Pareto fronts of {run.name}", headers, rows, range(2, len(headers)))


# Provenance


def run_table(chapter: Chapter) -> Table:
    """One line for each run: what it was made with, on what, when, and how it ended."""
    metric = chapter.board.ranked_by
    headers = (
        *("Run", "Seed", "Status", chapter.board.ranking_title, "Parameters G"),
        *("Time", "Memory", "Hardware", "Versions", "Commit", "Settings", "Started", "Run id"),
    )
    rows = [_run_cells(run, metric) for run in chapter.runs]
    caption = f"All runs under {chapter.protocol}"
    return Table.of(caption, headers, rows, {1, 3, 4, 5, 6}, filters=(2,))


def _run_cells(run: Run, metric: str) -> list[Value]:
    summary, record = run.summary, run.record
    told = summary.failure or "; ".join(summary.breakdowns)
    return [
        run.row,
        summary.seed,
        Cell(summary.status, note=told, mark="warn words" if told else ""),
        number_cell((summary.metrics or {}).get(metric), 4),
        number_cell(summary.generator_parameters),
        Cell(duration(run.device_seconds), run.device_seconds),
        Cell(f"{record.peak_memory_bytes / 2**20:.0f} MB", record.peak_memory_bytes),
        summary.hardware,
        summary.versions,
        short_commit(summary.commit),
        summary.config_hash,
        summary.started[:16].replace("T", " "),
        summary.run_id,
    ]


def settings(chapter: Chapter) -> list[tuple[str, str, str]]:
    """The name of each row, the hash of its configuration and that as JSON, without places."""
    found = []
    for row in chapter.rows:
        if not row.is_average_random and row.runs:
            named = with_places(row.runs[0].record.config, lambda path: PurePath(path).name)
            config = without_places(named)
            config = {k: v for k, v in config.items() if k not in _PLACES}
            text = json.dumps(config, indent=2, ensure_ascii=False)
            found.append((row.label, row.row["config_hash"], text))
    for task in chapter.simulated:
        text = json.dumps(task.file.made, indent=2, ensure_ascii=False)
        found.append(("Simulated searches", task.file.made["checksum"][:12], text))
    return found


def problem_table(problems: Sequence[Problem]) -> Table | None:
    """What was not counted, and why; None if all was."""
    rows = [[Cell(text, mark="words") for text in (it.source, it.message)] for it in problems]
    return Table("Not counted, or to be known", ("Where", "What"), rows) if rows else None
