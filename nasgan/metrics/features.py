"""Make a feature extractor by name; see what is missing without loading any weights."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from nasgan.errors import ConfigError, PluginError, nearest_names
from nasgan.metrics.extractor import FeatureExtractor, Features
from nasgan.registry import EXTRACTORS, load_plugin

__all__ = ["FeatureExtractor", "Features", "is_available", "make_features"]


def make_features(name: str, *, device: torch.device | str, **settings: Any) -> FeatureExtractor:
    """Load a feature extractor with its weights.

    Args:
        name: ``"inceptionv3"``, ``"lite0"``, ``"digits"``, or a plugin's.
        device: where it computes.
        settings: keyword arguments of the extractor's class, e.g. ``batch_size``, ``precision``.

    Raises:
        UnknownNameError: there is no such extractor.
        ConfigError: a setting is unknown or wrong, or the weights are missing or damaged.
        MissingDependencyError: the extractor needs an optional package.
        PluginError: the package that brings the extractor is broken.
    """
    extractor = _load_class(name)
    known = [
        p for p in inspect.signature(extractor).parameters if p not in ("self", "device", "kwargs")
    ]
    for setting in settings:
        if setting not in known:
            near = nearest_names(setting, known)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"the {name} features have no setting {setting!r}.{hint} Known: {', '.join(known)}."
            )
    made: FeatureExtractor = extractor(device=device, **settings)
    return made


def is_available(name: str) -> tuple[bool, str]:
    """Whether an extractor's weights and packages are here, and how to get them if not.

    No weights are loaded and nothing is downloaded.

    Returns:
        (True, where the weights are) or (False, what to do).

    Raises:
        UnknownNameError: there is no such extractor.
        PluginError: the package that brings the extractor is broken.
    """
    return _load_class(name).availability()


def _load_class(name: str) -> type[FeatureExtractor]:
    made = load_plugin(EXTRACTORS, name)
    if not (isinstance(made, type) and issubclass(made, FeatureExtractor)):
        raise PluginError(f"feature extractor {name!r} is registered as {made!r}")
    if made.name != name:
        raise PluginError(
            f"feature extractor {name!r}: the class {made.__module__}.{made.__qualname__} calls "
            f"itself {made.name!r}; protocol ids hold the name: it has to be the entry point's"
        )
    return made
