"""Objects as they are: a search whose strategy, space and evaluator are nobody's package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import nasgan
from nasgan.contracts import AskTellStrategy, Proposal
from nasgan.data import ImageSet, Splits
from nasgan.errors import ConfigError, RunDirectoryError
from nasgan.objects import described, not_installed, words_of
from nasgan.runs.record import RunRecord
from nasgan_search_spaces.autogan.space import AutoGANSpace

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


class Other(Drawing):
    """The same with other code."""

    def ask(self) -> Proposal:
        return super().ask()


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
        ({"sed": 1}, "Did you mean seed"),
    ],
    ids=["class", "kind", "size", "workers", "trainer", "name"],
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
