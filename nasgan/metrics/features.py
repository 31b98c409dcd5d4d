"""Make a feature extractor by name; see what is missing without loading any weights."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import torch

from nasgan.errors import ConfigError, UnknownNameError, nearest_names
from nasgan.metrics.extractor import FeatureExtractor, Features

__all__ = ["EXTRACTORS", "FeatureExtractor", "Features", "is_available", "make_features"]

EXTRACTORS: dict[str, tuple[str, str]] = {
    "inceptionv3": ("nasgan.metrics.extractors.inceptionv3", "InceptionV3Features"),
    "lite0": ("nasgan.metrics.extractors.lite0", "Lite0Features"),
    "digits": ("nasgan.metrics.extractors.digits", "DigitsFeatures"),
}
"""Name -> (module, class); a module is imported when its extractor is chosen."""


def make_features(name: str, *, device: torch.device | str, **settings: Any) -> FeatureExtractor:
    """Load a feature extractor with its weights.

    Args:
        name: ``"inceptionv3"``, ``"lite0"`` or ``"digits"``.
        device: where it computes.
        settings: keyword arguments of the extractor's class, e.g. ``batch_size``, ``precision``.

    Raises:
        UnknownNameError: there is no such extractor.
        ConfigError: a setting is unknown or wrong, or the weights are missing or damaged.
        MissingDependencyError: the extractor needs an optional package.
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
    """
    answer: tuple[bool, str] = _load_class(name).availability()
    return answer


def _load_class(name: str) -> Any:
    if name not in EXTRACTORS:
        raise UnknownNameError("feature extractor", name, EXTRACTORS)
    module, attribute = EXTRACTORS[name]
    return getattr(importlib.import_module(module), attribute)
