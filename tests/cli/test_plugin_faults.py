"""Plugins that raise, hang, or blow up: named with their package, and nothing else is stopped."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from installed_plugins import Install, findings, random_search

import nasgan
from nasgan.cli import doctor_plugins
from nasgan.cli.doctor_plugins import TookTooLongError, time_limit
from nasgan.cli.main import main
from nasgan.errors import PluginError
from nasgan.registry import STRATEGIES, load_plugin, plugins_named

FAULTS = {
    "import": ("raise GeneratorExit('gone')\n", "cannot be imported: GeneratorExit: gone"),
    "init": (
        random_search("bad") + "\n    def __init__(self):\n        raise KeyError('no key')\n",
        r"failed in __init__ \(__init__\.py, line \d+\): KeyError: 'no key'",
    ),
    "step": (
        random_search("bad") + "\n    def step(self):\n        return 1 / 0\n",
        r"failed in step \(__init__\.py, line \d+\): ZeroDivisionError: division by zero",
    ),
    "exit": (
        random_search("bad") + "\n    def step(self):\n        raise SystemExit(3)\n",
        r"failed in step \(__init__\.py, line \d+\): SystemExit: 3",
    ),
}


def add(install: Install, module: str, yaml: str = "_target_: bad_search.Search\n") -> None:
    files = {"bad_search/__init__.py": module, "bad_search/conf/strategy/bad.yaml": yaml}
    install("bad", files, strategies={"bad": "bad_search:Search"})


@pytest.mark.parametrize("kind", FAULTS)
def test_a_plugin_that_raises_is_named_in_one_sentence(
    kind: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, message = FAULTS[kind]
    add(install, module)
    with pytest.raises(PluginError, match=f"bad 1.0 .*{message}"):
        nasgan.search("+experiment=debug/tiny", "strategy=bad", run_dir=tmp_path / "api")
    capsys.readouterr()  # what a log that an earlier command set up has told of this
    run_dir = tmp_path / "run"
    command = ["search", "+experiment=debug/tiny", "strategy=bad", f"run_dir={run_dir}"]
    assert main(command) == (1 if kind in ("step", "exit") else 2)
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("[")]
    assert len(said) == 1, said
    assert said[0].startswith("error: ")
    if kind in ("step", "exit"):
        log = (run_dir / "search.log").read_text()
        assert "Traceback" in log
        assert "in step" in log


def test_an_error_of_nasgan_itself_is_no_plugin_s() -> None:
    with pytest.raises(ZeroDivisionError), plugins_named():
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), plugins_named():
        raise KeyboardInterrupt


def test_loading_names_the_package_whatever_is_raised(install: Install) -> None:
    add(install, FAULTS["import"][0])
    with pytest.raises(PluginError, match=r"'bad' of the package bad 1\.0 cannot be loaded"):
        load_plugin(STRATEGIES, "bad")


def bomb(levels: int = 40) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)
    ]
    return "_target_: bad_search.Search\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("yaml", "why"),
    [
        (bomb(), "aliases stand for more than 100000 values"),
        ("_target_: bad_search.Search\na: &a [*a]\n", "aliases stand for more than"),
        ("_target_: bad_search.Search\na: " + "[" * 5000 + "]" * 5000 + "\n", "cannot be read"),
        ("_target_: bad_search.Search\n#" + "x" * 2_000_000, "too large"),
    ],
    ids=["bomb", "cycle", "depth", "size"],
)
def test_a_yaml_bomb_is_left_out_and_hangs_nothing(
    yaml: str, why: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    add(install, random_search("bad"), yaml)
    began = time.monotonic()
    assert main(["list", "strategies"]) == 0
    assert time.monotonic() - began < 20
    assert "adversarial" in capsys.readouterr().out
    assert main(["search", "strategy=bad"]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert len(said) < 2100


def test_aliases_of_common_use_are_read(install: Install) -> None:
    add(install, random_search("bad"), "_target_: bad_search.Search\nx: &x [1]\ny: *x\n")
    state, detail = findings()["strategy bad"]
    assert (state, detail) == ("ok", "bad 1.0")


def test_the_doctor_does_not_wait_for_a_plugin_that_hangs(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_plugins, "_SECONDS", 0.5)
    hanging = "import time\nwhile True:\n    try:\n        time.sleep(99)\n    except Exception:\n"
    add(install, hanging + "        pass\n")
    began = time.monotonic()
    state, detail = findings()["strategy bad"]
    assert time.monotonic() - began < 60
    assert state == "faulty"
    assert "bad 1.0" in detail
    assert "has not ended within 0.5 seconds" in detail


def test_a_limit_of_time_ends_what_is_too_slow_and_nothing_else() -> None:
    with time_limit(60):
        pass
    with pytest.raises(TookTooLongError), time_limit(0.05):
        time.sleep(60)
    time.sleep(0.1)  # no alarm is left


def test_a_yaml_bomb_in_a_folder_of_ones_own_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "experiment" / "big.yaml"
    file.parent.mkdir()
    file.write_text("# @package _global_\n" + bomb(), encoding="utf-8")
    assert main(["search", "--config-dir", str(tmp_path), "+experiment=big"]) == 2
    assert "big.yaml cannot be read: its aliases stand for more" in capsys.readouterr().err
