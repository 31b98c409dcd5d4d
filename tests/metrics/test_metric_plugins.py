"""Metrics that packages add: computed from the shared features, imported only when asked for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from built_packages import write_package

from nasgan import registry
from nasgan.data import Splits, load_digits
from nasgan.errors import ConfigError, PluginError, UnknownNameError
from nasgan.metrics import METRICS, MetricError, MetricHarness, MetricSettings, build_harness, table
from nasgan.metrics.extractor import FeatureExtractor, Features, make_features
from nasgan.metrics.table import check_metrics, in_order, least_images, metric_info

Install = Callable[..., None]

COUNT = 200
DRIFT = """
from nasgan.metrics import MetricInfo

def compute(features, reference):
    return (features.features.mean(0) - reference.features.mean(0)).norm()

DRIFT = MetricInfo("drift", "Drift", "max", (0.0, None), least_images=7, compute=compute)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install("drift", source)``: a package whose metric is the attribute in capitals."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def forget() -> None:
        registry.refresh()
        table._plugin_metric.cache_clear()
        table._is_usable.cache_clear()

    def add(name: str, source: str) -> None:
        module = f"{name}_metric"
        points = {registry.METRICS: {name: f"{module}:{name.upper()}"}}
        write_package(tmp_path, name, entry_points=points, files={f"{module}.py": source})
        forget()

    yield add
    monkeypatch.undo()
    forget()
    for module in set(sys.modules) - before:
        if module.endswith("_metric"):
            del sys.modules[module]


@pytest.fixture(scope="module")
def digits() -> Splits:
    return load_digits()


@pytest.fixture(scope="module")
def extractor() -> FeatureExtractor:
    return make_features("digits", device="cpu")


@pytest.fixture
def harness_of(
    digits: Splits, extractor: FeatureExtractor, tmp_path: Path
) -> Callable[..., MetricHarness]:
    def make(*metrics: str) -> MetricHarness:
        return build_harness(
            digits.train, extractor, num_images=COUNT, metrics=metrics, cache_dir=tmp_path / "cache"
        )

    return make


def test_it_is_computed_from_the_features_of_all_metrics(
    install: Install,
    harness_of: Callable[..., MetricHarness],
    digits: Splits,
    extractor: FeatureExtractor,
) -> None:
    install("drift", DRIFT)
    harness = harness_of("fid", "drift")
    assert digits.test is not None
    features = extractor(digits.test.images[:COUNT])
    scores = harness.score(features)
    gap = features.features.double().mean(0) - harness.reference.features.double().mean(0)
    assert list(scores) == ["fid", "drift"]
    assert scores["drift"] == pytest.approx(float(gap.norm()), rel=1e-4)
    assert list(harness.score(features, metrics=["fid"])) == ["fid"]
    assert harness.protocol.id == harness_of("fid").protocol.id


def test_it_is_imported_only_when_it_is_looked_up(install: Install) -> None:
    install("drift", DRIFT)
    assert "drift" in list(METRICS)
    check_metrics(["fid", "kid"])
    assert "drift_metric" not in sys.modules
    assert METRICS["drift"].label == "Drift"
    assert "drift_metric" in sys.modules
    assert len(METRICS) == len(list(METRICS))


def test_settings_take_it_with_its_needs(install: Install) -> None:
    install("drift", DRIFT)
    assert least_images(["fid", "drift"]) == 7
    settings = MetricSettings({"name": "digits"}, 7, ("drift",))
    assert settings.metrics == ("drift",)
    with pytest.raises(ConfigError, match="at least 7 for drift"):
        MetricSettings({"name": "digits"}, 6, ("drift",))
    with pytest.raises(UnknownNameError, match="Did you mean 'drift'"):
        metric_info("drif")


def test_it_cannot_replace_one_of_nasgans(install: Install) -> None:
    install("fid", DRIFT.replace("DRIFT", "FID").replace('"drift"', '"fid"'))
    assert METRICS["fid"].label == "FID"
    assert list(METRICS).count("fid") == 1


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("raise RuntimeError('my fault')", "RuntimeError: my fault"),
        ("DRIFT = 3", "is no nasgan.metrics.MetricInfo"),
        (DRIFT.replace('"drift"', '"other"'), "calls itself 'other'"),
        (DRIFT.replace(", compute=compute", ""), "needs a `compute`"),
        (DRIFT.replace('"max"', '"down"'), "its direction is 'down'"),
    ],
)
def test_a_broken_one_is_named_where_it_is_asked_for_and_unknown_elsewhere(
    install: Install, caplog: pytest.LogCaptureFixture, source: str, complaint: str
) -> None:
    install("drift", source)
    for ask in (lambda: check_metrics(["fid", "drift"]), lambda: metric_info("drift")):
        with pytest.raises(PluginError, match=r"'drift' of the package drift 1\.0") as caught:
            ask()
        assert complaint in str(caught.value)
    with caplog.at_level(logging.WARNING):
        assert "drift" not in METRICS
        assert "drift" not in METRICS
    assert len(caplog.records) == 1
    assert METRICS["fid"].direction == "min"


@pytest.mark.parametrize(
    ("value", "error", "complaint"),
    [
        ("1 / 0", PluginError, "metric 'drift' failed: ZeroDivisionError"),
        ("'much'", PluginError, "metric 'drift' failed: ValueError"),
        ("float('nan')", MetricError, "drift came out as nan"),
    ],
)
def test_a_value_that_is_no_number_stops_the_run_and_names_the_metric(
    install: Install,
    harness_of: Callable[..., MetricHarness],
    digits: Splits,
    extractor: FeatureExtractor,
    value: str,
    error: type[Exception],
    complaint: str,
) -> None:
    install(
        "drift",
        f"{DRIFT}\ndef compute(features, reference):\n    return {value}\n\n"
        'DRIFT = MetricInfo("drift", "Drift", "max", compute=compute)\n',
    )
    harness = harness_of("drift")
    with pytest.raises(error, match=complaint):
        harness.score(extractor(digits.train.images[:COUNT]))


def test_its_random_draws_do_not_move_the_runs_own(
    install: Install,
    harness_of: Callable[..., MetricHarness],
    digits: Splits,
    extractor: FeatureExtractor,
) -> None:
    install("drift", DRIFT.replace("return (", "import torch; return torch.rand(()) + ("))
    harness = harness_of("drift")
    features = extractor(digits.train.images[:COUNT])
    before = torch.get_rng_state()
    first = harness.score(features)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert harness.score(features) == first


def test_names_that_cannot_be_asked_for_are_refused() -> None:
    for name, complaint in {
        "is_std": "it comes with is",
        "fid_per_class": "class-conditional runs have it by themselves",
    }.items():
        with pytest.raises(ConfigError, match=complaint):
            check_metrics(["fid", name])
    with pytest.raises(ConfigError, match="name at least one"):
        check_metrics([])


@pytest.mark.parametrize("shared", ["features.features", "features.logits", "reference.features"])
def test_one_that_changes_what_all_metrics_share_is_stopped(
    install: Install,
    harness_of: Callable[..., MetricHarness],
    digits: Splits,
    extractor: FeatureExtractor,
    shared: str,
) -> None:
    install("drift", DRIFT.replace("    return", f"    {shared}.mul_(2.0)\n    return"))
    assert digits.test is not None
    features = extractor(digits.test.images[:COUNT])
    copied = Features(features.features.clone(), features.logits.clone())
    with pytest.raises(PluginError, match="changes the features"):
        harness_of("drift").score(copied)


def test_names_are_in_the_order_of_the_table_and_unknown_ones_last(install: Install) -> None:
    install("drift", DRIFT)
    assert in_order(["zeta", "drift", "kid", "alpha", "is"]) == [
        "is",
        "kid",
        "drift",
        "alpha",
        "zeta",
    ]


def test_no_package_is_looked_for_to_order_nasgans_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "plugins", None)
    assert in_order(["fid", "is"]) == ["is", "fid"]
