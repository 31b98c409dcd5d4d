"""``nasgan table``: build one from rows or spreadsheets, and say what is in it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from nasgan.cli.console import heading, say, table
from nasgan.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from nasgan.tabular.table import Table

__all__ = ["SUBVERBS", "run"]

SUBVERBS = ("build", "import", "info")
_ABOUT = """\
build merges the rows that `nasgan tabulate` left in folders, and in their shards, into one file.
import makes one of spreadsheets of others, by a file that says which column holds what.
info says what is in a table: noise between seeds, what explains the rest, which steps agree.
"""
_EXAMPLES = """\
examples:
  nasgan table build tables/cifar10-16 out=cifar10-16-autogan-v1.npz
  nasgan table build here/part there/part out=both.npz name=cifar10-16-autogan-v1
  nasgan table import columns.yaml out=nas-gan-bench-101.npz
  nasgan table info cifar10-16-autogan-v1.npz metric=kid
  nasgan table info tables/cifar10-16     the rows so far
"""


def run(arguments: Sequence[str]) -> int:
    """Run a subcommand.

    Raises:
        NasganError: bad input.
    """
    parser = argparse.ArgumentParser(
        prog="nasgan table",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("subcommand", metavar="build|import|info")
    parser.add_argument(
        "words",
        metavar="FOLDER|FILE|NAME|key=value",
        nargs="*",
        default=[],
        help="build: folders, out=FILE.npz, name=NAME; import: YAML file, out=FILE.npz; info: "
        "file, name or folder, metric=fid",
    )
    given = parser.parse_args(list(arguments))
    if given.subcommand not in SUBVERBS:
        raise UnknownNameError("subcommand of nasgan table", given.subcommand, SUBVERBS)
    work = {"build": _build, "import": _import, "info": _info}
    return work[given.subcommand](given.words)


def _parted(
    words: Sequence[str], known: Sequence[str], verb: str
) -> tuple[list[str], dict[str, str]]:
    """Places, and settings as ``key=value``."""
    places = [word for word in words if "=" not in word]
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    for key in settings:
        if key not in known:
            raise UnknownNameError(f"setting of nasgan table {verb}", key, known)
    return places, settings


def _build(words: Sequence[str]) -> int:
    from nasgan.tabular.build import build_table

    folders, settings = _parted(words, ("out", "name"), "build")
    if not folders or "out" not in settings:
        raise ConfigError("nasgan table build needs folders and a file: FOLDER ... out=FILE.npz")
    out = _file(settings["out"])
    count = build_table([Path(folder) for folder in folders], out, name=settings.get("name"))
    return _told(count, out)


def _import(words: Sequence[str]) -> int:
    from yaml import YAMLError  # type: ignore[import-untyped]  # comes with OmegaConf

    from nasgan.cli.config_folders import read_yaml
    from nasgan.tabular.importing import import_table

    places, settings = _parted(words, ("out",), "import")
    if len(places) != 1 or "out" not in settings:
        raise ConfigError("nasgan table import needs a mapping and a file: YAML out=FILE.npz")
    source, out = Path(places[0]), _file(settings["out"])
    try:
        mapping = OmegaConf.to_container(read_yaml(source))
    except (OSError, ValueError, YAMLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{source}: cannot read this mapping of columns: {reason}") from error
    if not isinstance(mapping, dict):
        raise ConfigError(f"{source}: a mapping of columns holds keys and values")
    named = {str(k): v for k, v in mapping.items()}
    return _told(import_table(named, out, source=source, told=say), out)


def _file(text: str) -> Path:
    if Path(text).suffix != ".npz":
        raise ConfigError(f"out={text}: a table's file ends in .npz")
    return Path(text)


def _told(count: int, out: Path) -> int:
    say(f"{count} trainings  {out}  {out.stat().st_size / 1000:.0f} kB")
    return 0


def _info(words: Sequence[str]) -> int:
    from nasgan.tabular.table import load_table

    places, settings = _parted(words, ("metric",), "info")
    if len(places) != 1:
        raise ConfigError("nasgan table info needs one table: a file or a name")
    say(*_lines(load_table(places[0]), settings.get("metric", "fid")))
    return 0


def _lines(found: Table, metric: str) -> Iterator[str]:
    label = f"log {metric}" if found.is_logarithm(metric) else metric
    yield heading(found.name)
    broken = found.breakdowns()
    yield from table(
        [
            ("search space", f"{found.space}, version {found.space_version}"),
            ("protocol", found.protocol),
            ("trainings", f"{len(found)}, of {len(found.architectures)} architectures"),
            ("scores", f"{', '.join(found.metrics)}; at {', '.join(map(str, found.steps))} steps"),
            ("broke down", f"{sum(broken.values())}"),
            *((f"  {reason}", str(count)) for reason, count in broken.most_common()),
            ("licence", str(found.manifest.get("licence", "not stated"))),
        ]
    )
    yield ""
    yield heading(f"Reliability of {label}")
    yield from table([_HEAD, *(_reliability_row(found, metric, step) for step in found.steps)])
    yield ""
    yield heading(f"Variance of {label} that a decision explains by itself")
    explained = sorted(found.explained(metric).items(), key=lambda item: -item[1])
    yield from table((name, f"{share:6.1%}") for name, share in explained)
    best = found.best(metric)
    if best is not None:
        yield ""
        options = ", ".join(f"{name}={option}" for name, option in best.architecture)
        yield (
            f"best known: {metric} {best.mean:.4g}, mean of {best.seeds}; another training is "
            f"expected to score {best.expected:.4g} ({best.architecture.id}: {options})"
        )


_HEAD = (
    "steps",
    "ICC (95 %)",
    "sd between / within",
    "two runs",
    "with the last",
    "ceiling of tau, R2 (one seed, two)",
)


def _reliability_row(found: Table, metric: str, step: int) -> tuple[str, ...]:
    runs, _ = found.agreement_of_runs(metric, step)
    steps, _ = found.agreement_of_steps(metric, step, found.steps[-1])
    it = found.reliability(metric, step)
    if it is None:
        return (str(step), "too few repeats", "", _number(runs), _number(steps), "")
    ceilings = (f"{it.tau_ceiling(n):.2f}, {it.of_mean(n):.2f}" for n in (1, 2))
    return (
        str(step),
        f"{it.icc:.2f} ({it.icc_low:.2f} to {it.icc_high:.2f})",
        f"{it.between:.3g} / {it.within:.3g}",
        _number(runs),
        _number(steps),
        "; ".join(ceilings),
    )


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
