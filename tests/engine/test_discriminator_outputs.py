"""A loss says how many outputs discriminators have; every space builds them, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import nasgan
from nasgan.cli.compose import compose
from nasgan.data import ImageSet
from nasgan.engine.parts import bind_common
from nasgan.errors import ConfigError
from nasgan.factory import make_search_space
from nasgan.randomness import numpy_generator
from nasgan.testing import ToySpace

BUILT_IN = ("adversarial_nas", "agan", "autogan", "baselines")
TINY = {"image_size": 16, "generator_channels": 4, "discriminator_channels": 4}
REPULSIVE = ["+experiment=debug/tiny", "trainer.loss=mmd_repulsive"]


class OneLogit(ToySpace):
    """A space that has never heard of several outputs."""

    name = "one_logit"
    supports_outputs = False


def grey(labels: Any = None) -> ImageSet:
    return ImageSet("grey", torch.zeros((4, 1, 16, 16), dtype=torch.uint8), labels)


def outputs_of(*words: str) -> int:
    parts = bind_common(compose("search", [*REPULSIVE, *words]))
    space, _ = parts.space_for(grey())
    architecture = space.sample(numpy_generator(0, "any"))
    with torch.device("meta"):
        logits = space.build_discriminator(architecture)(torch.zeros(3, 1, 16, 16))
    return int(logits.shape[1])


@pytest.mark.parametrize("space", BUILT_IN)
def test_the_loss_decides_in_every_space(space: str) -> None:
    assert outputs_of(f"search_space={space}") == 16
    assert outputs_of(f"search_space={space}", "+trainer.loss_settings.outputs=5") == 5
    assert outputs_of(f"search_space={space}", "trainer.loss=hinge") == 1


@pytest.mark.parametrize("space", BUILT_IN)
def test_settings_name_the_outputs_only_where_there_are_several(space: str) -> None:
    plain = make_search_space(space, **TINY)
    assert "discriminator_outputs" not in plain.settings
    several = plain.with_settings(discriminator_outputs=7)
    assert several.settings == {**plain.settings, "discriminator_outputs": 7}
    assert several.with_settings(**several.settings).network == several.network


def test_a_narrowed_space_has_them_too() -> None:
    fixed = make_search_space("autogan", fixed={"cell1.norm": "batch"}, **TINY)
    several = fixed.with_settings(discriminator_outputs=7)
    network = several.build_discriminator(several.sample(numpy_generator(0, "any")))
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 7)


def test_a_space_of_one_logit_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'one_logit' have one output, and 16 are asked for"):
        OneLogit(discriminator_outputs=16)


def test_classes_go_with_one_logit() -> None:
    with pytest.raises(ConfigError, match="class-conditional discriminators have one output"):
        make_search_space("autogan", num_classes=3, discriminator_outputs=16, **TINY)


def test_a_number_that_the_loss_does_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"discriminator_outputs=3 does not fit .*mmd_repulsive"):
        outputs_of("+search_space.discriminator_outputs=3")


def test_a_space_that_was_given_has_to_fit_the_loss() -> None:
    parts = bind_common(compose("search", REPULSIVE), {"search_space": ToySpace(image_size=16)})
    with pytest.raises(ConfigError, match="make it with discriminator_outputs=16"):
        parts.space_for(grey())


@pytest.mark.parametrize("architecture", ["sngan", "adversarialnas"])
def test_a_training_with_the_repulsive_loss_is_scored_and_read_again(
    tmp_path: Path, architecture: str
) -> None:
    run = nasgan.train(architecture, *REPULSIVE, run_dir=str(tmp_path / "run"))
    assert run.metrics["fid"] > 0
    again = nasgan.load(tmp_path / "run")
    assert again.space.network.discriminator_outputs == 16
    assert again.sample(2, seed=0).shape == (2, 1, 16, 16)


def test_a_search_on_a_supernet_goes_by_vectors_as_well(tmp_path: Path) -> None:
    words = [*REPULSIVE, "search_space=adversarial_nas", "final.top_k=0"]
    run = nasgan.search(*words, run_dir=str(tmp_path / "run"))
    assert run.architecture.space == "adversarial_nas"
