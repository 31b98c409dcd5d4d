from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from nasgan.data import availability, available_datasets, probe
from nasgan.data.sources import CIFAR10, STL10, Archive, Member


def test_every_built_in_data_set_can_be_probed() -> None:
    assert available_datasets() == ("cifar10", "digits", "image_folder", "npz", "stl10")
    for name in available_datasets():
        assert probe(name).status in ("ready", "needs_setting")
    assert probe("imagenet").status == "unknown"


def test_digits_need_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe("digits").status == "ready"
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    assert probe("digits").status == "missing"
    assert importlib.util.find_spec("sklearn") is not None


@pytest.mark.parametrize(("name", "archive"), [("cifar10", CIFAR10), ("stl10", STL10)])
def test_published_sets_are_looked_for_under_the_root(
    name: str, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = dict.fromkeys(archive.members, Member(size=3))
    monkeypatch.setattr(
        availability,
        name.upper(),
        Archive(archive.dataset, archive.url, archive.md5, archive.folder, members),
    )
    settings = {"root": str(tmp_path)}
    absent = probe(name, settings)
    assert absent.status == "missing"
    assert "dataset.download=true" in absent.detail
    (tmp_path / archive.filename).touch()
    assert probe(name, settings).status == "ready"
    (tmp_path / archive.folder).mkdir()
    for member in members:
        (tmp_path / archive.folder / member).write_bytes(b"abc")
    assert probe(name, settings) == ("ready", str(tmp_path / archive.folder))
    (tmp_path / archive.folder / next(iter(members))).write_bytes(b"a")
    assert "truncated" in probe(name, settings).detail


def test_a_resized_stl10_is_enough(tmp_path: Path) -> None:
    for split in ("train", "test"):
        STL10.cache(tmp_path, split, 48).touch()
    assert probe("stl10", {"root": tmp_path}).status == "ready"
    assert probe("stl10", {"root": tmp_path, "image_size": 32}).status == "missing"


def test_paths_must_be_given_and_exist(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    assert probe("npz").status == "needs_setting"
    assert probe("npz", {"path": file}).status == "missing"
    file.touch()
    assert probe("npz", {"path": file, "test_path": None}).status == "ready"
    assert probe("npz", {"path": file, "test_path": tmp_path / "b.npz"}).status == "missing"
    assert probe("image_folder", {"path": file}).status == "missing"
    assert probe("image_folder", {"path": tmp_path}).status == "ready"
