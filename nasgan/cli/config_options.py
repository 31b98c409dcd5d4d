"""Where configurations are: nasgan's own folder, and those that installed plugins bring."""

from __future__ import annotations

import logging
import posixpath
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # comes with OmegaConf

import nasgan
from nasgan.cli.config_folders import ConfigFolder, config_folders, read_yaml
from nasgan.cli.paths import config_folder
from nasgan.errors import ConfigError, PluginError, shortened
from nasgan.reading import read_text

__all__ = [
    "ConfigFiles",
    "ConfigOption",
    "PluginConfigs",
    "PluginSource",
    "config_folder",
    "config_uri",
    "left_out",
    "options",
    "register_plugin_configs",
]

_log = logging.getLogger(__name__)

_EXPERIMENTS = "experiment/"
_WHOLE = "_global_"


@dataclass(frozen=True)
class ConfigOption:
    """One option of a configuration group, found without reading its content as configuration.

    Attributes:
        name: what a user types; in groups with folders with a slash: ``debug/tiny``.
        owner: the distribution that brings it.
        path: the file.
    """

    name: str
    owner: str
    path: Path

    @property
    def summary(self) -> str:
        """The first comment of the file that is not a Hydra directive."""
        try:
            lines = read_text(self.path).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            return f"unreadable: {getattr(error, 'strerror', None) or error}"
        for line in lines:
            text = line.lstrip("# ").strip()
            if not line.startswith("#"):
                break
            if text and not text.startswith("@package"):
                return text
        return ""

    @property
    def is_stand_in(self) -> bool:
        """Whether it means something only to the verb that has it as its default.

        These are in folders ``of/``, where Hydra's ``glob(*)`` does not find them.
        """
        return self.name.startswith("of/")


def config_uri() -> str:
    """`config_folder` for Hydra: ``pkg://nasgan.conf`` when installed, else the checkout's."""
    folder = config_folder()
    is_installed = folder.parent == Path(nasgan.__file__).resolve().parent
    return "pkg://nasgan.conf" if is_installed else str(folder)


def options(group: str) -> list[ConfigOption]:
    """The options of ``group`` that can be chosen, sorted by name."""
    found = [
        ConfigOption(option.removeprefix(f"{group}/"), folder.owner, path)
        for folder in config_folders()
        for option, path in folder.usable(group).items()
    ]
    return sorted(found, key=lambda option: option.name)


def left_out(group: str) -> dict[str, str]:
    """Why options of ``group`` that plugins bring cannot be chosen, by name."""
    return {
        option.removeprefix(f"{group}/"): reason
        for folder in config_folders()
        for option, reason in folder.left_out.items()
        if option.startswith(f"{group}/")
    }


class ConfigFiles(FileConfigSource):
    """A folder of configurations; Hydra would pass over some faults and name no file for others."""

    def load_config(self, config_path: str) -> ConfigResult:
        """The option ``config_path``.

        Raises:
            ConfigError: its file cannot be read, is no mapping, or would change nothing.
        """
        name = self._normalize_file_name(config_path)
        path = Path(self.path, name)
        try:
            content = read_yaml(path)
            header = self._get_header_dict(read_text(path)[:512])
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{path} is not written in UTF-8 (byte {error.start}); save it in that encoding"
            ) from error
        except (OSError, ValueError, RecursionError, OmegaConfBaseException, YAMLError) as error:
            reason = " ".join(str(getattr(error, "strerror", None) or error).split())
            raise ConfigError(f"{path} cannot be read: {shortened(reason, 600)}") from error
        if not isinstance(content, DictConfig):
            raise ConfigError(f"{path} holds a list; a configuration maps keys to values")
        if name.lstrip("/").startswith(_EXPERIMENTS) and header.get("package") != _WHOLE:
            raise ConfigError(
                f"{path}: an experiment begins with the line '# @package {_WHOLE}'; without it its "
                "settings would be put aside under `experiment`"
            )
        place = f"{self.scheme()}://{self.path}"
        return ConfigResult(provider=self.provider, path=place, config=content, header=header)


class PluginSource(ConfigFiles):
    """A plugin's folder, as `config_folders` judges what is in it.

    What is hidden is not there for Hydra, which then asks the next folder. What is left out is: who
    chooses it is told why it cannot be. It is in no list, so that sweeps over all options run.
    """

    @staticmethod
    def scheme() -> str:
        """What paths of this kind begin with."""
        return "nasgan-plugin"

    def is_config(self, config_path: str) -> bool:
        """Whether the folder has the option ``config_path``."""
        return super().is_config(config_path) and _option(config_path) not in self._judged.hidden

    def load_config(self, config_path: str) -> ConfigResult:
        """The option ``config_path``.

        Raises:
            PluginError: it is left out.
        """
        option = _option(config_path)
        reason = self._judged.left_out.get(option)
        if reason is not None:
            raise PluginError(f"{option} cannot be chosen: {reason}")
        return super().load_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names in the group ``config_path``; those left out warn."""
        names = []
        for name in super().list(config_path, results_filter):
            option = posixpath.join(config_path, name)
            if option in self._judged.left_out and not self.is_group(option):
                _warn_once(f"{option} is left out: {self._judged.left_out[option]}")
            else:
                names.append(name)
        return names

    @property
    def _judged(self) -> ConfigFolder:
        unknown = ConfigFolder(self.provider, "", Path(self.path))
        return next((f for f in config_folders() if str(f.path) == self.path), unknown)


class PluginConfigs(SearchPathPlugin):
    """Puts the configuration folders of installed plugins on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append every plugin's folder, behind nasgan's own."""
        for folder in config_folders():
            if folder.owner != "nasgan":
                path = f"{PluginSource.scheme()}://{folder.path}"
                search_path.append(provider=folder.owner, path=path)


def register_plugin_configs() -> None:
    """Make Hydra ask `PluginConfigs` and `PluginSource`; registering again changes nothing."""
    for plugin in (PluginConfigs, PluginSource):
        Plugins.instance().register(plugin)


def _option(config_path: str) -> str:
    """``group/option`` for a path as Hydra writes it."""
    return posixpath.normpath(config_path).lstrip("/").removesuffix(".yaml")


@cache
def _warn_once(text: str) -> None:
    _log.warning("%s", text)
