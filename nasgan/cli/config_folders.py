"""The folders of configurations, nasgan's own and those of plugins, and what in them can be used.

Nothing that one package brings may change what another's options mean: of two files for one option
the one whose package registers the option's name counts, and if that does not decide it, none does.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import logging
import math
import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with OmegaConf
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import nasgan
from nasgan.cli.paths import config_folder
from nasgan.errors import PluginError, shortened
from nasgan.reading import read_text
from nasgan.registry import CONFIGS, EVALUATORS, SEARCH_SPACES, STRATEGIES, Plugin, plugins

__all__ = [
    "PAIRED",
    "ConfigFolder",
    "config_folders",
    "package_folder",
    "plugin_folder",
    "read_yaml",
]

_log = logging.getLogger(__name__)

_MOST_BYTES = 1_000_000
_MOST_VALUES = 100_000

PAIRED: Mapping[str, str] = {
    "strategy": STRATEGIES,
    "search_space": SEARCH_SPACES,
    "evaluator": EVALUATORS,
}
"""The groups whose options name a class that an entry point registers, and where it does."""


@dataclass(frozen=True)
class ConfigFolder:
    """A folder of configurations.

    Attributes:
        owner: the distribution that brings it.
        version: of that distribution.
        path: the folder.
        hidden: whose file is used in place of this folder's, by ``group/option``.
        left_out: why nobody can choose an option, by ``group/option``.
    """

    owner: str
    version: str
    path: Path
    hidden: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The distribution with its version."""
        return f"{self.owner} {self.version}"

    def files(self, group: str = "") -> dict[str, Path]:
        """All files of ``group``, or of all groups, by ``group/option``."""
        return {
            path.relative_to(self.path).with_suffix("").as_posix(): path
            for path in sorted((self.path / group).rglob("*.yaml"))
            if path.is_file()
        }

    def usable(self, group: str = "") -> dict[str, Path]:
        """Those of `files` that can be chosen."""
        unusable = self.hidden.keys() | self.left_out.keys()
        return {name: path for name, path in self.files(group).items() if name not in unusable}


def plugin_folder(plugin: Plugin) -> Path:
    """The folder of configurations that ``plugin`` registers; the plugin is not imported.

    Raises:
        PluginError: there is no such folder.
    """
    owner = f"plugin {plugin.distribution} {plugin.version}"
    try:
        folder = package_folder(plugin.value.partition(":")[0])
    except (ImportError, ValueError) as error:
        raise PluginError(f"{owner}: the package {plugin.package!r} is broken: {error}") from error
    if folder is None:
        raise PluginError(f"{owner}: there is no configuration folder {plugin.value!r}")
    return folder


def package_folder(package: str) -> Path | None:
    """The folder of a package, or in one; nothing is imported.

    Raises:
        ImportError: the package is broken.
        ValueError: the same.
    """
    top, *rest = package.split(".")
    spec = importlib.util.find_spec(top) if top else None
    places = (spec.submodule_search_locations or []) if spec is not None else []
    folders = [Path(place).joinpath(*rest) for place in places]
    return next((folder for folder in folders if folder.is_dir()), None)


def config_folders() -> tuple[ConfigFolder, ...]:
    """All folders in the order in which Hydra looks, nasgan's own first; missing ones warn."""
    claims = {
        (f"{group}/{plugin.name}", plugin.distribution)
        for group, entry_points in PAIRED.items()
        for plugin in plugins(entry_points)
    }
    return _examined(plugins(CONFIGS), frozenset(claims))


@cache  # one warning for each broken plugin
def _examined(
    found: tuple[Plugin, ...], claims: frozenset[tuple[str, str]]
) -> tuple[ConfigFolder, ...]:
    own = ConfigFolder("nasgan", nasgan.__version__, config_folder())
    brought: dict[Path, ConfigFolder] = {}
    for plugin in found:
        try:
            path = plugin_folder(plugin)
        except PluginError as error:
            _log.warning("%s; its configurations are left out", error)
            continue
        brought.setdefault(path, ConfigFolder(plugin.distribution, plugin.version, path))
    folders = tuple(brought.values())
    if folders:
        own_options = own.files().keys()
        _settle_names(folders, own_options, claims)
        _leave_out_unusable(folders, own_options)
    return (own, *folders)


def _settle_names(
    folders: tuple[ConfigFolder, ...],
    own_options: Collection[str],
    claims: frozenset[tuple[str, str]],
) -> None:
    """Decide which file counts for options that several folders have.

    Whether a file can be read plays no part: what a name means must not hang on another's fault.
    """
    bringers: dict[str, list[ConfigFolder]] = defaultdict(list)
    for folder in folders:
        for option in folder.files():
            if option in own_options:
                folder.hidden[option] = "nasgan"
            else:
                bringers[option].append(folder)
    for option, several in bringers.items():
        registering = [folder for folder in several if (option, folder.owner) in claims]
        if len(several) > 1 and len(registering) == 1:
            winner = registering[0]
            for folder in several:
                if folder is not winner:
                    folder.hidden[option] = winner.owner
        elif len(several) > 1:
            reason = _ambiguity(option, several)
            for folder in several:
                folder.left_out[option] = reason


def _ambiguity(option: str, folders: list[ConfigFolder]) -> str:
    labels = sorted({folder.label for folder in folders})
    if len(labels) == 1:
        paths = " and ".join(str(folder.path) for folder in folders)
        return f"{labels[0]} brings it more than once, in {paths}: remove all but one"
    name = option.rpartition("/")[2]
    return (
        f"{' and '.join(labels)} bring it: uninstall all of them but one, or rename {name}.yaml "
        "in the others"
    )


def _leave_out_unusable(folders: tuple[ConfigFolder, ...], own_options: Collection[str]) -> None:
    """Leave out what would stop a sweep over all options: Hydra composes them all first."""
    needs: dict[str, list[str]] = {}
    places: dict[str, tuple[ConfigFolder, Path]] = {}
    for folder in folders:
        for option, path in folder.usable().items():
            try:
                needs[option] = list(_named_options(path, posixpath.dirname(option)))
                places[option] = folder, path
            except PluginError as error:
                folder.left_out[option] = f"plugin {folder.label}: {error}"
    # What needs an option that is left out falls with it.
    while lacking := _lacking(needs, own_options):
        for option, missing in lacking.items():
            folder, path = places[option]
            is_there = any(missing in other.left_out for other in folders)
            why = "is left out" if is_there else "does not exist"
            folder.left_out[option] = (
                f"plugin {folder.label}: the defaults of {path} name {missing}, which {why}"
            )
            del needs[option]


def _lacking(needs: Mapping[str, list[str]], own_options: Collection[str]) -> dict[str, str]:
    """The first option that each of ``needs`` asks for in vain, where one does."""
    lacking: dict[str, str] = {}
    for option, named in needs.items():
        missing = [name for name in named if name not in needs and name not in own_options]
        if missing:
            lacking[option] = missing[0]
    return lacking


def _named_options(path: Path, group: str) -> Iterator[str]:
    """``group/option`` for what the defaults list of a file in ``group`` surely asks for.

    Raises:
        PluginError: the file cannot be read.
    """
    try:
        content = read_yaml(path)
    except (OSError, ValueError, RecursionError, OmegaConfBaseException, YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise PluginError(f"{path} cannot be read: {shortened(reason, 600)}") from error
    if not isinstance(content, DictConfig):
        raise PluginError(f"{path} cannot be read: it holds no mapping")
    defaults = content.get("defaults")
    for entry in defaults if isinstance(defaults, ListConfig) else ():
        pairs = entry.items_ex(resolve=False) if isinstance(entry, DictConfig) else [("", entry)]
        for key, value in pairs:
            words = str(key).split()
            names = value if isinstance(value, ListConfig) else [value]
            if "optional" in words or value is None or "${" in str(value):
                continue
            inside = words[-1].partition("@")[0] if words else ""
            for name in names:
                option = f"{inside}/{str(name).partition('@')[0]}" if inside else str(name)
                named = posixpath.normpath(posixpath.join("/", group, option)).lstrip("/")
                if name != "_self_" and not named.startswith("hydra/"):
                    yield named.removesuffix(".yaml")


def read_yaml(path: Path) -> Any:
    """A configuration, looked at before its aliases are followed: few bytes can stand for a world.

    Raises:
        OSError: it cannot be read, or is too large.
        ValueError: it stands for too much.
        YAMLError: it is no YAML.
    """
    text = read_text(path, most=_MOST_BYTES)
    # To look costs as much as to read, and nearly no file has an alias.
    if "*" in text and _size(yaml.compose(text, yaml.SafeLoader), {}) > _MOST_VALUES:
        raise ValueError(f"its aliases stand for more than {_MOST_VALUES} values")
    return copy.deepcopy(_loaded(text))


@lru_cache(maxsize=512)
def _loaded(text: str) -> Any:
    """What a text says; the jobs of a sweep read the same ones again and again."""
    return OmegaConf.load(io.StringIO(text))


def _size(node: Any, known: dict[int, float]) -> float:
    """The values that a node stands for; infinitely many where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = [pair if isinstance(pair, tuple) else (pair,) for pair in inner]
        known[id(node)] = 1 + sum(_size(item, known) for pair in pairs for item in pair)
    return known[id(node)]
