"""The inventory of plugins: lazy, exact about names, and safe from broken packages."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest

import nasgan
from nasgan import registry
from nasgan.contracts import SearchSpace, SearchStrategy
from nasgan.errors import ConfigError, PluginError, UnknownNameError
from nasgan.registry import (
    ARCHITECTURES,
    SEARCH_SPACES,
    STRATEGIES,
    Plugin,
    duplicate_names,
    find_plugin,
    load_plugin,
    plugin_packages,
    plugins,
)

WIDTHS = {
    "image_size": 16,
    "generator_channels": 4,
    "discriminator_channels": 4,
    "latent_dim": 4,
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package for one test: ``install("pkg", source, group, {name: value})``."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(package: str, source: str, group: str, names: dict[str, str]) -> None:
        (tmp_path / f"{package}.py").write_text(source)
        info = tmp_path / f"{package}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        registry.refresh()

    yield add
    registry.refresh()
    for name in [name for name in sys.modules if name.startswith("pkg_")]:
        del sys.modules[name]


def test_built_ins_are_registered_like_anybody_elses():
    for group, names in {
        STRATEGIES: {"random"},
        SEARCH_SPACES: {"autogan", "baselines"},
        ARCHITECTURES: {"autogan_a", "autogan_b", "autogan_c", "sngan", "dcgan"},
    }.items():
        found = {plugin.name: plugin for plugin in plugins(group)}
        assert names <= set(found)
        assert {found[name].distribution for name in names} == {"nasgan"}
    assert {"nasgan", "nasgan_strategies", "nasgan_search_spaces"} <= plugin_packages()


def test_nothing_is_imported_before_it_is_selected(install):
    source = "raise RuntimeError('imported')"
    install("pkg_lazy", source, STRATEGIES, {"lazy": "pkg_lazy:Strategy"})
    assert "lazy" in {plugin.name for plugin in plugins(STRATEGIES)}
    assert find_plugin(STRATEGIES, "lazy") == Plugin(
        STRATEGIES, "lazy", "pkg_lazy:Strategy", "pkg_lazy", "1.5"
    )
    assert "pkg_lazy" in plugin_packages()
    assert "pkg_lazy" not in sys.modules


def test_a_broken_plugin_breaks_only_itself(install):
    install("pkg_bad", "import no_such_module_at_all", STRATEGIES, {"bad": "pkg_bad:Strategy"})
    with pytest.raises(PluginError, match=r"package pkg_bad 1\.5 .*no_such_module_at_all"):
        nasgan.make_strategy("bad")
    assert isinstance(nasgan.make_strategy("random"), SearchStrategy)


def test_a_package_with_damaged_metadata_is_named_and_left_out(install, tmp_path, caplog):
    install("pkg_sound", "", STRATEGIES, {"sound": "pkg_sound:Strategy"})
    install("pkg_hurt", "", STRATEGIES, {"hurt": "pkg_hurt:Strategy"})
    damaged = tmp_path / "pkg_hurt-1.5.dist-info" / "entry_points.txt"
    damaged.write_text(damaged.read_text() + "no value\n")
    nameless = tmp_path / "pkg_nameless-1.5.dist-info"
    nameless.mkdir()
    (nameless / "entry_points.txt").write_text(f"[{STRATEGIES}]\nodd = pkg_nameless:Strategy\n")
    registry.refresh()
    names = {plugin.name: plugin.distribution for plugin in plugins(STRATEGIES)}
    assert {"random": "nasgan", "sound": "pkg_sound"}.items() <= names.items()
    assert names["odd"] == "a package without metadata"
    assert "hurt" not in names
    assert set(registry.unreadable_packages()) == {"pkg_hurt 1.5"}
    assert "plugin pkg_hurt 1.5: its entry points cannot be read" in caplog.text


def test_of_two_installations_of_a_package_the_first_counts(install, tmp_path, monkeypatch):
    install("pkg_twice", "", STRATEGIES, {"twice": "pkg_twice:First"})
    older = tmp_path / "older" / "pkg.Twice-1.0.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: pkg.Twice\nVersion: 1.0\n")
    (older / "entry_points.txt").write_text(f"[{STRATEGIES}]\ntwice = pkg_twice:Second\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "older")])
    registry.refresh()
    assert find_plugin(STRATEGIES, "twice").value == "pkg_twice:First"


def test_a_plugin_without_what_it_promises_is_named(install):
    install("pkg_empty", "", STRATEGIES, {"empty": "pkg_empty:Strategy"})
    with pytest.raises(PluginError, match="'empty' of the package pkg_empty"):
        load_plugin(STRATEGIES, "empty")


def test_a_plugin_of_another_kind_is_refused(install):
    install("pkg_kind", "Strategy = dict", STRATEGIES, {"kind": "pkg_kind:Strategy"})
    with pytest.raises(PluginError, match="not as a SearchStrategy"):
        nasgan.make_strategy("kind")
    install("pkg_value", "A = 3", ARCHITECTURES, {"a": "pkg_value:A"})
    with pytest.raises(PluginError, match="'a' is registered as something else"):
        nasgan.load_architecture("a")


def test_a_third_partys_strategy_is_made_by_name(install):
    source = (
        "from nasgan_strategies.random.strategy import RandomSearch\n"
        "class Strategy(RandomSearch):\n    name = 'third'\n"
    )
    install("pkg_third", source, STRATEGIES, {"third": "pkg_third:Strategy"})
    assert nasgan.make_strategy("third", num_candidates=3).name == "third"


def test_names_that_two_packages_claim_are_refused(install):
    for package in ("pkg_one", "pkg_two"):
        install(package, "", STRATEGIES, {"same": f"{package}:Strategy"})
    assert duplicate_names(STRATEGIES) == ["same"]
    with pytest.raises(PluginError, match="registered by pkg_one and pkg_two; uninstall one"):
        find_plugin(STRATEGIES, "same")


@pytest.mark.parametrize(
    ("make", "name", "near"),
    [
        (nasgan.make_strategy, "randon", "random"),
        (lambda name: nasgan.make_search_space(name, **WIDTHS), "autogam", "autogan"),
        (nasgan.load_architecture, "autogan_d", "autogan_"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(make, name, near):
    with pytest.raises(UnknownNameError, match=f"unknown .*'{name}'. Did you mean '{near}"):
        make(name)


def test_a_name_unlike_any_other_lists_all():
    with pytest.raises(UnknownNameError, match=r"Known: .*random") as caught:
        nasgan.make_strategy("zzzzzz")
    assert "Did you mean" not in str(caught.value)
    assert caught.value.near == []


def test_settings_are_checked_before_anything_is_made():
    with pytest.raises(ConfigError, match="num_candidates"):
        nasgan.make_strategy("random", num_candidate=3)
    with pytest.raises(ConfigError, match="num_candidates"):
        nasgan.make_strategy("random", num_candidates="many")
    with pytest.raises(ConfigError, match="latent_dim"):
        nasgan.make_search_space("autogan", **{**WIDTHS, "latent_dim": "128"})
    assert isinstance(nasgan.make_search_space("autogan", **WIDTHS), SearchSpace)


@pytest.mark.parametrize(
    ("name", "latent_dim"),
    [("autogan", 128), ("adversarial_nas", 120), ("agan", 128), ("baselines", 128)],
)
def test_a_space_made_by_its_name_alone_has_the_published_sizes(name, latent_dim):
    space = nasgan.make_search_space(name)
    assert (space.network.image_size, space.network.latent_dim) == (32, latent_dim)
    assert space.network.image_channels == 3


def test_a_checkout_without_metadata_still_has_the_built_ins(monkeypatch):
    """On a machine without a package index the code runs by PYTHONPATH alone."""
    if sys.version_info < (3, 11):
        pytest.skip("needs tomllib")
    expected = {p.name: p.value for p in plugins(SEARCH_SPACES) if p.distribution == "nasgan"}
    registry.refresh()
    monkeypatch.setattr(metadata, "distributions", lambda: ())
    try:
        found = {p.name: p.value for p in plugins(SEARCH_SPACES)}
    finally:
        registry.refresh()
    assert found == expected
