"""What can be done to a table, a bundle or its records, checksums made anew, and is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from record_samples import architecture, evaluation, sound_record

from nasgan.errors import ConfigError, MissingDependencyError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.publishing import bundle as bundle_module
from nasgan.publishing.bundle import CHECKSUM_FILE, publish
from nasgan.publishing.bundle_check import verify_bundle
from nasgan.publishing.verification import Verification, verify_table
from nasgan.runs.record import RunRecord

BOUND = {"metrics": {"fid": 9.0}, "num_images": 10}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tricks")
    for space, better in (("agan", 0.5), ("autogan", 0.0)):
        for strategy, fid in (("random", 20.0), ("rl", 30.0)):
            for seed in range(3):
                scores = (strategy, seed, fid + seed - better)
                record = sound_record(*scores, search_space=space, bound=BOUND)
                record.write(root / "runs" / space / strategy / str(seed) / "record.json")
    return publish([root / "runs"], root / "bundle").folder


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


def renewed(folder: Path) -> Verification:
    """Verified after new checksums."""
    (folder / CHECKSUM_FILE).unlink()
    bundle_module._write_checksums(folder)
    return verify_bundle(folder)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def board(folder: Path, **rules: Any) -> Any:
    return build_leaderboard(find_records([folder / "runs"])[0], **rules)


def test_records_that_verify_would_refuse_are_not_published(tmp_path: Path) -> None:
    data = {**sound_record().to_json(), "config_hash": "0" * 16}
    RunRecord.from_json(data).write(tmp_path / "r" / "record.json")
    with pytest.raises(ConfigError, match=r"r/record\.json: the configuration does not match"):
        publish([tmp_path / "r"], tmp_path / "out" / "b")
    assert not (tmp_path / "out").exists()


def test_the_scores_of_another_finalist_are_found(tmp_path: Path) -> None:
    scores = [{"is": 7.0, "fid": 20.0}, {"is": 7.0, "fid": 5.0}]
    both = [evaluation(k, **metrics) for k, metrics in enumerate(scores)]
    for k in (0, 1):
        record = sound_record(finalists=both, metrics=scores[1], architecture=architecture(k))
        record.write(tmp_path / str(k) / "r" / "record.json")
        records, _ = find_records([tmp_path / str(k)])
        build_leaderboard(records).write(tmp_path / "b.csv")
        found = verify_table(tmp_path / "b.csv", records).differences
        assert [d for d in found if "those of one of its finalists" in d] == list(found)
        assert len(found) == 1 - k


@pytest.mark.parametrize("name", ["leaderboard.csv", "leaderboard.json"])
def test_a_table_under_other_rules_than_the_manifests_is_found(bundle: Path, name: str) -> None:
    board(bundle, rank_by="is", where={"strategy": "rl"}).write(bundle / name)
    found = renewed(bundle).differences
    assert f"{name}: the ranking metric is is, and bundle.json says fid" in found
    assert len(found) == 2
    assert "the selection is {" in found[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n| 1", "\n | **1** | ours |\n| 1"),
        ("\n| 1", "\n**1** | ours |\n| 1"),
        ("\n| 1", "\nOurs\n| 1"),
        ("\n| 1", "\n\n| 1"),
        ("\n### agan", "\n### autogan"),
        ("\n### ", "\n<!--\n### "),
        ("\n### ", "\nA <!--\n\n### "),
        ("\n### ", "\n```\n### "),
    ],
)
def test_whatever_is_slipped_into_the_page_is_found(bundle: Path, old: str, new: str) -> None:
    path = bundle / "leaderboard.md"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    (difference,) = renewed(bundle).differences
    assert difference.startswith("leaderboard.md: line ")


def test_line_endings_do_not_matter_and_other_sentences_are_told(bundle: Path) -> None:
    path = bundle / "leaderboard.md"
    text = path.read_text()
    path.write_bytes(("Ours is best.\n\n" + text).replace("\n", "\r\n").encode())
    found = renewed(bundle)
    assert found.differences == ()
    remark = "leaderboard.md: line 1 is no sentence of this nasgan: 'Ours is best.'"
    assert found.remarks == (remark,)
    path.write_text(text.rpartition("|\n")[0])
    assert renewed(bundle).differences


def test_a_key_that_is_there_twice_is_refused(bundle: Path) -> None:
    table, manifest = bundle / "leaderboard.json", bundle / "bundle.json"
    before = table.read_text()
    table.write_text(before.replace('"fid_mean"', '"fid_mean": 1.0, "fid_mean"', 1))
    (difference,) = renewed(bundle).differences
    assert "the key 'fid_mean' is there twice" in difference
    table.write_text(before)
    for path in [next(bundle.glob("runs/*/*/record.json")), manifest]:
        path.write_text(path.read_text().replace("{", '{"format": "x",', 1))
    with pytest.raises(ConfigError, match="'format' is there twice"):
        RunRecord.read(next(bundle.glob("runs/*/*/record.json")))
    with pytest.raises(ConfigError, match="'format' is there twice"):
        verify_bundle(bundle)


def test_a_metric_that_is_unknown_here_cannot_be_told(tmp_path: Path) -> None:
    metrics = {"sharpness": 3.0}
    objective = {"metric": "sharpness", "direction": "max"}
    own = sound_record(metrics=metrics, finalists=[evaluation(0, **metrics)], objective=objective)
    own.write(tmp_path / "r" / "record.json")
    records, _ = find_records([tmp_path / "r"])
    build_leaderboard(records).write(tmp_path / "b.csv")
    with pytest.raises(MissingDependencyError, match="install the package that brings it"):
        verify_table(tmp_path / "b.csv", records)


def test_numbers_of_classes_as_pandas_writes_them_are_keys_too(tmp_path: Path) -> None:
    for k in range(101):
        sound_record(f"s{k}", 0, 20.0 + k).write(tmp_path / "r" / str(k) / "record.json")
    records, _ = find_records([tmp_path / "r"])
    path = tmp_path / "b.csv"
    build_leaderboard(records).write(path)
    path.write_text(path.read_text().replace(",autogan,0,", ",autogan,0.0,"))
    assert ",autogan,0.0," in path.read_text()
    assert verify_table(path, records).differences == ()


def test_runs_are_where_the_manifest_says(bundle: Path) -> None:
    path = bundle / "bundle.json"
    edit(path, lambda data: data["runs"][0].update(folder="../../etc"))
    (difference,) = renewed(bundle).differences
    assert "is said to be in ../../etc, and is in runs/" in difference


def test_run_folders_that_were_swapped_are_found(bundle: Path) -> None:
    first, *_, last = sorted(path.parent for path in bundle.glob("runs/*/*/record.json"))
    first.rename(bundle / "x")
    last.rename(first)
    (bundle / "x").rename(last)
    assert len(renewed(bundle).differences) == 2


def test_a_bound_that_was_edited_is_told(bundle: Path) -> None:
    path = next(bundle.glob("runs/*/*/record.json"))
    edit(path, lambda data: data["bound"]["metrics"].update(fid=1.0))
    (remark,) = renewed(bundle).remarks
    assert "its bound (FID 1 of the test images) is not the 9" in remark


def test_what_stands_beside_the_rows_is_checked(bundle: Path) -> None:
    path = bundle / "leaderboard.json"
    before = path.read_text()
    lie = {"source": "x", "message": "lie"}
    for key, value, text in [
        ("claim", "ours is best", "key claim is none of a leaderboard"),
        ("group_by", ["strategy"], "group_by: not what the records give"),
        ("problems", [lie], "problems: not what the records give"),
    ]:
        path.write_text(before)
        edit(path, lambda data, key=key, value=value: data.update({key: value}))  # type: ignore[misc]
        assert renewed(bundle).differences == (f"leaderboard.json: {text}",), key
    # Other records may have other problems: of a table by itself they are told.
    found = verify_table(path, find_records([bundle / "runs"])[0])
    assert found.differences == ()
    assert found.remarks == ("the file tells what the records here do not: x: lie",)
    path.write_text(before)
    edit(path, lambda data: data.update(problems="none"))
    (difference,) = verify_table(path, find_records([bundle / "runs"])[0]).differences
    assert difference.startswith("problems must be a list")
    edit(path, lambda data: data.pop("problems"))
    (difference,) = verify_table(path, find_records([bundle / "runs"])[0]).differences
    assert difference == "key problems is missing"


@pytest.mark.parametrize("name", ["published: x", "x" * 300])
def test_a_strategy_of_any_name_is_published_and_verifies(tmp_path: Path, name: str) -> None:
    sound_record(name).write(tmp_path / "r" / "record.json")
    publish([tmp_path / "r"], tmp_path / "b")
    assert verify_bundle(tmp_path / "b").differences == ()


@pytest.mark.parametrize("number", [True, "10", 2.5, -1])
def test_a_number_of_classes_is_a_number(number: object) -> None:
    with pytest.raises(ConfigError, match=r"space_settings\.num_classes must be a whole number"):
        sound_record(space_settings={"num_classes": number})


def test_files_of_other_programs_are_read_or_refused_in_plain_words(bundle: Path) -> None:
    records, _ = find_records([bundle / "runs"])
    path = bundle / "leaderboard.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert verify_table(path, records).differences == ()
    table = bundle / "leaderboard.csv"
    table.write_text(table.read_text().replace(",", ";"))
    with pytest.raises(ConfigError, match="separated by ';'"):
        verify_table(table, records)
    with pytest.raises(ConfigError, match="these are ranks over tasks"):
        verify_table(bundle / "leaderboard-ranks.csv", records)


def test_a_record_of_a_newer_nasgan_is_told_to_be_one() -> None:
    with pytest.raises(ConfigError, match="unknown future; a newer nasgan may have made it"):
        RunRecord.from_json({**sound_record().to_json(), "future": 1})
