from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from nasgan import registry
from nasgan.runs import environment
from nasgan.runs.environment import collect_environment


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_it_names_versions_and_hardware_but_not_the_machine() -> None:
    found = collect_environment("NVIDIA H200")
    assert found["device"] == "NVIDIA H200"
    assert found["packages"]["torch"] == metadata.version("torch")
    assert found["packages"]["numpy"] == metadata.version("numpy")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cores"] >= 1
    assert found["cpu"]
    assert found["nasgan"]["version"]
    assert json.loads(json.dumps(found)) == found
    name = socket.gethostname()
    values = [str(value) for value in found.values()]
    assert not any(value == name for value in values)
    assert str(Path.home()) not in json.dumps(found)


def test_the_commit_is_the_checkouts_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = {"commit": None, "dirty": None}
    project = tmp_path / "project"
    (project / "inner").mkdir(parents=True)
    _git(tmp_path, "init", "-q", "project")
    assert environment._checkout_state(project) == none  # no commit yet
    (project / "file").write_text("a")
    _git(project, "add", ".")
    _git(project, "commit", "-q", "-m", "first")
    head = _git(project, "rev-parse", "HEAD")
    # As a git hook would have it: another repository in the environment.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert environment._checkout_state(project) == {"commit": head, "dirty": False}
    (project / "file").write_text("b")
    assert environment._checkout_state(project) == {"commit": head, "dirty": True}
    (project / "file").write_text("a")
    # What lies beside the sources changes nothing; among them it may.
    (project / "leaderboard.md").write_text("a table")
    (project / "nasgan-tabu").mkdir()
    (project / "nasgan-tabu" / "tabu.py").write_text("")
    assert environment._checkout_state(project) == {"commit": head, "dirty": False}
    (project / "conf").mkdir()
    (project / "conf" / "new.yaml").write_text("")
    assert environment._checkout_state(project) == {"commit": head, "dirty": True}
    # nasgan installed somewhere inside another project's checkout.
    assert environment._checkout_state(project / "inner") == none


def test_a_checkout_of_which_git_does_not_tell_is_not_taken_for_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: dict[str, Any] = {"plugins": {}, "nasgan": {"dirty": False}}
    assert environment.names_its_code(found)
    assert not environment.names_its_code({**found, "plugins": {"a-folder-on-the-path": "1"}})
    answers = {"rev-parse": "abc", "status": None}  # a busy machine: git takes too long
    monkeypatch.setattr(environment, "_git", lambda root, verb, *_: answers[verb])
    monkeypatch.setattr(environment.Path, "exists", lambda _: True)
    found["nasgan"] = environment._checkout_state(Path("/"))
    assert found["nasgan"] == {"commit": "abc", "dirty": None}
    assert not environment.names_its_code(found)


def test_a_machine_without_git_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    assert environment._checkout_state(tmp_path) == {"commit": None, "dirty": None}


def test_only_plugins_that_a_run_names_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        registry.STRATEGIES: (_plugin(registry.STRATEGIES, "tabu", "acme_tabu.search:Tabu"),),
        registry.METRICS: (_plugin(registry.METRICS, "centre", "acme_centre:CENTRE"),),
        registry.ARCHITECTURES: (_plugin(registry.ARCHITECTURES, "mini", "acme_mini:MINI"),),
    }
    monkeypatch.setattr(registry, "plugins", lambda group: found.get(group, ()))

    def told(config: dict[str, Any] | None) -> set[str]:
        return set(collect_environment("cpu", config)["plugins"])

    assert told(None) == {"acme-tabu", "acme-centre", "acme-mini"}
    assert told({"strategy": {"_target_": "nasgan_strategies.random.RandomSearch"}}) == set()
    assert told({"strategy": {"inner": {"_target_": "acme_tabu.search.Tabu"}}}) == {"acme-tabu"}
    assert told({"metrics": {"metrics": ["fid", "centre"]}}) == {"acme-centre"}
    assert told({"architecture": "mini"}) == {"acme-mini"}


def _plugin(group: str, name: str, value: str) -> registry.Plugin:
    package = value.partition(":")[0].partition(".")[0]
    return registry.Plugin(group, name, value, package.replace("_", "-"), "1.0")
