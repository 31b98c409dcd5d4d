"""Configuration files as Hydra reads them, with errors that name the file."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with OmegaConf
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from nasgan.errors import ConfigError, shortened
from nasgan.reading import read_text

__all__ = ["ConfigFiles", "read_yaml"]

_MOST_BYTES = 1_000_000
_MOST_VALUES = 100_000

_EXPERIMENTS = "experiment/"
_WHOLE = "_global_"


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
    return OmegaConf.load(io.StringIO(text))


def _size(node: Any, known: dict[int, float]) -> float:
    """The values that a node stands for; infinitely many where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        pairs = [pair if isinstance(pair, tuple) else (pair,) for pair in inner]
        known[id(node)] = 1 + sum(_size(item, known) for pair in pairs for item in pair)
    return known[id(node)]
