"""Tables resume, grow and part into shards, and their rows are what `nasgan train` computes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter

import pytest
import torch
from table_rows import TINY, contents, table

from nasgan.cli.compose import compose
from nasgan.cli.main import main
from nasgan.engine import run_config, table_worker, workers
from nasgan.engine import tabulate as driver
from nasgan.engine.loop import ProgressView
from nasgan.errors import (
    ArchitectureError,
    ConfigError,
    DatasetError,
    PluginError,
    RunDirectoryError,
    TableError,
    TrainingDiverged,
)
from nasgan.metrics import MetricError
from nasgan.metrics.harness import MetricHarness
from nasgan.runs.folder import RunLock
from nasgan.runs.history import read_history
from nasgan.state_files import Checkpoints
from nasgan.tabular.build import build_table
from nasgan.tabular.rows import read_rows
from nasgan.tabular.table import load_table
from nasgan.training import AdversarialTrainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The rows of two architectures, 3 and 2 seeds, and their folder."""
    folder = tmp_path_factory.mktemp("whole")
    made = table(folder)
    assert (made.done, made.wanted, made.broken_down, made.left) == (5, 5, 0, {})
    return folder


def test_a_row_holds_the_curve_that_train_makes(whole, tmp_path):
    manifest = json.loads((whole / "table.json").read_text())
    row = next(row for row in read_rows(whole) if row.seed == 1)
    options = [
        names[index]
        for names, index in zip(manifest["decisions"].values(), row.options, strict=True)
    ]
    encoding = f"architecture=[{','.join(options)}]"
    config = compose(
        "train", [*TINY, "threads=1", "search_space=autogan", encoding, f"seed={row.seed}"]
    )
    run_config(config, tmp_path)
    record = json.loads((tmp_path / "record.json").read_text())
    points = [line for line in read_history(tmp_path / "history.jsonl") if "metrics" in line]
    trained = {p["generator_steps"]: p["metrics"] for p in points if p["kind"] == "checkpoint"}
    assert {point.step: dict(point.metrics) for point in row.curve} == trained
    assert row.parameters == record["parameters"]
    assert row.macs["generator"] == record["macs"]
    assert (row.steps, row.images) == (4, record["cost"]["final"]["images"])


def test_two_shards_are_one_table(whole, tmp_path):
    made = [table(tmp_path, f"shard={k}/2") for k in (1, 2)]
    assert sum(part.done for part in made) == 5
    assert all(part.done for part in made)
    assert contents(tmp_path) == contents(whole)


def test_a_table_grows_and_trains_nothing_twice(whole, tmp_path, monkeypatch):
    table(tmp_path, "design.architectures=1", "design.repeated=0")
    first = (tmp_path / "rows-1of1.jsonl").read_bytes()
    assert first.count(b"\n") == 2
    table(tmp_path)
    assert (tmp_path / "rows-1of1.jsonl").read_bytes().startswith(first)
    assert contents(tmp_path) == contents(whole)
    designs = json.loads((tmp_path / "table.json").read_text())["designs"]
    assert [design["architectures"] for design in designs] == [1, 2]
    # The whole design has rows: another shard finds nothing to do.
    monkeypatch.setattr(table_worker, "train", None)
    assert table(tmp_path, "shard=1/3").done > 0


def test_the_best_of_a_table_get_more_seeds_in_the_same_folder(tmp_path):
    folder, file = tmp_path / "rows", tmp_path / "t.npz"
    table(folder, "design.repeated=0")
    build_table([folder], file)
    best = load_table(file).best().architecture
    more = ["design.kind=best", f"design.path={file}", "design.seeds=3", "design.repeated=0"]
    made = table(folder, *more, "design.architectures=1")
    assert (made.done, made.wanted) == (3, 3)
    counts = Counter(row.architecture for row in read_rows(folder))
    assert counts[best.id] == 3
    assert sorted(counts.values()) == [2, 3]


@pytest.mark.parametrize("kind", ["best", "neighbours"])
@pytest.mark.parametrize("place", ["{}", "{}/part/../", "{}/link", "{}/part"])
def test_a_ranking_by_rows_that_grow_is_refused_before_anything_is_read(
    tmp_path, kind, place, monkeypatch
):
    monkeypatch.setattr(driver, "load_splits", pytest.fail)
    folder = tmp_path / "rows"
    (folder / "part").mkdir(parents=True)
    (folder / "link").symlink_to(folder)
    path = place.format(folder)
    with pytest.raises(ConfigError, match=rf"table build {path} out=two_seeds\.npz\) and name it"):
        table(folder, f"design.kind={kind}", f"design.path={path}", "design.repeated=0")


def test_a_training_half_done_by_a_version_of_before_goes_on(whole, tmp_path, monkeypatch):
    def kept_as_before(self, state):
        old = {name: state[name] for name in ("task", "seconds")}
        save(Checkpoints(self._folder.parent), old)
        raise KeyboardInterrupt

    save = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", kept_as_before)
        with pytest.raises(KeyboardInterrupt):
            table(tmp_path, "checkpoint.every_seconds=0")
    gone_on_from = []
    load = workers.TrainingTask.load_state_dict

    def loaded(self, state):
        gone_on_from.append(state["trainer"]["generator_steps"])
        load(self, state)

    monkeypatch.setattr(workers.TrainingTask, "load_state_dict", loaded)
    table(tmp_path)
    assert len(gone_on_from) == 1
    assert gone_on_from[0] > 0
    assert contents(tmp_path) == contents(whole)


def test_progress_is_told_before_the_first_training_ends(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(ProgressView, "show", lambda _, report: told.append(report.message))
    table(tmp_path, "design.architectures=1", "design.repeated=0", "design.seeds=2")
    assert told[0] == "0 of 2 trainings"
    assert [re.sub(r"\d+ s left", "left", each) for each in told[1:]] == [
        "1 of 2 trainings, left",
        "2 of 2 trainings, left",
    ]


def test_a_torn_last_line_is_dropped_and_made_again(whole, tmp_path):
    table(tmp_path)
    file = tmp_path / "rows-1of1.jsonl"
    file.write_bytes(file.read_bytes()[:-40])
    assert len(contents(tmp_path)) == 4
    table(tmp_path)
    assert contents(tmp_path) == contents(whole)


def test_a_line_damaged_before_the_last_stops_with_its_number(tmp_path):
    table(tmp_path)
    file = tmp_path / "rows-1of1.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"index":1', b'{"endex":1'))
    with pytest.raises(RunDirectoryError, match="line 2 is damaged"):
        table(tmp_path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.n_critic=5", r"trainer\.n_critic is 2 there and 5 here"),
        ("training.generator_steps=6", r"training\.generator_steps is 4 there and 6 here"),
        ("training.eval_at=[1,4]", r"training\.eval_at is null there and \[1, 4\] here"),
        ("metrics.num_images=32", "protocol is 'digits-train-64-digits-v1' there"),
        ("search_space.latent_dim=8", r"latent_dim is 16 there and 8 here"),
        ("search_space.fixed={cell1.shortcut: on}", "fixed.*the decisions of the search space"),
    ],
)
def test_another_setting_in_the_same_folder_is_refused_by_name(
    whole, override, message, monkeypatch
):
    # Before the metrics' reference is computed.
    monkeypatch.setattr(MetricHarness, "prepare", pytest.fail)
    before = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    with pytest.raises(TableError, match=message):
        table(whole, override)
    assert {p.name: p.read_bytes() for p in whole.iterdir() if p.is_file()} == before


def test_a_second_command_for_a_shard_is_refused_and_changes_nothing(whole, monkeypatch):
    monkeypatch.setattr(MetricHarness, "prepare", pytest.fail)
    before = (whole / "table.json").read_bytes()
    with (
        RunLock(whole / ".1of1"),
        pytest.raises(RunDirectoryError, match="another folder with out="),
    ):
        table(whole, "design.architectures=9")
    assert (whole / "table.json").read_bytes() == before


def test_damaged_rows_are_refused_before_the_design_is_noted(whole, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(whole, folder)
    file = folder / "rows-1of1.jsonl"
    file.write_text(re.sub(r'"options":\[\d+', '"options":[9', file.read_text()))
    before = (folder / "table.json").read_bytes()
    told = r"rows-1of1\.jsonl, line 1: not a row of a table: cell1\.block has 2 options"
    with pytest.raises(TableError, match=told):
        table(folder, "design.architectures=9")
    assert (folder / "table.json").read_bytes() == before


def test_on_cuda_a_folder_holds_to_whether_its_numbers_repeat(tmp_path, monkeypatch):
    cuda, manifest = torch.device("cuda"), driver._Tabulation._manifest

    def of_cuda(self, *parts):
        monkeypatch.setattr(self, "device", cuda)
        return manifest(self, *parts)

    monkeypatch.setattr(driver, "device_name", str)
    monkeypatch.setattr(driver._Tabulation, "_manifest", of_cuda)
    monkeypatch.setattr(driver._Tabulation, "_train", lambda *_: iter(()))
    table(tmp_path)
    path = tmp_path / "table.json"
    made = json.loads(path.read_text(encoding="utf-8"))
    assert (made["settings"]["device"], made["settings"].pop("deterministic")) == ("cuda", True)
    other = r"deterministic is True there and False here"
    with pytest.raises(TableError, match=other):
        table(tmp_path, "deterministic=false")
    # A folder of before says nothing of it: it was made with the default.
    path.write_text(json.dumps(made), encoding="utf-8")
    with pytest.raises(TableError, match=other):
        table(tmp_path, "deterministic=false")
    table(tmp_path)


def test_on_a_cpu_numbers_repeat_in_any_case(whole):
    assert "deterministic" not in json.loads((whole / "table.json").read_text())["settings"]
    assert table(whole, "deterministic=false").done == 5


def test_a_table_made_before_a_setting_of_the_trainer_came_goes_on(whole, tmp_path):
    folder = tmp_path / "grown"
    shutil.copytree(whole, folder)
    path = folder / "table.json"
    manifest = json.loads(path.read_text())
    del manifest["settings"]["trainer"]["spectral_norm_scale"]
    path.write_text(json.dumps(manifest))
    build_table([folder, whole], tmp_path / "both.npz")
    with pytest.raises(TableError, match=r"spectral_norm_scale is 1\.0 there and 1\.5 here"):
        table(folder, "trainer.spectral_norm_scale=1.5")
    assert table(folder).done == 5


@pytest.mark.parametrize("text", ['{"format": "something"}', "[" * 10_000, "[1, NaN]"])
def test_a_foreign_manifest_is_refused(tmp_path, text):
    (tmp_path / "table.json").write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match="cannot be read as the manifest"):
        table(tmp_path)


def test_a_pipe_in_place_of_a_manifest_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "table.json")
    with pytest.raises(TableError, match="it is no plain file"):
        table(tmp_path)


def test_a_training_that_breaks_down_is_a_row_with_its_reason(tmp_path):
    made = table(tmp_path, "trainer.health.max_loss=1e-6", "trainer.health.check_every=1")
    assert (made.done, made.broken_down) == (5, 5)
    assert "5 of 5 trainings are done, 5 of them broke down" in made.summary_lines[0]
    assert all("loss exploded" in row.failure for row in read_rows(tmp_path))


def test_a_training_that_breaks_down_after_a_score_has_the_score_and_the_reason(
    tmp_path, monkeypatch
):
    iteration = AdversarialTrainer.iteration

    def breaks_down(self):
        if self.generator_steps == 3:
            raise TrainingDiverged("the loss exploded", generator_step=3)
        iteration(self)

    monkeypatch.setattr(AdversarialTrainer, "iteration", breaks_down)
    made = table(tmp_path, "design.architectures=1", "design.seeds=1", "design.repeated=0")
    assert (made.done, made.broken_down) == (1, 1)
    (row,) = read_rows(tmp_path)
    assert ([point.step for point in row.curve], row.steps) == ([2], 3)
    assert row.failure == "the loss exploded"
    found = load_table(tmp_path)
    assert found.breakdowns() == {"the loss exploded": 1}


def test_scores_are_made_at_the_points_that_are_asked_for(tmp_path):
    table(tmp_path, "design.architectures=1", "design.seeds=1", "training.eval_at=[1,3]")
    assert [point.step for point in read_rows(tmp_path)[0].curve] == [1, 3, 4]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.eval_at=[3,2]", "eval_at must be growing"),
        ("training.eval_at=[3,9]", "beyond generator_steps=4"),
        ("training.eval_at=[]", "eval_at must be growing"),
        ("shard=0/2", "from 1/N to N/N"),
        ("design.seeds=0", "design.seeds must be at least 1"),
        ("design.kind=some", "design.kind"),
        ("+design.number=3", r"unknown setting design\.number"),
        ("search_space.fixed={cell9.norm: batch}", "cell9.norm"),
        ("search_space.fixed=on", "search_space.fixed"),
        ("objective=accuracy", "accuracy"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, override, message):
    folder = tmp_path / "new"
    with pytest.raises(ConfigError, match=message):
        table(folder, override)
    assert not folder.exists()


def broken(*_, **__):
    raise ZeroDivisionError("a bug")


def test_a_fault_in_every_training_stops_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(table_worker, "train", broken)
    with pytest.raises(driver.SearchFailed, match="first 3 trainings all stopped: ZeroDiv"):
        table(tmp_path)


def test_faults_of_the_first_trainings_do_not_block_a_folder_that_has_rows(tmp_path, monkeypatch):
    one = ("design.architectures=1", "design.seeds=1", "design.repeated=0")
    table(tmp_path, *one)
    with monkeypatch.context() as patch:
        patch.setattr(table_worker, "train", broken)
        made = table(tmp_path, "design.seeds=1", "design.repeated_seeds=4")
    assert (made.done, made.wanted, len(made.left)) == (1, 5, 4)


@pytest.mark.parametrize("fault", [MetricError, ArchitectureError, PluginError])
def test_a_training_that_cannot_be_scored_is_left_out_and_the_others_go_on(
    tmp_path, monkeypatch, fault
):
    finish = workers.TrainingAttempt.finish

    def unscored(self):
        if self.task._run.seed == 0:
            raise fault("no score is computed from them")
        return finish(self)

    monkeypatch.setattr(workers.TrainingAttempt, "finish", unscored)
    made = table(tmp_path, "design.architectures=1", "design.repeated=0")
    assert (made.done, made.wanted) == (1, 2)
    ((name, reason),) = made.left.items()
    assert name.endswith("-s0")
    assert reason == f"{fault.__name__}: no score is computed from them"
    monkeypatch.setattr(workers.TrainingAttempt, "finish", finish)
    assert table(tmp_path, "design.architectures=1", "design.repeated=0").done == 2


def test_a_fault_in_one_training_leaves_it_out_and_says_so(tmp_path, monkeypatch):
    train = table_worker.train

    def broken_once(config, training, folder, *, device):
        if training.seed == 2:
            raise ZeroDivisionError("a bug")
        return train(config, training, folder, device=device)

    monkeypatch.setattr(table_worker, "train", broken_once)
    made = table(tmp_path)
    assert (made.done, made.wanted) == (4, 5)
    assert any("ZeroDivisionError: a bug" in line for line in made.summary_lines)
    monkeypatch.setattr(table_worker, "train", train)
    assert table(tmp_path).done == 5


def test_missing_data_are_told_by_the_verb(capsys, tmp_path):
    arguments = ["dataset=npz", f"dataset.path={tmp_path}/none.npz", f"out={tmp_path}/table"]
    assert main(["tabulate", *TINY, *arguments]) == 2
    assert "none.npz does not exist" in capsys.readouterr().err
    assert issubclass(DatasetError, Exception)
