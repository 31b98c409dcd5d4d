"""The presets of AdversarialNAS: published numbers, and widths that give the named sizes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from nasgan.cli.compose import compose
from nasgan.data import ImageSet
from nasgan.engine.parts import bind, find_architecture
from nasgan.factory import load_architecture, make_search_space, settings_for
from nasgan.randomness import numpy_generator
from nasgan.training import TrainerSettings
from nasgan_search_spaces.adversarial_nas.discriminator import DerivedDiscriminator

TRAININGS = ["train_cifar10", "train_stl10", "scale_1m", "scale_5m", "scale_10m", "scale_25m"]


def _train(preset: str, architecture: str | None = None) -> dict[str, object]:
    chosen = [f"architecture={architecture}"] if architecture else []
    return compose("train", [f"+experiment=adversarial_nas/{preset}", *chosen])


@pytest.mark.parametrize("preset", TRAININGS)
def test_a_training_preset_is_one_of_nasgan_train(preset: str) -> None:
    config = _train(preset)
    bind(config)
    assert config["architecture"] == "adversarialnas"


@pytest.mark.parametrize("architecture", ["adversarialnas", "autogan_a", "sngan"])
@pytest.mark.parametrize("millions", [1, 5, 10, 25])
def test_scaled_generators_have_the_size_in_their_name(architecture: str, millions: int) -> None:
    config = _train(f"scale_{millions}m", architecture)
    bind(config)
    made = load_architecture(architecture)
    space = make_search_space(
        made.space,
        image_size=32,
        **{**settings_for(made), **config["search_space"]},
    )
    with torch.device("meta"):
        generator = space.build_generator(made)
    count = sum(math.prod(p.shape) for p in generator.parameters())
    assert count == pytest.approx(millions * 1e6, rel=0.01)
    assert space.network.discriminator_channels == 128


def test_the_search_preset_takes_the_published_numbers() -> None:
    config = compose("search", ["+experiment=adversarial_nas/search"])
    assert config["budget"]["generator_steps"] == 2002
    assert config["trainer"]["discriminator_batch_size"] == 120
    assert config["trainer"]["generator_batch_size"] == 120
    space = config["search_space"]
    assert (space["generator_channels"], space["discriminator_channels"]) == (160, 80)
    assert (space["latent_dim"], space["discriminator"]) == (120, "searched")
    assert space["first_down_cell"] == "truncated"
    assert config["strategy"]["relaxation"] == "gumbel_probabilities"
    assert (config["strategy"]["tau_max"], config["strategy"]["tau_min"]) == (5.0, 0.1)


@pytest.mark.parametrize(
    ("preset", "discriminator", "searched"),
    [("sngan", "sngan", True), ("autogan", "autogan", True), ("super", "searched", False)],
)
def test_table_3_searches_the_generator_alone(
    preset: str, discriminator: str, searched: bool
) -> None:
    config = compose("search", [f"+experiment=adversarial_nas/singal_{preset}"])
    bind(config)
    assert config["search_space"]["discriminator"] == discriminator
    assert config["strategy"]["search_discriminator"] is searched
    assert config["budget"]["generator_steps"] == 2002


def test_random_search_has_the_same_budget() -> None:
    config = compose("search", ["+experiment=adversarial_nas/random_search"])
    bind(config)
    assert config["strategy"]["_target_"].endswith("RandomSearch")
    assert config["budget"]["generator_steps"] == 2002


def _images(size: int) -> ImageSet:
    return ImageSet("grey", torch.zeros((2, 3, size, size), dtype=torch.uint8))


def test_the_stl10_training_takes_a_searched_pair_as_it_is(tmp_path: Path) -> None:
    """Table 3: what is found on CIFAR-10 is trained on STL-10, with its own discriminator."""
    searched = make_search_space("adversarial_nas", image_size=32)
    pair = searched.sample(numpy_generator(0, "pair"))
    pair.save(tmp_path / "architecture.json")
    config = _train("train_stl10", str(tmp_path))
    bind(config)
    space, found = find_architecture(config, _images(48), TrainerSettings())
    assert found == pair
    assert len(space.part_decisions("discriminator")) == 28
    with torch.device("meta"):
        assert isinstance(space.build_discriminator(found), DerivedDiscriminator)
    assert space.settings["latent_scales"] == 2
    assert space.network.generator_channels == 270
    _, published = find_architecture(_train("train_stl10"), _images(48), TrainerSettings())
    assert published.choices == load_architecture("adversarialnas").choices


def test_the_stl10_training_is_the_wider_variant_with_two_latent_scales() -> None:
    config = _train("train_stl10")
    assert config["search_space"]["generator_channels"] == 270
    assert config["search_space"]["latent_scales"] == 2
    assert config["training"]["generator_steps"] == 98520


def test_eagan_searches_as_published() -> None:
    config = compose("search", ["+experiment=adversarial_nas/eagan"])
    parts = bind(config)
    strategy, trainer = config["strategy"], parts.trainer
    images, epochs, warm_up, every = 50_000, 200, 40, 10
    critic_steps = images // trainer.discriminator_batch_size
    assert strategy["generator_steps"] == epochs * critic_steps // trainer.n_critic
    assert strategy["warm_up"] == warm_up / epochs
    assert strategy["generations"] == (epochs - warm_up) // every
    assert strategy["population_size"] == 32
    assert strategy["num_images"] == config["evaluator"]["num_images"] == 5_000
    assert strategy["_target_"].endswith("TwoStageEvolution")
