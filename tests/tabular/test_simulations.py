"""`nasgan simulate`: many searches on a table file, exact or with its surrogate."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nasgan
from nasgan.cli import config_options
from nasgan.cli.main import main
from nasgan.contracts import AskTellStrategy, Evaluation, Proposal, SearchSpace
from nasgan.engine import simulations
from nasgan.errors import ConfigError, TableError
from nasgan.evaluation.table_trainings import TableTrainings, settings_of_space
from nasgan.factory import make_search_space
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.searches import FRACTIONS, summary_of
from nasgan.randomness import numpy_generator
from nasgan.runs.folder import RunLock
from nasgan.runs.parts import UNITS
from nasgan.tabular import shipped_tables
from nasgan.tabular.build import build_table
from nasgan.tabular.manifest import Manifest
from nasgan.tabular.rows import Point, Row, RowFile
from nasgan.tabular.table import load_table
from nasgan.tabular.table_file import read_table_file, write_table_file
from nasgan.training import TrainerSettings

SIZES = {"image_size": 16, "generator_channels": 8, "discriminator_channels": 8, "latent_dim": 8}
WHOLE = make_search_space("autogan", **SIZES)
# Five decisions stay free: 3 * 2 * 2 * 2 * 2 architectures.
FREE = ("cell1.norm", "cell1.shortcut", "cell2.block", "cell2.shortcut", "cell3.block")
NARROW = make_search_space(
    "autogan", **SIZES, fixed={d.name: d.options[0] for d in WHOLE.decisions if d.name not in FREE}
)
STEPS = (60, 150, 600)


def _level(space: SearchSpace, options: tuple[int, ...]) -> float:
    return 5.0 + 0.15 * sum(options[:8])


def _write(folder: Path, space: SearchSpace, architectures: list[Any], seeds: int) -> Path:
    """Rows of a rule: the logarithm of FID is linear in the options, and noise by seed."""
    manifest = Manifest(
        settings={
            "search_space": {
                "name": "autogan",
                "version": space.version,
                "settings": space.settings,
            },
            "protocol": "digits-train-64-digits-v1",
            "metrics": ["fid"],
            "trainer": asdict(TrainerSettings(n_critic=2)),
        },
        decisions={d.name: list(d.options) for d in space.decisions},
        designs=({"kind": "all", "seeds": 2},),
        bound=None,
        environments=(),
        licence="CC-BY-4.0",
    )
    manifest.claim(folder)
    file = RowFile(folder, "1of1")
    for architecture in architectures:
        for seed in range(seeds):
            options = space.encode(architecture)
            noise = 0.1 * numpy_generator(seed, "noise", architecture.id).standard_normal()
            level = _level(space, WHOLE.encode(architecture)) + noise
            curve = tuple(
                Point(step, step / 10, {"fid": math.exp(level + 60 / step)}) for step in STEPS
            )
            file.append(
                Row(
                    architecture=architecture.id,
                    options=options,
                    seed=seed,
                    curve=curve,
                    steps=600,
                    images=100,
                    seconds=60.0,
                    device_seconds=60.0,
                    parameters={"generator": 1, "discriminator": 1},
                    macs={"generator": 1, "discriminator": 1},
                )
            )
    build_table([folder], folder / "table.npz", name=folder.name)
    return folder / "table.npz"


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "exact-v1"
    return _write(folder, NARROW, list(NARROW.enumerate()), seeds=4)


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = numpy_generator(0, "partial")
    folder = tmp_path_factory.mktemp("tables") / "partial-v1"
    return _write(folder, WHOLE, [WHOLE.sample(rng) for _ in range(40)], seeds=2)


def _trainings(path: Path) -> TableTrainings:
    table = load_table(path)
    name, settings = settings_of_space(table)
    return TableTrainings(table, make_search_space(name, **settings))


def test_an_exact_table_shows_the_seeds_of_its_design_and_judges_by_the_others(exact):
    trainings = _trainings(exact)
    assert trainings.is_exact
    architecture = next(iter(NARROW.enumerate()))
    rows = [trainings.table.query(architecture, seed=k, step=600).metrics["fid"] for k in range(4)]
    shown = {trainings.training(architecture, seed).scores[600]["fid"] for seed in range(30)}
    assert shown == set(rows[:2])
    assert trainings.judged(architecture, "fid") == pytest.approx(np.mean(rows[2:]))
    assert trainings.training(architecture, 7) == trainings.training(architecture, 7)


def _changed(path: Path, out: Path, **changes: Any) -> Path:
    """The table with another manifest: parts of its settings by name, None without it."""
    manifest, arrays = read_table_file(path)
    for name, value in changes.items():
        holder = manifest if name in manifest else manifest["settings"]
        holder[name] = value
        if value is None:
            del holder[name]
    write_table_file(out, manifest, arrays)
    return out


def test_more_seeds_for_the_best_alone_judge_also_where_the_design_counts_them(exact, tmp_path):
    """`nasgan tabulate design.kind=best design.seeds=4` in the same folder leaves that design."""
    manifest, arrays = read_table_file(exact)
    kept = (arrays["seed"] < 2) | (arrays["options"] == arrays["options"][0]).all(axis=1)
    fewer = {k: a if k in ("step", "failure") else a[kept] for k, a in arrays.items()}
    fewer["failure"] = np.frombuffer(json.dumps([""] * int(kept.sum())).encode(), np.uint8)
    manifest["designs"] = [{"kind": "best", "seeds": 4}]
    write_table_file(tmp_path / "few.npz", manifest, fewer)
    trainings = _trainings(tmp_path / "few.npz")
    assert trainings.is_exact
    best = trainings.table.architecture(arrays["options"][0].tolist())
    assert trainings.table.seeds_of(best) == (0, 1, 2, 3)
    rows = [trainings.table.query(best, seed=k).metrics["fid"] for k in range(4)]
    assert {trainings.training(best, seed).scores[600]["fid"] for seed in range(30)} == set(
        rows[:2]
    )
    assert trainings.judged(best, "fid") == pytest.approx(np.mean(rows[2:]))


def _cut(path: Path, out: Path, keep: Any, **more: Any) -> TableTrainings:
    """A table with some of the rows of ``path``: those that ``keep`` takes of the arrays."""
    manifest, arrays = read_table_file(path)
    kept = keep(arrays)
    arrays = {k: a if k in ("step", "failure") else a[kept] for k, a in arrays.items()}
    arrays["failure"] = np.frombuffer(json.dumps([""] * int(kept.sum())).encode(), np.uint8)
    write_table_file(out, {**manifest, **more}, arrays)
    return _trainings(out)


@pytest.mark.parametrize(
    ("designs", "seen"),
    [
        ([("all", 1), ("all", 2)], {0, 1}),
        ([("all", 2), ("all", 1)], {0, 1}),
        ([("all", 2), ("best", 4)], {0, 1}),
        ([("best", 4)], {0, 1, 2, 3}),
        ([("imported", None)], {0, 1, 2, 3}),
    ],
)
def test_searches_see_the_seeds_of_all_whatever_came_later(exact, tmp_path, designs, seen):
    told = [{"kind": kind} | ({"seeds": seeds} if seeds else {}) for kind, seeds in designs]
    trainings = _trainings(_changed(exact, tmp_path / "told.npz", designs=told))
    architecture = trainings.table.architectures[3]
    shown = {trainings.training(architecture, seed).scores[600]["fid"] for seed in range(60)}
    rows = {k: trainings.table.query(architecture, seed=k).metrics["fid"] for k in range(4)}
    assert shown == {rows[k] for k in seen}
    judges = [k for k in rows if k not in seen] or list(rows)
    assert trainings.judged(architecture, "fid") == pytest.approx(
        np.mean([rows[k] for k in judges])
    )


def test_one_training_left_out_takes_its_seed_from_no_other_search(exact, tmp_path):
    def all_but_one(arrays: dict[str, Any]) -> Any:
        first = (arrays["options"] == arrays["options"][0]).all(axis=1)
        return ~(first & (arrays["seed"] == 0))

    trainings = _cut(exact, tmp_path / "lacks.npz", all_but_one)
    assert trainings.is_exact
    lacking, *others = trainings.table.architectures
    for each in (lacking, others[0]):
        assert {trainings.training(each, seed).source for seed in range(9)} == {"exact"}
        seen = {trainings.training(each, seed).scores[600]["fid"] for seed in range(30)}
        assert seen == {trainings.table.query(each, seed=1).metrics["fid"]}


def test_what_breaks_down_in_half_of_its_trainings_is_worth_nothing(exact, tmp_path):
    manifest, arrays = read_table_file(exact)
    first = (arrays["options"] == arrays["options"][0]).all(axis=1)
    second = (arrays["options"] == arrays["options"][4]).all(axis=1)
    arrays["scores"][first & (arrays["seed"] == 2), -1] = np.nan
    arrays["scores"][second & (arrays["seed"] == 0), -1] = np.nan
    write_table_file(tmp_path / "broken.npz", manifest, arrays)
    trainings = _trainings(tmp_path / "broken.npz")
    one, two = trainings.table.architectures[:2]
    assert trainings.judged(one, "fid") is None
    # Of the second a search may see the breakdown; those that judge are whole.
    assert trainings.judged(two, "fid") is not None


def test_the_best_known_is_chosen_by_the_seeds_that_do_not_judge_it(exact, tmp_path):
    manifest, arrays = read_table_file(exact)
    lucky = (arrays["options"] == arrays["options"][0]).all(axis=1)
    arrays["scores"][lucky, -1, 0] = np.where(arrays["seed"][lucky] < 2, 500.0, 1.0)
    write_table_file(tmp_path / "lucky.npz", manifest, arrays)
    trainings = _trainings(tmp_path / "lucky.npz")
    table = trainings.table
    seen = {
        each: np.mean([table.query(each, seed=k).metrics["fid"] for k in (0, 1)])
        for each in table.architectures
    }
    best = min(seen, key=lambda each: seen[each])
    assert trainings.judged(table.architectures[0], "fid") == pytest.approx(1.0)
    assert trainings.best_known("fid") == trainings.judged(best, "fid") > 100


def test_the_share_of_a_score_is_read_from_the_curves(exact, tmp_path):
    manifest, arrays = read_table_file(exact)
    # 0.05 s a step, and 4 s each of three scores: a whole training takes 42 s.
    arrays["seconds"] = np.tile([60 * 0.05 + 4, 150 * 0.05 + 8, 42.0], (len(arrays["seed"]), 1))
    arrays["seconds"] = arrays["seconds"].astype(np.float32)
    write_table_file(tmp_path / "timed.npz", manifest, arrays)
    assert _trainings(tmp_path / "timed.npz").score_share == pytest.approx(4 / 42, rel=1e-5)
    # Its seconds grow with the steps alone.
    assert _trainings(exact).score_share == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainer": None}, "does not say how it was trained"),
        ({"trainer": {"n_critic": 2}}, "does not say how it was trained"),
        ({"search_space": {"name": "autogan", "version": 1}}, "does not say the settings"),
        ({"search_space": {"name": "autogan", "version": 9, "settings": SIZES}}, "(version 9)"),
        ({"search_space": {"name": "nowhere", "version": 1, "settings": {}}}, "'nowhere'"),
    ],
)
def test_tables_that_lack_what_a_search_needs_are_told(exact, tmp_path, capsys, changes, message):
    path = _changed(exact, tmp_path / "changed.npz", **changes)
    words = ["strategy=random", f"out={tmp_path / 'out'}", "seeds=1", "workers=1"]
    assert main(["simulate", f"table={path}", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_tables_that_come_with_nasgan_are_listed_and_small(capsys):
    assert main(["list", "tables"]) == 0
    words = capsys.readouterr().out
    shipped = shipped_tables()
    assert all(name in words for name in shipped)
    assert sum(path.stat().st_size for path in shipped.values()) <= 3_000_000


def test_the_table_of_photos_that_comes_with_nasgan_can_be_searched():
    table = load_table("cifar10-16-autogan-v1")
    assert (table.name, table.space, table.steps) == (
        "cifar10-16-autogan-v1",
        "autogan",
        (60, 150, 300, 600),
    )
    seeds = [len(table.seeds_of(each)) for each in table.architectures]
    # 300 random ones, 30 of them six times, and those that searches ended with.
    assert (sum(seeds), min(seeds), seeds.count(6)) == (814, 2, 30)
    assert len(seeds) == 347
    trainings = _trainings(shipped_tables()["cifar10-16-autogan-v1"])
    assert set(trainings.metrics) >= {"fid", "is"}
    seen = trainings.training(table.architectures[0], 0)
    assert seen.source == "exact"
    assert seen.scores.keys() == set(table.steps)


def test_a_partial_table_is_judged_by_its_surrogate_also_where_it_has_rows(partial):
    trainings = _trainings(partial)
    assert not trainings.is_exact
    known = trainings.table.architectures[0]
    assert trainings.judged(known, "fid") == trainings.table.predict(known)["fid"].mean
    assert trainings.training(known, 3).source == "exact"
    rng = numpy_generator(9, "unseen")
    unseen = WHOLE.sample(rng)
    assert trainings.training(unseen, 3).source == "surrogate"
    assert trainings.training(unseen, 3).seconds == pytest.approx(60, rel=0.01)
    truth = math.exp(_level(WHOLE, WHOLE.encode(unseen)) + 0.1)
    assert trainings.table.predict(unseen, step=600)["fid"].mean == pytest.approx(truth, rel=0.25)


def test_costs_are_those_of_the_tables_trainer(exact):
    trainings = _trainings(exact)
    assert trainings.images_per_generator_step == 2 * 2 * 64 + 128
    assert trainings.num_images == 64


def test_a_space_set_otherwise_is_refused(exact):
    with pytest.raises(TableError, match="was made in another space than 'autogan'"):
        TableTrainings(load_table(exact), WHOLE)


def _run(path: Path, out: Path, *words: str) -> list[dict[str, Any]]:
    assert main(["simulate", f"table={path}", f"out={out}", *words]) == 0
    lines = (out / "simulations.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_verb_writes_one_file_of_searches_and_prints_the_comparison(exact, tmp_path, capsys):
    words = ("strategy=rl_scratch", "seeds=6", "budget.architectures=40", "workers=1")
    records = _run(exact, tmp_path, *words)
    assert [(r["strategy"], r["seed"]) for r in records] == [
        (name, seed) for name in ("random", "rl_scratch") for seed in range(6)
    ]
    assert all(r["spent"]["architectures"] == 40 for r in records)
    manifest = json.loads((tmp_path / "simulations.json").read_text(encoding="utf-8"))
    assert manifest["protocol"] == "table:exact-v1"
    assert manifest["scores"] == "exact"
    assert all(r["judged"] >= manifest["best_known"] for r in records)
    found, problems = find_records([tmp_path])
    assert problems == []
    assert [(run.strategy, run.seed) for run in found] == [
        (r["strategy"], r["seed"]) for r in records
    ]
    assert {run.search_space for run in found} == {"autogan"}
    out = capsys.readouterr().out
    assert "better than random (95 %)" in out
    assert "rl_scratch" in out
    assert f"best known in exact-v1: fid {manifest['best_known']:.4g}" in out
    assert "average ranks over 6 seeds" in out
    assert {path.name for path in tmp_path.iterdir()} == {
        "simulations.jsonl",
        "simulations.json",
        "summary.md",
        "summary.csv",
        "critical_difference.svg",
        ".lock",
    }
    lines = list(csv.DictReader((tmp_path / "summary.csv").open(encoding="utf-8")))
    assert len(lines) == 2 * len(FRACTIONS)
    for line in lines[-2:]:
        judged = [r["judged"] for r in records if r["strategy"] == line["strategy"]]
        assert line["protocol"] == "table:exact-v1"
        assert float(line["judged"]) == pytest.approx(np.mean(judged))
        assert float(line["regret"]) == pytest.approx(np.mean(judged) - manifest["best_known"])
    text = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "| Mean rank | 2% | 5% |" in text
    assert "| regret | gain over random" in text
    assert "![Average ranks](critical_difference.svg)" in text


def test_without_a_name_every_strategy_runs_that_can(exact, tmp_path, capsys, monkeypatch):
    known = [
        option
        for option in config_options.options("strategy")
        if option.name in ("adversarial", "evolution", "rl", "rl_scratch", "random")
    ]
    monkeypatch.setattr(config_options, "options", lambda group: known)
    records = _run(exact, tmp_path, "seeds=1", "budget.architectures=4", "workers=1")
    assert {record["strategy"] for record in records} == {"random", "evolution", "rl_scratch"}
    assert "left out: adversarial: " in capsys.readouterr().out


def test_workers_change_nothing(exact, tmp_path):
    words = ("strategy=random_scratch", "seeds=2")
    alone = _run(exact, tmp_path / "alone", *words, "workers=1")
    assert alone == _run(exact, tmp_path / "two", *words, "workers=2")


@pytest.mark.usefixtures("named_code")
def test_searches_of_a_call_that_was_stopped_are_not_made_again(exact, tmp_path, monkeypatch):
    words = ("strategy=evolution", "seeds=3", "budget.architectures=8", "workers=1")
    whole = _run(exact, tmp_path / "whole", *words)
    really, made = simulations.simulate_piece, []

    def stopped_after(count: int) -> None:
        def simulate_piece(order: dict[str, Any]) -> dict[str, Any]:
            if len(made) == count:
                raise KeyboardInterrupt
            made.append((order["strategy"], order["seed"]))
            return really(order)

        monkeypatch.setattr(simulations, "simulate_piece", simulate_piece)

    given = ["simulate", f"table={exact}", f"out={tmp_path / 'out'}", *words]
    stopped_after(2)
    assert main(given) != 0
    # Another budget makes other searches; what is of this one stays.
    stopped_after(3)
    assert main([*given, "budget.architectures=9"]) != 0
    stopped_after(99)
    assert _run(exact, tmp_path / "out", *words) == whole
    assert len(made) == 3 + 4
    assert len(set(made[:2] + made[3:])) == 6
    assert not (tmp_path / "out" / "under_way.jsonl").exists()


@pytest.fixture
def named_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the checkout were a commit's."""
    monkeypatch.setattr(simulations, "names_its_code", lambda _: True)


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The searches that are simulated from now on."""
    really = simulations.simulate_piece
    made: list[tuple[str, int]] = []

    def simulate_piece(order: dict[str, Any]) -> dict[str, Any]:
        made.append((order["strategy"], order["seed"]))
        return really(order)

    monkeypatch.setattr(simulations, "simulate_piece", simulate_piece)
    return made


@pytest.mark.usefixtures("named_code")
def test_a_folder_grows_by_strategies_and_seeds(exact, tmp_path, monkeypatch, capsys):
    few = ("budget.architectures=8", "workers=1")
    whole = _run(exact, tmp_path / "whole", "strategy=evolution,local_search", "seeds=3", *few)
    made = _counted(monkeypatch)
    _run(exact, tmp_path / "out", "strategy=evolution", "seeds=2", *few)
    _run(exact, tmp_path / "out", "strategy=local_search", "seeds=3", *few)
    assert len(made) == 4 + 1 + 3
    capsys.readouterr()
    assert _run(exact, tmp_path / "out", "strategy=evolution", "seeds=3", *few) == whole
    assert made[8:] == [("evolution", 2)]
    assert _run(exact, tmp_path / "out", "strategy=evolution", "seeds=1", *few[:1]) == whole
    assert len(made) == 9
    assert "local_search" in capsys.readouterr().out
    runs, problems = find_records([tmp_path / "out"])
    assert problems == []
    assert [(run.strategy, run.seed) for run in runs] == [(r["strategy"], r["seed"]) for r in whole]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["strategy=random", "seeds=2", "budget.architectures=9"], "made with another budget"),
        (["strategy=evolution", "seeds=1", "budget.architectures=9"], "made with another budget"),
        (
            ["strategy=random", "seeds=2", "table=OTHER"],
            "on another table, in another search space",
        ),
    ],
)
def test_searches_made_otherwise_are_not_lost(exact, partial, tmp_path, capsys, words, message):
    first = ("strategy=evolution", "seeds=2", "budget.architectures=8", "workers=1")
    _run(exact, tmp_path / "out", *first)
    before = (tmp_path / "out" / "simulations.jsonl").read_bytes()
    given = [f"table={exact}", *first[2:], *(w.replace("OTHER", str(partial)) for w in words)]
    assert main(["simulate", f"out={tmp_path / 'out'}", *given]) == 2
    told = capsys.readouterr().err
    assert "holds searches of evolution" in told
    assert message in told
    assert (tmp_path / "out" / "simulations.jsonl").read_bytes() == before


@pytest.mark.usefixtures("named_code")
@pytest.mark.parametrize("change", ["budget", "edited", "code", "unnamed code"])
def test_the_same_searches_are_made_anew_where_something_else_shapes_them(
    exact, tmp_path, monkeypatch, change
):
    words = ["strategy=random", "seeds=2", "budget.architectures=8", "workers=1"]
    _run(exact, tmp_path, *words)
    if change == "budget":
        words[2] = "budget.architectures=9"
    elif change == "edited":
        file = tmp_path / "simulations.jsonl"
        file.write_text(file.read_text(encoding="utf-8").replace(": 8", ": 7"), encoding="utf-8")
    elif change == "unnamed code":
        monkeypatch.setattr(simulations, "names_its_code", lambda _: False)
    else:
        whole = simulations.collect_environment
        monkeypatch.setattr(
            simulations, "collect_environment", lambda *a: {**whole(*a), "packages": {"numpy": "9"}}
        )
    made = _counted(monkeypatch)
    again = _run(exact, tmp_path, *words)
    assert made == [("random", 0), ("random", 1)]
    assert {r["spent"]["architectures"] for r in again} == {9 if change == "budget" else 8}


@pytest.mark.usefixtures("named_code")
def test_what_a_stopped_call_had_done_waits_for_one_that_asks_for_it(exact, tmp_path, monkeypatch):
    few = ("budget.architectures=8", "workers=1", "seeds=2")
    really = simulations.simulate_piece

    def stopped(order: dict[str, Any]) -> dict[str, Any]:
        if order["seed"] == 1:
            raise KeyboardInterrupt
        return really(order)

    with monkeypatch.context() as patch:
        patch.setattr(simulations, "simulate_piece", stopped)
        given = ["simulate", f"table={exact}", f"out={tmp_path}", "strategy=evolution", *few]
        assert main(given) != 0
    made = _counted(monkeypatch)
    _run(exact, tmp_path, "strategy=local_search", *few)
    assert (tmp_path / "under_way.jsonl").exists()
    _run(exact, tmp_path, "strategy=evolution", *few)
    assert ("evolution", 0) not in made
    assert ("evolution", 1) in made
    assert not (tmp_path / "under_way.jsonl").exists()


def test_the_rows_of_a_folder_are_those_of_the_beginning(exact, tmp_path, monkeypatch):
    """Rows may come while searches run; each process would see others."""
    rows = tmp_path / "rows"
    shutil.copytree(exact.parent, rows)
    seen: list[str] = []
    really = simulations.simulate_piece

    def simulate_piece(order: dict[str, Any]) -> dict[str, Any]:
        seen.append(load_table(order["asked"]["table"]).checksum)
        (file,) = rows.glob("rows-*.jsonl")
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(lines[:-1]), encoding="utf-8")
        return really(order)

    monkeypatch.setattr(simulations, "simulate_piece", simulate_piece)
    begun = load_table(rows).checksum
    words = ("strategy=random", "seeds=2", "budget.architectures=4", "workers=1")
    _run(rows, tmp_path / "out", *words)
    made = json.loads((tmp_path / "out" / "simulations.json").read_text(encoding="utf-8"))
    assert {*seen, made["checksum"]} == {begun}
    assert made["table"] == "rows"


def test_a_file_that_was_made_anew_is_read_anew(exact, tmp_path):
    """In one process, as a notebook is."""
    path = tmp_path / "table.npz"
    shutil.copy(exact, path)
    first = simulations._opened(str(path))
    assert simulations._opened(str(path)) is first
    _changed(exact, path, designs=[{"kind": "all", "seeds": 1}])
    assert simulations._opened(str(path)).table.checksum != first.table.checksum


def test_every_strategy_spends_the_budget(partial, tmp_path):
    names = ["random_scratch", "rl_scratch", "evolution", "local_search", "asha", "hyperband"]
    words = (f"strategy={','.join(names)}", "seeds=2", "budget.generator_steps=12000")
    records = _run(partial, tmp_path, *words, "workers=1")
    assert {r["strategy"] for r in records} == {"random", *names}
    # What is left does not pay for the next training.
    assert all(12000 - 600 < r["spent"]["generator_steps"] <= 12000 for r in records)


def test_a_surrogate_is_searched_too(partial, tmp_path):
    records = _run(
        partial, tmp_path, "strategy=random", "seeds=2", "budget.architectures=5", "workers=1"
    )
    assert all(r["judged"] > 0 and r["spent"]["architectures"] == 5 for r in records)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table=T", "strategy=adversarial"], "learns on a supernet, which no table holds"),
        (["table=T", "strategy=random", "seeds=0"], "seeds must be at least 1"),
        (["table=T", "strategy=random", "objective=kid"], "objective=kid: the table has fid"),
        (["table=T", "sedes=3"], "Did you mean seeds"),
        (["table=T", "budget.steps=3"], "'budget.steps'. Did you mean budget.generator_steps"),
        (["table=nowhere.npz"], "nowhere.npz"),
        (["strategy=rl_scratch"], "table must be given: table=VALUE"),
        (["rl_scratch"], "cannot read 'rl_scratch': a setting is written key=value"),
    ],
)
def test_bad_words_are_refused_before_anything_is_written(exact, tmp_path, capsys, words, message):
    given = [word.replace("=T", f"={exact}") for word in words]
    assert main(["simulate", *given, f"out={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("holder", ["another process", "a file"])
def test_a_folder_that_cannot_be_had_is_refused_before_a_search(
    exact, tmp_path, capsys, monkeypatch, holder
):
    out = tmp_path / "out"
    monkeypatch.setattr(simulations, "results_of", lambda *_: pytest.fail("a search was begun"))
    words = ["simulate", f"table={exact}", "strategy=random", "seeds=1", "workers=1", f"out={out}"]
    if holder == "a file":
        out.write_text("")
        assert main(words) != 0
        assert "a file stands where a folder is needed" in capsys.readouterr().err
        return
    with RunLock(out):
        assert main(words) != 0
    assert "choose another folder with out=" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {".lock"}


def test_searches_without_a_limit_are_refused(exact):
    node = {"_target_": "nasgan_strategies.random.RandomSearch"}
    with pytest.raises(ConfigError, match="budget must limit something"):
        simulations.Simulations(str(exact), {"random": node}, 1, dict.fromkeys(UNITS))


def _record(strategy: str, seed: int, judged: float | None) -> dict[str, Any]:
    spent = {"generator_steps": 100 * (seed + 1)}
    return {"strategy": strategy, "seed": seed, "judged": judged, "spent": spent}


def test_the_comparison_is_paired_by_seed():
    records = [
        *(_record("random", seed, judged) for seed, judged in enumerate([5.0, 6.0, 7.0, 8.0])),
        *(_record("better", seed, judged) for seed, judged in enumerate([4.0, 6.0, 6.5, None])),
    ]
    first, second = summary_of(records, "fid", "random")
    assert (first.strategy, second.strategy) == ("better", "random")
    # Won, tied, won, and one without a result, which is lost.
    assert first.better is not None
    assert first.better.mean == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert second.better is None
    assert first.rank is not None
    assert first.rank.mean == pytest.approx((1 + 1.5 + 1 + 2) / 4)
    assert first.judged is not None
    assert first.judged.mean == pytest.approx(5.5)
    assert (first.without_result, first.generator_steps) == (1, 250)


def test_more_is_better_where_the_metric_says_so():
    records = [_record("random", 0, 5.0), _record("other", 0, 6.0)]
    assert [line.strategy for line in summary_of(records, "is", "random")] == ["other", "random"]


@pytest.mark.parametrize("unit", ["architectures", "generator_steps", "images", "device_seconds"])
def test_in_every_unit_all_strategies_spend_the_budget_and_none_more(partial, tmp_path, unit):
    # In each unit what twelve trainings to the end cost.
    whole = {"architectures": 1, "generator_steps": 600, "images": 600 * 384 + 64}
    most = 12 * whole.get(unit, 60)
    words = ("strategy=random_scratch", "seeds=2", f"budget.{unit}={most}", "workers=1")
    records = _run(partial, tmp_path, *words)
    assert {r["strategy"] for r in records} == {"random", "random_scratch"}
    for record in records:
        # What is left does not pay for the next training.
        assert most * 11 / 12 * 0.98 < record["spent"][unit] <= most * (1 + 1e-9)
        # So what a search found at its end is what it had found when the budget was spent.
        assert record["incumbents"][-1]["spent"][unit] <= most * (1 + 1e-9)
        assert record["incumbents"][-1]["judged"] == record["judged"]


class _Drawn(AskTellStrategy):
    """Draws at random, until the budget is spent."""

    name = "drawn"

    def __init__(self, stream: str = "drawn") -> None:
        super().__init__()
        self.stream = stream
        self.heard = 0

    @property
    def finished(self) -> bool:
        return False

    def ask(self) -> Proposal:
        return Proposal(self.run.space.sample(self.run.rng(self.stream)))

    def tell(self, evaluation: Evaluation) -> None:
        self.heard += 1


def test_from_python_the_same_searches_are_simulated(exact, tmp_path):
    words = ("strategy=random_scratch", "seeds=2", "budget.architectures=8", "workers=1")
    records = _run(exact, tmp_path / "typed", *words)
    study = nasgan.simulate(
        "workers=1",
        table=exact,
        out=tmp_path / "called",
        strategy="random_scratch",
        seeds=2,
        budget={"architectures": 8},
    )
    lines = (tmp_path / "called" / "simulations.jsonl").read_text(encoding="utf-8").splitlines()
    judged = [json.loads(line)["judged"] for line in lines]
    assert judged == [record["judged"] for record in records]
    assert set(study.runs["strategy"]) == {"random", "random_scratch"}


def test_strategies_are_simulated_as_objects_too(exact, tmp_path):
    mine = _Drawn("mine")
    budget = {"architectures": 8}
    given = {"table": exact, "out": tmp_path, "seeds": 2, "budget": budget}
    study = nasgan.simulate(strategy=["random_scratch", mine], **given)
    assert set(study.runs["strategy"]) == {"random", "random_scratch", "drawn"}
    # Each search has a copy, and the results say what it was made with.
    assert mine.heard == 0
    made = json.loads((tmp_path / "simulations.json").read_text(encoding="utf-8"))
    assert made["strategies"]["drawn"]["settings"] == {"stream": "mine"}
    with pytest.raises(ConfigError, match="has no setting 'sedes'"):
        nasgan.simulate(table=exact, out=tmp_path, sedes=3)
    with pytest.raises(ConfigError, match="two are called drawn; set the `name`"):
        nasgan.simulate(strategy=[mine, _Drawn("other")], **given)
    other = _Drawn("other")
    other.name = "random"
    with pytest.raises(ConfigError, match="random is what all are held against"):
        nasgan.simulate(strategy=[mine, other], **given)
    # Nobody can say whether an object's code is as it was: it searches anew.
    assert made["searches"] == 6
    nasgan.simulate(strategy=[_Drawn("later")], **given)
    made = json.loads((tmp_path / "simulations.json").read_text(encoding="utf-8"))
    assert made["strategies"]["drawn"]["settings"] == {"stream": "later"}
