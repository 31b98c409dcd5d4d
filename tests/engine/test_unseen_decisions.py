"""A run says which decisions its evaluator's scores do not depend on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nasgan.engine import run_config
from nasgan.engine.loop import RunLoop

Tiny = Callable[..., dict[str, Any]]


class Stopped(Exception):
    """The run would begin now."""


def _stop(loop: RunLoop) -> None:
    raise Stopped


@pytest.mark.parametrize(
    ("overrides", "unseen"),
    [
        (("search_space=agan",), True),
        (("search_space=agan", "strategy=rl"), True),
        (("search_space=agan", "strategy=random_scratch"), False),
        (("search_space=agan", "strategy=adversarial"), False),
        (("search_space=autogan",), False),
        (("search_space=baselines",), True),
        (("search_space=baselines", "search_space.fixed={discriminator: dcgan}"), False),
    ],
)
def test_a_run_warns_of_decisions_that_its_scores_do_not_see(
    tiny: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    overrides: tuple[str, ...],
    unseen: bool,
) -> None:
    monkeypatch.setattr(RunLoop, "run", _stop)
    with pytest.raises(Stopped):
        run_config(tiny("search", *overrides), tmp_path)
    found = re.findall(
        r"SharedEvaluator does not see the discriminator: its scores do not depend on (\d+) of the "
        r"(\d+) decisions of the search space '\w+', which this search makes by chance",
        caplog.text,
    )
    assert len(found) == unseen
    assert all(0 < int(part) < int(whole) for part, whole in found)
