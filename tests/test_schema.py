from __future__ import annotations

import dataclasses
from dataclasses import field, replace
from typing import Annotated, Any, Literal

import pytest

from nasgan.errors import ConfigError
from nasgan.schema import (
    Amount,
    Count,
    Fault,
    JsonObject,
    Many,
    Number,
    OpenPart,
    Part,
    Shape,
    Text,
    UtcTime,
    check,
    made_of,
    model,
)


class Cost(Part):
    steps: Count
    seconds: Amount


class Open(OpenPart):
    name: Text


@model("the note")
class Note:
    name: Text
    kind: Literal["a", "b"] = "a"
    costs: Annotated[Any, Shape(Many[Cost])] = ()
    scores: dict[str, Number] = field(default_factory=dict)
    config: JsonObject = field(default_factory=dict)
    at: UtcTime = "2026-01-31T12:00:00.000+00:00"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, "name must be a text that is not empty, got ''"),
        ({"name": 1}, "name must be a text, got 1"),
        ({"name": None}, "name must be a text, got null"),
        ({"kind": "c"}, "kind must be 'a' or 'b', got 'c'"),
        ({"costs": {}}, "costs must be a list, got {}"),
        ({"costs": ["x"]}, "costs[0] must be an object, got 'x'"),
        ({"costs": [{"steps": 1}]}, "costs[0] lacks seconds"),
        (
            {"costs": [{"steps": 1, "seconds": 1.0}, {"steps": -1, "seconds": 0}]},
            "costs[1].steps must be a whole number of at least 0, got -1",
        ),
        ({"costs": [{"steps": True, "seconds": 0}]}, "costs[0].steps must be a whole number"),
        (
            {"costs": [{"steps": 2**64, "seconds": 0}]},
            "costs[0].steps must be a whole number below 2^64",
        ),
        (
            {"costs": [{"stepz": 1, "seconds": 0}]},
            "costs[0] lacks steps and has the unknown stepz",
        ),
        ({"scores": {"fid": float("nan")}}, "scores.fid must be a finite number, at most 1e+150"),
        ({"scores": {"fid": True}}, "scores.fid must be a finite number"),
        ({"scores": {3: 1.0}}, "a key of scores must be a text"),
        ({"config": {"a": [1, {"b": float("inf")}]}}, "config.a[1].b must be JSON data"),
        ({"at": "2026-01-31T12:00:00Z"}, "at must be an ISO 8601 time as 2026-01-31T12:00:00.000"),
        ({"colour": 1}, "the note has the unknown colour"),
    ],
)
def test_a_fault_is_told_with_its_place_what_is_wanted_and_what_is_there(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as found:
        Note(**{"name": "x", **values})
    assert str(found.value).startswith(message)


def test_values_are_kept_as_they_are() -> None:
    made = Note("x", costs=[{"steps": 1, "seconds": 2}], scores={"fid": 3})
    assert made.costs == [{"steps": 1, "seconds": 2}]
    assert type(made.scores["fid"]) is int
    assert type(made.costs[0]["seconds"]) is int
    assert Note("half of a pair", config={"\ud800": "\ud800"}).config == {"\ud800": "\ud800"}


def test_a_model_is_a_frozen_dataclass_that_is_checked_again_when_replaced() -> None:
    made = Note("x")
    assert replace(made, kind="b") == Note("x", "b")
    with pytest.raises(ConfigError, match="kind must be"):
        replace(made, kind="c")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "y"  # type: ignore[misc]


def test_json_data_must_name_every_field_but_those_that_are_newer() -> None:
    whole = dataclasses.asdict(Note("x"))
    assert made_of(Note, whole) == Note("x")
    with pytest.raises(ConfigError, match="the note lacks scores, at"):
        made_of(Note, {k: v for k, v in whole.items() if k not in ("scores", "at")})
    newer = {k: v for k, v in whole.items() if k != "at"}
    assert made_of(Note, newer, newer=("at",)) == Note("x")
    with pytest.raises(ConfigError, match="the note must be an object, got 'text'"):
        made_of(Note, "text")


@pytest.mark.parametrize("key", ["self", "__dataclass_self__", "colour"])
def test_json_data_has_no_other_keys_whatever_python_calls_them(key: str) -> None:
    with pytest.raises(ConfigError, match=f"the note has the unknown {key}"):
        made_of(Note, {**dataclasses.asdict(Note("x")), key: "y"})


def test_many_of_something_are_a_tuple_to_who_reads_it() -> None:
    @model("the tags")
    class Tags:
        names: Many[Text]

    assert made_of(Tags, {"names": ["a", "b"]}).names == ("a", "b")


def test_names_and_values_of_any_length_are_cut_off() -> None:
    for values in ({"k" * 200_000: 1}, {"scores": {"k" * 200_000: "v" * 200_000}}):
        with pytest.raises(ConfigError) as found:
            Note(**{"name": "x", **values})
        assert len(str(found.value)) < 500


def test_parts_alone_are_checked_below_a_place_and_open_ones_may_hold_more() -> None:
    check(Open, {"name": "x", "more": 1}, "file")
    check(list[Open], [], "file")
    with pytest.raises(ConfigError, match=r"^file\[0\]\.name must be a text"):
        check(list[Open], [{"name": 1}], "file")
    with pytest.raises(ConfigError, match=r"^file must be a whole number of at least 0, got '1'"):
        check(Count, "1", "file")


def test_a_check_of_ones_own_is_told_with_the_place_inside() -> None:
    def refuse(value: Any) -> Any:
        raise Fault("even", 3, "a", 0)

    from pydantic import AfterValidator

    with pytest.raises(ConfigError, match=r"^where\.a\[0\] must be even, got 3"):
        check(Annotated[Any, AfterValidator(refuse)], 1, "where")
