"""``nasgan new``: a package of one's own to start from, complete and passing its own test."""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nasgan import atomic
from nasgan.cli.config_options import options
from nasgan.cli.console import heading, say
from nasgan.errors import ConfigError, UnknownNameError
from nasgan.registry import EVALUATORS, EXTRACTORS, SEARCH_SPACES, STRATEGIES, plugins

__all__ = ["KINDS", "run"]


class _Kind(NamedTuple):
    group: str  # of the configurations
    entry_points: str
    suffix: str  # of the class
    module: str  # where the author's work goes


KINDS: Mapping[str, _Kind] = {
    "strategy": _Kind("strategy", STRATEGIES, "Search", "strategy.py"),
    "space": _Kind("search_space", SEARCH_SPACES, "Space", "space.py"),
    "evaluator": _Kind("evaluator", EVALUATORS, "Evaluator", "evaluator.py"),
    "extractor": _Kind("metrics", EXTRACTORS, "Features", "extractor.py"),
}
"""What there are templates for: a folder of this package's ``templates`` each."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# What configurations read as a value.
_RESERVED = frozenset({"false", "inf", "nan", "null", "true"})


def run(arguments: Sequence[str]) -> int:
    """Write a package; nothing that exists is touched.

    Raises:
        UnknownNameError: there is no such kind of package.
        ConfigError: the name cannot be used or is taken, or the folder exists.
        StorageError: the folder cannot be written.
    """
    parser = argparse.ArgumentParser(
        prog="nasgan new",
        description="Write a package that adds a search strategy, a search space, an evaluator or "
        "a feature extractor to nasgan: it installs, runs and passes its test as it is.",
    )
    parser.add_argument("kind", metavar="KIND", help=" or ".join(KINDS))
    parser.add_argument("name", metavar="NAME", help="what users will type, e.g. strategy=NAME")
    parser.add_argument("path", metavar="path=FOLDER", nargs="?", help="default: nasgan-NAME here")
    given = parser.parse_args(list(arguments))
    if given.kind not in KINDS:
        raise UnknownNameError("kind of package", given.kind, KINDS)
    _check_name(given.kind, given.name)
    folder = _folder(given.path, given.name)
    written = _write(given.kind, given.name, folder)
    kind = KINDS[given.kind]
    say(
        f"made {folder}",
        *(f"  {path}" for path in written),
        "",
        heading("Next"),
        f"  pip install -e {shlex.quote(f'{folder}[test]')}",
        f"  python -m pytest {shlex.quote(str(folder))}",
        f"  nasgan search {kind.group}={given.name} +experiment=debug/tiny",
        f"  your idea: {folder / _package(given.name) / kind.module}",
    )
    return 0


def _check_name(kind: str, name: str) -> None:
    if not _is_usable(name):
        fitting = re.sub(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])", "_", name).strip("_").lower()
        hint = f" Did you mean {fitting!r}?" if _is_usable(fitting) else ""
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}: a name is lower-case words of letters and "
            "digits, joined by single underscores; it begins with a letter and has no meaning of "
            f"its own in Python or in configurations.{hint}"
        )
    group, entry_points = KINDS[kind].group, KINDS[kind].entry_points
    owners = {option.name: option.owner for option in options(group)}
    owners.update({plugin.name: plugin.distribution for plugin in plugins(entry_points)})
    if name in owners:
        raise ConfigError(
            f"the {kind} {name!r} exists already, in the package {owners[name]}; take another name "
            f"than {', '.join(sorted(owners))}"
        )
    package = _package(name)
    if importlib.util.find_spec(package) is not None:
        raise ConfigError(f"there is a Python package {package!r} already; take another name")


def _is_usable(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not keyword.iskeyword(name) and name not in _RESERVED


def _folder(setting: str | None, name: str) -> Path:
    key, _, value = (setting or f"path={_distribution(name)}").partition("=")
    if key != "path" or not value:
        raise ConfigError(f"cannot read {setting!r}: the folder is given as path=FOLDER")
    folder = Path(value).expanduser()
    if folder.exists() or folder.is_symlink():
        raise ConfigError(f"{folder} exists already; choose another folder with path=FOLDER")
    return folder


def _write(kind: str, name: str, folder: Path) -> list[Path]:
    """The paths of the files, relative to ``folder``."""
    camel_case = "".join(word.capitalize() for word in name.split("_"))
    values = {
        "name": name,
        "class": camel_case.removesuffix(KINDS[kind].suffix) + KINDS[kind].suffix,
        "package": _package(name),
        "distribution": _distribution(name),
    }
    templates = Path(__file__).parent / "templates" / kind
    texts = {}
    for template in sorted(path for path in templates.rglob("*.txt") if path.is_file()):
        text = template.read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"{{{{{key}}}}}", value)
        relative = template.relative_to(templates).with_suffix("").as_posix()
        relative = relative.replace("package/", f"{values['package']}/", 1).replace("NAME", name)
        texts[Path(relative)] = text
    with atomic.new_folder(folder) as staging:
        atomic.write_files({staging / path: text for path, text in texts.items()})
    return list(texts)


def _package(name: str) -> str:
    return f"nasgan_{name}"


def _distribution(name: str) -> str:
    return f"nasgan-{name.replace('_', '-')}"
