"""What a published bundle says for people: its README and the best-practice checklist."""

from __future__ import annotations

from pathlib import Path

from nasgan.results.board import Leaderboard
from nasgan.results.tables import escape_markdown, markdown_code

__all__ = ["checklist_text", "readme_text"]

_BOXES = {"yes": "[x]", "partly": "[~]", "no": "[ ]"}


def checklist_text(runs: Path, board: Leaderboard) -> str:
    """The checklist of Lindauer and Hutter (2020), ticked from the records below ``runs``."""
    from nasgan.results.report.checklist import checklist
    from nasgan.results.report.collect import collect

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
    tasks = list(dict.fromkeys(str(row.task) for row in board.rows))
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
