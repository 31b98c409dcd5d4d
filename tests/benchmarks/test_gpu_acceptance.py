"""The acceptance of a GPU tells what it found, whatever breaks on the way."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu_acceptance
from benchmarks import gpu_acceptance_numbers as numbers
from benchmarks.gpu_acceptance import STAGES, Stage, main, parsed
from benchmarks.gpu_acceptance_checks import FailedCheckError, Report
from benchmarks.gpu_acceptance_numbers import Case, NumbersOfTheCpu, agreement, largest_difference

CPU = torch.device("cpu")


def _rows(out: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(out.read_text())["checks"]}


@pytest.fixture
def accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, dict[str, dict[str, Any]]]]:
    """Runs stages whose checks are given as the source of a module."""

    def accept(*sources: str, minutes: float = 2.0) -> tuple[int, dict[str, dict[str, Any]]]:
        stages = []
        for k, source in enumerate(sources):
            head = "import os, time\nfrom benchmarks.gpu_acceptance_checks import *\n"
            (tmp_path / f"stub{k}.py").write_text(head + textwrap.dedent(source))
            stages.append(Stage(f"stage{k}", f"stub{k}:checks", 10))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(gpu_acceptance, "STAGES", tuple(stages))
        out = tmp_path / "found.json"
        code = main(["--device", "cpu", "--out", str(out), "--minutes", str(minutes)])
        return code, _rows(out)

    return accept


GOOD = """
def checks(settings):
    yield Check("good", lambda: {"value": 1.5, "endless": float("inf")})
"""


def test_what_breaks_costs_only_itself(accepted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    broken = """
    def fails(): raise FailedCheckError("differs", {"worst": 2.0})
    def skips(): raise SkippedCheckError("not here")
    def breaks(): raise ValueError("a sentence")
    def checks(settings):
        yield Check("fails", fails)
        yield Check("skips", skips)
        yield Check("breaks", breaks)
        yield Check("crashes", lambda: os._exit(7))
        yield Check("hangs", lambda: time.sleep(600), limit=1)
        yield Check("long", lambda: {}, needs=1000)
        yield Check("last", lambda: {})
    """
    code, rows = accepted("raise RuntimeError('no module')", broken, GOOD)
    assert code == 1
    assert {name: row["status"] for name, row in rows.items()} == {
        "the stage itself": "failed",
        "fails": "failed",
        "skips": "skipped",
        "breaks": "failed",
        "crashes": "failed",
        "hangs": "timed out",
        "long": "skipped",
        "last": "ok",
        "good": "ok",
    }
    assert rows["fails"]["figures"] == {"worst": 2.0}
    assert rows["the stage itself"]["message"].endswith("RuntimeError: no module")
    assert "in breaks" in rows["breaks"]["message"]
    assert rows["breaks"]["message"].endswith("ValueError: a sentence")
    assert rows["crashes"]["message"] == "the process ended with exit code 7"
    assert "stub1.py" in rows["hangs"]["message"]  # where it hung
    assert "would not fit: takes 1000 s" in rows["long"]["message"]
    assert rows["good"]["figures"] == {"value": 1.5, "endless": "inf"}
    assert [row["stage"] for row in rows.values()] == ["stage0", *["stage1"] * 7, "stage2"]
    printed = capsys.readouterr().out
    assert "2 ok, 2 skipped, 1 timed out" in printed


def test_a_stage_without_time_is_said_to_be_left_out(accepted: Any) -> None:
    code, rows = accepted(GOOD, minutes=0.05)
    assert code == 0
    assert rows["what is left"]["status"] == "skipped"
    assert "no time left" in rows["what is left"]["message"]


def test_a_process_that_hangs_before_its_first_check_is_killed(
    accepted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_acceptance, "_START_SECONDS", 0.5)
    monkeypatch.setattr(gpu_acceptance, "_GRACE_SECONDS", 0.5)
    code, rows = accepted("time.sleep(600)", minutes=0.02)
    assert code == 1
    assert rows["the stage itself"]["status"] == "timed out"
    assert "killed at the end of the time box" in rows["the stage itself"]["message"]


def test_the_boxes_follow_each_other_and_end_with_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(gpu_acceptance, "run_stage", lambda settings, _: seen.append(settings))
    monkeypatch.setattr(gpu_acceptance.time, "monotonic", lambda: 1000.0)
    gpu_acceptance.accept(parsed(["--out", str(tmp_path / "a.json")]))
    assert [settings.stage for settings in seen] == [stage.name for stage in STAGES]
    ends = [settings.ends - 1000 for settings in seen]
    assert ends == sorted(ends)
    assert ends[0] == 60
    assert ends[-1] == 480
    assert {settings.pace for settings in seen} == {1.0}


def test_an_acceptance_that_is_killed_leaves_the_check_under_way(tmp_path: Path) -> None:
    report = Report(tmp_path / "a.json")
    report.add("stage", "first", "ok", "")
    report.begin("stage", "second")
    left = Report(tmp_path / "a.json")
    assert left.begun("stage") == {"first", "second"}
    assert left.under_way is not None
    assert left.under_way["name"] == "second"


def test_random_numbers_of_every_device_are_those_of_the_cpu() -> None:
    expected = torch.randn(4, generator=torch.Generator().manual_seed(5))
    with NumbersOfTheCpu():
        generator = torch.Generator().manual_seed(5)
        draw = torch.randn((4,), generator=generator, device="meta")
        assert draw.device.type == "meta"
        # The twin has moved on by one draw, the device's own generator has not.
        own = generator.get_state()
        torch.randn((4,), generator=generator, device="cpu")
        assert torch.equal(generator.get_state(), own)
    with NumbersOfTheCpu():
        found = torch.randn((4,), generator=torch.Generator().manual_seed(5), device="cpu")
    assert torch.equal(found, expected)


def test_a_device_that_computes_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    original = numbers.trained
    turns = iter([1.0, 1.0 + 1e-7])

    def trained(*words: Any, **settings: Any) -> Any:
        groups = original(*words, **settings)
        factor = next(turns)
        losses = {key: value * factor for key, value in groups["losses"].items()}
        return {**groups, "losses": losses}

    case = Case("baselines", "derived")
    assert agreement(case, CPU) == {"losses": 0.0, "architecture": 0.0, "networks": 0.0}
    monkeypatch.setattr(numbers, "trained", trained)
    with pytest.raises(FailedCheckError, match="losses differ from the CPU's") as caught:
        agreement(case, CPU)
    assert 0.5e-7 < caught.value.figures["losses"] < 2e-7


def test_numbers_that_are_not_finite_differ() -> None:
    one = {"a": torch.tensor([1.0, 2.0])}
    assert largest_difference(one, {"a": torch.tensor([1.0, 2.5])}) == 0.25
    assert math.isnan(largest_difference(one, {"a": torch.tensor([1.0, float("nan")])}))


def test_soft_steps_give_the_weights_of_both_networks_gradients() -> None:
    settings = numbers.TrainerSettings(
        n_critic=1, generator_batch_size=2, discriminator_batch_size=4
    )
    case = Case("adversarial_nas", "soft", channels=(4, 4), latent_dim=4)
    space, trainer = numbers.trainer_of(case, settings, CPU, images=8)
    steps = numbers.SoftSteps(space, trainer, torch.float32)
    steps()
    gradients = dict.fromkeys(("generator", "discriminator"), 0.0)
    for part in ("generator", "discriminator"):
        for decision in space.part_decisions(part):
            gradient = steps.logits[decision.name].grad
            assert gradient is not None
            gradients[part] += float(gradient.abs().sum())
    assert min(gradients.values()) > 0


@pytest.mark.slow
def test_the_smoke_run_passes_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "smoke.json"
    # A busy machine gets the time it takes.
    code = main(["--device", "cpu", "--smoke", "--out", str(out), "--minutes", "40"])
    found = json.loads(out.read_text())
    rows = found["checks"]
    assert code == 0, [row for row in rows if row["status"] not in ("ok", "skipped")]
    assert {row["stage"] for row in rows if row["status"] == "ok"} == {s.name for s in STAGES}
    assert [row["name"] for row in rows if row["status"] == "skipped"] == [
        "nasgan, eager, bf16, batch 4"
    ]
    assert found["device"]["name"] == "cpu"
    assert found["versions"]["torch"] == str(torch.__version__)
    by_name = {row["name"]: row["figures"] for row in rows}
    assert by_name["kill and resume"]["equal_bits"] is True
    assert by_name["autogan_a, scored"]["steps"] == 2
    assert all(row["seconds"] >= 0 for row in rows)
