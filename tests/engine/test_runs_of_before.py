"""A run of an earlier nasgan stands, or goes on, although settings have come since."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nasgan.engine import run_config
from nasgan.engine.device import settled
from nasgan.engine.run_directory import RunDirectory
from nasgan.errors import RunDirectoryError
from nasgan.runs.record import hash_config

Tiny = Callable[..., dict[str, Any]]


def _forget_settings(run_dir: Path) -> None:
    """Make the folder one of before these settings."""
    path = run_dir / "config.json"
    held = json.loads(path.read_text())
    for name in ("r1_penalty", "zero_grad", "augmentation"):
        del held["trainer"][name]
    del held["search_space"]["fixed"]
    path.write_text(json.dumps(held))


def test_a_finished_run_stands_where_new_settings_have_their_defaults(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("search", "strategy=random_scratch")
    run_config(config, tmp_path)
    _forget_settings(tmp_path)
    assert run_config(config, tmp_path).status == "already_completed"


@pytest.mark.parametrize("change", [{"zero_grad": "zero"}, {"r1_penalty": 0.5}, {"n_critic": 3}])
def test_another_value_than_the_default_is_another_run(
    tiny: Tiny, tmp_path: Path, change: dict[str, Any]
) -> None:
    config = tiny("search", "strategy=random_scratch")
    run_config(config, tmp_path)
    _forget_settings(tmp_path)
    other = {**config, "trainer": {**config["trainer"], **change}}
    with pytest.raises(RunDirectoryError, match=f"of another configuration .*{next(iter(change))}"):
        run_config(other, tmp_path)


def test_a_failed_run_that_is_run_again_keeps_checkpoints_that_could_not_be_read(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("search", "strategy=random_scratch", "trainer.health.max_loss=1e-9")
    run_config(config, tmp_path)
    kept = tmp_path / "checkpoints" / "unusable-resume-00000001.0123.pt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(b"damaged")
    run_config({**config, "retry_failed": True}, tmp_path)
    assert kept.read_bytes() == b"damaged"


def _before(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` as it was before the last settings came."""
    later = {"strategy": "brackets", "final": "evaluator"}
    return config | {
        part: {key: value for key, value in config[part].items() if key != name}
        for part, name in later.items()
    }


def test_a_run_under_way_goes_on_with_the_defaults_of_settings_that_came_since(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = settled(tiny("search", "strategy=random_scratch"), torch.device("cpu"))
    folder = RunDirectory(tmp_path)
    folder.claim(_before(config))
    folder.claim(config)
    for part, change in [("strategy", {"brackets": 2}), ("final", {"evaluator": "scratch"})]:
        other = {**config, part: {**config[part], **change}}
        with pytest.raises(RunDirectoryError, match=f"configuration .{part}.{next(iter(change))}"):
            folder.claim(other)


@pytest.mark.parametrize("strategy", ["random_scratch", "random", "rl"])
def test_seeds_from_before_and_after_a_setting_came_are_one_experiment(
    tiny: Tiny, strategy: str
) -> None:
    config = tiny("search", f"strategy={strategy}")
    before = _before(config)
    assert before != config
    assert hash_config({**config, "seed": 1}) == hash_config(before)
    for part, change in [("strategy", {"brackets": 2}), ("final", {"evaluator": "scratch"})]:
        other = {**config, part: {**config[part], **change}}
        assert hash_config(other) != hash_config(config)


def test_a_setting_of_the_same_name_of_another_strategy_counts(tiny: Tiny) -> None:
    config = tiny("search", "strategy=rl")
    other = {**config, "strategy": {**config["strategy"], "brackets": 1}}
    assert hash_config(other) != hash_config(config)
