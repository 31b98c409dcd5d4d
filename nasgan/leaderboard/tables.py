"""Rows as CSV and Markdown, safe to open in a spreadsheet and to paste into a page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from nasgan.errors import ConfigError, NasganError
from nasgan.leaderboard.amounts import interval_text, short_number
from nasgan.leaderboard.columns import Cell, text_of, title_of, value_text
from nasgan.leaderboard.ranks import Comparison
from nasgan.leaderboard.rows import Row, has_regret, metric_names
from nasgan.metrics.protocol import display_name
from nasgan.metrics.table import METRICS

__all__ = [
    "comparison_markdown",
    "csv_line",
    "escape_markdown",
    "is_companion",
    "markdown_code",
    "markdown_lines",
    "markdown_table",
    "metric_title",
    "original_text",
    "ranks_csv",
    "read_csv",
    "safe_cell",
]

_NAMES = ("strategy", "search_space", "architecture")
_DETAILS = (
    "n_seeds",
    "n_failed",
    "generator_parameters_m",
    "macs_g",
    "search_generator_steps",
    "search_device_seconds",
    "note",
)
# A spreadsheet takes a text that begins with one of these for a formula (CWE-1236).
_FORMULA_SIGNS = "=+-@＝＋－＠"
_FORMULA_STARTS = (*_FORMULA_SIGNS, "\t", "\r", "\n")
_CONTROL_TO_SPACE = dict.fromkeys([*range(32), 127], " ")
_SEPARATORS = frozenset(',;"')
# Where numbers have decimal commas, spreadsheets split at semicolons, within quotes of other cells
# too: what follows one begins a cell there.
_AFTER_SEMICOLON = re.compile(rf"(;[\s\"]*)(?=['{re.escape(_FORMULA_SIGNS)}])")
_UNDO_AFTER_SEMICOLON = re.compile(r"(;[\s\"]*)'")


def csv_line(cells: Iterable[Cell]) -> str:
    """One line of CSV."""
    texts = [safe_cell(cell) for cell in cells]
    quoted = ['"' + t.replace('"', '""') + '"' if _SEPARATORS & set(t) else t for t in texts]
    return ",".join(quoted) + "\n"


def safe_cell(value: Cell) -> str:
    """A cell's text; one that a spreadsheet would take for a formula gets an apostrophe before.

    So does one that begins with an apostrophe, so that `original_text` can undo it; and so does
    what follows a semicolon.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        # One row stays one line, whatever a record holds.
        line = _encodable(value).translate(_CONTROL_TO_SPACE)
        is_formula = value.startswith(_FORMULA_STARTS) or line.lstrip().startswith(_FORMULA_STARTS)
        line = _AFTER_SEMICOLON.sub(r"\1'", line)
        return f"'{line}" if is_formula or line.startswith("'") else line
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def original_text(cell: str) -> str:
    """The text that `safe_cell` made ``cell`` of, but for control characters (now spaces)."""
    return _UNDO_AFTER_SEMICOLON.sub(r"\1", cell.removeprefix("'"))


def read_csv(text: str, *, source: str) -> tuple[list[str], list[dict[str, str]]]:
    """The column names and the rows of a CSV, each cell as its `original_text`.

    Raises:
        ConfigError: a row has another number of cells than the header, two columns have one name,
            or a cell is a formula.
    """
    # The names of thousands of runs are one cell; the reader's limit is for all of the process.
    limit = csv.field_size_limit(max(len(text), csv.field_size_limit()))
    try:
        lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise ConfigError(f"{source}: not a CSV file: {error}") from error
    finally:
        csv.field_size_limit(limit)
    header = [original_text(name) for name in lines[0]] if lines else []
    if len(set(header)) < len(header):
        raise ConfigError(f"{source}: two columns have the same name")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != len(header):
            raise ConfigError(
                f"{source}: row {number} has {len(line)} cells, the header has {len(header)}"
            )
        for name, cell in zip(header, line, strict=True):
            if _is_formula(cell):
                raise ConfigError(
                    f"{source}: row {number}, column {name}: {cell[:40]!r} is a formula to a "
                    "spreadsheet; nasgan writes an apostrophe before it, so something else has "
                    "changed the file"
                )
        rows.append(dict(zip(header, map(original_text, line), strict=True)))
    return header, rows


def _is_formula(cell: str) -> bool:
    if not cell.lstrip().startswith(_FORMULA_STARTS):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def markdown_table(rows: Sequence[Row], protocol: str, ranked_by: str) -> str:
    """``rows`` as a Markdown table; configurations' hashes stand in it where names are equal.

    In the metric ``ranked_by`` what shares the first rank is bold.

    Metric names carry their features unless these are Inception's (`display_name`).
    """
    metrics = [name for name in metric_names(rows) if not is_companion(name)]
    before = ["rank", *_NAMES, *(["config_hash"] if _some_look_alike(rows) else [])]
    after = [*(["regret"] if has_regret(rows) else []), *_DETAILS]
    titles = [escape_markdown(metric_title(metric, protocol)) for metric in metrics]
    header = [*map(title_of, before), *titles, *map(title_of, after)]
    cells = (
        [
            *(escape_markdown(text_of(row, name)) for name in before),
            *(_score(row, metric, ranked_by) for metric in metrics),
            *(escape_markdown(text_of(row, name)) for name in after),
        ]
        for row in rows
    )
    return markdown_lines(header, cells)


def _some_look_alike(rows: Sequence[Row]) -> bool:
    """Whether rows of different settings have the same names."""
    settings: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        names = tuple(text_of(row, name) for name in _NAMES)
        settings.setdefault(names, set()).add(row["config_hash"])
    return any(len(hashes) > 1 for hashes in settings.values())


def _score(row: Row, metric: str, ranked_by: str) -> str:
    shown = value_text(row, metric)
    return f"**{shown}**" if row["rank"] == 1 and metric == ranked_by else shown


def markdown_lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    """``text`` such that it stays in its table cell and is shown as it is."""
    text = " ".join(_encodable(text).split())
    text = text.replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for character in "|`*_[]":
        text = text.replace(character, f"\\{character}")
    return text


def markdown_code(text: str) -> str:
    """``text`` as Markdown shows code; it cannot end this itself."""
    return f"`{' '.join(_encodable(text).split()).replace('`', chr(39))}`"


def _encodable(text: str) -> str:
    """``text`` with what UTF-8 cannot say (bytes of odd file names) in plain letters."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def metric_title(metric: str, protocol: str) -> str:
    """A metric's name with its features unless these are Inception's."""
    try:
        return display_name(metric, protocol)
    except NasganError:
        # A metric or a form of id that this version does not know: never shown as a plain FID.
        return f"{metric} ({protocol})"


def is_companion(metric: str) -> bool:
    """Whether a metric is the spread of another one within a run."""
    return metric in METRICS and METRICS[metric].companion_of is not None


def ranks_csv(found: Comparison) -> str:
    """``found`` as CSV: a line for each strategy, with a corrected p-value for each other one."""
    names = [rank.strategy for rank in found.ranks]
    p_values = {(pair.first, pair.second): pair.p_holm for pair in found.pairs}
    p_values |= {(second, first): value for (first, second), value in p_values.items()}
    header = ["strategy", "n_tasks", "average_rank", "average_rank_ci_low"]
    header += ["average_rank_ci_high", "n_best", *(f"p_holm: {name}" for name in names)]
    lines = [csv_line(header)]
    for rank in found.ranks:
        numbers = (rank.average_rank, rank.ci_low, rank.ci_high, rank.n_best)
        tests = (p_values.get((rank.strategy, name)) for name in names)
        lines.append(csv_line([rank.strategy, len(found.tasks), *numbers, *tests]))
    return "".join(lines)


def comparison_markdown(found: Comparison) -> str:
    """``found`` as a section of Markdown."""
    number = len(found.tasks)
    ranks = [
        [
            escape_markdown(rank.strategy),
            short_number(rank.average_rank),
            interval_text(rank.ci_low, rank.ci_high),
            str(rank.n_best),
        ]
        for rank in found.ranks
    ]
    pairs = [
        [
            escape_markdown(pair.first),
            escape_markdown(pair.second),
            f"{pair.n_better} : {pair.n_worse}",
            f"{pair.p_value:.3g}",
            f"{pair.p_holm:.3g}",
        ]
        for pair in found.pairs
    ]
    parts = [
        f"### Average ranks over {number} tasks, by {found.metric}\n",
        markdown_lines(["Strategy", "Average rank", "95 % interval", "Best in tasks"], ranks),
        "Wilcoxon signed-rank tests over the tasks, two-sided and exact, corrected after Holm. "
        f"With {number} tasks and {len(found.pairs)} pairs the least corrected p-value there can "
        f"be is {found.least_p_holm:.3g}.\n",
        markdown_lines(["First", "Second", "Better : worse", "p", "p (Holm)"], pairs),
        "".join(f"- {escape_markdown(str(problem))}\n" for problem in found.left_out),
    ]
    return "\n".join(part for part in parts if part)
