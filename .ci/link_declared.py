"""Links what a wheel declares, and no more, from this environment's packages into another.

    python .ci/link_declared.py WHEEL ENVIRONMENT

An installation would unpack the same gigabytes again. As after one, what the wheel's package
imports and does not declare is missing there.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def requirements(of: Distribution, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """What a package with ``extras`` needs here."""
    for need in map(Requirement, of.requires or ()):
        choices = ("", *extras)
        if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in choices):
            yield need


def declared(wheel: Path) -> list[Distribution]:
    """The packages that the wheel needs, directly or through others."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = {p.parts[0] for p in map(Path, archive.namelist()) if p.name == "METADATA"}
        todo = list(requirements(PathDistribution(zipfile.Path(archive, f"{metadata}/"))))
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    while todo:
        need = todo.pop()
        key = (canonicalize_name(need.name), frozenset(need.extras))
        if key not in found:
            found[key] = distribution(need.name)
            todo += requirements(found[key], need.extras)
    return list({key[0]: package for key, package in found.items()}.values())


def link(package: Distribution, site: Path) -> None:
    """Link the package's files but for programs, and compiled modules with them, into ``site``."""
    assert package.files is not None, package.name
    for file in package.files:
        source = Path(str(package.locate_file(file)))
        if ".." in file.parts or not source.is_file():
            continue
        link_file(source, site / file)
        if source.suffix == ".py" and (compiled := Path(cache_from_source(source))).is_file():
            link_file(compiled, Path(cache_from_source(site / file)))


def link_file(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:  # on another file system
        shutil.copy2(source, target)


def main(wheel: str, environment: str) -> None:
    """Link everything."""
    (site,) = Path(environment).glob("lib/python*/site-packages")
    for package in declared(Path(wheel)):
        link(package, site)


if __name__ == "__main__":
    main(*sys.argv[1:])
