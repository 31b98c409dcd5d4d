"""Published bundles: complete, deterministic, movable, and refused once something was changed."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from record_samples import evaluation, failed_record, sound_record

from nasgan.errors import ConfigError, StorageError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.publishing import bundle as bundle_module
from nasgan.publishing.bundle import CHECKSUM_FILE, Bundle, publish
from nasgan.publishing.bundle_check import verify_bundle
from nasgan.reading import digest_of
from nasgan.runs.record import RunRecord

HISTORY = {"kind": "evaluation", "phase": "search", "index": 0, **evaluation(0, fid=30.0)}


def write_runs(root: Path) -> Path:
    """Two strategies in two spaces over three seeds, one of them found twice."""
    rng = random.Random(3)
    for space in ("agan", "autogan"):
        for strategy in ("random", "rl"):
            for seed in range(3):
                folder = root / space / strategy / str(seed)
                record = sound_record(strategy, seed, rng.uniform(10, 30), search_space=space)
                record.write(folder / "record.json")
                (folder / "history.jsonl").write_text(json.dumps(HISTORY) + "\n")
                (folder / "samples").mkdir()
                Image.new("L", (8, 8), seed).save(folder / "samples" / "final.png")
    shutil.copytree(root / "agan" / "rl" / "0", root / "copy")
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("machine") / "runs")


@pytest.fixture(scope="module")
def published(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return publish([runs], tmp_path_factory.mktemp("out") / "bundle", title="Of *two* strategies")


@pytest.fixture
def bundle(published: Bundle, tmp_path: Path) -> Path:
    """A copy somewhere else."""
    return Path(shutil.copytree(published.folder, tmp_path / "moved" / "bundle"))


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_bundle_holds_all_that_is_needed(published: Bundle) -> None:
    found = names(published.folder)
    assert {
        "README.md", "CHECKLIST.md", "SHA256SUMS", "bundle.json", "report.html",
        "leaderboard.csv", "leaderboard.md", "leaderboard.json", "leaderboard-ranks.csv",
    } <= found  # fmt: skip
    per_run = {"record.json", "config.json", "history.jsonl", "samples/final.png"}
    folders = {name.rsplit("/record.json")[0] for name in found if name.endswith("/record.json")}
    assert len(folders) == published.num_runs == 12
    assert {f"{folder}/{name}" for folder in folders for name in per_run} <= found
    assert len(found) == 9 + 12 * 4
    readme = (published.folder / "README.md").read_text()
    assert readme.startswith("# Of \\*two\\* strategies\n")
    assert "nasgan leaderboard verify" in readme
    assert "**Several seeds**" in (published.folder / "CHECKLIST.md").read_text()
    assert "<html" in (published.folder / "report.html").read_text()


def test_its_table_is_that_of_the_runs_without_the_copy(runs: Path, published: Bundle) -> None:
    board = build_leaderboard(find_records([runs])[0])
    assert (published.folder / "leaderboard.csv").read_text() == board.to_csv()
    assert board.problems
    assert published.board.problems == ()


def test_the_same_runs_give_the_same_bytes_elsewhere(
    runs: Path, published: Bundle, tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(runs, tmp_path / "a & b" / "other runs")
    again = publish([elsewhere], tmp_path / "again", title="Of *two* strategies")
    assert again.digest == published.digest == digest_of(again.folder / CHECKSUM_FILE)
    for name in names(published.folder):
        assert (again.folder / name).read_bytes() == (published.folder / name).read_bytes(), name


def test_no_file_names_a_place_of_this_machine(
    runs: Path, published: Bundle, tmp_path: Path
) -> None:
    for name in names(published.folder):
        content = (published.folder / name).read_bytes()
        for place in (runs, published.folder.parent, Path("/home/somebody")):
            assert str(place).encode() not in content, (name, place)
    # A place that is part of the hash stays, and is told.
    record = sound_record()
    config = {**record.config, "dataset": {"path": "/data/faces.npz"}}
    from nasgan.runs.record import hash_config

    changes = {"config": config, "config_hash": hash_config(config)}
    RunRecord.from_json({**record.to_json(), **changes}).write(tmp_path / "r" / "record.json")
    remarks = publish([tmp_path / "r"], tmp_path / "b").remarks
    assert any("config.dataset.path names the place /data/faces.npz" in text for text in remarks)
    assert any("has no history.jsonl" in text for text in remarks)
    assert verify_bundle(tmp_path / "b").differences == ()


def test_a_bundle_verifies_wherever_it_lies(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verify_bundle(bundle)
    assert (found.differences, found.remarks) == ((), ())
    assert (found.num_runs, found.num_rows) == (12, 4)
    monkeypatch.chdir(bundle)
    assert verify_bundle(".").differences == ()
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", CHECKSUM_FILE], check=True)


def test_any_file_that_was_edited_added_or_removed_is_named(bundle: Path) -> None:
    for name in sorted(names(bundle) - {CHECKSUM_FILE})[::5]:
        path = bundle / name
        content = path.read_bytes()
        path.write_bytes(content[:-2] + b"x" + content[-1:])
        assert any(
            d == f"{name}: was edited after publication" for d in verify_bundle(bundle).differences
        ), name
        path.write_bytes(content)
    (bundle / "runs" / "more.txt").write_text("")
    (bundle / "link").symlink_to(bundle / "README.md")
    (bundle / "CHECKLIST.md").unlink()
    assert verify_bundle(bundle).differences == (
        "link: is a link, which no bundle holds",
        "runs/more.txt: was added after publication",
        "CHECKLIST.md: is missing",
    )


def test_new_checksums_do_not_help_who_edits_a_table(bundle: Path) -> None:
    def edit(name: str, old: str, new: str) -> tuple[str, ...]:
        path = bundle / name
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))
        (bundle / CHECKSUM_FILE).unlink()
        bundle_module._write_checksums(bundle)
        differences = verify_bundle(bundle).differences
        path.write_text(before)
        return differences

    first = json.loads((bundle / "leaderboard.json").read_text())["rows"][0]
    (csv_difference,) = edit("leaderboard.csv", f"{first['fid_mean']:.10g}", "1.5")
    assert csv_difference.startswith("leaderboard.csv: row 2 (")
    assert "fid_mean: 1.5 in the file" in csv_difference
    (json_difference,) = edit("leaderboard.json", repr(first["fid_mean"]), "1.5")
    assert json_difference.startswith("leaderboard.json: row 2 (")
    shown = f"**{first['fid_mean']:.4g}"
    (markdown_difference,) = edit("leaderboard.md", shown, "**1.5")
    assert markdown_difference.startswith("leaderboard.md: line ")
    (ranks_difference,) = edit("leaderboard-ranks.csv", ",2,", ",7,")
    assert ranks_difference.startswith("leaderboard-ranks.csv: line 2 ")
    assert any("bundle.json: the runs" in d for d in edit("bundle.json", "rl-agan-1", "rl-agan-7"))


def test_a_run_that_was_removed_with_new_checksums_is_found(bundle: Path) -> None:
    shutil.rmtree(next(bundle.glob("runs/rl-agan-*/seed1-*")))
    (bundle / CHECKSUM_FILE).unlink()
    bundle_module._write_checksums(bundle)
    differences = verify_bundle(bundle).differences
    assert any("run rl-agan-1 has no record" in d for d in differences)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda b: (b / "bundle.json").unlink(), "not a published bundle"),
        (lambda b: (b / "bundle.json").write_text("{"), "not JSON"),
        (lambda b: (b / "bundle.json").write_text("{}"), "bundle of version"),
    ],
)
def test_what_is_no_bundle_is_refused(
    bundle: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(bundle)
    with pytest.raises(ConfigError, match=message):
        verify_bundle(bundle)


@pytest.mark.parametrize("content", ['{"format": "nasgan-bundle", "version": 1}', "sums", "runs"])
def test_a_damaged_bundle_is_a_difference_and_no_crash(bundle: Path, content: str) -> None:
    if content == "sums":
        (bundle / CHECKSUM_FILE).write_text("nonsense\n../../etc/passwd\n")
    elif content == "runs":
        shutil.rmtree(bundle / "runs")
    else:
        (bundle / "bundle.json").write_text(content)
    assert verify_bundle(bundle).differences


def test_of_copies_the_one_with_a_history_is_published(runs: Path, tmp_path: Path) -> None:
    for name in ("a", "z"):  # found before and after the whole run
        folder = tmp_path / "r" / name
        folder.mkdir(parents=True)
        shutil.copy(runs / "agan" / "rl" / "0" / "record.json", folder)
    shutil.copytree(runs / "agan" / "rl" / "0", tmp_path / "r" / "m")
    publish([tmp_path / "r"], tmp_path / "b")
    assert len(list(tmp_path.glob("b/runs/*/*/history.jsonl"))) == 1


def test_only_chosen_runs_are_published(runs: Path, tmp_path: Path) -> None:
    made = publish([runs], tmp_path / "b", where={"strategy": "rl", "seed": [0, 1]})
    assert made.num_runs == 4
    assert {row["strategy"] for row in made.board.rows} == {"rl"}
    assert verify_bundle(tmp_path / "b").differences == ()
    assert not (tmp_path / "b" / "leaderboard-ranks.csv").exists()


def test_failed_runs_are_published_too(tmp_path: Path) -> None:
    record = sound_record()
    record.write(tmp_path / "r" / "0" / "record.json")
    config = {"config": {**record.config, "seed": 1}, "config_hash": record.config_hash}
    failed_record("random", 1, **config).write(tmp_path / "r" / "1" / "record.json")
    (tmp_path / "r" / "2").mkdir()
    (tmp_path / "r" / "2" / "record.json").write_text("{")
    made = publish([tmp_path / "r"], tmp_path / "b")
    assert made.num_runs == 2
    assert made.board.rows[0]["n_failed"] == 1
    assert any(text.startswith("not in the bundle: ") for text in made.remarks)
    assert verify_bundle(tmp_path / "b").differences == ()


def test_a_link_out_of_a_run_is_not_followed(tmp_path: Path) -> None:
    sound_record().write(tmp_path / "r" / "record.json")
    (tmp_path / "secret").write_text("password")
    (tmp_path / "r" / "history.jsonl").symlink_to(tmp_path / "secret")
    publish([tmp_path / "r"], tmp_path / "b")
    assert all(b"password" not in (tmp_path / "b" / n).read_bytes() for n in names(tmp_path / "b"))


def test_the_names_of_folders_hold_nothing_but_letters(tmp_path: Path) -> None:
    sound_record("../../../x y", run_id="../e", search_space="..").write(
        tmp_path / "r" / "record.json"
    )
    publish([tmp_path / "r"], tmp_path / "out" / "b")
    assert {p.name for p in tmp_path.iterdir()} == {"r", "out"}
    assert (tmp_path / "out" / "b" / "runs").is_dir()
    assert verify_bundle(tmp_path / "out" / "b").differences == ()


def test_a_folder_that_exists_is_not_touched(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        publish([runs], tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no finished runs"):
        publish([tmp_path / "empty"], tmp_path / "c")


def test_a_bundle_is_there_whole_or_not_at_all(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(bundle_module, "_write_checksums", fail)
    with pytest.raises(StorageError, match="the disk"):
        publish([runs], tmp_path / "out" / "b")
    assert list((tmp_path / "out").iterdir()) == []


def test_tables_that_were_removed_with_new_checksums_are_missed(bundle: Path) -> None:
    for name in ("leaderboard.csv", "leaderboard.json", "leaderboard.md"):
        (bundle / name).unlink()
    (bundle / CHECKSUM_FILE).unlink()
    bundle_module._write_checksums(bundle)
    assert verify_bundle(bundle).differences == (
        "leaderboard.csv: is missing",
        "leaderboard.json: is missing",
        "leaderboard.md: is missing",
    )


@pytest.mark.parametrize(
    "change",
    [{"selection": [1]}, {"selection": "x"}, {"runs": ["a"]}, {"protocol": [1]}, {"ranked_by": 1}],
)
def test_any_manifest_is_a_difference_and_no_crash(bundle: Path, change: dict[str, Any]) -> None:
    path = bundle / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert any("bundle.json." in text for text in verify_bundle(bundle).differences)


def test_a_pipe_in_a_bundle_is_named_and_not_waited_for(bundle: Path) -> None:
    (bundle / "runs" / "more").mkdir()
    os.mkfifo(bundle / "runs" / "more" / "record.json")
    differences = verify_bundle(bundle).differences
    assert "runs/more/record.json: is no plain file" in differences


def test_two_contents_of_one_run_are_not_published(tmp_path: Path) -> None:
    """Which of them counts would depend on the order of the folders."""
    sound_record(fid=20.0).write(tmp_path / "r" / "a" / "record.json")
    sound_record(fid=10.0).write(tmp_path / "r" / "b" / "record.json")
    with pytest.raises(ConfigError, match=r"the contents differ(?s:.)*keep the wrong ones out"):
        publish([tmp_path / "r"], tmp_path / "out" / "bundle")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_bundle_is_named_and_not_followed(bundle: Path, tmp_path: Path) -> None:
    sound_record(run_id="elsewhere").write(tmp_path / "far" / "record.json")
    (bundle / "runs" / "more").symlink_to(tmp_path / "far")
    assert verify_bundle(bundle).differences == ("runs/more: is a link, which no bundle holds",)
    (bundle / "bundle.json").rename(tmp_path / "bundle.json")
    (bundle / "bundle.json").symlink_to(tmp_path / "bundle.json")
    with pytest.raises(ConfigError, match="no plain file"):
        verify_bundle(bundle)


def test_a_failure_that_names_a_place_is_told_before_it_is_published(tmp_path: Path) -> None:
    failure = "StorageError: cannot write '/home/me/runs/a.pt': full"
    sound = sound_record()
    record = failed_record(failure=failure, config=sound.config, config_hash=sound.config_hash)
    record.write(tmp_path / "r" / "record.json")
    (remark,) = publish([tmp_path / "r"], tmp_path / "b").remarks
    assert remark == "run random-0: failure names the place /home/me/runs/a.pt"


def test_a_configuration_that_is_not_the_records_is_found(bundle: Path) -> None:
    path = next(bundle.glob("runs/rl-agan-*/seed1-*")) / "config.json"
    path.write_text(path.read_text().replace("0.0002", "0.1"))
    (bundle / CHECKSUM_FILE).unlink()
    bundle_module._write_checksums(bundle)
    (difference,) = verify_bundle(bundle).differences
    assert difference.endswith("config.json: is not the configuration in the record")


def test_ranks_that_were_removed_or_made_up_are_found(bundle: Path, tmp_path: Path) -> None:
    def renewed(folder: Path) -> tuple[str, ...]:
        (folder / CHECKSUM_FILE).unlink()
        bundle_module._write_checksums(folder)
        return verify_bundle(folder).differences

    sound_record().write(tmp_path / "r" / "record.json")
    single = publish([tmp_path / "r"], tmp_path / "single").folder
    (bundle / "leaderboard-ranks.csv").rename(single / "leaderboard-ranks.csv")
    assert renewed(bundle) == ("leaderboard-ranks.csv: is missing",)
    assert renewed(single) == ("leaderboard-ranks.csv: the records give no ranks over tasks",)
