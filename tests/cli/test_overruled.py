"""What an experiment changes in an option that was chosen by hand is said at the start."""

from __future__ import annotations

import pytest

from nasgan.cli import compose as composing
from nasgan.cli import compose as overruling
from nasgan.cli.compose import overruled, refuse_without_effect
from nasgan.errors import ConfigError

TINY = "+experiment=debug/tiny"


def notes(*overrides: str) -> list[str]:
    config = composing.composed("search", overrides)
    return overruled(config, config.hydra)


def test_limits_of_an_experiment_in_a_budget_chosen_by_hand_are_said() -> None:
    (note,) = notes("budget=unlimited", TINY)
    assert note == (
        "budget=unlimited: the experiment debug/tiny still sets budget.architectures=3, "
        "budget.generator_steps=12; write budget.architectures=null to have the option's own value"
    )


def test_what_is_written_by_hand_wins_and_needs_no_word() -> None:
    (note,) = notes("budget=unlimited", "budget.architectures=null", TINY)
    assert "budget.generator_steps=12" in note
    assert "architectures" not in note
    (note,) = notes("budget=unlimited", "budget.architectures=7", TINY)
    assert "architectures" not in note
    by_hand = ("budget.architectures=null", "budget.generator_steps=null")
    assert notes("budget=unlimited", *by_hand, TINY) == []


def test_other_groups_are_held_to_the_same() -> None:
    (note,) = notes("trainer=published", TINY, "seed=3")
    assert note.startswith(
        "trainer=published: the experiment debug/tiny still sets trainer.n_critic=2"
    )


def test_a_one_is_told_as_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"n_critic": 1, "tf32": True, "ema_decay": None}
    monkeypatch.setattr(
        overruling, "_option", lambda group, name: own if group == "trainer" else {}
    )
    (note,) = notes("trainer=published", TINY)
    assert "trainer.n_critic=2" in note
    assert note.endswith("write trainer.n_critic=1 to have the option's own value")


@pytest.mark.parametrize(
    "overrides",
    [(), (TINY,), ("budget=unlimited",), ("strategy=random", TINY), ("dataset=digits", TINY)],
)
def test_without_a_difference_nothing_is_said(overrides: tuple[str, ...]) -> None:
    assert notes(*overrides) == []


def test_the_run_says_it(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from nasgan.cli.main import main

    monkeypatch.chdir(str(tmp_path))
    # Refused after the start, so that nothing is trained.
    assert main(["search", "budget=unlimited", TINY, "dataset=npz", "dataset.path=none.npz"]) == 2
    assert "budget=unlimited: the experiment debug/tiny still sets" in capfd.readouterr().err


@pytest.mark.parametrize("word", ["final.generator_steps=9", "+final.eval_every=3", "final.keep=x"])
def test_the_final_trainings_settings_beside_its_evaluator_are_refused(word: str) -> None:
    name = word.lstrip("+").partition("=")[0]
    with pytest.raises(ConfigError, match=rf"{name} is of the final training, .* no effect"):
        refuse_without_effect({"final": {"evaluator": "scratch"}}, ["seed=1", word])
    refuse_without_effect({"final": {"evaluator": None}}, [word])
    evaluator = {"_target_": "a.B", name.partition(".")[2]: 1}
    with pytest.raises(ConfigError, match=r"set final\.evaluator\.\w+, or leave it out"):
        refuse_without_effect({"final": {"evaluator": evaluator}}, [word])


def test_only_what_is_written_by_hand_is_refused() -> None:
    composing.compose("search", [TINY, "final.evaluator=scratch"])
    with pytest.raises(ConfigError, match=r"final\.keep is of the final training"):
        composing.compose("search", [TINY, "final.evaluator=scratch", "final.keep=last"])


def test_they_are_refused_where_nothing_is_trained_either() -> None:
    for words in (["final.generator_steps=9"], ["final.keep=last", "final.evaluator=scratch"]):
        with pytest.raises(ConfigError, match=r"which final\.top_k=0 leaves out: .* no effect"):
            composing.compose("search", [TINY, "final.top_k=0", *words])
    composing.compose("search", [TINY, "final.top_k=0"])
    composing.compose("search", [TINY, "final.generator_steps=9"])
