"""What a configuration may have called: what its group is for, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nasgan.cli.compose import compose, composed
from nasgan.cli.hydra_rules import check_logging
from nasgan.cli.main import main
from nasgan.engine.parts import make_logger
from nasgan.errors import ConfigError
from nasgan.nodes import build_node, check_node
from nasgan.runs.loggers import NullLogger, RunLogger


def write_experiment(folder: Path, text: str, name: str = "mine") -> None:
    file = folder / "conf" / "experiment" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"# @package _global_\n{text}", encoding="utf-8")


@pytest.mark.parametrize(
    "target",
    [
        "nasgan.atomic.write_file",
        "nasgan.cli.main.main",
        "nasgan.runs.loggers.SafeLogger.start",
        "nasgan.training.TrainerSettings",
    ],
)
def test_what_is_no_logger_is_not_called_as_one(tmp_path: Path, target: str) -> None:
    node = {"_target_": target, "path": str(tmp_path / "written"), "text": "x"}
    with pytest.raises(ConfigError, match=r"^logger\._target_"):
        make_logger({"logger": node})
    assert list(tmp_path.iterdir()) == []


def test_a_logger_is_made() -> None:
    node = {"_target_": "nasgan.runs.loggers.NullLogger"}
    check_node(node, where="logger", base=RunLogger)
    assert isinstance(build_node(node, where="logger", base=RunLogger), NullLogger)


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.x._target_=nasgan.cli.main.main",
        "+hydra.callbacks.x._target_=nasgan.runs.loggers.NullLogger",
        "+hydra.callbacks.x=3",
        "hydra.launcher._target_=nasgan.cli.main.main",
        "hydra.launcher._target_=hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
        "hydra.sweeper._target_=hydra._internal.core_plugins.basic_launcher.BasicLauncher",
        "+hydra.launcher.extra._target_=os.getcwd",
        "+hydra.sweeper.params.extra=[{_target_:os.getcwd}]",
        "+hydra.job_logging.handlers.x.class=subprocess.Popen",
        "+hydra.job_logging.formatters.x.class=nasgan.cli.main.main",
        "+hydra.hydra_logging.handlers.x.class=logging.config.fileConfig",
        "+hydra.hydra_logging.handlers.x.class=logging.handlers.QueueHandler",
        "+hydra.hydra_logging.handlers.x.stream='ext://antigravity.x'",
        "+hydra.job_logging.handlers.x.class=${run_dir}",
    ],
)
def test_what_hydra_would_call_is_refused_before_it_is_called(override: str) -> None:
    name = override.lstrip("+").split("=")[0].rsplit(".", 1)[0]
    with pytest.raises(ConfigError, match="hydra") as found:
        compose("search", [override, "run_dir=subprocess.Popen"])
    assert name in str(found.value)
    with pytest.raises(ConfigError, match="hydra"):
        composed("search", [override, "run_dir=subprocess.Popen"])


def test_a_factory_of_handlers_is_logging_s_own() -> None:
    for factory in ("logging.NullHandler", "logging.handlers.SysLogHandler"):
        check_logging({"handlers": {"x": {"()": factory}}}, "hydra.job_logging")
    for other in ("logging.config.fileConfig", "logging.getLogger", "logging.Logger", ["x"]):
        with pytest.raises(ConfigError, match="is refused: a handler"):
            check_logging({"handlers": {"x": {"()": other}}}, "hydra.job_logging")


def test_logging_of_ones_own_is_taken() -> None:
    handler = "{class: logging.FileHandler, filename: mine.log}"
    assert compose("search", [f"+hydra.job_logging.handlers.x={handler}"])["seed"] == 0


@pytest.mark.parametrize("flag", ["--config-dir", "--config-path"])
def test_no_flag_leads_around_the_rules(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    target = "_target_: nasgan.atomic.write_file, path: written, text: x"
    write_experiment(tmp_path, f"hydra: {{callbacks: {{x: {{{target}}}}}}}\n")
    primary = "defaults: [_self_, {optional experiment: mine}]\nseed: 0\n"
    (tmp_path / "conf" / "search.yaml").write_text(primary, encoding="utf-8")
    more = ["+experiment=mine"] if flag == "--config-dir" else []
    assert main(["search", flag, str(tmp_path / "conf"), *more]) == 2
    assert "hydra.callbacks.x._target_='nasgan.atomic.write_file'" in capsys.readouterr().err
    assert not (tmp_path / "written").exists()


def test_a_job_of_a_sweep_is_held_to_the_rules_when_it_is_composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    logging_ = "handlers: {x: {class: subprocess.Popen, args: [touch, written]}}"
    write_experiment(tmp_path, f"hydra: {{job_logging: {{{logging_}}}}}\n", "bad")
    write_experiment(tmp_path, "seed: 1\n", "good")
    arguments = ["search", "-m", "--config-dir", str(tmp_path / "conf"), "+experiment=bad,good"]
    assert main(arguments) != 0
    assert "class='subprocess.Popen' is refused" in "".join(capsys.readouterr())
    assert not (tmp_path / "written").exists()


def test_a_package_of_configurations_is_found_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "acme_settings"
    write_experiment(package, "seed: 7\n", "acme")
    (package / "__init__.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = compose("search", ["hydra.searchpath=[pkg://acme_settings.conf]", "+experiment=acme"])
    assert found["seed"] == 7
    assert "acme_settings" not in sys.modules


def test_another_application_of_hydra_in_this_process_keeps_its_ways() -> None:
    import hydra.core.utils
    from hydra._internal.hydra import Hydra
    from hydra._internal.sources_registry import SourcesRegistry

    before = (
        hydra.core.utils.configure_log,
        Hydra.compose_config,
        SourcesRegistry.instance().types["pkg"],
    )
    compose("search")
    assert before == (
        hydra.core.utils.configure_log,
        Hydra.compose_config,
        SourcesRegistry.instance().types["pkg"],
    )
