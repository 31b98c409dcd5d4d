"""``nasgan leaderboard verify FILE``: does it say what the run records say?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nasgan.cli.console import say
from nasgan.cli.key_values import texts_of
from nasgan.cli.paths import refuse_empty_paths
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.reading import digest_of
from nasgan.run_settings import with_home

__all__ = ["run"]

_MOST_SHOWN = 50

_EXAMPLES = """\
examples:
  nasgan leaderboard verify leaderboard.csv
  nasgan leaderboard verify leaderboard.json runs=here,there   records of several machines
  nasgan leaderboard verify leaderboard.csv "runs=['a, b',c]"  a folder with a comma in its name
  nasgan leaderboard verify bundle/                            a folder of nasgan publish

The exit code is 0 if all matches, 1 if something differs, 2 if it cannot be told.
"""


def run(arguments: Sequence[str]) -> int:
    """Verify a leaderboard or a published bundle.

    Returns:
        0 if it says what its records say, else 1.

    Raises:
        ConfigError: there is no such file or folder, it is neither, or there are no records of it.
        MissingDependencyError: it cannot be told, since a metric is unknown here.
    """
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
    roots = _roots(given.settings)
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


def _roots(settings: Sequence[str]) -> list[str]:
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
