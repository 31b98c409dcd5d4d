"""Tables are built from rows, travel as one file, and answer what was trained."""

from __future__ import annotations

import json
import math
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nasgan
from nasgan.cli.main import main
from nasgan.errors import ArchitectureError, TableError, UnknownNameError
from nasgan.factory import make_search_space
from nasgan.randomness import numpy_generator
from nasgan.tabular.build import build_table
from nasgan.tabular.manifest import Manifest
from nasgan.tabular.rows import Point, Row, RowFile
from nasgan.tabular.table_file import read_table_file, write_table_file

SPACE = make_search_space(
    "autogan", image_size=16, generator_channels=8, discriminator_channels=8, latent_dim=8
)
MANIFEST = Manifest(
    settings={
        "search_space": {"name": "autogan", "version": SPACE.version, "settings": {}},
        "protocol": "digits-train-64-digits-v1",
        "metrics": ["fid", "kid"],
        "trainer": {"n_critic": 2},
    },
    decisions={d.name: list(d.options) for d in SPACE.decisions},
    designs=({"kind": "uniform"},),
    bound={"fid": 3.0},
    environments=({"python": "3.11"},),
    licence="CC-BY-4.0",
)


def row(architecture, seed, fids, failure=""):
    """Scores at the steps 10, 20, ...; those that are missing broke down before."""
    curve = [Point(10 * n, 2.0 * n, {"fid": f, "kid": f / 9}) for n, f in enumerate(fids, 1)]
    return Row(
        architecture=architecture.id,
        options=SPACE.encode(architecture),
        seed=seed,
        curve=tuple(curve),
        steps=10 * len(fids),
        images=100,
        seconds=2.5 * max(len(fids), 1),
        device_seconds=9.0,
        parameters={"generator": 5, "discriminator": 6},
        macs={"generator": 7, "discriminator": 8},
        failure=failure,
    )


def drawn(count):
    rng = numpy_generator(0, "test")
    return [SPACE.sample(rng) for _ in range(count)]


ARCHITECTURES = drawn(12)


def rows():
    rng = np.random.default_rng(0)
    made = []
    for architecture in ARCHITECTURES:
        level = 100 * math.exp(rng.normal(0, 0.3))
        for seed in (0, 1):
            fids = [level * 2, level * math.exp(rng.normal(0, 0.1))]
            made.append(row(architecture, seed, fids))
    made[3] = row(ARCHITECTURES[1], 1, [321.0], "the generator's loss exploded (2e+04, limit 1e4)")
    return made


def write_folder(folder: Path, made, shard="1of1", manifest=MANIFEST):
    manifest.claim(folder)
    file = RowFile(folder, shard)
    for one in made:
        file.append(one)
    return folder


@pytest.fixture
def path(tmp_path):
    build_table([write_folder(tmp_path / "rows", rows())], tmp_path / "digits-v1.npz")
    return tmp_path / "digits-v1.npz"


@pytest.fixture
def table(path):
    return nasgan.load_table(path)


def test_the_file_does_not_depend_on_shards_and_counts_a_training_once(path, tmp_path):
    made = rows()
    there = write_folder(tmp_path / "there", made[10:], "2of2")
    here = write_folder(tmp_path / "here", made[:6], "1of2")
    write_folder(here, made[4:15], "1of3")
    assert build_table([here, there], tmp_path / "both.npz", name="digits-v1") == 24
    one, both = read_table_file(path), read_table_file(tmp_path / "both.npz")
    assert one[0]["checksums"] == both[0]["checksums"]
    again = tmp_path / "again.npz"
    build_table([tmp_path / "rows"], again, name="digits-v1")
    assert again.read_bytes() == path.read_bytes()


def test_query_gives_what_was_trained(table):
    for one in rows():
        for point in one.curve:
            found = table.query(one.options, seed=one.seed, step=point.step)
            assert found.metrics == point.metrics, "to the last digit"
            assert found.seconds == point.seconds
            assert (found.architecture.id, found.seed) == one.key
    first = ARCHITECTURES[0]
    for form in (first, dict(first.choices), SPACE.encode(first), [o for _, o in first]):
        assert table.query(form) == table.query(first, seed=0, step=20)
    assert table.seeds_of(first) == (0, 1)
    assert table.seeds_of(SPACE.sample(numpy_generator(9, "other"))) == ()
    assert set(table.architectures) == set(ARCHITECTURES)


def test_a_breakdown_keeps_its_scores_before_and_its_reason_at_every_step(table):
    before = table.query(ARCHITECTURES[1], seed=1, step=10)
    after = table.query(ARCHITECTURES[1], seed=1)
    assert before.metrics["fid"] == 321.0
    assert after.metrics == {}
    assert after.seconds == 2.5
    assert before.failure == after.failure == rows()[3].failure
    assert table.breakdowns() == {"the generator's loss exploded": 1}


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        ({"seed": 5}, TableError, "with the seeds 0, 1, not 5"),
        ({"step": 15}, TableError, "scores at 10, 20, not at 15"),
        ({"step": 30}, TableError, "not at 30, the last is 20"),
    ],
)
def test_what_was_not_trained_is_named(table, ask, error, message):
    with pytest.raises(error, match=message):
        table.query(ARCHITECTURES[0], **ask)


def test_architectures_that_are_not_of_the_table_are_named(table):
    other = SPACE.sample(numpy_generator(9, "other"))
    with pytest.raises(TableError, match=f"does not hold the architecture {other.id}; it has 12"):
        table.query(other)
    with pytest.raises(ArchitectureError, match=r"of the search space autogan.*of baselines"):
        table.query(replace(other, space="baselines"))
    with pytest.raises(ArchitectureError, match="version 7"):
        table.query(replace(other, space_version=7))
    with pytest.raises(ArchitectureError, match=r"unknown decisions \['cell9.norm'\]"):
        table.query({**dict(other.choices), "cell9.norm": "batch"})
    with pytest.raises(ArchitectureError, match="has no option 'layer'"):
        table.query({**dict(other.choices), "cell1.norm": "layer"})
    with pytest.raises(ArchitectureError, match="14 decisions"):
        table.query([0, 1])


def test_statistics_are_of_the_logarithm_by_architecture(table):
    logs = {}
    for one in rows():
        if len(one.curve) == 2:
            logs.setdefault(one.architecture, []).append(math.log(one.curve[1].metrics["fid"]))
    means = dict(zip((a.id for a in table.architectures), table.means("fid"), strict=True))
    assert means == pytest.approx({key: np.mean(values) for key, values in logs.items()})
    found = table.reliability("fid")
    assert found.architectures == 11, "one lost a seed"
    within = np.mean([np.var(v, ddof=1) for v in logs.values() if len(v) == 2])
    assert found.within == pytest.approx(math.sqrt(within))
    first, second = zip(*(v for v in logs.values() if len(v) == 2), strict=True)
    ranks = [np.argsort(np.argsort(side)) for side in (first, second)]
    spearman = np.corrcoef(*ranks)[0, 1]
    assert table.agreement_of_runs("fid") == (pytest.approx(spearman), 11)
    assert table.agreement_of_steps("fid", 10, 20)[1] == 12
    # Robinson 1991: the mean of all, and of an architecture's distance from it what is not noise.
    centre = np.mean([np.mean(v) for v in logs.values()])
    between, within = found.between**2, found.within**2
    expected = {
        k: centre + between / (between + within / len(v)) * (np.mean(v) - centre)
        for k, v in logs.items()
    }
    told = dict(zip((a.id for a in table.architectures), table.expected("fid"), strict=True))
    assert told == pytest.approx(expected)
    best = table.best()
    assert best.architecture.id == min(expected, key=expected.__getitem__)
    assert best.seeds == len(logs[best.architecture.id])
    assert best.mean == pytest.approx(np.mean(np.exp(logs[best.architecture.id])))
    assert best.expected == pytest.approx(math.exp(expected[best.architecture.id]))
    assert set(table.explained()) == {d.name for d in SPACE.decisions}


def built(folder, levels):
    """A table in which each architecture has these scores, a training each."""
    made = [
        row(architecture, seed, [fid * 2, fid])
        for architecture, fids in zip(ARCHITECTURES, levels, strict=False)
        for seed, fid in enumerate(fids)
    ]
    build_table([write_folder(folder / "rows", made)], folder / "made-v1.npz")
    return nasgan.load_table(folder / "made-v1.npz")


def test_the_best_is_neither_the_luckiest_training_nor_only_of_those_with_most_seeds(tmp_path):
    many = [[100, 130, 115, 120, 110, 125], [95, 118, 107, 111, 103, 114]]
    twice = [[80, 82], [150, 170], [210, 190]]
    table = built(tmp_path / "best", [*many, *twice, [80.5]])
    order = [ARCHITECTURES.index(each) for each in table.ranked("fid")]
    assert order == [2, 5, 1, 0, 3, 4]
    best = table.best("fid")
    assert (best.architecture, best.seeds) == (ARCHITECTURES[2], 2)
    assert best.mean == 81
    assert best.expected > 81
    alone = built(tmp_path / "alone", [[90], [80], [85], []])
    assert [ARCHITECTURES.index(each) for each in alone.ranked("fid")] == [1, 2, 0]
    assert alone.best("fid").expected == pytest.approx(80)


def test_where_architectures_do_not_differ_their_means_rank_them(tmp_path):
    table = built(tmp_path / "alike", [[100, 121], [121, 99], [110, 112]])
    assert table.reliability("fid").icc < 0
    assert [ARCHITECTURES.index(each) for each in table.ranked("fid")] == [1, 0, 2]


def changed(**values):
    return lambda data: {**data, **values}


def without(name):
    return lambda data: {key: value for key, value in data.items() if key != name}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("parameters"), "it lacks 'parameters'"),
        (without("curve"), "it lacks 'curve'"),
        (changed(parameters={"discriminator": 1}), "it lacks 'generator'"),
        (changed(macs={"generator": 1, "discriminator": 2**63}), "macs of the discriminator must"),
        (changed(parameters=[1, 2]), "indices"),
        (changed(options=[-1] * 14), "options must be a whole number from 0"),
        (changed(options=[300] * 14), r"cell1\.block has 2 options, none of them number 300"),
        (changed(options=[2] * 14), r"cell1\.block has 2 options, none of them number 2"),
        (changed(options=[0.5] * 14), r"options must be a whole number .* got 0\.5"),
        (changed(options=[0, 1]), "it has 2 options for 14 decisions"),
        (changed(seed=2**40), "seed must be a whole number from 0 to 2147483647"),
        (changed(seed=-1), "seed must be"),
        (changed(steps=True), "steps must be"),
        (changed(images=2**70), "images must be"),
        (changed(seconds="3"), "seconds must be a number, got '3'"),
        (changed(seconds=10**400), "too large"),
        (changed(device_seconds=-1.0), "device_seconds must be from 0"),
        (changed(device_seconds=1e300), "device_seconds must be from 0"),
        (changed(curve=[[2**40, 1.0, {}]]), "a step must be"),
        (changed(curve=[[10, 1.0, {"fid": "low"}]]), "fid must be a number, got 'low'"),
        (changed(curve=[[10, 1.0, []]]), "items"),
        (changed(curve=[[10, 1.0]]), "metrics"),
        (changed(curve=7), "iterable"),
        (changed(failure=None), "failure must be a text"),
        (changed(architecture=1), "architecture must be a text"),
        (changed(more=1), "more"),
    ],
)
def test_a_damaged_row_is_told_with_its_file_and_line(tmp_path, damage, message):
    folder = write_folder(tmp_path / "rows", rows()[:3])
    file = folder / "rows-1of1.jsonl"
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines[1] = damage(lines[1])
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    told = rf"rows-1of1\.jsonl, line 2: not a row of a table: .*{message}"
    with pytest.raises(TableError, match=told):
        build_table([folder], tmp_path / "t.npz")
    with pytest.raises(TableError, match=told):
        nasgan.load_table(folder)
    assert not (tmp_path / "t.npz").exists()


def test_a_decision_of_many_options_is_held(tmp_path):
    many = {"a": [str(k) for k in range(300)]}
    made = [replace(rows()[0], options=(k,), architecture=f"{k:012x}") for k in (0, 299)]
    folder = write_folder(tmp_path, made, manifest=replace(MANIFEST, decisions=many))
    table = nasgan.load_table(folder)
    assert table.options.tolist() == [[0], [299]]


@pytest.mark.parametrize("name", ["settings", "decisions"])
def test_a_manifest_without_mappings_is_refused(tmp_path, name):
    path = write_folder(tmp_path, rows()) / "table.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), name: 5}))
    for use in (
        lambda: build_table([tmp_path], tmp_path / "t.npz"),
        lambda: MANIFEST.claim(tmp_path),
    ):
        with pytest.raises(TableError, match="its settings and decisions must be mappings"):
            use()


def test_a_kid_below_zero_is_analysed_in_its_own_unit(tmp_path):
    made = rows()
    curve = (replace(made[0].curve[0]), replace(made[0].curve[1], metrics={"fid": 3, "kid": -0.1}))
    made[0] = replace(made[0], curve=curve)
    build_table([write_folder(tmp_path / "rows", made)], tmp_path / "t.npz")
    table = nasgan.load_table(tmp_path / "t.npz")
    assert np.nanmin(table.values("kid")) == -0.1
    assert np.nanmax(table.values("fid")) < 10


def test_folders_of_different_tables_are_not_merged(tmp_path):
    one = write_folder(tmp_path / "one", rows())
    settings = {**MANIFEST.settings, "trainer": {"n_critic": 5}}
    two = write_folder(tmp_path / "two", rows(), manifest=replace(MANIFEST, settings=settings))
    with pytest.raises(TableError, match=r"trainer\.n_critic is 2 there and 5 here"):
        build_table([one, two], tmp_path / "t.npz")
    assert not (tmp_path / "t.npz").exists()


def test_a_folder_of_rows_can_be_asked_like_the_file(table, tmp_path):
    so_far = nasgan.load_table(tmp_path / "rows")
    np.testing.assert_array_equal(so_far.scores, table.scores)
    assert so_far.reliability() == table.reliability()
    with pytest.raises(TableError, match="manifest"):
        nasgan.load_table(tmp_path)


def test_no_rows_make_no_table(tmp_path):
    with pytest.raises(TableError, match="nothing to build"):
        build_table([write_folder(tmp_path / "rows", [])], tmp_path / "t.npz")
    with pytest.raises(TableError, match="cannot be read as the manifest"):
        build_table([tmp_path], tmp_path / "t.npz")


def test_damage_anywhere_in_the_file_is_found(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("scores.npy")
    data = entry.header_offset + 30 + len("scores.npy")
    for place in data + rng.integers(entry.compress_size, size=30):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with pytest.raises(TableError, match=f"{path}: not a table, or damaged"):
            nasgan.load_table(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableError, match="not a table, or damaged"):
        nasgan.load_table(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "another format"),
        ({"format_version": 2}, "format_version 2 is not the 1"),
        ({"format_version": True}, "format_version True"),
        ({"decisions": {}}, "its options have the shape"),
        ({"metrics": ["fid"]}, "its scores have the shape"),
        ({"settings": {}}, "lacks something"),
    ],
)
def test_a_foreign_manifest_is_refused(path, change, message):
    manifest, arrays = read_table_file(path)
    write_table_file(path, {**manifest, **change}, arrays)
    with pytest.raises(TableError, match=message):
        nasgan.load_table(path)


def test_a_table_with_options_beyond_its_decisions_or_without_rows_is_refused(path):
    manifest, arrays = read_table_file(path)
    write_table_file(path, manifest, {**arrays, "options": arrays["options"] + 4})
    with pytest.raises(TableError, match="an option that its decision does not have"):
        nasgan.load_table(path)
    empty = {k: v if k == "step" else v[:0] for k, v in arrays.items()}
    empty["failure"] = np.frombuffer(b"[]", dtype=np.uint8)
    write_table_file(path, manifest, empty)
    with pytest.raises(TableError, match="this table is empty"):
        nasgan.load_table(path)


def test_nothing_is_unpickled(path):
    _, arrays = read_table_file(path)
    np.savez(path, **arrays, more=np.array([{"a": 1}], dtype=object))
    with pytest.raises(TableError, match="not a table"):
        nasgan.load_table(path)


def test_an_unknown_name_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown table 'cifar10-16-autogan-v9'"):
        nasgan.load_table("cifar10-16-autogan-v9")
    with pytest.raises(TableError, match="there is no such table"):
        nasgan.load_table(tmp_path / "none.npz")


def test_designs_add_up_in_a_folder_also_in_one_of_before(tmp_path):
    MANIFEST.claim(tmp_path)
    path = tmp_path / "table.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    (uniform,) = data.pop("designs")
    path.write_text(json.dumps({**data, "format_version": 1, "design": uniform}), encoding="utf-8")
    best = {"kind": "best", "seeds": 4}
    for designs in ((uniform,), (best,), (uniform,)):
        replace(MANIFEST, designs=designs).claim(tmp_path)
    assert Manifest.read(path) == replace(MANIFEST, designs=(uniform, best))


def test_shards_that_claim_a_folder_at_once_lose_no_design_and_no_environment(
    tmp_path, monkeypatch
):
    write, others = Manifest._write, []

    def meanwhile(self, path):
        monkeypatch.setattr(Manifest, "_write", write)
        other = replace(MANIFEST, designs=({"seeds": 9},), environments=({"python": "3.12"},))
        others.append(threading.Thread(target=other.claim, args=(tmp_path,)))
        others[0].start()
        others[0].join(0.2)
        write(self, path)

    MANIFEST.claim(tmp_path)
    monkeypatch.setattr(Manifest, "_write", meanwhile)
    replace(MANIFEST, designs=({"seeds": 4},)).claim(tmp_path)
    others[0].join()
    made = Manifest.read(tmp_path / "table.json")
    assert made.designs == ({"kind": "uniform"}, {"seeds": 4}, {"seeds": 9})
    assert made.environments == ({"python": "3.11"}, {"python": "3.12"})


def test_the_manifest_can_be_read_without_nasgan(path):
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["licence"] == "CC-BY-4.0"
    assert manifest["settings"]["protocol"] == "digits-train-64-digits-v1"
    assert np.load(path)["scores"].shape == (24, 2, 2)


def test_the_verb_builds_and_tells(tmp_path, capsys):
    folder = write_folder(tmp_path / "rows", rows())
    out = tmp_path / "digits-v1.npz"
    assert main(["table", "build", str(folder), f"out={out}"]) == 0
    assert "24 trainings" in capsys.readouterr().out
    assert main(["table", "info", str(out)]) == 0
    told = capsys.readouterr().out
    found = nasgan.load_table(out).reliability()
    assert f"{found.icc:.2f} ({found.icc_low:.2f} to {found.icc_high:.2f})" in told
    assert "24, of 12 architectures" in told
    assert "the generator's loss exploded" in told
    assert "best known: fid" in told
    assert "cell1.norm" in told
    assert main(["table", "info", str(out), "metric=kid"]) == 0
    assert "Reliability of log kid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["biuld"], "Did you mean 'build'"),
        (["build", "out=x.npz"], "needs folders"),
        (["build", "x"], "needs folders and a file"),
        (["build", "x", "out=x.csv"], "ends in .npz"),
        (["build", "x", "uot=x.npz"], "Did you mean 'out'"),
        (["info"], "needs one table"),
        (["info", "nothing"], "unknown table 'nothing'"),
    ],
)
def test_bad_words_are_refused(words, message, capsys):
    assert main(["table", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_changed_array_does_not_fit_its_checksum(path):
    manifest, arrays = read_table_file(path)
    sums = manifest["checksums"]
    write_table_file(path, manifest, {**arrays, "scores": arrays["scores"] / 2})
    changed, _ = read_table_file(path)
    assert changed["checksums"]["scores.npy"] != sums["scores.npy"]
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["manifest.json"] = json.dumps({**changed, "checksums": sums}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(TableError, match=r"scores\.npy does not fit its checksum"):
        nasgan.load_table(path)
