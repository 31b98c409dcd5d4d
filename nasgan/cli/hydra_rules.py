"""What Hydra calls itself, held to its type first: a configuration names no function to run.

Hydra makes launchers, sweepers, callbacks and log handlers of what a configuration names, and has
no place to say which may be named. While a verb runs, all that it composes passes through here.
"""

from __future__ import annotations

import logging.handlers
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra._internal.hydra
import hydra.core.utils
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log as _configure_log
from hydra.experimental.callback import Callback
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from nasgan.cli.config_folders import package_folder
from nasgan.cli.config_options import ConfigFiles
from nasgan.errors import ConfigError, quoted
from nasgan.nodes import TARGET, check_node

__all__ = ["PackageSource", "check_hydra", "check_logging", "guard_hydra"]

_OWN_LOGGING = (
    "nasgan.cli.console.ConsoleHandler",
    "nasgan.cli.console.LogFile",
    "nasgan.cli.console.ShortFormatter",
    "nasgan.cli.console.Without",
)
_LOGGING_BASES = (logging.Handler, logging.Formatter, logging.Filter)
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
# Hydra asks whether there is such a folder.
_NOWHERE = str(Path(os.devnull, "nowhere"))
_composed = Hydra.compose_config
_registered = SourcesRegistry.register


def guard_hydra() -> Callable[[], None]:
    """Let Hydra check what it composes, and find packages without importing them.

    Returns:
        What puts everything back as it was.
    """
    sources = SourcesRegistry.instance().types
    # A process that a launcher has just started has not looked for plugins yet.
    names: tuple[str, ...] = ("pkg", "file")
    before = {name: sources[name] for name in names if name in sources}
    sources |= {"pkg": PackageSource, "file": ConfigFiles}
    SourcesRegistry.register = _register  # type: ignore[method-assign,assignment]
    Hydra.compose_config = _compose_config  # type: ignore[method-assign]
    for module in (hydra.core.utils, hydra._internal.hydra):
        vars(module)["configure_log"] = _configure_checked_log

    def undo() -> None:
        sources.update(before)
        SourcesRegistry.register = _registered  # type: ignore[method-assign]
        Hydra.compose_config = _composed  # type: ignore[method-assign]
        for module in (hydra.core.utils, hydra._internal.hydra):
            vars(module)["configure_log"] = _configure_log

    return undo


def _register(self: SourcesRegistry, source: type[ConfigSource]) -> None:
    """As Hydra's, which may look for its plugins again meanwhile: what stands there stays."""
    if self.types.get(source.scheme()) not in (PackageSource, ConfigFiles):
        _registered(self, source)


def _compose_config(self: Hydra, *arguments: Any, **named: Any) -> DictConfig:
    config = _composed(self, *arguments, **named)
    check_hydra(config.hydra)
    return config


def _configure_checked_log(log_config: Any, verbose_config: Any = False) -> None:
    """Each job of a sweep brings its own: an option of one may hold what the sweep does not."""
    check_logging(log_config, "hydra.job_logging or hydra.hydra_logging")
    _configure_log(log_config, verbose_config)


def check_hydra(settings: Any) -> None:
    """Refuse what Hydra would call without being what it has to be.

    Args:
        settings: Hydra's own part of a composed configuration.

    Raises:
        ConfigError: a callback, launcher, sweeper or part of the logging is something else.
        PluginError: the module of a callback cannot be imported.
    """
    for name, node in _items(_plain(settings.callbacks)):
        where = f"hydra.callbacks.{name}"
        check_node(node if isinstance(node, Mapping) else {}, where=where, base=Callback)
        _refuse_inner(node, where)
    _check_plugin(_plain(settings.launcher), "hydra.launcher", Launcher)
    _check_plugin(_plain(settings.sweeper), "hydra.sweeper", Sweeper)
    check_logging(settings.job_logging, "hydra.job_logging")
    check_logging(settings.hydra_logging, "hydra.hydra_logging")


def check_logging(config: Any, where: str) -> None:
    """Refuse handlers, formatters and filters that are not logging's own or nasgan's.

    Raises:
        ConfigError: a class or factory is another, or a text would be imported as an object.
    """
    for path, key, value in _leaves(_plain(config), where):
        if key in ("()", "class") and not _is_of_logging(value):
            raise ConfigError(
                f"{path}={quoted(value)} is refused: a handler, formatter or filter is one of "
                "Python's logging (logging.StreamHandler, logging.handlers.SysLogHandler, ...)"
            )
        # `logging.config` would look up an object under such a text.
        if str(value).startswith(("ext://", "cfg://")) and value not in _STREAMS:
            raise ConfigError(
                f"{path}={quoted(value)} is refused: of objects, {' and '.join(_STREAMS)} may be "
                "named"
            )


def _is_of_logging(path: Any) -> bool:
    if path in _OWN_LOGGING:
        return True
    module, _, name = str(path).rpartition(".")
    owner = {"logging": logging, "logging.handlers": logging.handlers}.get(module)
    found = vars(owner).get(name) if owner is not None else None
    # A queue's handler makes a queue and a listener of whatever it is told.
    is_open = found is logging.handlers.QueueHandler
    return isinstance(found, type) and issubclass(found, _LOGGING_BASES) and not is_open


def _check_plugin(node: Any, where: str, base: type) -> None:
    if node is None:
        return
    target = node.get(TARGET) if isinstance(node, Mapping) else None
    found = Plugins.instance().class_name_to_class.get(str(target))
    if found is None or not issubclass(found, base):
        raise ConfigError(
            f"{where}.{TARGET}={quoted(target)} is refused: it is no {base.__name__.lower()} of an "
            f"installed plugin of Hydra; choose one with {where.replace('.', '/')}=NAME"
        )
    _refuse_inner(node, where)


def _refuse_inner(node: Any, where: str) -> None:
    """Refuse targets within a node, which Hydra would call with no regard to their types."""
    for path, key, value in _leaves(node, where):
        if key == TARGET and path != f"{where}.{TARGET}":
            raise ConfigError(f"{path}={quoted(value)} is refused: {where} alone has a {TARGET}")


def _leaves(node: Any, where: str) -> Iterator[tuple[str, str, Any]]:
    """Each value that is no mapping or list, with its path and the last key of it."""
    for key, value in _items(node):
        path = f"{where}.{key}"
        if isinstance(value, Mapping | list):
            if key in (TARGET, "()", "class"):
                yield path, key, value
            yield from _leaves(value, path)
        else:
            yield path, key, value


def _items(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, Mapping):
        return [(str(key), value) for key, value in node.items()]
    return [(str(i), value) for i, value in enumerate(node)] if isinstance(node, list) else []


def _plain(node: Any) -> Any:
    """``node`` with references resolved, where they lead somewhere already; None elsewhere."""
    is_mapping = isinstance(node, DictConfig | Mapping)
    if isinstance(node, str) or not (is_mapping or isinstance(node, ListConfig | Sequence)):
        return node
    found: dict[str, Any] = {}
    for key in node if is_mapping else range(len(node)):
        found[str(key)] = None
        # What is not known before a job runs: its folder, its number.
        with suppress(InterpolationToMissingValueError, MissingMandatoryValue):
            found[str(key)] = _plain(node[key])
    return found if is_mapping else list(found.values())


class PackageSource(ConfigSource):
    """Configurations in a Python package, which is found and not imported: ``pkg://PACKAGE``."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self.path = self.path.replace("/", ".").strip(".")
        folder = None
        with suppress(ImportError, ValueError):
            folder = package_folder(self.path)
        self._files = ConfigFiles(provider, str(folder or _NOWHERE))

    @staticmethod
    def scheme() -> str:
        """What paths of this kind begin with."""
        return "pkg"

    def load_config(self, config_path: str) -> ConfigResult:
        """See `ConfigSource.load_config`."""
        return self._files.load_config(config_path)

    def available(self) -> bool:
        """Whether there is such a package."""
        return self._files.available()

    def is_group(self, config_path: str) -> bool:
        """See `ConfigSource.is_group`."""
        return self._files.is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """See `ConfigSource.is_config`."""
        return self._files.is_config(config_path)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """See `ConfigSource.list`."""
        return self._files.list(config_path, results_filter)
