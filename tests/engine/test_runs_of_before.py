"""A run that an earlier nasgan finished stands, although settings have come since."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasgan.engine import run_search
from nasgan.errors import RunDirectoryError

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
    run_search(config, tmp_path)
    _forget_settings(tmp_path)
    assert run_search(config, tmp_path).status == "already_completed"


@pytest.mark.parametrize("change", [{"zero_grad": "zero"}, {"r1_penalty": 0.5}, {"n_critic": 3}])
def test_another_value_than_the_default_is_another_run(
    tiny: Tiny, tmp_path: Path, change: dict[str, Any]
) -> None:
    config = tiny("search", "strategy=random_scratch")
    run_search(config, tmp_path)
    _forget_settings(tmp_path)
    other = {**config, "trainer": {**config["trainer"], **change}}
    with pytest.raises(RunDirectoryError, match=f"of another configuration .*{next(iter(change))}"):
        run_search(other, tmp_path)


def test_a_failed_run_that_is_run_again_keeps_checkpoints_that_could_not_be_read(
    tiny: Tiny, tmp_path: Path
) -> None:
    config = tiny("search", "strategy=random_scratch", "trainer.health.max_loss=1e-9")
    run_search(config, tmp_path)
    kept = tmp_path / "checkpoints" / "unusable-resume-00000001.0123.pt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(b"damaged")
    run_search({**config, "retry_failed": True}, tmp_path)
    assert kept.read_bytes() == b"damaged"
