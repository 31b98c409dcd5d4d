"""Configuration files as Hydra reads them, with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # comes with OmegaConf

from nasgan.cli.yaml_files import read_yaml
from nasgan.errors import ConfigError, shortened
from nasgan.reading import read_text

__all__ = ["ConfigFiles"]

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
