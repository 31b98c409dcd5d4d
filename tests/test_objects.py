"""Objects as they are: a search whose strategy, space and evaluator are nobody's package."""

from __future__ import annotations

import inspect
import threading
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nasgan
from nasgan.contracts import AskTellStrategy, Objective, Proposal, SimpleEvaluator
from nasgan.data import ImageSet, Splits
from nasgan.errors import ConfigError, RunDirectoryError
from nasgan.evaluation.scratch import ScratchEvaluator
from nasgan.objects import described, not_installed, words_of
from nasgan.runs.record import RunRecord
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_strategies.random.strategy import RandomSearch

TINY = "+experiment=debug/tiny"
SPACE = {"image_size": 16, "image_channels": 1, "latent_dim": 16}
WIDTHS = {"generator_channels": 8, "discriminator_channels": 8}


class Drawing(AskTellStrategy):
    """Random search in eight lines."""

    name = "drawing"

    def __init__(self, *, count: int = 2) -> None:
        super().__init__()
        self.count = count

    @property
    def finished(self) -> bool:
        return len(self.evaluations) >= self.count

    def ask(self) -> Proposal:
        return Proposal(self.run.space.sample(self.run.rng("drawing")))


class Brief(SimpleEvaluator):
    """Scores by the number of options that come first."""

    fidelity = "brief"
    objective = Objective("firsts", "max")

    def score(self, proposal: Proposal) -> float:
        chosen = proposal.architecture
        return float(sum(chosen[d.name] == d.options[0] for d in self.run.space.decisions))


class Other(Drawing):
    """The same with other code."""

    def ask(self) -> Proposal:
        return super().ask()


class Private(Drawing):
    """Keeps its argument under another name, and gives its parent one of its own."""

    def __init__(self, amount: Any = 2) -> None:
        super().__init__(count=7)
        self._held = amount


@dataclass
class Fields(Drawing):
    """One whose arguments a decorator takes."""

    count: int = 2


class Told(Private):
    """One that says in plain values what an argument is."""

    @property
    def settings(self) -> dict[str, Any]:
        return {"amount": sorted(self._held)}


class Listener:
    """A logger that holds what cannot be copied."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.told: list[str] = []

    def start(self, info: Any) -> None:
        self.told.append("start")

    def log(self, values: Any, step: int) -> None:
        pass

    def image(self, name: str, path: Path) -> None:
        pass

    def artifact(self, path: Path) -> None:
        pass

    def finish(self, status: str) -> None:
        self.told.append(status)


class Stopped(Exception):
    pass


class OwnSpace(AutoGANSpace):
    """A space that nobody has registered."""

    name = "own"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def search(**settings: Any) -> nasgan.LoadedRun:
    given = {"strategy": Drawing(), "evaluator": "scratch", "progress": False, "seed": 3}
    return nasgan.search(TINY, **{**given, **settings})


def test_an_object_of_one_s_own_searches_a_space_of_one_s_own(here: Path) -> None:
    strategy = Drawing(count=2)
    run = search(strategy=strategy, search_space=OwnSpace(**SPACE, **WIDTHS))
    record = RunRecord.read(run.folder / "record.json")
    assert (record.strategy, record.search_space, record.seed) == ("drawing_scratch", "own", 3)
    assert run.sample(2, seed=0).shape == (2, 1, 16, 16)
    assert strategy.evaluations == [], "the run has worked with a copy"
    held = record.config["strategy"]
    assert held["_object_"] == f"{Drawing.__module__}.Drawing"
    assert (held["installed"], held["settings"]) == (False, {"count": 2})
    assert not_installed(record.config).keys() == {"strategy", "search_space"}
    assert run.folder.parent.name.startswith("drawing-own-digits-debug_tiny-")


def test_an_evaluator_of_one_s_own_scores_and_names_the_method(here: Path) -> None:
    run = search(evaluator=Brief(), search_space=OwnSpace(**SPACE, **WIDTHS), final={"top_k": 0})
    record, found = run.record, run.record.search_result
    assert record.strategy == "drawing_brief"
    assert record.search_objective == {"metric": "firsts", "direction": "max"}
    assert not_installed(record.config).keys() == {"strategy", "search_space", "evaluator"}
    assert found is not None
    assert found["fidelity"] == "brief"
    space = OwnSpace(**SPACE, **WIDTHS)
    assert run.architecture is not None
    assert found["score"] == space.encode(run.architecture).count(0)


def test_the_same_call_finds_its_run_and_other_code_is_another_run(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = search(run_dir="r")
    monkeypatch.setattr("nasgan.engine.launch.load_inputs", pytest.fail)
    again = search(run_dir="r")
    assert again.record.run_id == first.record.run_id
    for other in (Drawing(count=3), Other()):
        with pytest.raises(RunDirectoryError, match=r"another configuration \(strategy\."):
            search(run_dir="r", strategy=other)


def test_a_killed_search_of_an_object_goes_on_to_the_same_end(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = search(run_dir="whole", checkpoint={"every_seconds": 0})
    from nasgan.engine.loop import RunLoop

    save, saved = RunLoop._save, []

    def save_and_stop(self: RunLoop, *given: Any) -> None:
        save(self, *given)
        saved.append(1)
        if len(saved) == 2:
            raise Stopped

    monkeypatch.setattr(RunLoop, "_save", save_and_stop)
    with pytest.raises(Stopped):
        search(run_dir="killed", checkpoint={"every_seconds": 0})
    monkeypatch.undo()
    monkeypatch.chdir(here)
    resumed = search(run_dir="killed", checkpoint={"every_seconds": 0})
    assert resumed.record.metrics == whole.record.metrics
    assert resumed.record.architecture == whole.record.architecture


def test_an_architecture_and_images_of_one_s_own_are_trained_on(here: Path) -> None:
    images = torch.randint(0, 256, (96, 1, 16, 16), dtype=torch.uint8)
    mine = Splits(ImageSet("mine", images[:64]), ImageSet("mine", images[64:], split="test"))
    space = AutoGANSpace(**SPACE, **WIDTHS)
    architecture = space.architecture([0] * len(space.decisions))
    given: dict[str, Any] = {"metrics": {"num_images": 32}, "progress": False, "run_dir": "r"}
    run = nasgan.train(architecture, TINY, dataset=mine, search_space=space, **given)
    assert run.record.dataset == mine.train.identity
    assert run.architecture == architecture
    again = nasgan.train(architecture, TINY, dataset=mine, search_space=space, **given)
    assert again.record.run_id == run.record.run_id


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": Drawing}, "give an instance, not the class"),
        ({"search_space": Drawing()}, "search_space= takes a SearchSpace"),
        ({"search_space": OwnSpace(image_size=32)}, "make it with image_size=16"),
        ({"search_space": OwnSpace(**SPACE), "executor": "processes"}, "executor=in_process"),
        ({"trainer": Drawing()}, "trainer= takes plain values, got a Drawing"),
        ({"trainer": {"a": [1, Drawing()]}}, r"trainer\.a\[1\]= takes plain values, got a Drawing"),
        ({"strategy": Private(threading.Lock())}, r"strategy: .*cannot be copied .*setup\(\)"),
        ({"sed": 1}, "Did you mean seed"),
    ],
    ids=["class", "kind", "size", "workers", "trainer", "inner", "lock", "name"],
)
def test_what_does_not_go_is_said_and_leaves_nothing(
    here: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        search(**settings)
    assert list(here.iterdir()) == []


def test_plain_settings_are_the_command_line_s_words() -> None:
    settings = {"seed": 1, "budget": {"images": None}, "a": [True, "b,c"], "experiment": "x/y"}
    words = ["seed=1", "budget.images=null", "a=[true,'b,c']", "+experiment='x/y'"]
    assert list(words_of(settings)) == words


def test_the_digest_is_of_the_code_and_not_of_the_object() -> None:
    assert described(Drawing())["code"] == described(Drawing(count=9))["code"]
    assert described(Drawing())["code"] != described(Other())["code"]
    assert "code" not in described(AutoGANSpace())


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (RandomSearch(num_candidates=5), {}, {"num_candidates": 50}),
        (ScratchEvaluator(), {"generator_steps": 1000}, {"generator_steps": 7}),
        (AutoGANSpace(), {"image_size": 32}, {"latent_dim": 16}),
        (Private(), {"amount": np.int64(2)}, {"amount": 3}),
        (Private(RandomSearch()), {}, {"amount": RandomSearch(min_steps=3)}),
        (Fields(), {"count": 2}, {"count": 3}),
        (Told({1, 2}), {}, {"amount": {2, 3}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_are_told_apart_by_what_they_were_made_with(
    one: Any, same: dict[str, Any], other: dict[str, Any]
) -> None:
    given = {"num_candidates": 5} if isinstance(one, RandomSearch) else {}
    if isinstance(one, Private) and not same:
        given = {"amount": one._held}
    assert described(type(one)(**{**given, **same})) == described(one)
    assert described(type(one)(**{**given, **other})) != described(one)


def test_a_copy_is_the_same_and_an_attribute_set_later_counts() -> None:
    strategy = Drawing(count=4)
    assert described(deepcopy(strategy)) == described(strategy)
    strategy.count = 5
    assert described(strategy)["settings"] == {"count": 4, ".count": 5}


def test_arguments_that_no_record_can_say_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"Private: its argument amount is a set, .*`settings`"):
        described(Private({1, 2}))
    forgetful = Fields()
    del forgetful.__dict__["count"]
    with pytest.raises(ConfigError, match=r"count is kept nowhere, .*keep it as self\.count"):
        described(forgetful)


def test_arguments_are_kept_without_a_change_to_signatures() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'number'"):
        Drawing(number=1)  # type: ignore[call-arg]
    assert list(inspect.signature(Drawing).parameters) == ["count"]


def test_scalars_of_numpy_are_plain() -> None:
    settings = {"a": np.float64(1e-4), "b": {"c": np.int64(2)}, "d": [np.bool_(True)]}
    assert list(words_of(settings)) == ["a=0.0001", "b.c=2", "d=[true]"]


def test_a_logger_is_the_caller_s_own(here: Path) -> None:
    listener = Listener()
    search(logger=listener)
    assert listener.told == ["start", "completed"]
