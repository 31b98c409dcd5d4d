"""MkDocs hook: the pages about configuration, made from ``conf/`` when the site is built."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import yaml  # type: ignore[import-untyped]  # comes with OmegaConf
from conf_files import ConfigFile, Setting, parameters_of, read_config

from nasgan.cli.config_options import ConfigOption, config_folder, options
from nasgan.cli.main import VERBS
from nasgan.cli.schema import settings_class
from nasgan.run_settings import CheckpointSettings, FinalSettings, TrainingSettings

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

__all__ = ["groups", "on_files", "pages"]

_ABOUT: Mapping[str, str] = {
    "strategy": "How architectures are searched.",
    "search_space": "What is searched: the decisions, and the networks they describe.",
    "dataset": "What the networks are trained on.",
    "trainer": "How a generator and a discriminator are trained against each other, everywhere in "
    "a run: the supernet, candidates and the final networks.",
    "metrics": "How networks are scored: features, number of images, scores.",
    "evaluator": "How the search scores a candidate.",
    "executor": "Where candidates are scored: in the run's process, or by workers. See "
    "[Workers](../../executors.md).",
    "budget": "What a search may spend. It ends at the first limit; see "
    "[Budgets and the ledger](../../guides/budgets.md).",
    "logger": "Where a run's numbers go beside its own files.",
    "hydra/launcher": "Where the jobs of a sweep run, beside Hydra's own launchers. See "
    "[Sweeps](../../sweeps.md).",
}
# What documents the parts of a verb's configuration that no `_target_` stands for.
_PARTS: Mapping[str, type] = {
    "checkpoint": CheckpointSettings,
    "final": FinalSettings,
    "training": TrainingSettings,
}
# Groups of Hydra's own, for messages and help texts.
_INTERNAL = ("experiment", "hydra/help", "hydra/hydra_logging", "hydra/job_logging")
_FEATURES = Setting("features.name", "", "text", "the extractor")
# Settings of the launchers on which nasgan's own are built.
_INHERITED = "see Hydra's launcher"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages; called by MkDocs."""
    from mkdocs.structure.files import File

    for name, content in pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link from the page about settings to those made here, which only the site has."""
    if page.file.src_uri != "reference/settings.md":
        return markdown
    links = [f"- [{name}]({name.removeprefix('reference/')})" for name in sorted(pages())]
    return "\n".join([markdown, "In this site:", "", *links, ""])


def pages() -> dict[str, str]:
    """Markdown by the page's path under ``docs/``."""
    made = {f"reference/configs/{_file(group)}.md": _group_page(group) for group in groups()}
    made["reference/verbs.md"] = "\n".join(_verbs())
    made["reference/experiments.md"] = "\n".join(_experiments())
    return made


def groups() -> list[str]:
    """The groups that a person chooses from, experiments aside."""
    root = config_folder()
    folders = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.yaml")}
    # The folders `of` hold options that stand for those of an architecture or a run.
    chosen_from = (f for f in folders if f != "." and not f.endswith("/of"))
    return sorted(f for f in chosen_from if not f.startswith(_INTERNAL))


def _file(group: str) -> str:
    return group.replace("/", "_")


# Groups


def _group_page(group: str) -> str:
    found = [option for option in options(group) if not option.is_stand_in]
    known = _known_settings(group, found)
    lines = [f"# {group}", "", _ABOUT.get(group, ""), "", _chosen_by(group), ""]
    lines += ["| option | |", "|---|---|"]
    lines += [f"| [`{o.name}`](#{o.name}) | {o.summary} |" for o in found]
    for option in found:
        file = read_config(option.path, fallback=known)
        lines += ["", f"## {option.name}", "", f"{file.summary}.", ""]
        lines += [*_target(file), *_defaults(group, file.defaults)]
        lines += _table(file.settings, f"{group.rpartition('/')[0] and 'hydra.'}{_last(group)}.")
    return "\n".join([*lines, ""])


def _last(group: str) -> str:
    return group.rpartition("/")[2]


def _known_settings(group: str, found: Sequence[ConfigOption]) -> dict[str, Setting]:
    """What the options of a group say about settings that others of them only set."""
    known = {"features.name": _FEATURES}
    for option in sorted(found, key=lambda option: option.name not in ("default", "digits")):
        for setting in read_config(option.path).settings:
            held = known.get(setting.key)
            if held is None or not (held.meaning and held.type) or held.meaning.startswith("see `"):
                meaning = (held.meaning if held else "") or setting.meaning
                known[setting.key] = replace(setting, meaning=meaning)
    if group == "search_space":
        from nasgan.contracts import SearchSpace

        for name, parameter in parameters_of(SearchSpace).items():
            known[name] = Setting(name, "", "int", parameter.meaning)
    return known


def _chosen_by(group: str) -> str:
    """Which verbs have the group, and what they choose by themselves."""
    chosen = []
    for verb in _hydra_verbs():
        default = _default_options(verb).get(group)
        if default is not None:
            chosen.append(f"`nasgan {verb}` (by default `{default}`)")
    by = ", ".join(chosen) or "`nasgan search -m` and `nasgan train -m`"
    return f"Chosen with `{group}=NAME` by {by}."


def _target(file: ConfigFile) -> list[str]:
    if not file.target:
        return []
    name = f'<autoref optional identifier="{file.target}"><code>{file.target}</code></autoref>'
    return [f"Makes {name}.", ""]


def _defaults(group: str, defaults: Sequence[Any]) -> list[str]:
    lines = []
    for item in defaults:
        if isinstance(item, str) and item != "_self_":
            known = item in {option.name for option in options(group)}
            base = f"[`{item}`](#{item})" if known else f"Hydra's `{item}`"
            lines.append(f"Settings that are not in the table are those of {base}.")
        elif isinstance(item, Mapping):
            for key, value in item.items():
                other = str(key).removeprefix("override ").lstrip("/").partition("@")[0]
                lines.append(f"Also chooses `{other}={value}`, unless another is asked for.")
    return [*lines, ""] if lines else []


def _table(settings: Sequence[Setting], prefix: str) -> list[str]:
    if not settings:
        return ["No settings."]
    lines = ["| setting | default | type | meaning |", "|---|---|---|---|"]
    for setting in settings:
        remark = f"*{setting.remark.rstrip(':')}:* " if setting.remark else ""
        plus = "" if setting.is_listed else "+"
        default = f"`{setting.default}`" if setting.default else ""
        key = f"`{plus}{prefix}{setting.key}`"
        meaning = setting.meaning or (_INHERITED if prefix.startswith("hydra.") else "")
        lines.append(f"| {key} | {default} | {setting.type} | {remark}{meaning} |")
    return lines


# Verbs


def _hydra_verbs() -> list[str]:
    return [verb for verb in VERBS if (config_folder() / f"{verb}.yaml").is_file()]


def _verbs() -> Iterator[str]:
    yield "# Verbs\n"
    yield "Every verb that computes takes `group=option` and `key=value`, and the flags `--help`,"
    yield "`--cfg job` (show the configuration), `--info` and `-m` (a sweep). Those that read"
    yield "results take `key=value`, `--help` and `--cfg job`.\n"
    yield "| verb | |\n|---|---|"
    yield from (f"| [`nasgan {verb}`](#nasgan-{verb}) | {about} |" for verb, about in VERBS.items())
    known: dict[str, Setting] = {}
    for verb in VERBS:
        yield f"\n## nasgan {verb}\n"
        if verb in _hydra_verbs():
            yield from _hydra_verb(verb, known)
        else:
            yield f"```text\n{_printed_help(verb)}\n```"


def _hydra_verb(verb: str, known: dict[str, Setting]) -> Iterator[str]:
    folder = config_folder()
    text = yaml.safe_load((folder / "hydra" / "help" / f"{verb}.yaml").read_text(encoding="utf-8"))
    yield " ".join(text["header"].split()) + "\n"
    chosen = _default_options(verb)
    if chosen:
        linked = (f"[`{g}={o}`](configs/{_file(g)}.md)" for g, o in chosen.items())
        yield f"Groups, as they are by default: {', '.join(linked)}.\n"
    file = read_config(
        folder / f"{verb}.yaml", schema=settings_class(verb), fallback={**_part_settings(), **known}
    )
    shown = [setting for setting in file.settings if setting.key.partition(".")[0] not in chosen]
    for setting in file.settings:
        known.setdefault(setting.key, setting)
    yield from _table(shown, "")
    overriding = [s for s in file.settings if s.key.partition(".")[0] in chosen and s.default]
    if overriding:
        yield "\nIts own defaults for settings of groups:\n"
        yield from (f"- `{setting.key}`: `{setting.default}`" for setting in overriding)
    examples = text["template"].partition("Examples:\n")[2].partition("\n\n")[0]
    yield f"\n```text\n{textwrap.dedent(examples)}\n```"


def _part_settings() -> dict[str, Setting]:
    return {
        f"{part}.{name}": Setting(f"{part}.{name}", "", "", parameter.meaning)
        for part, documented in _PARTS.items()
        for name, parameter in parameters_of(documented).items()
    }


def _default_options(verb: str) -> dict[str, str]:
    plain = yaml.safe_load((config_folder() / f"{verb}.yaml").read_text(encoding="utf-8"))
    return {
        str(group): str(option)
        for item in plain.get("defaults", ())
        if isinstance(item, Mapping)
        for group, option in item.items()
        if not str(group).startswith("override")
    }


def _printed_help(verb: str) -> str:
    """The help of a verb without a configuration, as it prints it."""
    module = importlib.import_module(f"nasgan.cli.{'listing' if verb == 'list' else verb}")
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "90"}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        module.run(["--help"])
    return printed.getvalue().strip()


# Experiments


def _experiments() -> Iterator[str]:
    yield "# Experiments\n"
    yield "An experiment is a set of choices under a name: `nasgan search +experiment=NAME`, or"
    yield "`nasgan train +experiment=NAME` where it says so. Whatever else is on the command line"
    yield "wins. The files are shown as they are.\n"
    found = options("experiment")
    yield "| experiment | |\n|---|---|"
    yield from (f"| [`{o.name}`](#{_anchor(o.name)}) | {o.summary} |" for o in found)
    for option in found:
        body = _without_heading(option.path)
        yield f"\n## {option.name} {{ #{_anchor(option.name)} }}\n\n{option.summary}.\n"
        yield f"```yaml\n{body}\n```"


def _anchor(name: str) -> str:
    return name.replace("/", "-")


def _without_heading(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    while lines and lines[0].startswith("#"):
        del lines[0]
    return "\n".join(lines).strip()
