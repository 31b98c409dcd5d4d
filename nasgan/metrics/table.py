"""The `metrics` part of a configuration: scores, which way each points; imports nothing heavy.

A package adds its own as a `MetricInfo` with a ``compute``, registered under ``nasgan.metrics``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from nasgan import registry
from nasgan.errors import ConfigError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from nasgan.metrics.extractor import FeatureExtractor, Features
    from nasgan.metrics.reference import ReferenceStatistics

__all__ = [
    "CLASS_METRICS",
    "COMPUTED_METRICS",
    "METRICS",
    "SIZES",
    "MetricInfo",
    "MetricSettings",
    "Scores",
    "check_metrics",
    "in_order",
    "least_images",
    "metric_info",
    "objective_info",
    "too_few_images",
]

_log = logging.getLogger(__name__)

# How far a score may lie outside its bounds: exp(0) of a sum of logarithms is not always 1.
_ROUNDING = 1e-6

Compute: TypeAlias = "Callable[[Features, ReferenceStatistics], float]"


@dataclass(frozen=True)
class MetricInfo:
    """One score.

    Attributes:
        name: key in records and tables.
        label: how it is written for a reader, without the qualifier that names its features
            (see `nasgan.metrics.protocol.display_name`).
        direction: whether a smaller or a larger value is better.
        bounds: the values it can take, ``None`` where there is no bound.
        companion_of: for a spread, the score that it belongs to.
        least_images: generated images that it needs with the usual settings (one for each of ten
            splits, more than three neighbours); where it is made class by class, of each class.
        least_real_images: real images that it needs with the usual settings.
        by_class: whether it is made class by class, for class-conditional generators only.
        compute: of a plugin's metric: gives its value from the features of the generated images
            and from those of the real ones, both on one device; None for nasgan's own.
    """

    name: str
    label: str
    direction: Literal["min", "max"]
    bounds: tuple[float | None, float | None] = (None, None)
    companion_of: str | None = None
    least_images: int = 2
    least_real_images: int = 2
    by_class: bool = False
    compute: Compute | None = field(default=None, repr=False)

    def better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better ``than`` another one."""
        return value < than if self.direction == "min" else value > than

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies within `bounds`, but for rounding."""
        low, high = self.bounds
        return (low is None or value >= low - _ROUNDING) and (
            high is None or value <= high + _ROUNDING
        )

    @property
    def range(self) -> str:
        """`bounds` in words: ``"from 0 to 1"``, ``"at least 1"``."""
        low, high = self.bounds
        if low is not None and high is not None:
            return f"from {low:g} to {high:g}"
        return f"at least {low:g}" if low is not None else f"at most {high:g}"


_OWN: Final[dict[str, MetricInfo]] = {
    info.name: info
    for info in (
        MetricInfo("is", "IS", "max", (1.0, None), least_images=10),
        MetricInfo("is_std", "IS std", "min", (0.0, None), companion_of="is"),
        MetricInfo("fid", "FID", "min", (0.0, None)),
        MetricInfo("fid_per_class", "Intra-FID", "min", (0.0, None), by_class=True),
        MetricInfo("kid", "KID", "min"),  # unbiased, so slightly negative for equal distributions
        MetricInfo("kid_std", "KID std", "min", (0.0, None), companion_of="kid"),
        MetricInfo("precision", "Precision", "max", (0.0, 1.0), least_real_images=4),
        MetricInfo("recall", "Recall", "max", (0.0, 1.0), least_images=4),
        MetricInfo("density", "Density", "max", (0.0, None), least_real_images=6),
        MetricInfo("coverage", "Coverage", "max", (0.0, 1.0), least_real_images=6),
    )
}


class _Metrics(Mapping[str, MetricInfo]):
    """nasgan's metrics, then those of plugins, each imported when it is looked up."""

    def __getitem__(self, name: str) -> MetricInfo:
        return _OWN[name] if name in _OWN else _plugin_metric(name)

    def __contains__(self, name: object) -> bool:
        """Whether it can be used: records may hold scores of a plugin that is broken by now."""
        return name in _OWN or (isinstance(name, str) and _is_usable(name))

    def __iter__(self) -> Iterator[str]:
        yield from _OWN
        brought = {plugin.name for plugin in registry.plugins(registry.METRICS)}
        yield from sorted(brought - set(_OWN))

    def __len__(self) -> int:
        return sum(1 for _ in self)


METRICS: Final[Mapping[str, MetricInfo]] = _Metrics()
"""All metrics by name. Only a look-up by name imports a plugin; going over the names does not."""


def in_order(names: Iterable[str]) -> list[str]:
    """``names`` in the order of `METRICS`, unknown ones last; plugins are looked for if need be."""
    present = set(names)
    others = present - _OWN.keys()
    brought = {plugin.name for plugin in registry.plugins(registry.METRICS)} if others else set()
    own = [name for name in _OWN if name in present]
    return [*own, *sorted(others & brought), *sorted(others - brought)]


COMPUTED_METRICS: Final[tuple[str, ...]] = tuple(
    name for name, info in _OWN.items() if info.companion_of is None and not info.by_class
)
"""nasgan's own that can be asked for; a companion (a spread) comes with its metric."""

CLASS_METRICS: Final[tuple[str, ...]] = tuple(name for name, info in _OWN.items() if info.by_class)
"""The metrics that a class-conditional generator gets beside those that are asked for."""


SIZES: Final[Mapping[str, MetricInfo]] = {
    info.name: info
    for info in (
        MetricInfo("parameters", "Parameters G", "min", (0.0, None)),
        MetricInfo("macs", "MACs G", "min", (0.0, None)),
    )
}
"""What the generator itself measures: trainable values, and multiply-adds for one image.

No scores of images, so no run has them among its metrics; a search may have them as objectives.
"""


class Scores(dict[str, float]):
    """Score by name, in the order of `METRICS`.

    Attributes:
        per_class: for a score that is a mean over the classes (``fid_per_class``), the value of
            each class, by the name of what was computed (``fid``).
    """

    per_class: dict[str, list[float]]

    def __init__(
        self, scores: dict[str, float], per_class: dict[str, list[float]] | None = None
    ) -> None:
        super().__init__({name: scores[name] for name in METRICS if name in scores})
        self.per_class = per_class or {}


def least_images(metrics: Iterable[str], num_classes: int = 0) -> int:
    """The generated images that all of ``metrics`` can be computed from.

    Args:
        metrics: names.
        num_classes: of the generator; each class is drawn equally often.
    """
    infos = [METRICS[name] for name in metrics]
    return max(
        (info.least_images * (num_classes if info.by_class else 1) for info in infos), default=2
    )


def too_few_images(
    metrics: Iterable[str], num_images: int, what: str, *, real: bool = False
) -> str:
    """Which scores ``num_images`` are too few for, in words; empty if they are enough for all.

    Args:
        metrics: names; those made class by class are left out.
        num_images: the number.
        what: names the images in the words: ``"test images"``.
        real: whether they are what generated images are held against.
    """
    least = {
        name: METRICS[name].least_real_images if real else METRICS[name].least_images
        for name in metrics
        if not METRICS[name].by_class
    }
    short = [f"{name} (at least {needed})" for name, needed in least.items() if num_images < needed]
    return f"the {num_images} {what} are too few for {', '.join(short)}" if short else ""


def metric_info(name: str) -> MetricInfo:
    """The metric called ``name``.

    Args:
        name: nasgan's or a plugin's.

    Raises:
        UnknownNameError: there is none; lists the nearest.
        PluginError: the package that brings it is broken.
    """
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownNameError("metric", name, METRICS) from None


def objective_info(name: str) -> MetricInfo:
    """The objective called ``name``: a metric, or a size of the generator.

    Raises:
        UnknownNameError: there is none; lists the nearest.
        PluginError: the package that brings it is broken.
    """
    if name in SIZES:
        return SIZES[name]
    try:
        return METRICS[name]
    except KeyError:
        raise UnknownNameError("objective", name, [*METRICS, *SIZES]) from None


def check_metrics(names: Iterable[str]) -> None:
    """Refuse names that cannot be asked for.

    Raises:
        ConfigError: nothing is named, a metric is unknown, or it comes by itself.
        PluginError: the package that brings it is broken.
    """
    names = tuple(names)
    if not names:
        raise ConfigError("metrics.metrics is empty: name at least one, for example 'fid'")
    for name in names:
        info = metric_info(name)
        if info.by_class:
            raise ConfigError(
                f"leave {name} out of metrics.metrics: class-conditional runs have it by "
                "themselves, others cannot have it"
            )
        if info.companion_of is not None:
            raise ConfigError(
                f"leave {name} out of metrics.metrics: it comes with {info.companion_of}"
            )


@cache
def _plugin_metric(name: str) -> MetricInfo:
    if all(plugin.name != name for plugin in registry.plugins(registry.METRICS)):
        raise KeyError(name)
    loaded = registry.load_plugin(registry.METRICS, name)
    plugin = registry.find_plugin(registry.METRICS, name)
    by = f"metric {name!r} of the package {plugin.distribution} {plugin.version}"
    if not isinstance(loaded, MetricInfo):
        raise PluginError(f"{by}: {plugin.value!r} is no nasgan.metrics.MetricInfo")
    if loaded.name != name:
        raise PluginError(f"{by} calls itself {loaded.name!r}: both names have to be the same")
    if loaded.direction not in ("min", "max"):
        raise PluginError(f"{by}: its direction is {loaded.direction!r}, neither 'min' nor 'max'")
    if loaded.compute is None or loaded.by_class or loaded.companion_of is not None:
        raise PluginError(f"{by} needs a `compute`, and neither `by_class` nor `companion_of`")
    return loaded


@cache  # one warning for each broken plugin
def _is_usable(name: str) -> bool:
    try:
        _plugin_metric(name)
    except KeyError:
        return False
    except PluginError as error:
        _log.warning("%s; its scores are shown without their direction", error)
        return False
    return True


@dataclass(frozen=True)
class MetricSettings:
    """Which features and which scores.

    Attributes:
        features: ``name`` of the extractor and its settings, see `nasgan.metrics.make_features`.
        num_images: generated images of an evaluation under the protocol.
        metrics: names of the scores, nasgan's or a plugin's; those by class come by themselves
            where there are classes.

    Raises:
        ConfigError: no name, an unknown score, or too few images for the scores.
        PluginError: the package that brings a score is broken.
    """

    features: Mapping[str, Any]
    num_images: int
    metrics: tuple[str, ...] = COMPUTED_METRICS

    def __post_init__(self) -> None:
        if not isinstance(self.features.get("name"), str):
            raise ConfigError("metrics.features.name must name a feature extractor")
        check_metrics(self.metrics)
        least = least_images(self.metrics)
        if self.num_images < least:
            raise ConfigError(
                f"metrics.num_images must be at least {least} for {', '.join(self.metrics)}, got "
                f"{self.num_images}"
            )

    def make_extractor(self, device: Any) -> FeatureExtractor:
        """Load the extractor on ``device``; see `nasgan.metrics.make_features`."""
        from nasgan.metrics.extractor import make_features

        settings = {key: value for key, value in self.features.items() if key != "name"}
        return make_features(self.features["name"], device=device, **settings)
