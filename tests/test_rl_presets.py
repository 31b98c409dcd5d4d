"""The presets of AutoGAN and AGAN: they compose, pass every check, hold published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasgan.cli.compose import compose
from nasgan.contracts import Budget, Objective
from nasgan.engine.parts import bind
from nasgan.factory import make_search_space
from nasgan.nodes import build_node
from nasgan.randomness import numpy_generator
from nasgan.testing.toy_run import ToyRun

SEARCHES = [
    "autogan/search",
    "autogan/search_fid_reward",
    "autogan/search_slas",
    "autogan/search_no_reset",
    "autogan/random_shared",
    "autogan/random_early_stop",
    "autogan/proxy_correlation",
    "agan/search",
    "agan/search_conditional",
]
AUTOGAN = SEARCHES[:7]


def search(preset: str) -> dict[str, Any]:
    return compose("search", [f"+experiment={preset}"])


@pytest.mark.parametrize("preset", SEARCHES)
def test_a_search_preset_can_run(preset: str) -> None:
    config = search(preset)
    bind(config)
    space = make_search_space(
        preset.split("/", maxsplit=1)[0],
        **{
            **{k: v for k, v in config["search_space"].items() if k != "_target_"},
            "image_size": 32,
            "generator_channels": 4,
            "discriminator_channels": 4,
        },
    )
    shared = config["evaluator"]["_target_"].endswith("SharedEvaluator")
    run = ToyRun(space, build_node(config["budget"], where="budget"), shared=shared, seed=0)
    metric = config["objective"]
    run.objective = Objective(metric, "max" if metric == "is" else "min")
    strategy = build_node(config["strategy"], where="strategy")
    strategy.setup(run)
    assert not strategy.finished


@pytest.mark.parametrize("preset", AUTOGAN)
def test_autogan_s_comparisons_have_one_budget_and_the_published_widths(preset: str) -> None:
    config = search(preset)
    assert config["budget"]["generator_steps"] == 65 * 2346
    space = config["search_space"]
    assert (space["generator_channels"], space["discriminator_channels"]) == (128, 64)
    assert config["final"]["generator_channels"] == 256
    trainer = config["trainer"]
    assert (trainer["generator_batch_size"], trainer["discriminator_batch_size"]) == (128, 64)
    assert (trainer["n_critic"], trainer["lr_generator"]) == (5, 2e-4)


def test_autogan_s_search_takes_the_published_numbers() -> None:
    strategy = search("autogan/search")["strategy"]
    published = {
        "update": "published",
        "iterations": 65,
        "grow_at": [15, 35],
        "controller_steps": 30,
        "children": 1,
        "entropy_weight": 1e-3,
        "baseline_decay": 0.9,
        "hidden": 100,
        "lr": 3.5e-4,
        "beta1": 0.0,
        "beta2": 0.9,
        "num_candidates": 10,
        "kept": 5,
        "finalists": "last",
        "reset_threshold": 1e-3,
        "reset_window": 500,
    }
    assert {name: strategy[name] for name in published} == published


@pytest.mark.parametrize("preset", [p for p in AUTOGAN if p != "autogan/random_early_stop"])
def test_autogan_s_supernets_train_as_published(preset: str) -> None:
    trainer = search(preset)["trainer"]
    assert (trainer["zero_grad"], trainer["precision"], trainer["tf32"]) == (
        "zero",
        "float32",
        False,
    )


@pytest.mark.parametrize("preset", [p for p in AUTOGAN if "/search" in p])
def test_autogan_s_rewards_are_made_as_published(preset: str) -> None:
    evaluator = search(preset)["evaluator"]
    assert (evaluator["latents"], evaluator["small_images"]) == ("fresh", "as_generated")
    assert (evaluator["num_images"], evaluator["batch_norm"]) == (5000, "running")


@pytest.mark.parametrize("preset", ["search", "search_fid_reward"])
def test_both_searches_of_figure_8_record_both_scores(preset: str) -> None:
    config = search(f"autogan/{preset}")
    assert config["evaluator"]["metrics"] == ["is", "fid"]
    assert {"is", "fid"} <= set(config["metrics"]["metrics"])


def test_what_the_variants_change() -> None:
    assert search("autogan/search_fid_reward")["objective"] == "fid"
    assert search("autogan/search_slas")["strategy"]["multi_level"] is False
    assert search("autogan/search_no_reset")["strategy"]["dynamic_reset"] is False
    proxy = search("autogan/proxy_correlation")
    assert proxy["final"]["top_k"] == proxy["strategy"]["num_candidates"] == 30
    assert search("agan/search")["conditional"] is False
    assert search("agan/search_conditional")["conditional"] is True


@pytest.mark.parametrize(
    ("preset", "steps"), [("train_a_cifar10", 50048), ("train_a_stl10", 50215)]
)
def test_trainings_of_autogan_a(preset: str, steps: int) -> None:
    config = compose("train", [f"+experiment=autogan/{preset}"])
    bind(config)
    assert config["architecture"] == "autogan_a"
    assert config["training"]["generator_steps"] == steps
    assert config["search_space"]["generator_channels"] == 256


def test_an_agan_architecture_is_transferred_to_stl10(tmp_path: Path) -> None:
    space = make_search_space(
        "agan", image_size=32, generator_channels=4, discriminator_channels=4, latent_dim=4
    )
    file = tmp_path / "architecture.json"
    space.sample(numpy_generator(0, "architecture")).save(file)
    config = compose("train", ["+experiment=agan/transfer_stl10", f"architecture={file}"])
    bind(config)
    assert config["dataset"]["_target_"].endswith("load_stl10")
    assert config["search_space"]["generator_channels"] == 192


def test_budgets_compare_in_generator_steps() -> None:
    assert build_node(search("autogan/search")["budget"], where="budget") == Budget(
        generator_steps=152490
    )
