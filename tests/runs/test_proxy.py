from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from record_samples import record

from nasgan.errors import ConfigError
from nasgan.runs.proxy import proxy_correlation, rank_correlations
from nasgan.runs.record import RunRecord

SHARED = ("shared", 0)


def spearman(first: list[float], second: list[float]) -> float:
    """Pearson's correlation of the mean ranks, in plain float64."""

    def ranks(values: list[float]) -> list[float]:
        return [sum(b < a for b in values) + (1 + sum(b == a for b in values)) / 2 for a in values]

    x, y = ranks(first), ranks(second)
    mean = (len(x) + 1) / 2
    products = sum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True))
    return products / math.sqrt(sum((a - mean) ** 2 for a in x) * sum((b - mean) ** 2 for b in y))


def kendall(first: list[float], second: list[float]) -> float:
    """Tau-b, by counting all pairs."""
    agreement = untied_first = untied_second = 0
    for (a, b), (c, d) in combinations(zip(first, second, strict=True), 2):
        sign_first, sign_second = (a > c) - (a < c), (b > d) - (b < d)
        agreement += sign_first * sign_second
        untied_first += sign_first != 0
        untied_second += sign_second != 0
    return agreement / math.sqrt(untied_first * untied_second)


@pytest.mark.parametrize("count", [3, 4, 7, 30, 101])
@pytest.mark.parametrize("levels", [0, 2, 5])
def test_the_correlations_are_those_of_independent_formulas(count: int, levels: int) -> None:
    rng = random.Random(f"{count}/{levels}")

    def draw() -> list[float]:
        values = [rng.random() for _ in range(count)]
        return [round(value * levels) / levels for value in values] if levels else values

    for _ in range(10):
        first, second = draw(), draw()
        found = rank_correlations(first, second)
        if len(set(first)) == 1 or len(set(second)) == 1:
            assert found == (None, None)
        else:
            wanted = (spearman(first, second), kendall(first, second))
            assert found == pytest.approx(wanted, abs=1e-12)


def test_a_known_value_by_hand() -> None:
    # One swap of neighbours in four: rho = 1 - 6 * 2 / (4 * 15), tau = (5 - 1) / 6.
    assert rank_correlations([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx((0.8, 2 / 3))


def test_what_is_undefined_is_none() -> None:
    assert rank_correlations([], []) == (None, None)
    assert rank_correlations([1.0, 2.0], [1.0, 2.0]) == (None, None)
    assert rank_correlations([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == (None, None)
    assert rank_correlations([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]) == (None, None)
    with pytest.raises(ValueError, match="paired"):
        rank_correlations([1.0], [])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_positive_correlation_means_the_same_order_whichever_direction_is_better(
    sign: int,
) -> None:
    searched = {name: {SHARED: sign * k * 1.0} for k, name in enumerate("abcd")}
    final = {name: sign * (100.0 + k) for k, name in enumerate("abcd")}
    found = proxy_correlation(searched, final, "fid")
    assert found is not None
    assert (found["spearman"], found["kendall"]) == pytest.approx((1.0, 1.0))


def test_the_points_are_of_those_that_have_both_scores() -> None:
    searched = {"a": {SHARED: 1.0}, "b": {SHARED: 2.0}, "c": {SHARED: math.nan}, "e": {SHARED: 4.0}}
    found = proxy_correlation(searched, {"b": 20.0, "c": 5.0, "a": 10.0, "d": 3.0}, "fid")
    assert found == {
        "metric": "fid",
        "fidelity": "shared",
        "generator_steps": 0,
        "n": 2,
        "spearman": None,
        "kendall": None,
        "points": [
            {"architecture": "b", "search": 2.0, "final": 20.0},
            {"architecture": "a", "search": 1.0, "final": 10.0},
        ],
    }


def test_there_is_none_of_fewer_than_two_architectures() -> None:
    assert proxy_correlation({}, {"a": 1.0, "b": 2.0}, "fid") is None
    assert proxy_correlation({"a": {SHARED: 1.0}}, {"a": 1.0, "b": 2.0}, "fid") is None
    assert proxy_correlation({"a": {SHARED: 1.0}, "b": {SHARED: 1.0}}, {}, "fid") is None


def test_scores_of_different_lengths_of_training_are_not_mixed() -> None:
    # Successive halving: all trained 100 steps, the better ones 300, the best 900.
    lengths = {"a": (100, 300, 900), "b": (100, 300), "c": (100, 300), "d": (100,)}
    searched = {
        name: {("scratch", steps): float(steps + k) for steps in reached}
        for k, (name, reached) in enumerate(lengths.items())
    }
    final = dict.fromkeys("abcd", 1.0)
    everything = proxy_correlation(searched, final, "fid")
    assert everything is not None
    assert (everything["n"], everything["generator_steps"]) == (4, 100)
    del final["d"]
    longest_of_all = proxy_correlation(searched, final, "fid")
    assert longest_of_all is not None
    assert (longest_of_all["n"], longest_of_all["generator_steps"]) == (3, 300)
    assert [point["search"] for point in longest_of_all["points"]] == [300.0, 301.0, 302.0]


def proxy() -> dict[str, object]:
    searched = {name: {SHARED: float(k)} for k, name in enumerate("abc")}
    found = proxy_correlation(searched, {"a": 3.0, "b": 1.0, "c": 2.0}, "fid")
    assert found is not None
    return found


def test_a_record_keeps_it_and_older_records_lack_it(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    record(proxy_correlation=proxy()).write(file)
    assert RunRecord.read(file).proxy_correlation == proxy()
    data = record().to_json()
    del data["proxy_correlation"]
    assert RunRecord.from_json(data).proxy_correlation is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 2}, r"proxy_correlation\.n must be the number of its points"),
        ({"spearman": "0.5"}, r"proxy_correlation\.spearman"),
        ({"kendall": -1.5}, r"proxy_correlation\.kendall"),
        ({"points": [{"architecture": "a", "search": 1.0}]}, r"points\[0\] lacks final"),
        ({"colour": "red"}, "unknown colour"),
    ],
)
def test_a_wrong_one_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        record(proxy_correlation={**proxy(), **changes})


def test_reading_records_imports_no_scipy(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(record(proxy_correlation=proxy()).to_json()))
    program = (
        f"import sys; from nasgan.runs.record import RunRecord; RunRecord.read({str(file)!r}); "
        "assert not {'scipy', 'torch', 'pandas'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_scores_that_are_not_finite_have_no_correlation() -> None:
    with pytest.raises(ValueError, match="not finite"):
        rank_correlations([1.0, 2.0, 3.0, float("nan")], [1.0, 2.0, 3.0, 4.0])
