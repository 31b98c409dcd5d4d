"""Every option of every group, and every experiment, makes a configuration that can run."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nasgan.cli.compose import compose
from nasgan.cli.config_folders import read_yaml
from nasgan.cli.config_options import ConfigOption, config_folder, options
from nasgan.engine.parts import bind
from nasgan.factory import make_search_space
from nasgan.registry import SEARCH_SPACES, STRATEGIES, plugins
from nasgan.tabular.design import Design

GROUPS = {
    "search": [
        "strategy",
        "search_space",
        "dataset",
        "trainer",
        "metrics",
        "evaluator",
        "executor",
        "budget",
        "logger",
    ],
    "train": ["search_space", "dataset", "trainer", "metrics", "logger"],
}
GIVEN = {"search": ["budget=quick"], "train": ["architecture=autogan_a"]}
# Data have no home until a path is given; workers have no shared weights.
NEEDED = {
    "dataset=npz": ["dataset.path=x.npz"],
    "dataset=image_folder": ["dataset.path=x"],
    "evaluator=table": ["evaluator.table=x.npz"],
    "evaluator=table_mean": ["evaluator.table=x.npz"],
    "executor=processes": ["evaluator=scratch"],
    "executor=ray": ["evaluator=scratch"],
}


def choices() -> list[tuple[str, str]]:
    return [
        (verb, f"{group}={option.name}")
        for verb, groups in GROUPS.items()
        for group in groups
        for option in options(group)
        if not option.is_stand_in or (verb, group) == ("train", "search_space")
    ]


@pytest.mark.parametrize(("verb", "choice"), choices())
def test_every_option_composes_and_passes_the_checks(verb: str, choice: str) -> None:
    bind(compose(verb, [*GIVEN[verb], choice, *NEEDED.get(choice, [])]))


@pytest.mark.parametrize(
    ("choice", "setting"),
    [
        ("strategy=optuna", "strategy.sampler_settings={n_startup_trials: 3}"),
        ("strategy=optuna", "strategy.pruner_settings={min_resource: 2}"),
        ("strategy=eagan", "strategy.discriminator={cell1_edge1: conv_3x3}"),
        ("strategy=random", "strategy.constraints={macs: [1, null]}"),
        ("evaluator=zero_cost", "evaluator.directions={macs_g: min}"),
        ("search_space=autogan", "search_space.fixed={cell1_up: bilinear}"),
    ],
)
def test_an_empty_mapping_can_be_given_on_the_command_line(choice: str, setting: str) -> None:
    key, _, given = setting.partition("=")
    group, name = key.split(".")
    made = compose("search", [choice, setting])[group][name]
    assert dict(made) == OmegaConf.to_container(OmegaConf.create(f"it: {given}"))["it"]  # type: ignore[index,call-overload]


@pytest.mark.parametrize("experiment", [option.name for option in options("experiment")])
def test_every_experiment_composes_and_passes_the_checks(experiment: str) -> None:
    bind(compose("search", [f"+experiment={experiment}"]))


TABLES = [o.name for o in options("experiment") if o.name.startswith("table/")]


@pytest.mark.parametrize("experiment", TABLES)
def test_a_table_is_of_widths_and_lengths_of_its_own_and_scored_at_the_end(experiment: str) -> None:
    config = compose("tabulate", [f"+experiment={experiment}", "out=unused"])
    Design(**config["design"])
    training, suggested = config["training"], config["dataset"]["suggested"]
    assert training["eval_at"][-1] == training["generator_steps"] == suggested["generator_steps"]
    widths = ("generator_channels", "discriminator_channels")
    assert all(config["search_space"][w] == suggested[w] == suggested[f"final_{w}"] for w in widths)


def test_digits_train_the_architectures_that_photos_do() -> None:
    chosen = []
    for name in ("digits_autogan", "cifar10_16_autogan"):
        config = compose("tabulate", [f"+experiment=table/{name}", "out=unused"])
        widths = {k: config["search_space"][k] for k in ("generator_channels", "latent_dim")}
        space = make_search_space("autogan", image_size=16, **widths)
        chosen.append(Design(**config["design"]).choose(space))
    digits, photos = chosen
    assert len(digits) == 200
    assert digits == photos[:200]


@pytest.mark.parametrize("strategy", [option.name for option in options("strategy")])
@pytest.mark.parametrize("space", [o.name for o in options("search_space") if not o.is_stand_in])
def test_tiny_shrinks_any_search(strategy: str, space: str) -> None:
    config = compose(
        "search", ["+experiment=debug/tiny", f"strategy={strategy}", f"search_space={space}"]
    )
    bind(config)
    assert config["budget"]["generator_steps"] <= 20
    assert config["search_space"]["generator_channels"] <= 8
    assert config["final"]["generator_steps"] <= 10
    assert config["experiment"] == "debug/tiny"


def test_tiny_shrinks_a_training_and_leaves_no_search_settings_in_it() -> None:
    config = compose("train", ["+experiment=debug/tiny", "architecture=sngan"])
    bind(config)
    assert config["training"]["generator_steps"] <= 10
    assert config["search_space"]["generator_channels"] <= 8
    assert not {"budget", "final", "strategy", "evaluator"} & set(config)


@pytest.mark.parametrize(
    ("verb", "overrides"),
    [
        ("evaluate", ["run=x"]),
        ("evaluate", ["run=x", "metrics=lite0"]),
        ("evaluate", ["run=x", "dataset=cifar10"]),
        ("sample", ["run=x"]),
        ("leaderboard", []),
        ("leaderboard", ["runs=[a,b]"]),
        ("leaderboard", ["out=[a.csv,b.md]", "group_by=[strategy]", "where.seed=[0,1]"]),
        ("publish", ["to=x", "where.strategy=rl"]),
        ("report", []),
        ("report", ["runs=[a,b]", "out=page.html"]),
        ("watch", ["port=0"]),
    ],
)
def test_the_other_verbs_compose(verb: str, overrides: list[str]) -> None:
    compose(verb, overrides)


def test_a_data_set_chooses_its_metrics_and_a_user_overrules_it() -> None:
    assert compose("search", [])["metrics"]["features"]["name"] == "digits"
    assert compose("search", ["dataset=cifar10"])["metrics"]["features"]["name"] == "inceptionv3"
    chosen = compose("search", ["dataset=cifar10", "metrics=lite0"])
    assert chosen["metrics"]["features"]["name"] == "lite0"
    evaluated = compose("evaluate", ["run=x"])
    of_the_run = {"path": None, "test_path": None, "root": None, "download": None}
    assert evaluated["dataset"] == of_the_run, "those of the run, wherever they lie"
    weights = {"weights": None, "download": None}
    assert evaluated["metrics"] == {"metrics": None, "features": weights}


def test_a_strategy_chooses_its_evaluator_and_a_user_overrules_it() -> None:
    scratch = "nasgan.evaluation.ScratchEvaluator"
    assert compose("search", ["strategy=random_scratch"])["evaluator"]["_target_"] == scratch
    shared = compose("search", ["strategy=random_scratch", "evaluator=shared"])
    assert shared["evaluator"]["_target_"] != scratch


def test_trainings_are_wider_than_searches_where_the_paper_says_so() -> None:
    search = compose("search", ["dataset=cifar10"])
    train = compose("train", ["dataset=cifar10", "architecture=autogan_a"])
    assert search["search_space"]["generator_channels"] == 128
    assert search["search_space"]["discriminator_channels"] == 64
    assert search["final"]["generator_channels"] == 256
    assert train["search_space"]["generator_channels"] == 256
    assert train["search_space"]["discriminator_channels"] == 128


def test_every_trainer_setting_stands_in_the_configuration_with_its_default() -> None:
    from nasgan.training import TrainerSettings

    node = dict(compose("search", ["trainer=default"])["trainer"])
    del node["_target_"]
    assert set(node) == {field.name for field in fields(TrainerSettings)}
    health = node.pop("health")
    defaults = TrainerSettings()
    assert node == {name: getattr(defaults, name) for name in node}
    assert health == {name: getattr(defaults.health, name) for name in health}


@pytest.mark.parametrize(
    ("verb", "chosen"),
    [
        ("search", "trainer=published"),
        ("search", "+experiment=autogan/search_no_reset"),
        ("search", "+experiment=adversarial_nas/search"),
        ("train", "+experiment=autogan/train_a_cifar10"),
        ("train", "+experiment=adversarial_nas/train_stl10"),
    ],
)
def test_the_published_trainings_have_no_limits_as_the_published_code(
    verb: str, chosen: str
) -> None:
    health = compose(verb, [chosen])["trainer"]["health"]
    assert {name: health[name] for name in ("max_loss", "min_loss", "min_variation")} == {
        "max_loss": None,
        "min_loss": None,
        "min_variation": None,
    }


@pytest.mark.parametrize("group", ["strategy", "search_space"])
def test_every_entry_point_has_an_option_of_its_name(group: str) -> None:
    groups = {"strategy": STRATEGIES, "search_space": SEARCH_SPACES}
    targets = {o.name: OmegaConf.load(o.path).get("_target_") for o in options(group)}
    for plugin in plugins(groups[group]):
        if plugin.distribution == "nasgan":
            assert targets.get(plugin.name) == plugin.value.replace(":", ".")


@pytest.mark.parametrize("option", options("strategy"), ids=lambda o: o.name)
def test_every_strategy_setting_stands_in_its_configuration(option: ConfigOption) -> None:
    from nasgan.registry import load_plugin

    content = compose("search", [f"strategy={option.name}"])["strategy"]
    name = next(
        p.name for p in plugins(STRATEGIES) if p.value.replace(":", ".") == content["_target_"]
    )
    wanted = set(inspect.signature(load_plugin(STRATEGIES, name)).parameters)
    assert wanted <= set(content)


def test_every_option_says_what_it_is() -> None:
    for group in GROUPS["search"] + ["experiment"]:
        for option in options(group):
            assert option.summary, option.path


def test_no_file_is_left_outside_the_groups() -> None:
    folder = config_folder()
    known = {*GROUPS["search"], "experiment", "hydra"}
    strays = [p for p in folder.iterdir() if p.is_dir() and p.name not in known | {"__pycache__"}]
    assert strays == []
    assert Path(folder, "__init__.py").is_file(), "Hydra reads pkg:// folders only with it"


def test_a_file_is_read_as_it_is_now_whatever_became_of_what_was_read_before(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("x: {y: 1}\n")
    read_yaml(file).x.y = 2
    assert read_yaml(file).x.y == 1
    file.write_text("x: {y: 3}\n")
    assert read_yaml(file).x.y == 3
