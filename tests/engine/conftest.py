from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from run_comparison import TINY

from nasgan.cli.compose import compose
from nasgan.engine import run_config


@pytest.fixture
def tiny() -> Callable[..., dict[str, Any]]:
    """The configuration of a run that ends in seconds: ``tiny("search", "seed=3")``."""

    def configuration(verb: str, *overrides: str) -> dict[str, Any]:
        return compose(verb, [*TINY, *overrides])

    return configuration


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny search."""
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    run_config(compose("search", TINY), run_dir)
    return run_dir


@pytest.fixture
def pretend_cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call it, and torch says that there is a CUDA device; nothing can be put on it.

    ``pretend_cuda(has_bf16=False)``: it emulates bf16, as a V100.
    """

    def pretend(has_bf16: bool = True) -> None:
        answers = {
            "is_available": True,
            "device_count": 1,
            "set_device": None,
            "current_device": 0,
            "reset_peak_memory_stats": None,
        }
        for name, answer in answers.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)

        def is_bf16_supported(including_emulation: bool = True) -> bool:
            return has_bf16 or including_emulation

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)

    return pretend
