"""An evaluator that names its own scores: they are called so, and the search goes by them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nasgan.contracts import (
    Architecture,
    Cost,
    Evaluation,
    EvaluationTask,
    Evaluator,
    Objective,
    Proposal,
)
from nasgan.engine import run_config
from nasgan.engine.summary import proxy_lines
from nasgan.errors import PluginError
from nasgan.networks.cost import count_parameters
from nasgan.report.page import build_report
from nasgan.runs.history import read_history
from nasgan.runs.proxy import is_of_its_points, proxy_correlation
from nasgan.runs.record import RunRecord

Tiny = Callable[..., dict[str, Any]]


class SizeEvaluator(Evaluator):
    """A proxy: the generator's number of parameters, more is better."""

    fidelity = "size"
    objective: Objective | None = Objective("parameters", "max")

    def begin(self, *proposals: Proposal) -> EvaluationTask:
        return SizeTask(self, proposals[0].architecture)


class SizeTask(EvaluationTask):
    def __init__(self, evaluator: SizeEvaluator, architecture: Architecture) -> None:
        self.evaluator, self.architecture = evaluator, architecture
        self.result_: Evaluation | None = None

    def advance(self) -> None:
        run, cost = self.evaluator.run, Cost(architectures=1)
        run.ledger.allow("architectures", 1)
        size = count_parameters(run.space.build_generator(self.architecture))
        run.ledger.charge(cost)
        self.result_ = Evaluation(
            self.architecture, {"parameters": size}, size, self.evaluator.fidelity, cost=cost
        )

    @property
    def results(self) -> tuple[Evaluation] | None:
        return None if self.result_ is None else (self.result_,)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


@pytest.fixture
def by(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[SizeEvaluator]], None]:
    """``by(Class)``: runs score by it."""

    def use(kind: type[SizeEvaluator]) -> None:
        monkeypatch.setattr("nasgan.engine.parts.make_evaluator", lambda config: kind())

    return use


def test_a_proxy_s_scores_have_their_own_name_in_record_log_and_report(
    tiny: Tiny,
    tmp_path: Path,
    by: Callable[[type[SizeEvaluator]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    by(SizeEvaluator)
    caplog.set_level(logging.INFO, logger="nasgan.run")
    config = tiny(
        "search", "strategy=random_scratch", "final.top_k=2", "final.random_architectures=0"
    )
    run_config(config, tmp_path / "run")
    record = RunRecord.read(tmp_path / "run" / "record.json")
    assert record.strategy == "random_size", "not random_scratch: it trained nothing"
    assert record.objective == {"metric": "fid", "direction": "min"}
    assert record.search_objective == {"metric": "parameters", "direction": "max"}
    assert record.search_metric == "parameters"
    lines = read_history(tmp_path / "run" / "history.jsonl")
    scored = {
        line["architecture"]["id"]: line["score"]
        for line in lines
        if line["kind"] == "evaluation" and line["phase"] == "search"
    }
    best = sorted(scored, key=lambda name: -scored[name])[:2]
    assert [f["architecture"]["id"] for f in record.finalists] == best, "more is better"
    assert f"finalists {best[0]} (parameters " in caplog.text
    assert record.metrics is not None
    assert "fid" in record.metrics
    proxy = record.proxy_correlation
    assert proxy is not None
    assert (proxy["metric"], proxy["search_metric"], proxy["opposed"]) == (
        "fid",
        "parameters",
        True,
    )
    page = build_report([tmp_path / "run"]).html
    assert "parameters ↑" in page
    assert "parameters in the search" in page
    assert "FID (digits) in the search" not in page


def test_a_proxy_s_correlation_is_positive_where_it_foretells_the_metric() -> None:
    searched = {"a": {("size", 0): 1.0}, "b": {("size", 0): 2.0}, "c": {("size", 0): 5.0}}
    final = {"a": 30.0, "b": 20.0, "c": 10.0}
    made = proxy_correlation(searched, final, "fid", search_metric="parameters", opposed=True)
    assert made is not None
    assert (made["spearman"], made["kendall"]) == (1.0, 1.0)
    assert is_of_its_points(made)
    assert not is_of_its_points({**made, "opposed": False})
    (line,) = proxy_lines(made, "digits-train-64-digits-v1")
    assert line.startswith("parameters in the search against FID (digits) after training: ")
    plain = proxy_correlation(searched, final, "fid")
    assert plain is not None
    assert plain["spearman"] == -1.0
    assert "search_metric" not in plain


class Unnamed(SizeEvaluator):
    objective = None


def test_a_score_that_is_not_the_objective_needs_a_name(
    tiny: Tiny, tmp_path: Path, by: Callable[[type[SizeEvaluator]], None]
) -> None:
    by(Unnamed)
    with pytest.raises(
        PluginError, match=r"Unnamed: Evaluation.score is \d+.*objective = Objective"
    ):
        run_config(tiny("search", "strategy=random_scratch"), tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"objective": "parameters"}, r"`objective` is 'parameters' \(str\)"),
        ({"objective": Objective("parameters", "up")}, "`objective` is .*'min'"),  # type: ignore[arg-type]
        ({"objective": Objective("", "min")}, "`objective` is "),
        ({"fidelity": ""}, "`fidelity` is ''"),
        ({"fidelity": None}, "`fidelity` is None"),
        ({"fidelity": "two words"}, "`fidelity` is .* in one word"),
        ({"fidelity": "scratch"}, "`fidelity` is 'scratch', the name of an evaluator of nasgan"),
        ({"fidelity": "shared"}, "`fidelity` is 'shared', the name of an evaluator of nasgan"),
        ({"fidelity": "final"}, "`fidelity` is 'final', the name of an evaluator of nasgan"),
    ],
)
def test_an_evaluator_that_names_itself_wrongly_is_refused_at_once(
    tiny: Tiny,
    tmp_path: Path,
    by: Callable[[type[SizeEvaluator]], None],
    changes: dict[str, Any],
    complaint: str,
) -> None:
    by(type("Wrong", (SizeEvaluator,), changes))
    with pytest.raises(PluginError, match=f"Wrong: {complaint}"):
        run_config(tiny("search", "strategy=random_scratch"), tmp_path)


def test_records_with_a_wrong_proxy_are_refused(tmp_path: Path) -> None:
    from nasgan.errors import ConfigError
    from nasgan.runs.proxy import ProxyCorrelation
    from nasgan.schema import check

    made = proxy_correlation(
        {"a": {("size", 0): 1.0}, "b": {("size", 0): 2.0}},
        {"a": 2.0, "b": 1.0},
        "fid",
        search_metric="parameters",
        opposed=True,
    )
    check(ProxyCorrelation, made, "proxy")
    assert made is not None
    for wrong in ({"opposed": 1}, {"search_metric": None}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            check(ProxyCorrelation, {**made, **wrong}, "proxy")
    made.pop("opposed")
    with pytest.raises(ConfigError, match="lacks opposed"):
        check(ProxyCorrelation, made, "proxy")
