"""Where configurations are: nasgan's own folder, and those that installed plugins bring."""

from __future__ import annotations

import importlib.util
import logging
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # comes with OmegaConf

import nasgan
from nasgan.errors import PluginError
from nasgan.registry import CONFIGS, Plugin, plugins

__all__ = [
    "ConfigOption",
    "PluginConfigs",
    "config_folder",
    "config_sources",
    "config_uri",
    "options",
    "plugin_folder",
    "register_plugin_configs",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConfigOption:
    """One option of a configuration group, found without reading its content as configuration.

    Attributes:
        name: what a user types; in groups with folders with a slash: ``debug/tiny``.
        summary: the first comment of the file that is not a Hydra directive.
        owner: the distribution that brings it.
        path: the file.
    """

    name: str
    summary: str
    owner: str
    path: Path

    @property
    def is_stand_in(self) -> bool:
        """Whether it means something only to the verb that has it as its default.

        These are in folders ``of/``, where Hydra's ``glob(*)`` does not find them.
        """
        return self.name.startswith("of/")


def config_folder() -> Path:
    """The folder of nasgan's own configurations, installed or in a checkout."""
    package = Path(nasgan.__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def config_uri() -> str:
    """The same for Hydra: ``pkg://nasgan.conf`` when installed, else the checkout's folder."""
    folder = config_folder()
    is_installed = folder.parent == Path(nasgan.__file__).resolve().parent
    return "pkg://nasgan.conf" if is_installed else str(folder)


def plugin_folder(plugin: Plugin) -> Path:
    """The folder of configurations that ``plugin`` registers; the plugin is not imported.

    Raises:
        PluginError: there is no such folder, or a file in it cannot be read or names an option
            that does not exist: Hydra would stop a sweep over all options there.
    """
    folder = _registered_folder(plugin)
    for path in sorted(folder.rglob("*.yaml")):
        try:
            content = OmegaConf.load(path)
        except (OSError, ValueError, OmegaConfBaseException, YAMLError) as error:
            reason = " ".join(str(error).split())
            raise PluginError(f"{_owner(plugin)}: {path} cannot be read: {reason}") from error
        group = path.parent.relative_to(folder).as_posix()
        for option in _named_options(content, group):
            if not any((source / f"{option}.yaml").is_file() for source in _all_folders()):
                raise PluginError(
                    f"{_owner(plugin)}: the defaults of {path} name {option}, which does not exist"
                )
    return folder


def _registered_folder(plugin: Plugin) -> Path:
    top, *rest = plugin.value.partition(":")[0].split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError) as error:
        raise PluginError(f"{_owner(plugin)}: the package {top!r} is broken: {error}") from error
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(location).joinpath(*rest)
        if folder.is_dir():
            return folder
    raise PluginError(f"{_owner(plugin)}: there is no configuration folder {plugin.value!r}")


def _all_folders() -> Iterator[Path]:
    yield config_folder()
    for plugin in plugins(CONFIGS):
        with suppress(PluginError):
            yield _registered_folder(plugin)


def _named_options(content: object, group: str) -> Iterator[str]:
    """``group/option`` for what the defaults list of a file in ``group`` surely asks for."""
    defaults = content.get("defaults") if isinstance(content, DictConfig) else None
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
                path = posixpath.normpath(posixpath.join("/", group, option)).lstrip("/")
                if name != "_self_" and not path.startswith("hydra/"):
                    yield path.removesuffix(".yaml")


def options(group: str) -> list[ConfigOption]:
    """The options of ``group``, sorted by name; of equal names the first wins, as in Hydra."""
    found: dict[str, ConfigOption] = {}
    for owner, folder in config_sources():
        for path in sorted((folder / group).rglob("*.yaml")):
            name = path.relative_to(folder / group).with_suffix("").as_posix()
            found.setdefault(name, ConfigOption(name, _summary(path), owner, path))
    return sorted(found.values(), key=lambda option: option.name)


class PluginConfigs(SearchPathPlugin):
    """Puts the configuration folders of installed plugins on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append every plugin's folder, behind nasgan's own."""
        for owner, folder in config_sources():
            if owner != "nasgan":
                search_path.append(provider=owner, path=f"file://{folder}")


def register_plugin_configs() -> None:
    """Make Hydra ask `PluginConfigs`; registering again changes nothing."""
    Plugins.instance().register(PluginConfigs)


def config_sources() -> Iterator[tuple[str, Path]]:
    """``(distribution, folder)`` in the order in which Hydra looks; broken plugins warn."""
    yield "nasgan", config_folder()
    for plugin in plugins(CONFIGS):
        folder = _folder_or_warning(plugin)
        if folder is not None:
            yield plugin.distribution, folder


@cache  # one warning for each broken plugin
def _folder_or_warning(plugin: Plugin) -> Path | None:
    try:
        return plugin_folder(plugin)
    except PluginError as error:
        _log.warning("%s; its configurations are left out", error)
        return None


def _owner(plugin: Plugin) -> str:
    return f"plugin {plugin.distribution} {plugin.version}"


def _summary(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                text = line.lstrip("# ").strip()
                if not line.startswith("#"):
                    break
                if text and not text.startswith("@package"):
                    return text
    except (OSError, UnicodeDecodeError) as error:
        return f"unreadable: {error}"
    return ""
