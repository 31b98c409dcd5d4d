"""The promise of the design: every strategy in every space, unconditional and conditional."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from nasgan.architecture import Architecture
from nasgan.cli.main import main
from nasgan.evaluation.zero_cost import PROXIES
from nasgan.factory import make_search_space
from nasgan.runs.history import HISTORY_FILE, read_history

STRATEGIES = ("random", "random_scratch", "rl", "adversarial")
SPACES = ("agan", "autogan", "adversarial_nas")


# What is trained makes no difference here, so it is as little as can be.
TINY = (
    *("+experiment=debug/tiny", "progress=false", "threads=1", "device=cpu"),
    *("trainer.n_critic=1", "trainer.generator_batch_size=4", "trainer.discriminator_batch_size=4"),
    *("dataset.suggested.generator_steps=2", "dataset.suggested.eval_every=1"),
    *("dataset.suggested.candidate_steps=2", "dataset.suggested.candidate_min_steps=1"),
    *("dataset.suggested.search_images=20", "metrics.num_images=32"),
    *("final.random_architectures=0", "budget.generator_steps=4", "budget.architectures=3"),
)

# Of the gradient of the gap: one short round, or it would take ten times as long as the others.
LATER = {
    "alphagan": [
        *("strategy.rounds=1", "strategy.weight_steps=1"),
        *("strategy.inner_steps=1", "strategy.architecture_steps=1"),
    ],
    "e2gan": [],
}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", list(LATER))
def test_later_strategies_run_in_every_space_by_the_same_command(
    strategy: str, tmp_path: Path
) -> None:
    code = main(
        [
            *("search", "-m", f"output_root={tmp_path}", *TINY, *LATER[strategy]),
            *(f"strategy={strategy}", "final.top_k=0"),
            f"search_space={','.join(SPACES)}",
            "conditional=false,true",
        ]
    )
    assert code == 0
    records = [json.loads(file.read_text()) for file in tmp_path.rglob("record.json")]
    found = {(made["search_space"], made["space_settings"]["num_classes"]) for made in records}
    assert found == set(product(SPACES, (0, 10)))
    for record in records:
        assert record["strategy"] == strategy
        assert record["status"] == "completed"
        assert 0 < record["cost"]["search"]["generator_steps"] <= 4


@pytest.mark.slow
def test_zero_cost_proxies_score_in_every_space(tmp_path: Path) -> None:
    code = main(
        [
            *("search", "-m", f"output_root={tmp_path}", *TINY, "evaluator=zero_cost"),
            *("evaluator.batch_size=4", "budget.architectures=1", "final.top_k=0"),
            f"search_space={','.join(SPACES)}",
            "conditional=false,true",
        ]
    )
    assert code == 0
    found = set()
    for file in tmp_path.rglob("record.json"):
        record = json.loads(file.read_text())
        lines = read_history(file.parent / HISTORY_FILE)
        (score,) = (line for line in lines if line["kind"] == "evaluation")
        assert set(score["metrics"]) == set(PROXIES)
        assert record["cost"]["search"]["generator_steps"] == 0
        found.add((record["search_space"], record["space_settings"]["num_classes"]))
    assert found == set(product(SPACES, (0, 10)))


@pytest.mark.slow
def test_every_strategy_runs_in_every_space_from_one_command(tmp_path: Path) -> None:
    code = main(
        [
            *("search", "-m", f"output_root={tmp_path}", *TINY),
            f"strategy={','.join(STRATEGIES)}",
            f"search_space={','.join(SPACES)}",
            "conditional=false,true",
        ]
    )
    assert code == 0

    found = {}
    for file in tmp_path.rglob("record.json"):
        record = json.loads(file.read_text())
        classes = record["space_settings"]["num_classes"]
        found[record["strategy"], record["search_space"], classes] = (file.parent, record)
    expected = set(product(STRATEGIES, SPACES, (0, 10)))
    assert set(found) == expected

    for (_, space_name, _), (folder, record) in found.items():
        assert record["status"] == "completed", folder
        assert record["metrics"]["fid"] > 0, folder
        space = make_search_space(space_name, **record["space_settings"])
        space.validate(Architecture.from_json(record["architecture"], source=str(folder)))
        assert record["cost"]["search"]["generator_steps"] <= 4, folder
        kinds = {line["kind"] for line in read_history(folder / HISTORY_FILE)}
        assert {"finalists", "evaluation", "checkpoint"} <= kinds, folder


EAGAN = ["strategy.population_size=2", "strategy.generations=1"]
BY_SIZE = "objective=[fid,parameters,macs]"

# Those that only propose and hear see a space through the contract alone: one pair each tells, and
# without a final training.
PROPOSING = [
    ("agan", "nsga2", "true", [], {"shared"}),
    ("adversarial_nas", "evolution", "true", [], {"shared"}),
    ("autogan", "tpe", "true", [], {"shared"}),
    ("agan", "optuna", "false", [], {"shared"}),
    ("adversarial_nas", "local_search", "true", [], {"shared"}),
    ("autogan", "asha", "false", [], {"scratch"}),
    ("adversarial_nas", "hyperband", "true", [], {"scratch"}),
    ("agan", "multi_fidelity", "false", [], {"scratch"}),
    ("adversarial_nas", "bohb", "false", [], {"scratch"}),
    ("adversarial_nas", "eagan", "false", [*EAGAN, BY_SIZE], {"shared", "inherit"}),
    ("autogan", "eagan", "true", EAGAN, {"shared"}),
    ("agan", "evolution", "true", ["evaluator=gap", "evaluator.steps=1"], {"gap"}),
    ("adversarial_nas", "random", "true", ["evaluator=inherit"], {"inherit"}),
    ("autogan", "random", "false", ["trainer.loss=mmd_repulsive"], {"shared"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("space", "strategy", "conditional", "settings", "kinds"), PROPOSING)
def test_strategies_that_propose_run_in_spaces_of_all_kinds(
    space: str,
    strategy: str,
    conditional: str,
    settings: list[str],
    kinds: set[str],
    tmp_path: Path,
) -> None:
    if strategy in ("tpe", "optuna", "bohb"):
        pytest.importorskip("optuna")
    code = main(
        [
            *("search", "+experiment=debug/tiny", f"run_dir={tmp_path}", "progress=false"),
            *("threads=1", "device=cpu", "final.top_k=0", "budget.architectures=9"),
            *(f"strategy={strategy}", f"search_space={space}", f"conditional={conditional}"),
            *settings,
        ]
    )
    assert code == 0
    record = json.loads((tmp_path / "record.json").read_text())
    scored = [
        line for line in read_history(tmp_path / HISTORY_FILE) if line["kind"] == "evaluation"
    ]
    assert record["status"] == "completed"
    assert {line["fidelity"] for line in scored} == kinds
