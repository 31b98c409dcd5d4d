"""Searches whose candidates, or whose finalists, a table of trainings scores."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_comparison import without_times

from nasgan.cli.compose import compose
from nasgan.cli.paths import settled_paths
from nasgan.engine import run_config
from nasgan.engine import tabulate as driver
from nasgan.engine.run_directory import RunIdentity
from nasgan.engine.tabulate import tabulate
from nasgan.errors import ConfigError, RunDirectoryError, TableError
from nasgan.evaluation import table_trainings
from nasgan.evaluation.table_trainings import TableTrainings, settings_of_space
from nasgan.factory import make_search_space
from nasgan.leaderboard.build import build_leaderboard
from nasgan.randomness import numpy_generator
from nasgan.runs.history import read_history
from nasgan.runs.record import RunRecord, hash_config
from nasgan.tabular.build import build_table
from nasgan.tabular.rows import Point, Row, RowFile
from nasgan.tabular.table import load_table
from nasgan.tabular.table_file import read_table_file, write_table_file

Tiny = Callable[..., dict[str, Any]]

FREE = ("cell1.norm", "cell1.shortcut")
ON_TABLE = ("strategy=random_scratch", "evaluator=table", "final.random_architectures=2")


def _narrow() -> str:
    space = make_search_space("autogan", image_size=16)
    fixed = {d.name: d.options[0] for d in space.decisions if d.name not in FREE}
    return f"search_space.fixed={json.dumps(fixed).replace(' ', '').replace(chr(34), '')}"


def _judged_by(path: Path) -> list[str]:
    return ["+evaluator@final.evaluator=table_mean", f"final.evaluator.table={path}"]


def _made_up(folder: Path, count: int, seeds: int, *overrides: str) -> Path:
    """A table of the tiny settings whose rows are by rule; all of the space where it is small."""
    words = ["+experiment=debug/tiny", "progress=false", "device=cpu"]
    words += [f"out={folder}", "design.architectures=1", "design.seeds=2", *overrides]
    with pytest.MonkeyPatch.context() as patch:
        # Nothing is trained: the rows are made up.
        patch.setattr(driver, "results_of", lambda *_: [])
        tabulate(compose("tabulate", words))
    made = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    asked = made["settings"]["search_space"]
    space = make_search_space(asked["name"], **asked["settings"])
    rng = numpy_generator(0, "made up")
    drawn = (
        list(space.enumerate()) if space.size < 100 else [space.sample(rng) for _ in range(count)]
    )
    file = RowFile(folder, "1of1")
    for architecture in drawn:
        for seed in range(seeds):
            options = space.encode(architecture)
            fid = math.exp(5 + 0.1 * sum(options) + 0.02 * seed + 0.01 * options[0] * seed)
            curve = tuple(Point(step, step / 4, {"fid": fid + 8 / step}) for step in (2, 4))
            sizes = {"generator": 1, "discriminator": 1}
            row = Row(architecture.id, options, seed, curve, 4, 100, 1.0, 1.0, sizes, sizes)
            file.append(row)
    build_table([folder], folder / "table.npz", name=f"{folder.name}-v1")
    return folder / "table.npz"


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made_up(tmp_path_factory.mktemp("tables") / "partial", 12, 2)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made_up(tmp_path_factory.mktemp("tables") / "exact", 0, 4, _narrow())


def _trainings(path: Path) -> TableTrainings:
    table = load_table(path)
    name, settings = settings_of_space(table)
    return TableTrainings(table, make_search_space(name, **settings))


def _search(config: dict[str, Any], run_dir: Path) -> RunRecord:
    assert run_config(config, run_dir).status == "completed"
    return RunRecord.read(run_dir / "record.json")


def test_candidates_get_the_tables_scores_and_the_ledger_what_trainings_would_cost(
    tiny: Tiny, exact: Path, tmp_path: Path
) -> None:
    config = tiny("search", *ON_TABLE, f"evaluator.table={exact}", _narrow(), "seed=3")
    record = _search(config, tmp_path)
    trainings = _trainings(exact)
    scored = [
        line
        for line in read_history(tmp_path / "history.jsonl")
        if line["kind"] == "evaluation" and line["phase"] == "search"
    ]
    assert scored
    for line in scored:
        assert line["fidelity"] == "table"
        row = trainings.training(trainings.space.architecture(line["architecture"]["choices"]), 3)
        assert line["score"] == row.scores[line["generator_steps"]]["fid"]
    assert record.strategy == "random_table"
    assert record.content is not None
    assert record.content["table"] == trainings.table.checksum
    assert record.cost["search"]["generator_steps"] == sum(
        e["cost"]["generator_steps"] for e in scored
    )
    # A second for four steps: the table's, whatever looking it up took.
    steps = record.cost["search"]["generator_steps"]
    assert record.cost["search"]["device_seconds"] == pytest.approx(steps / 4)
    # Its finalists were trained for real.
    assert not record.protocol.startswith("table:")
    assert record.judge is None
    assert record.cost["final"]["generator_steps"] > 0


def test_a_table_is_known_by_its_numbers_and_not_by_its_name_or_file(
    exact: Path, partial: Path, tmp_path: Path
) -> None:
    build_table([exact.parent], tmp_path / "other.npz", name="other")
    checksums = {load_table(path).checksum for path in (exact, tmp_path / "other.npz")}
    assert len(checksums) == 1
    assert load_table(partial).checksum not in checksums


@pytest.mark.parametrize("name", ["evaluator", "final.evaluator"])
def test_a_tables_file_is_one_setting_however_it_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(table: str) -> Any:
        config: Any = {"table": table}
        for part in reversed(name.split(".")):
            config = {part: config}
        config = settled_paths(config, ".")
        for part in name.split("."):
            config = config[part]
        return config["table"]

    monkeypatch.chdir(tmp_path)
    assert written("T.npz") == written("./T.npz") == written(str(tmp_path / "T.npz"))
    assert written("cifar10-16-autogan-v1") == "cifar10-16-autogan-v1"


def test_a_table_that_moved_makes_no_other_experiment_and_another_is_refused(
    tiny: Tiny, exact: Path, tmp_path: Path
) -> None:
    def config(path: Path) -> dict[str, Any]:
        return tiny("search", *ON_TABLE, f"evaluator.table={path}", *_judged_by(path), _narrow())

    moved = tmp_path / "moved.npz"
    moved.write_bytes(exact.read_bytes())
    first = _search(config(exact), tmp_path / "one")
    assert first.config_hash == _search(config(moved), tmp_path / "two").config_hash
    assert run_config(config(moved), tmp_path / "one").status == "already_completed"
    manifest, arrays = read_table_file(exact)
    write_table_file(moved, manifest, {**arrays, "scores": arrays["scores"] + 1})
    with pytest.raises(RunDirectoryError, match="holds a run of other data: other table"):
        run_config(config(moved), tmp_path / "one")
    assert _search(config(moved), tmp_path / "three").config_hash != first.config_hash


def test_an_evaluator_of_a_plugin_may_call_something_else_a_table() -> None:
    def hashed(target: str, table: str) -> str:
        return hash_config({"evaluator": {"_target_": target, "table": table}}, content={})

    assert hashed("plugin.Evaluator", "a.npz") != hashed("plugin.Evaluator", "b.npz")
    ours = "nasgan.evaluation.NamedTableEvaluator"
    assert hashed(ours, "a.npz") == hashed(ours, "b.npz")


def test_a_search_on_a_table_repeats(tiny: Tiny, partial: Path, tmp_path: Path) -> None:
    config = tiny("search", *ON_TABLE, f"evaluator.table={partial}", *_judged_by(partial))
    first, second = (_search(config, tmp_path / name) for name in ("one", "two"))
    assert first.metrics == second.metrics
    histories = [list(read_history(tmp_path / n / "history.jsonl")) for n in ("one", "two")]
    assert without_times(histories[0]) == without_times(histories[1])


def test_a_table_judges_the_finalists_of_a_search_with_a_supernet(
    tiny: Tiny, exact: Path, tmp_path: Path
) -> None:
    config = tiny("search", "strategy=random", *_judged_by(exact), _narrow())
    record = _search(config, tmp_path)
    trainings = _trainings(exact)
    assert record.architecture is not None
    assert record.metrics is not None
    found = trainings.space.architecture(record.architecture["choices"])
    seeds = [trainings.table.query(found, seed=k).metrics["fid"] for k in (2, 3)]
    # The seeds of the design are those that searches see; the others judge.
    assert record.metrics["fid"] == pytest.approx(sum(seeds) / 2)
    assert record.protocol == "table:exact-v1"
    assert record.judge is not None
    best = min(trainings.judged(each, "fid") or math.inf for each in trainings.table.architectures)
    assert record.judge["scores"] == "exact"
    assert record.judge["best_known"] == pytest.approx(best)
    assert record.judge["regret"] == pytest.approx(record.metrics["fid"] - best)
    assert record.content is not None
    assert record.content["judge"] == trainings.table.checksum
    assert record.cost["final"]["generator_steps"] == 0
    assert record.cost["search"]["generator_steps"] > 0
    assert record.average_random is not None
    assert record.average_random["failed"] == 0
    assert not (tmp_path / "samples").exists()


def test_leaderboards_keep_a_tables_scores_apart(tiny: Tiny, exact: Path, tmp_path: Path) -> None:
    judged = tiny("search", "strategy=random", *_judged_by(exact), _narrow())
    trained = tiny("search", "strategy=random", _narrow())
    records = [_search(judged, tmp_path / "judged"), _search(trained, tmp_path / "trained")]
    with pytest.raises(
        ConfigError, match=r"2 protocols, whose numbers do not compare.*table:exact-v1"
    ):
        build_leaderboard(records)
    board = build_leaderboard(records, protocol="table:exact-v1")
    assert {row["protocol"] for row in board.rows} == {"table:exact-v1"}


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("trainer.n_critic=3", "trainer.n_critic is 2 in the table and 3 here"),
        ("metrics.num_images=32", "protocol is 'digits-train-64-digits-v1' in the table"),
        ("search_space=baselines", "search_space.name is 'autogan' in the table and 'baselines'"),
        ("dataset.suggested.latent_dim=8", "search_space.settings.latent_dim is 16 in the table"),
        ("objective=is", "the table has fid"),
    ],
)
@pytest.mark.parametrize("use", ["evaluator", "final.evaluator"])
def test_a_table_made_otherwise_is_refused_by_name_before_anything_is_trained(
    tiny: Tiny, partial: Path, tmp_path: Path, use: str, setting: str, word: str
) -> None:
    words = [*ON_TABLE, f"evaluator.table={partial}"]
    if use == "final.evaluator":
        words = ["strategy=random", *_judged_by(partial)]
    config = tiny("search", *words, setting)
    with pytest.raises(TableError, match=f"^{use}.table=") as refusal:
        run_config(config, tmp_path)
    assert word in str(refusal.value)
    assert not (tmp_path / "history.jsonl").exists()


def test_a_setting_younger_than_the_table_stood_at_its_default_when_it_was_made(
    tiny: Tiny, partial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = load_table(partial)
    del table.manifest["settings"]["trainer"]["spectral_norm_scale"]
    monkeypatch.setattr(table_trainings, "load_table", lambda _: table)
    words = ["search", *ON_TABLE, f"evaluator.table={partial}"]
    with pytest.raises(TableError, match=r"spectral_norm_scale is 1\.0 in the table and 1\.5 here"):
        run_config(tiny(*words, "trainer.spectral_norm_scale=1.5"), tmp_path)
    assert _search(tiny(*words), tmp_path).strategy == "random_table"


@pytest.mark.parametrize(
    ("key", "words"), [("table", "table of trainings"), ("judge", "table that judges")]
)
def test_a_run_goes_on_with_the_table_it_began_with(key: str, words: str, tmp_path: Path) -> None:
    identity = RunIdentity.of(tmp_path / "run.json")
    identity.hold({key: "a" * 64})
    RunIdentity.of(identity.file).hold({key: "a" * 64})
    with pytest.raises(RunDirectoryError, match=rf"other {words} \(checksum bbbb"):
        RunIdentity.of(identity.file).hold({key: "b" * 64})
