"""OmegaConf resolvers of nasgan's configurations: run folders and the groups that help lists."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from nasgan.cli.config_options import options
from nasgan.cli.paths import cannot_make, given_folder, is_architecture_file
from nasgan.errors import RunDirectoryError
from nasgan.objects import OBJECT
from nasgan.run_settings import BESIDE_THE_RESULT, PLACES, nearby

__all__ = ["experiment_name", "refused_folder", "register_resolvers", "run_folder", "sweep_name"]

_LABEL = re.compile(r"[A-Za-z0-9_]+")
# Which data they hold, their names say; see `nasgan.engine.run_directory` for data that do not.
_ELSEWHERE = frozenset({"dataset.download", "dataset.root", "metrics.features.download"})
_REFUSED: dict[str, RunDirectoryError] = {}
_SEED_FOLDER = re.compile(r"seed\d+")


def register_resolvers() -> None:
    """Make the resolvers known to OmegaConf; registering again changes nothing."""
    for name, resolver in (
        ("nasgan.run_dir", lambda verb, *, _root_: run_folder(_root_, verb)),
        ("nasgan.sweep_root", lambda verb, *, _root_: f"{_output_root(_root_)}/{verb}"),
        ("nasgan.sweep_subdir", lambda verb, *, _root_: _sweep_subfolder(_root_, verb)),
        ("nasgan.groups", lambda *groups, _root_: _groups(groups, _root_)),
    ):
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def run_folder(config: DictConfig, verb: str) -> str:
    """The folder of a run: as given, or stable in its choices, so that a rerun finds it again.

    ``{output_root}/search/{strategy}-{space}-{dataset}[-{experiment}][-conditional][-{tag}]/
    seed{seed}``, for a training ``{architecture}-{dataset}``; the tag stands for all further
    overrides. The architecture of a run's folder is called by the last two parts of its path.
    """
    if config.run_dir is not None:
        return given_folder("run_dir", config.run_dir)
    return f"{_output_root(config)}/{verb}/{_stable_name(config, verb)}"


def refused_folder(stand_in: str) -> RunDirectoryError | None:
    """Why the folder of a sweep's job cannot be made, if Hydra was given a ``stand_in`` for it.

    Hydra makes the folder before it calls the job, and stops the sweep where it cannot.
    """
    return _REFUSED.get(stand_in)


def experiment_name(hydra_settings: Any) -> str | None:
    """The experiment chosen with ``+experiment=``; several, ``+experiment=[a,b]``, joined by ``+``.

    Hydra keeps no choices that are lists.
    """
    chosen = hydra_settings.runtime.choices.get("experiment")
    parser = OverridesParser.create()
    for override in parser.parse_overrides(list(hydra_settings.overrides.task)):
        if override.get_key_element().lstrip("+") == "experiment" and not chosen:
            chosen = override.value()
    return "+".join(map(str, chosen)) or None if isinstance(chosen, list) else chosen or None


def sweep_name(verb: str, overrides: list[str]) -> str:
    """A name for a sweep's runs: that of the same command again, and with other seeds.

    ``{verb}[-{experiment}]-{tag}``, the tag of what is swept or set beside seeds and experiment.
    """
    kept = [text for text in overrides if not text.lstrip("+~").startswith("hydra")]
    experiments = [text.partition("=")[2] for text in kept if text.startswith("+experiment=")]
    label = [re.sub(r"[^A-Za-z0-9_]+", "_", name) for name in experiments]
    tag = _tag(kept, {"experiment"})
    return "-".join([verb, *label, *([tag] if tag else [])])


def _sweep_subfolder(config: DictConfig, verb: str) -> str:
    name = _stable_name(config, verb)
    if config.run_dir is not None:
        name = str(Path(given_folder("run_dir", config.run_dir)).absolute())
    if not OmegaConf.is_missing(config.hydra.job, "num"):  # when a job begins
        folder = Path(config.hydra.sweep.dir, name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()
            stand_in = str(Path(tempfile.gettempdir(), f"nasgan-no-folder-{digest[:16]}"))
            _REFUSED[stand_in] = cannot_make(folder, error)
            return stand_in
    return name


def _output_root(config: DictConfig) -> str:
    return given_folder("output_root", config.output_root)


def _stable_name(config: DictConfig, verb: str) -> str:
    choices = config.hydra.runtime.choices
    named = {"experiment", "dataset", "conditional"}
    if verb == "train":
        label, is_complete = _architecture_label(config.architecture, choices)
        parts = [label, choices.dataset]
        named |= {"architecture"} if is_complete else set()
    else:
        parts = [choices.strategy, choices.search_space, choices.dataset]
        named |= {"strategy", "search_space"}
    experiment = experiment_name(config.hydra)
    if experiment is not None:
        parts.append(experiment.replace("/", "_"))
    if config.conditional:
        parts.append("conditional")
    tag = _tag(list(config.hydra.overrides.task), named, config)
    return "-".join([*map(str, parts), *([tag] if tag else [])]) + f"/seed{config.seed}"


def _architecture_label(architecture: Any, choices: Any) -> tuple[str, bool]:
    """A name for folders, and whether it says all."""
    if isinstance(architecture, DictConfig) and OBJECT in architecture:
        return re.sub(r"[^A-Za-z0-9_-]+", "_", choices.architecture), True
    if isinstance(architecture, str) and _LABEL.fullmatch(architecture):
        return architecture, True
    if isinstance(architecture, str):
        path = Path(architecture)
        run = path.parent if path.name == "architecture.json" else path
        # By the text alone: what the folder holds may change, the name must not.
        if _SEED_FOLDER.fullmatch(run.name) and run.parent.name not in ("", ".."):
            return re.sub(r"[^A-Za-z0-9_-]+", "_", f"{run.parent.name}-{run.name}"), False
        return re.sub(r"[^A-Za-z0-9_]+", "_", path.stem) or "file", False
    return "encoding", False


def _tag(overrides: list[str], named: set[str], config: DictConfig | None = None) -> str:
    """Eight hexadecimal digits for the overrides that the folder's name does not show.

    A path of the ``config`` counts as one, however it is spelled.
    """
    kept = {}
    parser = OverridesParser.create()
    for text in overrides:
        override = parser.parse_override(text)
        key = override.get_key_element().lstrip("+")
        if key in named | _ELSEWHERE or key.partition(".")[0] in BESIDE_THE_RESULT:
            continue
        is_sweep = override.is_sweep_override()
        value = text.partition("=")[2] if is_sweep else override.get_value_element_as_str()
        path = None if config is None else OmegaConf.select(config, key)
        is_file = key in PLACES or (key == "architecture" and is_architecture_file(path))
        kept[key] = nearby(path) if is_file and isinstance(path, str) else value
    if config is not None:
        kept |= _objects(config)
    if not kept:
        return ""
    return hashlib.sha256(json.dumps(sorted(kept.items())).encode("utf-8")).hexdigest()[:8]


def _objects(config: DictConfig) -> dict[str, str]:
    """What was given as an object, as text."""
    nodes = {str(name): config._get_node(name) for name in config}
    return {
        name: json.dumps(OmegaConf.to_container(node, resolve=False), sort_keys=True)
        for name, node in nodes.items()
        if isinstance(node, DictConfig) and not node._is_none() and OBJECT in node
    }


def _groups(groups: tuple[str, ...], config: DictConfig) -> str:
    """One line per group: its options, where the one chosen now stands first in brackets."""
    choices = config.hydra.runtime.choices
    width = max(map(len, groups))
    lines = []
    for group in groups:
        chosen = choices.get(group)
        names = [o.name for o in options(group) if not o.is_stand_in or o.name == chosen]
        shown = ", ".join(f"[{name}]" if name == chosen else name for name in names)
        prefix = "" if group in choices else "+"
        lines.append(f"  {prefix + group:{width + 1}}  {shown}")
    return "\n".join(lines)
