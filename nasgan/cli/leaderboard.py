"""``nasgan leaderboard``, and ``nasgan leaderboard verify FILE``: does it say what runs say?"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasgan import atomic
from nasgan.cli.console import say
from nasgan.cli.key_values import roots_of, run_reading, texts_of
from nasgan.cli.paths import refuse_empty_paths
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.reading import digest_of
from nasgan.run_settings import with_home

if TYPE_CHECKING:
    from nasgan.leaderboard.leaderboard import Leaderboard
    from nasgan.leaderboard.ranks import Comparison
    from nasgan.leaderboard.summaries import Problem

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the verb, or its other half ``verify``; see `nasgan.cli.key_values`.

    Raises:
        NasganError: as there.
        ConfigError: what is to be verified is not there, is neither a table nor a bundle, or there
            are no records of it.
        MissingDependencyError: it cannot be verified, since a metric is unknown here.
    """
    if arguments[:1] == ["verify"]:
        return _verify(arguments[1:])
    if arguments and re.fullmatch(r"\w[^=]*", arguments[0]):
        raise UnknownNameError("subcommand of nasgan leaderboard", arguments[0], ["verify"])
    return run_reading("leaderboard", _leaderboard, arguments)


def _leaderboard(config: dict[str, Any]) -> int:
    from nasgan.cli.board import board_lines, note_lines, ranks_lines
    from nasgan.leaderboard.build import build_leaderboard
    from nasgan.leaderboard.finding import find_records

    files = _files(config["out"])
    roots = roots_of(config["runs"])
    records, unreadable = find_records(roots)
    if not records:
        say(*note_lines(unreadable))
        raise ConfigError(
            f"no finished runs in {', '.join(roots)}; make one (nasgan search) or say where "
            "they are (runs=FOLDER)"
        )
    protocols = list(dict.fromkeys(roots_of(config["protocol"]))) if config["protocol"] else [None]
    boards = [
        build_leaderboard(
            records,
            protocol=protocol,
            rank_by=config["rank_by"],
            where=config["where"],
            group_by=roots_of(config["group_by"] or []),
            published=config["published"],
        )
        for protocol in protocols
    ]
    comparison = boards[0].comparison if len(boards) == 1 else _comparison(boards)
    for board in boards:
        say(*board_lines(board))
    compared = [comparison] if comparison is not None else [b.comparison for b in boards]
    left_out: list[Problem] = []
    for found in compared:
        if found is not None:
            say(*ranks_lines(found))
            left_out += found.left_out
    problems = [problem for board in boards for problem in board.problems]
    say(*note_lines([*problems, *left_out, *unreadable]))
    rows = [row for board in boards for row in board.rows]
    count = len({name for row in rows for name in row["run_ids"]})
    targets = _targets(boards, files, asked_for=len(roots_of(config["out"])))
    texts = {target: board.text(target.suffix.lower()) for board, target in targets}
    written = [f"{_NAMES[target.suffix.lower()]:8}  {target}" for _, target in targets]
    ranks = files[0].with_name(f"{files[0].stem}-ranks.csv")
    if comparison is not None:
        texts[ranks] = comparison.to_csv()
        written.append(f"{'ranks':8}  {ranks}")
    atomic.write_files(texts)
    say(f"{count} of {len(records)} runs in {len(rows)} rows", *written)
    if comparison is None and ranks.exists():
        say(f"there are no ranks over tasks; {ranks} is older, and of other runs or tasks")
    return 0


def _comparison(boards: Sequence[Leaderboard]) -> Comparison | None:
    """Of the strategies over the tasks of all boards."""
    from nasgan.leaderboard.ranks import compare_strategies

    metrics = sorted({board.ranked_by for board in boards})
    if len(metrics) > 1:
        raise ConfigError(
            f"the protocols would be ranked by different metrics ({', '.join(metrics)}), so the "
            "strategies cannot be compared over all tasks; choose one with rank_by="
        )
    return compare_strategies([row for board in boards for row in board.rows], metrics[0])


def _files(setting: str | Sequence[str]) -> list[Path]:
    """What is written: the Markdown stands beside a CSV that was asked for alone."""
    from nasgan.leaderboard.leaderboard import SUFFIXES

    files = [Path(name) for name in roots_of(setting)]
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"out={file}: the leaderboard is a .csv, .md or .json file")
    if [file.suffix.lower() for file in files] == [".csv"]:
        files.append(files[0].with_suffix(".md"))
    return files


def _targets(
    boards: Sequence[Leaderboard], files: Sequence[Path], *, asked_for: int
) -> list[tuple[Leaderboard, Path]]:
    """The files to write, of several protocols one each.

    Raises:
        ConfigError: one that nobody has ``asked_for`` would replace something else.
    """
    from nasgan.leaderboard.leaderboard import is_board_markdown

    targets = []
    for board in boards:
        for number, file in enumerate(files):
            protocol = re.sub(r"[^A-Za-z0-9._@+-]", "_", board.protocol)
            name = f"{file.stem}-{protocol}{file.suffix}" if len(boards) > 1 else file.name
            target = file.with_name(name)
            if number >= asked_for and target.exists() and not is_board_markdown(target):
                raise ConfigError(
                    f"{target} is where the table would go as Markdown, but holds something else; "
                    f"take another out=, or name what to replace: out={files[0]},{target}"
                )
            targets.append((board, target))
    return targets


_NAMES = {".csv": "CSV", ".md": "Markdown", ".json": "JSON"}


# Verify

_MOST_SHOWN = 50

_EXAMPLES = """\
examples:
  nasgan leaderboard verify leaderboard.csv
  nasgan leaderboard verify leaderboard.json runs=here,there   records of several machines
  nasgan leaderboard verify leaderboard.csv "runs=['a, b',c]"  a folder with a comma in its name
  nasgan leaderboard verify bundle/                            a folder of nasgan publish

The exit code is 0 if all matches, 1 if something differs, 2 if it cannot be told.
"""


def _verify(arguments: Sequence[str]) -> int:
    """Verify a leaderboard or a published bundle: 0 if it says what its records say, else 1."""
    parser = argparse.ArgumentParser(
        prog="nasgan leaderboard verify",
        description="Recompute a leaderboard from the run records and name each cell, row and run "
        "that differs. Of a published bundle, check every file against its checksum, too.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a .csv or .json leaderboard, or a bundle")
    parser.add_argument(
        "settings",
        metavar="runs=FOLDER,...",
        nargs="*",
        default=[],
        help="where the records are; by default the bundle that FILE is in, else outputs",
    )
    given = parser.parse_args(list(arguments))
    path = Path(with_home(given.file))
    roots = _roots_of_verify(given.settings)
    if not path.exists():
        raise ConfigError(f"{path}: there is no such leaderboard or bundle")
    return _verify_bundle(path, roots) if path.is_dir() else _verify_file(path, roots)


def _verify_bundle(folder: Path, roots: Sequence[str]) -> int:
    from nasgan.publishing.bundle import CHECKSUM_FILE
    from nasgan.publishing.bundle_check import verify_bundle

    if roots:
        raise ConfigError("a bundle is verified against its own records; leave out runs=")
    found = verify_bundle(folder)
    code = _show(str(folder), found.differences, found.remarks, found.num_runs, found.num_cells)
    if code == 0:
        say(f"digest {digest_of(folder / CHECKSUM_FILE)}")
    return code


def _verify_file(path: Path, roots: Sequence[str]) -> int:
    from nasgan.leaderboard.finding import find_records
    from nasgan.publishing.bundle import BUNDLE_FILE, RUNS_FOLDER
    from nasgan.publishing.verification import verify_table

    is_bundled = (path.parent / BUNDLE_FILE).is_file()
    roots = roots or [str(path.parent / RUNS_FOLDER) if is_bundled else "outputs"]
    records, unreadable = find_records(roots)
    if not records:
        why = f" ({len(unreadable)} cannot be counted: {unreadable[0]})" if unreadable else ""
        raise ConfigError(
            f"no finished runs in {', '.join(roots)}{why}; say where they are (runs=)"
        )
    found = verify_table(path, records)
    remarks = [*(f"not counted: {problem}" for problem in unreadable), *found.remarks]
    return _show(str(path), found.differences, remarks, found.num_runs, found.num_cells)


def _show(
    name: str, differences: Sequence[str], remarks: Sequence[str], num_runs: int, num_cells: int
) -> int:
    say(*(f"note: {remark}" for remark in remarks))
    if not differences:
        say(f"{name}: all {num_cells} cells are what {num_runs} run records give")
        return 0
    say(*(f"  {text}" for text in differences[:_MOST_SHOWN]))
    more = len(differences) - _MOST_SHOWN
    if more > 0:
        say(f"  and {more} more")
    word = "difference" if len(differences) == 1 else "differences"
    say(f"{name}: does not verify, {len(differences)} {word} ({num_runs} run records)")
    return 1


def _roots_of_verify(settings: Sequence[str]) -> list[str]:
    roots: list[str] = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"cannot read {setting!r}: one file, and then runs=FOLDER")
        if key != "runs":
            raise UnknownNameError("setting of verify", key, ["runs"])
        refuse_empty_paths(value, "runs")
        roots += [with_home(part) for part in texts_of(setting) if part]
    return roots
