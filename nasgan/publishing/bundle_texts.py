"""What a published bundle says for people: its README and the best-practice checklist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from nasgan.leaderboard.leaderboard import Leaderboard
from nasgan.leaderboard.rows import Task
from nasgan.leaderboard.tables import escape_markdown, markdown_code

__all__ = ["checklist_text", "line_differences", "odd_sentences", "readme_text"]

# A plain sentence: it begins as text at the margin, and holds no part of a table and no HTML.
_SENTENCE = re.compile(r"[^\W\d_][^|<]*")
_SHOWN = 100

_BOXES = {"yes": "[x]", "partly": "[~]", "no": "[ ]"}


def checklist_text(runs: Path, board: Leaderboard) -> str:
    """The checklist of Lindauer and Hutter (2020), ticked from the records below ``runs``."""
    from nasgan.report.checklist import checklist
    from nasgan.report.collect import collect

    collection = collect([runs], protocol=board.protocol, rank_by=board.ranked_by)
    lines = [
        f"- {_BOXES[item.state]} **{escape_markdown(item.title)}**: "
        f"{escape_markdown(item.evidence)}"
        for chapter in collection.chapters
        for item in checklist(chapter)
    ]
    return "\n".join(
        [
            "# Best practices for research on neural architecture search",
            "",
            "After Lindauer and Hutter (JMLR 21, 2020), ticked from the records: [x] they show it, "
            "[~] in part, [ ] they do not.",
            "",
            *lines,
            "",
        ]
    )


def readme_text(board: Leaderboard, title: str, num_runs: int) -> str:
    """The bundle's README."""
    files = [
        ("leaderboard.csv", "a line for each setting, over its seeds; also as .md and .json"),
        ("report.html", "tables, curves, images and architectures; opens offline in any browser"),
        ("CHECKLIST.md", "which best practices the records show"),
        ("runs/", "of every run its record, configuration, history and sample grid"),
        ("bundle.json", "protocol, filters and the list of runs"),
        ("SHA256SUMS", "checksums of all files: `sha256sum --check SHA256SUMS`"),
    ]
    if board.comparison is not None:
        files.insert(1, ("leaderboard-ranks.csv", "average ranks over tasks, with their tests"))
    tasks = list(dict.fromkeys(str(Task.of(row)) for row in board.rows))
    return "\n".join(
        [
            f"# {escape_markdown(title or 'Results of nasgan')}",
            "",
            f"{num_runs} runs in {len(board.rows)} rows, scored under "
            f"{markdown_code(board.protocol)} and ranked by {board.ranked_by} within each task:",
            "",
            *(f"- {escape_markdown(task)}" for task in tasks),
            "",
            "## Verify",
            "",
            "    nasgan leaderboard verify .",
            "",
            "checks every file against its checksum, recomputes the tables from the records and "
            "names each cell that differs.",
            "",
            "## Files",
            "",
            "| file | what |",
            "|---|---|",
            *(f"| `{name}` | {what} |" for name, what in files),
            "",
        ]
    )


def line_differences(found: str, wanted: str, *, is_markdown: bool) -> Iterator[str]:
    """Where a text says other data than ``wanted``, however its lines end."""
    # A bundle has to verify for as long as it is kept, and later versions of nasgan may put the
    # sentences of a Markdown page in other words: these are told (`odd_sentences`). All else is
    # held to the letter, blank lines included, so nothing is slipped in, hidden or taken apart.
    own, right = (_data_lines(text) if is_markdown else _numbered(text) for text in (found, wanted))
    odd = [
        line[0] if line else 0
        for line, other in zip_longest(own, right)
        if line is None or other is None or line[1] != other[1]
    ]
    if odd and not odd[0]:
        yield f"it ends too early: {len(own)} lines of data, {len(right)} of the records"
    elif odd:
        more = f", nor are {len(odd) - 1} more" if len(odd) > 1 else ""
        yield f"line {odd[0]} is not what the records give{more}"


def odd_sentences(found: str, wanted: str) -> Iterator[str]:
    """Sentences of a Markdown page that are only in ``found``, or only in ``wanted``."""
    own, right = ([line for _, line in _numbered(text)] for text in (found, wanted))
    for number, line in _numbered(found):
        if _SENTENCE.fullmatch(line) and line not in right:
            yield f"line {number} is no sentence of this nasgan: {line[:_SHOWN]!r}"
    for line in right:
        if _SENTENCE.fullmatch(line) and line not in own:
            yield f"lacks the sentence {line[:_SHOWN]!r}"


def _numbered(text: str) -> list[tuple[int, str]]:
    return list(enumerate(text.splitlines(), start=1))


def _data_lines(text: str) -> list[tuple[int, str]]:
    """The lines without sentences; of blank lines in a row, one."""
    lines: list[tuple[int, str]] = []
    for number, line in _numbered(text):
        kept = "" if _SENTENCE.fullmatch(line) else line
        if kept or (lines and lines[-1][1]):
            lines.append((number, kept))
    return lines[:-1] if lines and not lines[-1][1] else lines
