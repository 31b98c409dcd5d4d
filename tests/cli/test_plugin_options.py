"""Options that two packages bring, and what the doctor says about them and about extras."""

from __future__ import annotations

import logging
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from installed_plugins import Install, findings, random_search

from nasgan.cli import doctor, doctor_plugins
from nasgan.cli.compose import compose
from nasgan.cli.main import main
from nasgan.errors import ConfigError, PluginError

ROOT = Path(__file__).resolve().parents[2]


def install_twin(install: Install, name: str, *, registers: bool, text: str | None = None) -> None:
    """A package with a strategy ``twin`` and one of its own; ``text``: of its ``twin.yaml``."""
    target = f"_target_: {name}_search.Search\n"
    install(
        name,
        {
            f"{name}_search/__init__.py": random_search("twin"),
            f"{name}_search/conf/strategy/twin.yaml": target if text is None else text,
            f"{name}_search/conf/strategy/{name}.yaml": target,
        },
        strategies={name: f"{name}_search:Search"}
        | ({"twin": f"{name}_search:Search"} if registers else {}),
    )


def install_twins(install: Install, *, registers: bool = True) -> None:
    """The packages ``one`` and ``two``, both with the strategy ``twin``."""
    for name in ("one", "two"):
        install_twin(install, name, registers=registers)


@pytest.mark.parametrize("registers", [True, False])
def test_an_option_that_two_packages_bring_is_refused(
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    registers: bool,
) -> None:
    install_twins(install, registers=registers)
    monkeypatch.chdir(tmp_path)
    for more in (["seed=1"], ["strategy.num_candidates=3"], ["-m", "seed=0,1"], ["--cfg", "job"]):
        assert main(["search", *more, "strategy=twin", "+experiment=debug/tiny"]) == 2
        error = capsys.readouterr().err
        assert "strategy/twin cannot be chosen: one 1.0 and two 1.0 bring it: uninstall" in error
        assert "rename twin.yaml" in error
    assert list(tmp_path.rglob("*.json*")) == []
    assert compose("search", ["strategy=one"])["strategy"]["_target_"] == "one_search.Search"
    assert main(["list", "strategies"]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"\n  twin +left out: one 1\.0 and two 1\.0 bring it", out)) == 1
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    about = [line for line in out.splitlines() if re.match(r"  (FAULTY|note).*twin", line)]
    twice = "  FAULTY strategy twin: registered by one and two: uninstall one of them"
    assert [line for line in about if "bring" not in line] == [twice] * registers
    (line,) = [line for line in about if "bring" in line]
    assert line.startswith("  FAULTY option strategy/twin: left out: one 1.0 and two 1.0 bring it")


def test_what_inherits_from_it_is_refused_too(install: Install) -> None:
    install_twins(install)
    files = {
        "more_search/conf/strategy/heir.yaml": "defaults: [twin]\n",
        "more_search/conf/experiment/heir.yaml": (
            "# @package _global_\ndefaults:\n  - override /strategy: ${oc.env:NO_SUCH,twin}\n"
        ),
    }
    install("more", files)
    with pytest.raises(PluginError, match=r"strategy/heir cannot be chosen: .* name strategy/twin"):
        compose("search", ["strategy=heir"])
    with pytest.raises(PluginError, match=r"strategy/twin cannot be chosen: one 1\.0 and two"):
        compose("search", ["+experiment=heir"])


def test_completion_offers_the_others_and_says_nothing(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    install_twins(install)
    monkeypatch.setenv("COMP_LINE", "nasgan search strategy=tw")
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.split() == ["strategy=two"]
    assert not caplog.records


def test_a_sweep_over_all_options_runs_without_it(
    install: Install,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    install_twins(install)
    monkeypatch.chdir(tmp_path)
    command = ["search", "-m", "strategy=glob([one,tw*])", "+experiment=debug/tiny"]
    with caplog.at_level(logging.WARNING):
        assert main([*command, "progress=false", "final.top_k=1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"one +completed", out)
    assert re.search(r"two +completed", out)
    assert "twin" not in out
    warnings = [r.getMessage() for r in caplog.records if "twin" in r.getMessage()]
    assert [text.partition(":")[0] for text in warnings] == ["strategy/twin is left out"]


@pytest.mark.parametrize("text", [None, "steps: [1\n"])
@pytest.mark.parametrize("complete", ["one", "two"])
def test_the_package_that_registers_the_name_has_the_option(
    install: Install, text: str | None, complete: str
) -> None:
    """A stray file takes the name from nobody, readable or not."""
    for name in ("one", "two"):
        is_complete = name == complete
        install_twin(install, name, registers=is_complete, text=None if is_complete else text)
    assert (
        compose("search", ["strategy=twin"])["strategy"]["_target_"] == f"{complete}_search.Search"
    )
    stray = "two" if complete == "one" else "one"
    assert findings()["option strategy/twin"] == (
        "note",
        f"that of {complete} is used, as it registers the name; that of {stray} is hidden",
    )
    assert findings()["strategy twin"] == ("ok", f"{complete} 1.0")


def test_a_stray_file_does_not_stand_in_for_a_broken_one(install: Install) -> None:
    install_twin(install, "one", registers=True, text="steps: [1\n")
    install_twin(install, "two", registers=False)
    with pytest.raises(PluginError, match=r"plugin one 1\.0: .*twin\.yaml cannot be read"):
        compose("search", ["strategy=twin"])


def test_a_package_is_not_asked_for_a_file_that_it_has(install: Install) -> None:
    """Hidden, left out or of another class: what to do differs."""
    install(
        "thief",
        {
            "thief_search/__init__.py": random_search("random"),
            "thief_search/conf/strategy/random.yaml": "_target_: thief_search.Search\n",
            "thief_search/conf/strategy/odd.yaml": "_target_: thief_search.Search\n",
            "thief_search/conf/strategy/bad.yaml": "steps: [1\n",
        },
        strategies={
            "random": "thief_search:Other",
            "odd": "thief_search:Odd",
            "bad": "thief_search:Bad",
        },
    )
    details = [f.detail for f in doctor_plugins.config_findings() if "selects it" in f.detail]
    assert details == [
        "no configuration selects it; the _target_ of thief's strategy/odd.yaml is another"
    ]


def test_the_doctor_says_that_a_run_would_be_refused(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "acme",
        {
            "acme_search/__init__.py": "",
            "acme_search/conf/strategy/shell.yaml": "_target_: os.system\n",
            "acme_search/conf/trainer/shell.yaml": "inner: [{_target_: os.system}]\n",
            "acme_search/conf/dataset/shell.yaml": "defaults: [digits]\n_target_: os.system\n",
        },
    )
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    for group in ("strategy", "trainer", "dataset"):
        assert f"  FAULTY {group}=shell: its _target_ os.system is refused" in out


def test_the_doctor_knows_every_extra() -> None:
    if sys.version_info < (3, 11):
        pytest.skip("needs tomllib")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {name: tuple(needs) for name, needs in project["optional-dependencies"].items()}
    for name in ("dev", "docs"):
        del declared[name]
    assert {name: extra.packages for name, extra in doctor.EXTRAS.items()} == declared


def test_the_doctor_tells_which_extras_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {
        "hydra-joblib-launcher": "1.3.0",
        "wandb": "0.20.1",
        "submitit": "1.6",
        "tensorboard": "own build",
    }

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    found = {finding.what.split()[0]: finding for finding in doctor.optional()}
    joblib = found["joblib"]
    assert (joblib.state, joblib.detail) == ("ok", "hydra-joblib-launcher 1.3.0")
    assert found["tensorboard"].state == "ok"
    assert (found["wandb"].state, found["wandb"].detail) == (
        "note",
        "wandb 0.20.1 is too old: pip install nasgan[wandb]",
    )
    missing = "hydra-submitit-launcher is not installed: pip install nasgan[submitit]"
    assert (found["submitit"].state, found["submitit"].detail) == ("note", missing)
    assert "executor=ray" in found["ray"].what
    assert found["ray"].detail.startswith("ray is not installed, hydra-ray-launcher is not")


def test_an_option_with_a_required_setting_is_no_fault(install: Install) -> None:
    files = {
        "needs_search/__init__.py": random_search("needs"),
        "needs_search/conf/strategy/needs.yaml": (
            "_target_: needs_search.Search\nnum_candidates: ???\n"
        ),
        "needs_search/conf/logger/needs.yaml": "_target_: needs_search.Search\nplace: ???\n",
    }
    install("needs", files, strategies={"needs": "needs_search:Search"})
    found = findings()
    assert found["strategy needs"][0] == "ok"
    assert not [what for what, (state, _) in found.items() if state != "ok" and "needs" in what]
    assert found["logger=needs"] == ("ok", "needs logger.place=VALUE (needs)")
    with pytest.raises(ConfigError, match=r"strategy\.num_candidates must be given"):
        compose("search", ["strategy=needs"])


def test_the_list_has_the_evaluators(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    option = "_target_: zero_search.Zero\n"
    files = {
        "zero_search/__init__.py": "",
        "zero_search/conf/evaluator/zero.yaml": f"# Scores without training\n{option}",
    }
    install("zero", files)
    assert main(["list", "evaluators"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "evaluators",
        "gap",
        "inherit",
        "scratch",
        "shared",
        "shared_is_fid",
        "table",
        "table_mean",
        "zero",
        "zero_cost",
    ]
    assert lines[-2].split(None, 1)[1] == "Scores without training  [zero]"
