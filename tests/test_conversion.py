"""Plain values against annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le, Lt, MultipleOf

from nasgan.conversion import convert, describe
from nasgan.errors import ConfigError


def refuse(mapping: Mapping[str, Any], wanted: type, where: str) -> Any:
    raise AssertionError(f"{where}: nothing nested was expected")


def made(value: Any, annotation: Any) -> Any:
    return convert(value, annotation, "a.b", refuse)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (0.5, float, 0.5),
        (True, bool, True),
        ("x", str, "x"),
        (None, None, None),
        (None, int | None, None),
        (3, int | None, 3),
        (3, float | None, 3.0),
        (3, int | float, 3),
        ("a", Literal["a", "b"], "a"),
        ("a", Literal["a"] | None, "a"),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "x"], tuple[int, str], (1, "x")),
        ([1, 2], list[float], [1.0, 2.0]),
        (["a"], Sequence[str], ["a"]),
        ({"a": 1}, dict[str, float], {"a": 1.0}),
        ({"a": [1]}, Mapping[str, Any], {"a": [1]}),
        ("x/y", Path, Path("x/y")),
        ("x/y", str | Path, "x/y"),
        ([1, 2], int | list[int], [1, 2]),
        ({"x": object}, Any, {"x": object}),
    ],
)
def test_a_fitting_value_is_taken_and_converted(value: Any, annotation: Any, expected: Any) -> None:
    result = made(value, annotation)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("five", int),
        (True, int),
        (2.0, int),
        ("2", int),
        (True, float),
        ("0.5", float),
        (1, bool),
        ("true", bool),
        (1, str),
        (None, int),
        (None, str),
        ("c", Literal["a", "b"]),
        (True, Literal[1, 2]),
        ("ab", tuple[str, ...]),
        ([1, 2, 3], tuple[int, int]),
        (["x"], list[int]),
        ([1], dict[str, int]),
        ({1: 1}, dict[str, int]),
        (3, Path),
        ("x", int | None),
        ("x", int | list[int]),
        (3, Mapping[str, int]),
    ],
)
def test_anything_else_is_refused_with_its_place(value: Any, annotation: Any) -> None:
    with pytest.raises(ConfigError, match=r"^a\.b.* must be "):
        made(value, annotation)


def test_the_message_says_what_was_wanted_and_what_came() -> None:
    with pytest.raises(ConfigError, match=r"^a\.b must be int or null, got 'five'$"):
        made("five", int | None)
    with pytest.raises(ConfigError, match=r"^a\.b\[1\] must be int, got null$"):
        made([1, None], list[int])


def test_ranges_are_written_with_the_annotation() -> None:
    positive = Annotated[int, Ge(1)]
    assert made(1, positive) == 1
    assert made(None, positive | None) is None
    assert made([2, 3], list[positive]) == [2, 3]
    for value, annotation, words in [
        (0, positive, "a.b must be at least 1, got 0"),
        (0, positive | None, "a.b must be at least 1, got 0"),
        ([2, 0], list[positive], r"a.b\[1\] must be at least 1, got 0"),
        (2, Annotated[float, Ge(0), Le(1)], "a.b must be at most 1, got 2.0"),
        (2, Annotated[float, Lt(1)], "a.b must be less than 1, got 2.0"),
        (3, Annotated[int, MultipleOf(2)], "a.b must be a multiple of 2, got 3"),
        ("x", positive, "a.b must be int, got 'x'"),
    ]:
        with pytest.raises(ConfigError, match=f"^{words}$"):
            made(value, annotation)
    assert describe(positive | None) == "int or null"


class Unknown:
    """Nothing that pydantic knows."""


def test_notes_on_an_annotation_that_are_no_range_hold_nothing() -> None:
    one = Unknown()
    assert made(one, Annotated[Unknown, "doc"]) is one
    assert made(one, Annotated["Nowhere", "doc"]) is one  # noqa: F821 - of a checker alone
    assert made("x", Annotated[Unknown | str, "doc"]) == "x"
    with pytest.raises(ConfigError, match=r"^a\.b must be int, got 'x'$"):
        made("x", Annotated[int, "doc"])


def test_annotations_in_words() -> None:
    assert describe(int | None) == "int or null"
    assert describe(Literal["a", "b"]) == "'a' or 'b'"
    assert describe(tuple[str, ...]) == "a list of str"
