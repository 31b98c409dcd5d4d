"""From configuration nodes to objects: what is refused, and what is built."""

from __future__ import annotations

import sys
import types
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from nasgan import nodes
from nasgan.errors import ConfigError, PluginError
from nasgan.nodes import build_node, check_node, check_values


class Base(ABC):
    def __init__(self, *, width: int, name: str = "x") -> None:
        self.width = width
        self.name = name

    @abstractmethod
    def work(self) -> None: ...


class Child(Base):
    def __init__(self, *, depth: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.depth = depth

    def work(self) -> None: ...


class Open:
    def __init__(self, **anything: Any) -> None:
        self.anything = anything


@dataclass(frozen=True)
class Inner:
    steps: int = 1
    ratio: float = 0.5


@dataclass(frozen=True)
class Settings:
    n_critic: int
    loss: Literal["hinge", "wgan"] = "hinge"
    inner: Inner = field(default_factory=Inner)
    parts: tuple[str, ...] = ()
    worker: Base | None = None


def make_child(width: int) -> Child:
    return Child(width=width)


def make_nothing(path: str) -> None:
    Path(path).write_text("called", encoding="utf-8")


class Mystery:
    def __init__(self, thing: NoSuchName, count: int = 1) -> None:  # type: ignore[name-defined]  # noqa: F821
        self.thing = thing


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """An installed plugin `acme_plugin` whose module `things` holds this file's classes."""
    package = types.ModuleType("acme_plugin")
    package.__path__ = []
    things = types.ModuleType("acme_plugin.things")
    for thing in (Base, Child, Open, Inner, Settings, make_child, make_nothing, Mystery):
        monkeypatch.setattr(thing, "__module__", "acme_plugin.things")
        setattr(things, thing.__name__, thing)
    things.Path = Path  # type: ignore[attr-defined]
    things.sys = sys  # type: ignore[attr-defined]
    things._Hidden = Child  # type: ignore[attr-defined]
    things.value = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acme_plugin", package)
    monkeypatch.setitem(sys.modules, "acme_plugin.things", things)
    monkeypatch.setattr(nodes, "plugin_packages", lambda: frozenset({"nasgan", "acme_plugin"}))
    return things


def node(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"acme_plugin.things.{name}", **arguments}


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "nasganevil.Thing",
        "nasgan",
        "acme_plugin.things.sys.modules",
        "acme_plugin.things.sys.exit",
        "acme_plugin.things._Hidden",
        "acme_plugin.things.Child.__init__",
        "acme_plugin.__path__.Child",
        "acme_plugin.things.Path",
        "acme_plugin.things.sys",
        "acme_plugin.things.value",
        "acme_plugin.things.Child.work",
        "acme_plugin.things:Child",
        "../acme_plugin.things.Child",
        "nasgan.registry.sys.modules",
        "nasgan.atomic.os",
        "nasgan.atomic.Path",
        "",
        3,
        None,
        ["acme_plugin.things.Child"],
    ],
)
def test_a_target_that_is_not_the_plugins_own_is_refused(target: object) -> None:
    with pytest.raises(ConfigError, match=r"^strategy"):
        check_node({"_target_": target, "width": 1}, where="strategy")
    with pytest.raises(ConfigError, match=r"^strategy"):
        build_node({"_target_": target, "width": 1}, where="strategy")


def test_a_foreign_package_is_refused_before_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "imported"
    module = tmp_path / "foreign_package.py"
    module.write_text(f"open({str(flag)!r}, 'w').close()\ndef run(): ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="outside nasgan and installed plugins"):
        build_node({"_target_": "foreign_package.run"}, where="strategy")
    assert not flag.exists()


def test_a_function_that_does_not_make_what_is_needed_is_not_called(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(ConfigError, match="does not make a Base"):
        build_node(node("make_nothing", path=str(path)), where="strategy", base=Base)
    assert not path.exists()


def test_a_missing_module_or_name_is_the_configurations_fault() -> None:
    with pytest.raises(ConfigError, match=r"there is no module 'acme_plugin\.nothing'"):
        check_node({"_target_": "acme_plugin.nothing.Child"}, where="strategy")
    with pytest.raises(ConfigError, match=r"has no 'Chidl'\. Did you mean Child\?"):
        check_node(node("Chidl"), where="strategy")


def test_a_module_that_cannot_be_imported_is_the_plugins_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "things.py").write_text("import a_module_that_is_not_there\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(nodes, "plugin_packages", lambda: frozenset({"broken_plugin"}))
    with pytest.raises(PluginError, match="a_module_that_is_not_there"):
        check_node({"_target_": "broken_plugin.things.Thing"}, where="strategy")


def test_a_class_of_another_kind_and_an_abstract_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="does not make a Base"):
        check_node(node("Inner"), where="strategy", base=Base)
    with pytest.raises(ConfigError, match="is abstract: it does not define work"):
        check_node(node("Base", width=1), where="strategy", base=Base)


def test_an_unknown_setting_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting t\.n_critc\. Did you mean t\.n_critic"):
        check_node(node("Settings", n_critic=1, n_critc=2), where="t")


def test_a_missing_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"missing: t\.n_critic must be given"):
        check_node(node("Settings"), where="t")


def test_a_wrong_type_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"^trainer\.n_critic must be int, got 'five'$"):
        check_node(node("Settings", n_critic="five"), where="trainer")
    with pytest.raises(ConfigError, match=r"^trainer\.inner\.steps must be int, got true|True$"):
        check_node(node("Settings", n_critic=1, inner={"steps": True}), where="trainer")


def test_a_node_is_built_with_nested_settings_converted() -> None:
    made = build_node(
        node("Settings", n_critic=2, inner={"ratio": 1}, parts=["a", "b"]), where="trainer"
    )
    assert made == Settings(n_critic=2, inner=Inner(ratio=1.0), parts=("a", "b"))
    assert isinstance(made.inner.ratio, float)


def test_a_nested_target_is_built_under_the_same_rules() -> None:
    made = build_node(node("Settings", n_critic=2, worker=node("Child", width=3)), where="trainer")
    assert isinstance(made.worker, Child)
    assert made.worker.width == 3
    with pytest.raises(ConfigError, match=r"^trainer\.worker\._target_='os\.system' is refused"):
        check_node(node("Settings", n_critic=2, worker={"_target_": "os.system"}), where="trainer")


def test_a_target_where_no_class_is_wanted_stays_plain_data() -> None:
    made = build_node(node("Open", thing={"_target_": "os.system"}), where="x")
    assert made.anything == {"thing": {"_target_": "os.system"}}


def test_keyword_arguments_of_a_class_are_checked_against_its_parents() -> None:
    made = build_node(node("Child", width=4, depth=2), where="space", base=Base)
    assert (made.width, made.depth) == (4, 2.0)
    with pytest.raises(ConfigError, match=r"unknown setting space\.widht"):
        check_node(node("Child", width=4, widht=2), where="space")
    with pytest.raises(ConfigError, match=r"space\.width must be int"):
        check_node(node("Child", width="wide"), where="space")


def test_a_function_may_be_the_target() -> None:
    made = build_node(node("make_child", width=2), where="space", base=Base)
    assert isinstance(made, Child)


def test_supplied_arguments_count_as_given_and_cannot_be_configured() -> None:
    check_node(node("Child"), where="space", supplied=("width",))
    assert build_node(node("Child"), where="space", width=7).width == 7
    with pytest.raises(ConfigError, match=r"space\.width is set by the run itself"):
        build_node(node("Child", width=1), where="space", width=7)
    with pytest.raises(PluginError, match="does not take the argument"):
        build_node(node("make_child", width=1), where="space", context=7)


def test_ignored_keys_are_no_arguments() -> None:
    made = build_node(
        node("Child", width=1, suggested={"a": 1}), where="space", ignore=("suggested",)
    )
    assert made.width == 1


def test_annotations_that_only_a_type_checker_knows_are_passed_over() -> None:
    check_node(node("Mystery", thing="anything"), where="x")
    with pytest.raises(ConfigError, match="unknown setting"):
        check_node(node("Mystery", thing="anything", cuont=1), where="x")


def test_checking_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(self: object, **_: Any) -> None:
        raise AssertionError("built")

    explode.__annotations__ = {}
    monkeypatch.setattr(Open, "__init__", explode)
    check_node(node("Open"), where="x")


def test_values_are_held_against_a_class_without_a_target() -> None:
    check_values({"n_critic": 1}, Settings, where="trainer")
    with pytest.raises(ConfigError, match=r"unknown setting n_critc"):
        check_values({"n_critic": 1, "n_critc": 2}, Settings)


def test_an_annotation_that_cannot_be_evaluated_costs_its_own_argument_alone() -> None:
    def make(width: int, frame: NoSuchFrame, depth: float = 1.0) -> Open:  # type: ignore[name-defined]  # noqa: F821
        return Open(width=width, frame=frame, depth=depth)

    assert nodes.type_hints(make) == {"width": int, "depth": float, "return": Open}

    class Settings:
        def __init__(self, *, steps: int, frame: NoSuchFrame = None) -> None:  # type: ignore[name-defined]  # noqa: F821
            self.steps = steps

    check_values({"steps": 3, "frame": "anything"}, Settings)
    with pytest.raises(ConfigError, match="steps"):
        check_values({"steps": "many"}, Settings)
