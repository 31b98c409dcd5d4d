"""Whatever is in a file: it is read, or refused in a few words, and in no time."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from record_samples import architecture, sound_record

from nasgan.architecture import Architecture
from nasgan.cli.compose import compose
from nasgan.cli.sweep import JobNote, SweepLog, complaint, summary
from nasgan.engine.run_directory import RunDirectory, RunIdentity
from nasgan.errors import NasganError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records, read_selection
from nasgan.publishing.bundle import publish
from nasgan.publishing.bundle_check import verify_bundle
from nasgan.publishing.contradictions import record_faults
from nasgan.publishing.verification import verify_table
from nasgan.report.details import embed_grid
from nasgan.report.histories import read_run_history
from nasgan.report.live import LivePage
from nasgan.report.page import build_report
from nasgan.runs.history import History, read_history
from nasgan.runs.record import RunRecord
from nasgan.runs.status import Status

ROUNDS = int(os.environ.get("NASGAN_FUZZ", "60"))
SECONDS = 20.0  # of one reader: a tenth of a second is usual, and a hang takes for ever

# What Python, its data classes and pydantic call things in their own signatures.
RESERVED = ("self", "__dataclass_self__", "cls", "kind", "__class__", "args", "values")

Data = dict[str, Any]


def a_history() -> str:
    evaluation = {
        "kind": "evaluation",
        "phase": "search",
        "architecture": architecture(),
        "score": 20.0,
        "incumbent": "a",
        "stage": 0,
        "fidelity": "shared",
        "spent": {"images": 7, "generator_steps": 3},
        "options": {"cell1.norm": {"none": 0.5}},
    }
    checkpoint = {"kind": "checkpoint", "phase": "final", "architecture": "a"}
    lines = [
        {"index": 0, **evaluation},
        {"index": 1, **checkpoint, "metrics": {"fid": 1.0}, "spent": {"images": 9}},
        {"index": 2, "kind": "finalists", "phase": "final", "architectures": ["a"]},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def read_notes(path: Path) -> None:
    log = SweepLog(path.parent, "sweep")
    notes = log.read()
    assert len(notes) <= 1
    assert len("".join(summary(notes, is_whole=False))) < 3000
    complaint(notes)
    log.state_of(0)


def claim(path: Path) -> None:
    RunDirectory(path.parent).claim(CONFIG)


def read_both_histories(path: Path) -> None:
    read_run_history(path)
    History(path)
    read_history(path)


def tabulate(path: Path) -> None:
    """A record that is read makes a table, and the table says what the record says."""
    RunRecord.read(path)
    records, _ = find_records([path])
    assert len(build_report([path.parent]).html) > 0
    faults = [str(fault) for fault in record_faults(records)]
    for suffix in (".csv", ".json"):
        table = path.with_name(f"table{suffix}")
        build_leaderboard(records).write(table)
        found = verify_table(table, records).differences
        assert [text for text in found if text not in faults] == []


CONFIG: Data = {"seed": 0, "checkpoint": {"keep": 5}, "final": {"betas": [0.0, 0.9]}}
IDENTITY: Data = {"run_id": "a", "started": "2026-01-31T12:00:00+00:00", "content": {"images": "1"}}
READERS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "status": ("status.json", json.dumps(asdict(Status("search"))), Status.read),
    "architecture": ("architecture.json", json.dumps(architecture()), Architecture.load),
    "record": ("record.json", json.dumps(sound_record().to_json()), tabulate),
    "history": ("history.jsonl", a_history(), read_both_histories),
    "config": ("config.json", json.dumps(CONFIG), claim),
    "identity": ("run.json", json.dumps(IDENTITY), RunIdentity.of),
    "note": ("0.json", json.dumps(asdict(JobNote(0, ("seed=1",), "a", "failed", "b"))), read_notes),
    "selection": (
        "selection.json",
        '{"strategy": ["rl"], "seed": [1]}',
        lambda path: read_selection(path.read_text("utf-8", "replace")),
    ),
}


def swapped(data: Any, rng: random.Random) -> Any:
    """``data`` with something else in one place of it."""
    deep: Any = 1
    for _ in range(rng.choice([5, 150, 900])):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    odd = [
        *(
            None,
            True,
            -1,
            1.5,
            10**400,
            1e300,
            "",
            "x" * 300_000,
            "\ud800",
            "\0\r\n",
            "=1+1",
            [],
            {},
        ),
        deep,
        {"_target_": "os.system"},
        list(range(50_000)),
        {str(i): i for i in range(20_000)},
        "٣",
    ]
    if isinstance(data, dict) and data and rng.random() < 0.85:
        key = rng.choice(list(data))
        if rng.random() < 0.1:
            return {**{k: v for k, v in data.items() if k != key}, "k" * 200_000: data[key]}
        if rng.random() < 0.1:
            return {**data, rng.choice(RESERVED): data[key]}
        return {**data, key: swapped(data[key], rng)}
    if isinstance(data, list) and data and rng.random() < 0.7:
        place = rng.randrange(len(data))
        return [swapped(item, rng) if i == place else item for i, item in enumerate(data)]
    return rng.choice(odd)


def damaged(text: str, rng: random.Random) -> bytes:
    """``text`` with other bytes, or other data, in one of many ways."""
    raw = bytearray(text.encode())
    place = rng.randrange(len(raw))
    way = rng.randrange(8)
    if way == 0:
        raw[place] ^= 1 << rng.randrange(8)
    elif way == 1:
        del raw[place:]
    elif way == 2:
        raw[place:place] = rng.randbytes(rng.choice([1, 3, 5000]))
    elif way == 3:
        raw[place:place] = rng.choice([b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"1" * 9000])
    elif way == 4:
        raw[place : place + 1] = rng.choice(
            [b"\\u0000", b"\\ud800", b"\\r", b"\\u2028", b"'", b";="]
        )
    else:
        first, newline, rest = text.partition("\n")
        return (json.dumps(swapped(json.loads(first), rng)) + newline + rest).encode()
    return bytes(raw)


def call(read: Callable[[Path], object], path: Path) -> None:
    said = "fine"
    try:
        read(path)
    except NasganError as error:
        said = str(error)
    assert 0 < len(said) <= 2000


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_in_a_few_words(name: str, tmp_path: Path) -> None:
    file, text, read = READERS[name]
    rng = random.Random(name)
    path = tmp_path / file
    path.write_text(text)
    read(path)
    began = time.monotonic()
    for _ in range(ROUNDS // 4 if name == "record" else ROUNDS):
        path.write_bytes(damaged(text, rng))
        call(read, path)
    assert time.monotonic() - began < SECONDS * 3


@pytest.mark.parametrize("key", RESERVED)
@pytest.mark.parametrize("name", ["status", "record", "note"])
def test_a_key_with_a_name_of_the_initialisers_own_is_no_traceback(
    name: str, key: str, tmp_path: Path
) -> None:
    file, text, read = READERS[name]
    data = json.loads(text)
    (tmp_path / file).write_text(json.dumps({**data, key: data.get(key, "x")}))
    call(read, tmp_path / file)
    if name == "record":
        assert (key in data) == (len(find_records([tmp_path])[0]) == 1)


@pytest.mark.parametrize("name", [name for name in READERS if name != "selection"])
def test_what_is_no_file_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    file, _, read = READERS[name]
    path = tmp_path / file
    os.mkfifo(path)
    call(read, path)
    path.unlink()
    path.mkdir()
    call(read, path)
    path.rmdir()
    path.symlink_to("/dev/zero")
    call(read, path)
    path.unlink()
    with path.open("wb") as stream:
        stream.truncate(2**42)
    call(read, path)


def test_a_report_and_a_live_page_pass_by_what_is_no_file(tmp_path: Path) -> None:
    sound_record().write(tmp_path / "run" / "record.json")
    (tmp_path / "run" / "samples").mkdir()
    os.mkfifo(tmp_path / "run" / "history.jsonl")
    os.mkfifo(tmp_path / "run" / "samples" / "final.png")
    (tmp_path / "other").mkdir()
    os.mkfifo(tmp_path / "other" / "status.json")
    assert embed_grid(tmp_path / "run" / "samples" / "final.png", 10_000) is None
    assert "random" in build_report([tmp_path]).html
    assert "random" in LivePage([tmp_path]).html()


def test_bundles_of_others_are_verified_to_an_end(tmp_path: Path) -> None:
    rng = random.Random("bundles")
    sound_record().write(tmp_path / "run" / "record.json")
    bundle = publish([tmp_path / "run"], tmp_path / "bundle").folder
    files = [path for path in sorted(bundle.rglob("*")) if path.is_file()]
    for path in files:
        whole = path.read_bytes()
        for _ in range(2):
            is_json = path.suffix == ".json"
            text = json.dumps(json.loads(whole)) if is_json else ""
            damage = damaged(text, rng) if is_json else whole[:-9] + b"\0" * 9
            path.write_bytes(damage)
            call(verify_bundle, bundle)
        path.unlink()
        os.mkfifo(path)
        call(verify_bundle, bundle)
        path.unlink()
        path.write_bytes(whole)
    assert verify_bundle(bundle).differences == ()


@pytest.mark.parametrize("digit", ["٣", "３", "३", "³", "1_0"])
def test_digits_of_another_script_are_not_those_of_a_table(digit: str, tmp_path: Path) -> None:
    sound_record(fid=3.0).write(tmp_path / "run" / "record.json")
    records, _ = find_records([tmp_path / "run"])
    table = tmp_path / "table.csv"
    build_leaderboard(records).write(table)
    text = table.read_text(encoding="utf-8")
    assert ",3," in text
    table.write_text(text.replace(",3,", f",{digit},", 1), encoding="utf-8")
    assert verify_table(table, records).differences


@pytest.mark.parametrize(
    "override",
    [
        "trainer.n_critic=" + "[" * 3000 + "]" * 3000,
        "+trainer.x=" + "{a:" * 400 + "1" + "}" * 400,
        "seed=" + "9" * 300_000,
        "seed='" + "x" * 300_000 + "'",
        "strategy=" + "x" * 300_000,
        "+" + "x" * 300_000 + "=1",
        "x" * 300_000,
        "trainer.n_critic=${" * 200,
        "trainer.n_critic=${trainer.n_critic}",
        "+a=" + ",".join(["1"] * 50_000),
        "trainer=" + "a/" * 3000,
        "++checkpoint={" + ",".join(f"k{i}:1" for i in range(2000)) + "}",
    ],
    ids=lambda text: text[:24],
)
def test_a_setting_of_any_length_and_depth_is_refused_in_a_few_words(override: str) -> None:
    with pytest.raises(NasganError) as found:
        compose("search", [override])
    assert 0 < len(str(found.value)) <= 2000
