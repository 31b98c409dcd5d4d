"""The documentation: its pages, its commands, and the reference made from the configurations."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from nasgan.cli import table as table_verb
from nasgan.cli.compose import compose
from nasgan.cli.config_options import config_folder, options
from nasgan.cli.listing import SECTIONS
from nasgan.cli.main import VERBS
from nasgan.cli.schema import settings_class
from nasgan.engine.parts import bind
from nasgan.registry import LOSSES, plugins

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Its commands belong to the package that it builds; tests/docs/test_extending.py tries them.
OF_A_PLUGIN = {"extending.md"}
RUN_VERBS = ("search", "train", "evaluate", "sample")


@pytest.fixture(scope="module")
def generated() -> Iterator[Mapping[str, str]]:
    """Markdown by path, as the hook makes it when the site is built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "hooks"))
        import reference

        yield reference.pages()
        for name in ("reference", "conf_files"):
            sys.modules.pop(name, None)


# Pages


def nav_pages(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            yield from nav_pages(value) if isinstance(value, list) else [value]


def nav() -> list[str]:
    return list(nav_pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))


def written_pages() -> list[str]:
    pages = (path for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb"))
    return sorted(path.relative_to(DOCS).as_posix() for path in pages)


def test_the_navigation_has_every_page_once_and_no_other(generated: Mapping[str, str]) -> None:
    assert sorted(nav()) == sorted([*written_pages(), *generated])


def test_notebooks_are_run_when_the_site_is_built() -> None:
    plugins = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["plugins"]
    [settings] = [item["mkdocs-jupyter"] for item in plugins if "mkdocs-jupyter" in item]
    assert settings.pop("include") == ["notebooks/*.ipynb"]
    assert settings == {"execute": True, "cache": False, "allow_errors": False}
    for path in DOCS.rglob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert not any(cell.get("outputs") for cell in cells), (
            f"{path} holds an earlier run's output"
        )


@pytest.mark.parametrize("page", written_pages())
def test_links_lead_to_pages(page: str, generated: Mapping[str, str]) -> None:
    text = (DOCS / page).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+\.md)[^)]*\)", text):
        path = (DOCS / page).parent.joinpath(target).resolve().relative_to(DOCS).as_posix()
        assert path in generated or (DOCS / path).is_file(), f"{page}: {target}"


def test_nothing_is_fetched_from_elsewhere() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert config["theme"]["font"] is False
    listed = [*config["extra"]["polyfills"], *config["extra_css"]]
    listed += config.get("extra_javascript", [])
    assert all((DOCS / path).is_file() for path in listed)


# Methods


def methods() -> list[tuple[str, str]]:
    return [(kind, each.name) for kind in ("strategy", "evaluator") for each in options(kind)]


def method_pages(kind: str, name: str) -> list[str]:
    """Pages on the option, which say what it is, when to take it, what it costs, whose it is."""
    texts = [path.read_text("utf-8") for path in sorted((DOCS / "methods").glob("*.md"))]
    rows = [f"| {row} |" for row in ("what", "when", "cost", "source")]
    named = re.compile(rf"`{name}`|{kind}={name}\b")
    return [text for text in texts if named.search(text) and all(row in text for row in rows)]


@pytest.mark.parametrize(("kind", "name"), methods())
def test_every_strategy_and_evaluator_has_a_page_with_all_its_settings(
    kind: str, name: str
) -> None:
    (path,) = [option.path for option in options(kind) if option.name == name]
    settings = [key for key in plain(path) if key not in ("defaults", "_target_")]
    pages = method_pages(kind, name)
    assert pages
    assert any(all(f"`{key}`" in page for key in settings) for page in pages), settings


def test_every_loss_has_its_formula_and_its_source() -> None:
    page = (DOCS / "methods" / "losses.md").read_text("utf-8")
    found = re.findall(r"^\| \[?`(\w+)`.* \d{4}.* \|$", page, re.MULTILINE)
    assert {plugin.name for plugin in plugins(LOSSES)} == set(found)


def test_which_search_to_use_rests_on_the_benchmark() -> None:
    """The figures of the advice are those of the tables."""
    advice = (DOCS / "guides" / "which.md").read_text("utf-8")
    benchmark = (DOCS / "benchmark.md").read_text("utf-8")
    tables = benchmark.split("\n\n")
    found, course = (
        next(text for text in tables if text.startswith(f"| | {head}"))
        for head in ("FID found | better", "2 % | 5 %")
    )

    def row(table: str, name: str) -> list[str]:
        (line,) = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
        return [cell.strip(" *") for cell in line.strip("|").split("|")][1:]

    def fid(name: str) -> float:
        return float(row(found, name)[0].split("*")[0].split()[0].replace(",", ""))

    after = dict(zip((2, 5, 10, 20, 30, 50, 70, 100), row(course, "optuna"), strict=True))
    assert f"{after[30]} of 100 searches after 30 trainings and in {after[100]} after 100" in advice
    quick = [cell for name in ("tpe", "bohb", "rl_scratch") for cell in row(course, name)[4:]]
    assert f"from 30 trainings on better in {min(quick)} to {max(quick)} of 100" in advice
    others = [row(course, name)[-1] for name in ("evolution", "local_search", "nsga2")]
    assert f"all beat random search ({min(others)} to {max(others)} of 100)" in advice
    early = [row(course, name)[0] for name in ("asha", "hyperband")]
    assert f"early scores beat a guess ({min(early)} to {max(early)} of 100)" in advice
    assert f"within {(fid('random') / fid('optuna') - 1) * 100:.0f} % of what the best" in advice
    names = re.findall(r"^\| `(\w+)` \|", found, re.MULTILINE)
    ranks = [float(row(found, name)[-1].split()[0]) for name in names]
    assert f"the largest here is {max(ranks) - min(ranks):.1f}" in advice


# Commands


def commands(page: str) -> Iterator[str]:
    """The command lines of code blocks, and commands with arguments between backticks."""
    text = (DOCS / page).read_text("utf-8")
    fences = re.compile(r"^( *)```.*?\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
    for _, block in fences.findall(text):
        for line in re.sub(r"\\\n *", "", block).splitlines():
            if line.strip().removeprefix("$ ").startswith("nasgan "):
                yield line.strip().removeprefix("$ ")
    for span in re.findall(r"(?<!`)`(nasgan [^`\n]+)`", fences.sub("", text)):
        if "=" in span:
            yield span


def test_no_cluster_is_started_without_a_token() -> None:
    text = (DOCS / "executors.md").read_text("utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    starting = [block for block in blocks if "ray start" in block]
    assert len(starting) == 2
    for block in starting:
        before = block.partition("ray start")[0]
        if "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=" not in before:
            assert block.count("ray start") == block.count("RAY_AUTH_MODE=token ray start")


def documented_commands() -> list[Any]:
    pages = [page for page in written_pages() if page not in OF_A_PLUGIN]
    found = {(page, command): None for page in pages for command in commands(page)}
    return [pytest.param(command, id=f"{page}: {command}") for page, command in found]


def single_runs(overrides: list[str], *, is_sweep: bool) -> Iterator[list[str]]:
    """As many runs as show every value of a sweep once."""
    if not is_sweep:
        yield overrides
        return
    parsed = OverridesParser.create().parse_overrides(overrides)
    values: list[list[str]] = []
    for text, override in zip(overrides, parsed, strict=True):
        key = text.partition("=")[0]
        if not override.is_sweep_override():
            values.append([text])
        elif "glob(" in text:
            values.append([f"{key}={option.name}" for option in options(key)])
        else:
            values.append([f"{key}={value}" for value in override.sweep_string_iterator()])
    for index in range(max(map(len, values))):
        yield [choices[index % len(choices)] for choices in values]


@pytest.mark.parametrize("command", documented_commands())
def test_commands_can_be_given(command: str) -> None:
    _, verb, *arguments = shlex.split(command, comments=True)
    assert verb in VERBS
    if verb == "list":
        assert set(arguments) <= set(SECTIONS)
        return
    if verb in ("doctor", "new") or {"--help", "--config-dir"} & set(arguments):
        return
    if verb == "table":
        assert arguments[0] in table_verb.SUBVERBS
        return
    flags = {"-m", "--multirun", "--cfg", "job", "--resolve", "--info"}
    overrides = [text for text in arguments if text not in flags]
    if any("=" not in text for text in overrides):  # `nasgan leaderboard verify FILE`
        assert verb == "leaderboard"
        assert overrides[0] == "verify"
        return
    # The launcher may not be installed here, nor the device present, or as many of them.
    absent = ("hydra", "device=cuda", "trainer.devices")
    overrides = [text for text in overrides if not text.startswith(absent)]
    is_sweep = bool({"-m", "--multirun"} & set(arguments))
    for run in single_runs(overrides, is_sweep=is_sweep):
        config = compose(verb, run)
        if verb in ("search", "train"):
            bind(config)


def test_commands_are_found() -> None:
    assert len(documented_commands()) > 60


@pytest.mark.parametrize("page", ["index.md", "guides/train.md"])
def test_python_examples_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL):
        exec(compile(block, page, "exec"), names)
    assert names["run"].metrics["fid"] > 0


# The reference of configurations


def leaves(values: Any, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if key in ("_target_", "defaults", "hydra"):
            continue
        if isinstance(value, dict) and value and prefix + key != "suggested.widths":
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def plain(path: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(path), resolve=False)


def groups() -> list[str]:
    root = config_folder()
    found = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.yaml")}
    found = {folder for folder in found if not folder.endswith("/of")}
    internal = ("hydra/help", "hydra/hydra_logging", "hydra/job_logging", "experiment")
    return sorted(name for name in found if name != "." and not name.startswith(internal))


def section(page: str, title: str) -> str:
    """The text under a heading of the second level."""
    heading = rf"^## {re.escape(title)}(?: {{[^\n]*}})?\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


@pytest.mark.parametrize("group", groups())
def test_the_reference_has_every_option_with_every_setting(
    group: str, generated: Mapping[str, str]
) -> None:
    page = generated[f"reference/configs/{group.replace('/', '_')}.md"]
    prefix = "hydra.launcher" if group == "hydra/launcher" else group
    for option in options(group):
        if option.is_stand_in:
            continue
        text = section(page, option.name)
        assert option.summary in text
        for key in leaves(plain(option.path)):
            assert f"| `{prefix}.{key}` | `" in text, f"{group}={option.name}: {key}"


def test_the_reference_has_every_setting_of_every_verb(generated: Mapping[str, str]) -> None:
    page = generated["reference/verbs.md"]
    for verb in VERBS:
        text = section(page, f"nasgan {verb}")
        path = config_folder() / f"{verb}.yaml"
        if not path.is_file():
            assert f"usage: nasgan {verb}" in text
            continue
        for key in leaves(plain(path)):
            assert f"`{key}`" in text, f"{verb}: {key}"
        assert settings_class(verb).__name__


def test_the_reference_has_every_experiment(generated: Mapping[str, str]) -> None:
    page = generated["reference/experiments.md"]
    for option in options("experiment"):
        assert option.summary in section(page, option.name)


def test_every_setting_has_a_meaning_and_a_default(generated: Mapping[str, str]) -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for name, page in generated.items()
        for line in page.splitlines()
        if name != "reference/experiments.md" and re.match(r"\| `[a-z_.+]+` \|", line)
    ]
    assert len(rows) > 150
    assert all(len(row) == 4 for row in rows)
    assert [row for row in rows if not row[3]] == []


def test_comments_annotations_and_docstrings_make_the_rows(
    tmp_path: Path, generated: Mapping[str, str]
) -> None:
    from conf_files import read_config

    path = tmp_path / "one.yaml"
    path.write_text(
        "# What it is\n_target_: nasgan.training.TrainerSettings\n"
        'n_critic: 7 # as a paper did\nlr_decay: "none" # none\n'
        "# Only on CUDA:\ntf32: false\nhealth: # look\n  patience: 3\nunknown: [1, 2] # a | b\n",
        encoding="utf-8",
    )
    file = read_config(path)
    rows = {setting.key: setting for setting in file.settings}
    assert file.summary == "What it is"
    assert rows["n_critic"].default == "7"
    assert rows["n_critic"].type == "int"
    assert "per generator step" in rows["n_critic"].meaning
    assert "as a paper did" in rows["n_critic"].meaning
    assert rows["lr_decay"].type.startswith("`none` or `linear`")
    assert rows["tf32"].remark == "Only on CUDA:"
    assert rows["health"].meaning.startswith("look") or "HealthSettings" in rows["health"].meaning
    assert rows["health.patience"].type == "int"
    assert rows["unknown"].meaning == "a, b"
    assert not rows["beta1"].is_listed
    assert rows["beta1"].default == "0.0"
