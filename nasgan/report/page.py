"""The report: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nasgan import atomic
from nasgan.errors import ConfigError
from nasgan.leaderboard.texts import escape_markdown, markdown_code
from nasgan.report.boards import board_table, comparison_tables, csv_uri, headlines
from nasgan.report.chapters import Chapter, Collection, collect
from nasgan.report.checklist import checklist
from nasgan.report.curves import search_tabs, training_tabs
from nasgan.report.details import (
    budget_for,
    problem_table,
    row_details,
    run_table,
    settings,
)
from nasgan.report.figures import (
    proxy_figures,
    searched_label,
    seed_tabs,
    series_keys,
    tradeoff_tabs,
)
from nasgan.report.options import option_figures
from nasgan.report.svg import key_line, key_shape
from nasgan.report.views import Table
from nasgan.runs.environment import installed_version

__all__ = ["JOBS_PLACE", "build_report", "build_table_report", "render_page", "rendered"]

JOBS_PLACE = "<!-- jobs -->"
"""Where a live page takes up its jobs; texts from records cannot hold it, as they are escaped."""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Report:
    """A report as text.

    Attributes:
        html: the page.
        num_runs: how many runs, or trainings of tables, it is about.
    """

    html: str
    num_runs: int

    def write(self, path: str | Path) -> None:
        """Write the page atomically.

        Raises:
            StorageError: the file cannot be written.
        """
        atomic.write_file(Path(path), self.html)


def build_report(
    roots: Sequence[str | Path], *, protocol: str | None = None, rank_by: str | None = None
) -> Report:
    """Make the report of all runs below ``roots``: the same for the same records.

    Args:
        roots: folders that hold runs, or record files.
        protocol: the only one to show; by default each gets a chapter of its own.
        rank_by: metric to rank by; by default as the leaderboard.

    Raises:
        ConfigError: a root does not exist, there are no runs, or none has ``protocol`` or
            ``rank_by``.
    """
    collection = collect(roots, protocol=protocol, rank_by=rank_by)
    if not collection.chapters:
        listed = "".join(f"\n  {problem}" for problem in collection.problems)
        raise ConfigError(
            f"no finished runs in {', '.join(map(str, roots))}; make one (nasgan search) or say "
            f"where they are (runs=FOLDER){listed}"
        )
    return Report(render_page(collection), len(collection.runs) + len(collection.simulated))


def build_table_report(names: Sequence[str | Path]) -> Report:
    """Make the report of what is in tables: the same for the same rows.

    Args:
        names: of tables: their names, files or folders of rows.

    Raises:
        NasganError: one is missing or damaged.
    """
    # With scipy, which no page of runs needs.
    from nasgan.report.tables import table_view
    from nasgan.tabular.table import load_table

    found = [load_table(name) for name in names]
    rows = sum(map(len, found))
    tiles = [
        _counted(len(found), "table", "tables"),
        _counted(rows, "training", "trainings"),
        _counted(sum(len(each.architectures) for each in found), "architecture", "architectures"),
        _counted(sum(each.breakdowns().total() for each in found), "broke down", "broke down"),
    ]
    parts = [table_view(f"t{k}", each) for k, each in enumerate(found, 1)]
    return Report(_page(parts, tiles, source="the rows of tables"), rows)


def render_page(collection: Collection, *, digest: str | None = None) -> str:
    """The page as HTML.

    Args:
        collection: the runs.
        digest: of what a live page was made from; it asks for ``/digest`` and loads itself anew
            when that has changed. None for a page that stands for itself.
    """
    grid_bytes = budget_for(len(collection.runs))
    chapters = [
        _view(f"c{k}", chapter, grid_bytes) for k, chapter in enumerate(collection.chapters, 1)
    ]
    return _page(
        chapters,
        _tiles(collection),
        source="run records",
        problems=problem_table(collection.problems),
        digest=digest,
    )


def _page(
    parts: Sequence[Mapping[str, Any]],
    tiles: Sequence[tuple[str, str]],
    *,
    source: str,
    problems: Table | None = None,
    digest: str | None = None,
) -> str:
    script = _asset("report.js")
    return rendered(
        "page.html.j2",
        css=Markup(_asset("report.css")),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        policy=_policy(script, live=digest is not None),
        version=installed_version("nasgan") or "",
        chapters=parts,
        tiles=tiles,
        source=source,
        problems=problems,
        jobs=Markup(JOBS_PLACE),  # noqa: S704 - a constant
        digest=digest,
    )


def rendered(template: str, **values: Any) -> str:
    """A template with ``values``; "?" for halves of characters, which JSON and names can hold."""
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode("utf-8")


def _view(name: str, chapter: Chapter, grid_bytes: int) -> dict[str, Any]:
    """What ``chapter.html.j2`` shows of a chapter."""
    return {
        "template": "chapter.html.j2",
        "id": name,
        "protocol": chapter.protocol,
        "headlines": headlines(chapter),
        "facts": _facts(chapter),
        "board": board_table(chapter),
        "csv": csv_uri(chapter),
        "comparison": comparison_tables(chapter),
        "seeds": seed_tabs(chapter),
        "line_keys": series_keys(chapter, key_line),
        "simulated": _simulated(chapter),
        "search": search_tabs(chapter),
        "training": training_tabs(chapter),
        "tradeoffs": tradeoff_tabs(chapter),
        "tradeoff_keys": series_keys(chapter, key_shape),
        "details": row_details(chapter, grid_bytes=grid_bytes),
        "options": option_figures(chapter),
        "proxies": proxy_figures(chapter),
        "checklist": checklist(chapter),
        "runs": run_table(chapter),
        "settings": settings(chapter),
    }


def _simulated(chapter: Chapter) -> Sequence[Mapping[str, Any]]:
    if not chapter.simulated:
        return ()
    # With scipy, too.
    from nasgan.report.simulated import simulated_views

    return simulated_views(chapter)


def _tiles(collection: Collection) -> list[tuple[str, str]]:
    count, simulated = len(collection.runs), len(collection.simulated)
    runs = [*(run.summary for run in collection.runs), *collection.simulated]
    failed = sum(run.status == "failed" for run in runs)
    last = max((run.ended for run in runs), default="")
    strategies = {run.strategy for run in runs if run.kind == "search"}
    tiles = [
        *([_counted(count, "run", "runs")] if count or not simulated else []),
        *([_counted(simulated, "simulated search", "simulated searches")] if simulated else []),
        _counted(failed, "failed", "failed"),
        _counted(len(strategies), "strategy", "strategies"),
        _counted(len({run.search_space for run in runs}), "search space", "search spaces"),
        _counted(len({run.seed for run in runs}), "seed", "seeds"),
    ]
    return [*tiles, (last[:10], "last run ended")] if last else tiles


def _counted(count: int, one: str, many: str) -> tuple[str, str]:
    return str(count), one if count == 1 else many


def _facts(chapter: Chapter) -> list[tuple[str, str]]:
    datasets = sorted({row.row["dataset"] for row in chapter.rows})
    checksums = sorted({row.row["dataset_checksum"][:12] for row in chapter.rows})
    objectives = sorted(
        {
            searched_label(chapter, name)
            for run in chapter.runs
            if run.record.kind == "search"
            for name in (run.record.search_metric, *run.record.objectives[1:])
        }
    )
    return [
        ("Protocol", chapter.protocol),
        ("Images", f"{', '.join(datasets)} (checksum {', '.join(checksums)})"),
        *([("Searches optimise", ", ".join(objectives))] if objectives else []),
        ("Search spaces", "; ".join(chapter.spaces)),
    ]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["tab_limit"] = 12
    environment.filters |= {"md": escape_markdown, "code": markdown_code}
    return environment


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


def _policy(script: str, *, live: bool) -> str:
    """The page's content security policy: its own script and nothing from anywhere else."""
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    rules: dict[str, Any] = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    if live:
        rules["connect-src"] = "'self'"
    return "; ".join(f"{name} {value}" for name, value in rules.items())
