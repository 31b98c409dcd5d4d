"""The presets of rows of papers: in float32, with the fast settings one override away."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nasgan.cli.compose import compose
from nasgan.cli.config_options import options

PAGE = Path(__file__).parents[1] / "docs" / "papers" / "reproduction.md"
COMMAND = re.compile(r"nasgan (search|train) (?:-m )?\+experiment=(\w+/\w+)")
NOT_OF_A_PAPER = ("benchmark/", "debug/", "losses/", "table/")

AS_PUBLISHED = {
    "precision": "float32",
    "tf32": False,
    "channels_last": False,
    "compile": "off",
    "joint_discriminator_pass": False,
    "zero_grad": "zero",
}
FAST = {
    "precision": "auto",
    "tf32": True,
    "channels_last": None,
    "compile": "off",
    "joint_discriminator_pass": None,
    "zero_grad": "set_to_none",
}


def _verb(preset: str) -> str:
    return "train" if re.search(r"/(train|transfer|scale)_", preset) else "search"


def _trainer(preset: str, *overrides: str) -> dict[str, Any]:
    needed = ["architecture=autogan_a"] if preset == "agan/transfer_stl10" else []
    config = compose(_verb(preset), [f"+experiment={preset}", *needed, *overrides])
    return dict(config["trainer"])


PRESETS = [
    option.name
    for option in options("experiment")
    if option.owner == "nasgan" and not option.name.startswith(NOT_OF_A_PAPER)
]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_of_a_paper_trains_as_published_and_fast_by_one_override(preset: str) -> None:
    published, fast = _trainer(preset), _trainer(preset, "trainer=default")
    assert {name: published[name] for name in AS_PUBLISHED} == AS_PUBLISHED
    assert {name: fast[name] for name in FAST} == FAST
    for kept in ("generator_batch_size", "discriminator_batch_size", "n_critic", "lr_generator"):
        assert fast[kept] == published[kept]


def test_the_page_names_presets_of_papers_alone_and_says_how_they_train() -> None:
    text = PAGE.read_text()
    named = COMMAND.findall(text)
    assert named
    assert {preset for _, preset in named} <= set(PRESETS)
    assert all(verb == _verb(preset) for verb, preset in named)
    assert "trainer=published" in text
    assert "trainer=default" in text
