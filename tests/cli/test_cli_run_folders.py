"""Stable run folders: the same task gives the same folder, another task another one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nasgan.cli.compose import compose_run


def folder(verb: str, *overrides: str) -> str:
    return compose_run(verb, list(overrides))[1].as_posix()


def test_the_default_folder_names_the_choices() -> None:
    assert folder("search") == "outputs/search/random-autogan-digits/seed0"
    chosen = folder("search", "strategy=random_scratch", "search_space=baselines", "seed=4")
    assert chosen == "outputs/search/random_scratch-baselines-digits/seed4"
    assert folder("train", "architecture=sngan") == "outputs/train/sngan-digits/seed0"
    tiny = folder("search", "+experiment=debug/tiny")
    assert tiny == "outputs/search/random-autogan-digits-debug_tiny/seed0"


def test_further_overrides_become_a_tag_in_whatever_order_they_come() -> None:
    first = folder("search", "trainer.n_critic=2", "budget=unlimited")
    assert re.fullmatch(r"outputs/search/random-autogan-digits-[0-9a-f]{8}/seed0", first)
    assert folder("search", "budget=unlimited", "trainer.n_critic=2") == first
    assert folder("search", "budget=unlimited", "trainer.n_critic=3") != first
    assert folder("search", "trainer.n_critic=1", "trainer.n_critic=2", "budget=unlimited") == first


@pytest.mark.parametrize(
    "override",
    ["device=cpu", "progress=false", "threads=1", "logger=wandb", "checkpoint.keep=3"],
)
def test_what_does_not_change_the_result_does_not_change_the_folder(override: str) -> None:
    assert folder("search", override) == folder("search")


def test_a_user_names_the_folder() -> None:
    assert folder("search", "run_dir=a/b", "seed=3", "trainer.n_critic=2") == "a/b"
    assert folder("search", "output_root=x") == "x/search/random-autogan-digits/seed0"


def test_an_architecture_file_and_an_encoding_get_folders_of_their_own() -> None:
    one = folder("train", "architecture=a/architecture.json")
    other = folder("train", "architecture=b/architecture.json")
    assert re.fullmatch(r"outputs/train/architecture-digits-[0-9a-f]{8}/seed0", one)
    assert one != other
    encoding = folder("train", "search_space=autogan", "architecture=[0,1,0]")
    assert re.fullmatch(r"outputs/train/encoding-digits-[0-9a-f]{8}/seed0", encoding)


def test_the_architecture_of_a_run_is_called_by_its_folder_and_seed() -> None:
    run = "outputs/search/random-autogan-digits/seed1"
    for given in (run, f"{run}/", f"{run}/architecture.json"):
        name = folder("train", f"architecture={given}")
        named = r"outputs/train/random-autogan-digits-seed1-digits-[0-9a-f]{8}/seed0"
        assert re.fullmatch(named, name)
        assert folder("train", "threads=1", f"architecture={given}") == name
    elsewhere = folder("train", f"architecture=elsewhere/{run}")
    assert elsewhere != folder("train", f"architecture={run}")
    for alone in ("../seed1", "./seed1", "x/my-run"):
        label = "my_run" if "run" in alone else "seed1"
        found = folder("train", f"architecture={alone}")
        assert re.fullmatch(rf"outputs/train/{label}-digits-[0-9a-f]{{8}}/seed0", found)


@pytest.mark.parametrize("data", ["dataset=npz", "dataset=image_folder"])
def test_other_data_have_another_folder_however_their_path_is_spelled(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PHOTOS", "photos")
    name = folder("train", "architecture=sngan", data, "dataset.path=photos")
    for same in ("./photos", "photos/", "a/../photos", f"{here}/photos", "${oc.env:PHOTOS}"):
        assert folder("train", "architecture=sngan", data, f"dataset.path={same}") == name, same
    others = {
        folder("train", "architecture=sngan", data, *more)
        for more in (
            ["dataset.path=photo"],
            ["dataset.path=b/photos"],
            ["dataset.path=../photos"],
            ["dataset.path=photos", "dataset.test_path=held_out"],
            ["dataset.path=photos", "metrics=digits", "+metrics.features.weights=mine"],
        )
    }
    assert len(others | {name}) == 6
    at_home = folder("train", "architecture=sngan", data, "dataset.path=~/photos")
    assert folder("train", "architecture=sngan", data, "dataset.path=../home/photos") == at_home
    assert at_home not in {name, *others}
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    again = folder("train", "architecture=sngan", data, "dataset.path='~/photos'")
    assert again == at_home, "where a home lies is no part of the name"


def test_where_a_published_data_set_lies_gives_no_other_folder() -> None:
    name = folder("search", "dataset=cifar10")
    for place in ("dataset.root=/data", "dataset.download=true", "metrics.features.download=true"):
        assert folder("search", "dataset=cifar10", place) == name


def test_composing_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder("search")
    assert list(tmp_path.iterdir()) == []
