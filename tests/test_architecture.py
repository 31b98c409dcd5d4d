"""Architectures as values, and files of them: exact, readable, and never trusted."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasgan.architecture import Architecture, Decision
from nasgan.errors import ArchitectureError
from nasgan.factory import load_architecture
from nasgan_search_spaces.autogan.published import AUTOGAN_A, AUTOGAN_B, AUTOGAN_C
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_search_spaces.baselines.space import BaselinesSpace

WIDTHS = {"generator_channels": 4, "discriminator_channels": 4, "latent_dim": 4}
SPACE = AutoGANSpace(image_size=16, **WIDTHS)
NAME = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)


@st.composite
def architectures(draw):
    choices = draw(st.dictionaries(NAME, NAME, max_size=8))
    return Architecture(draw(NAME), draw(st.integers(0, 10**9)), tuple(choices.items()))


# Values


def test_ids_never_change():
    """Pinned: run folders, records and leaderboards name architectures by these."""
    assert AUTOGAN_A.id == "be7ec88ea904"
    assert Architecture("space", 1, (("a", "x"), ("b", "y"))).id == "dc471fff95b3"


def test_ids_tell_content_apart():
    base = Architecture("space", 1, (("a", "x"), ("b", "y")))
    others = [
        Architecture("space2", 1, base.choices),
        Architecture("space", 2, base.choices),
        Architecture("space", 1, (("a", "y"), ("b", "x"))),
        Architecture("space", 1, (("b", "y"), ("a", "x"))),
        Architecture("space", 1, (("a", "x"),)),
    ]
    assert len({base.id, *(other.id for other in others)}) == 6
    assert len({base, *others, copy.deepcopy(base)}) == 6


def test_an_architecture_reads_like_a_mapping():
    assert AUTOGAN_A["cell1.upsample"] == dict(AUTOGAN_A)["cell1.upsample"]
    assert len(AUTOGAN_A) == len(list(AUTOGAN_A)) == 14
    with pytest.raises(ArchitectureError, match=r"no decision 'cell9\.norm'; it has cell1\.block"):
        AUTOGAN_A["cell9.norm"]
    with pytest.raises(AttributeError):
        AUTOGAN_A.space = "other"


@given(architectures())
@settings(max_examples=200, deadline=None)
def test_json_reads_back_the_same_value_and_id(architecture):
    read = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    assert read == architecture
    assert read.id == architecture.id
    assert hash(read) == hash(architecture)


def test_files_read_back(tmp_path):
    path = tmp_path / "folder" / "architecture.json"
    AUTOGAN_B.save(path)
    assert Architecture.load(path) == AUTOGAN_B
    assert load_architecture(path) == load_architecture(path.parent) == AUTOGAN_B
    assert load_architecture("autogan_c") == AUTOGAN_C
    assert path.read_text().endswith("}\n")


def test_the_id_may_be_left_out_but_not_be_wrong():
    data = AUTOGAN_A.to_json()
    del data["id"]
    assert Architecture.from_json(data) == AUTOGAN_A
    with pytest.raises(ArchitectureError, match="does not match its content"):
        Architecture.from_json({**data, "id": AUTOGAN_B.id})


# Decisions


def test_options_are_found_by_name_and_by_index():
    decision = Decision("norm", ("none", "batch"))
    assert decision.index("batch") == decision.index(1) == 1


@pytest.mark.parametrize("option", ["Batch", "", -1, 2, True, 1.0, None, ["none"], b"none"])
def test_unknown_options_are_refused_with_the_known_ones(option):
    with pytest.raises(ArchitectureError, match=r"'norm' has no option .*; it has 0 = none, 1 = "):
        Decision("norm", ("none", "batch")).index(option)


@pytest.mark.parametrize("options", [(), ("a", "a")])
def test_decisions_need_distinct_options(options):
    with pytest.raises(ArchitectureError, match="needs distinct options"):
        Decision("norm", options)


def test_a_decision_has_no_fewer_weights_than_options():
    with pytest.raises(ArchitectureError, match="surplus must be at least 0"):
        Decision("norm", ("none", "batch"), surplus=-1)


# Files of strangers

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)  # JSON has no others
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
GOOD = AUTOGAN_A.to_json()


def load_and_validate(path: Path) -> None:
    SPACE.validate(Architecture.load(path))


@given(st.binary(max_size=300))
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_bytes_that_are_no_architecture_are_refused(tmp_path, content):
    path = tmp_path / "architecture.json"
    path.write_bytes(content)
    with pytest.raises(ArchitectureError, match="architecture"):
        load_and_validate(path)


@given(JSON)
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_json_that_is_no_architecture_is_refused(tmp_path, value):
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(value))
    with pytest.raises(ArchitectureError, match="not a nasgan architecture"):
        load_and_validate(path)


@given(st.sampled_from(sorted(GOOD)), JSON)
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_wrong_value_in_any_field_is_refused(tmp_path, key, value):
    if value == GOOD[key] and type(value) is type(GOOD[key]):
        return
    if key == "id" and value is None:
        return  # as good as left out
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps({**GOOD, key: value}))
    with pytest.raises(ArchitectureError):
        load_and_validate(path)


@given(
    st.sampled_from(sorted(GOOD["choices"])),
    st.sampled_from(["missing", "renamed", "another option", "extra", "moved"]),
    NAME,
)
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_changed_choices_are_refused(tmp_path, decision, change, text):
    choices = dict(GOOD["choices"])
    if change == "missing":
        del choices[decision]
    elif change == "renamed":
        choices = {(text if k == decision else k): v for k, v in choices.items()}
    elif change == "another option":
        choices[decision] = text
    elif change == "extra":
        choices[text] = text
    else:
        choices[decision] = choices.pop(decision)
    if list(choices.items()) == list(GOOD["choices"].items()):
        return
    options = {d.name: d.options for d in SPACE.decisions}
    if list(choices) == list(options) and all(v in options[k] for k, v in choices.items()):
        return
    path = tmp_path / "architecture.json"
    data = {key: value for key, value in GOOD.items() if key != "id"}
    path.write_text(json.dumps({**data, "choices": choices}))
    with pytest.raises(ArchitectureError):
        load_and_validate(path)
    path.write_text(json.dumps({**GOOD, "choices": choices}))
    with pytest.raises(ArchitectureError, match="does not match its content"):
        load_and_validate(path)


def test_a_file_cut_or_damaged_anywhere_is_refused_or_unchanged(tmp_path):
    path = tmp_path / "architecture.json"
    AUTOGAN_A.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole.rstrip()) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ArchitectureError):
            load_and_validate(path)
    rng = random.Random(0)
    for position in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[position] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            load_and_validate(path)
        except ArchitectureError:
            continue
        assert Architecture.load(path) == AUTOGAN_A  # only the spaces between were hit


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 10_000,
        json.dumps(GOOD).replace('"format_version": 1', '"format_version": 2'),
        json.dumps(GOOD).replace('"format_version": 1', '"format_version": true'),
        json.dumps(GOOD).replace('"space_version": 1', '"space_version": true'),
        json.dumps(GOOD).replace('"space_version": 1', '"space_version": -1'),
        json.dumps({**GOOD, "choices": list(GOOD["choices"].items())}),
        json.dumps(GOOD) + json.dumps(GOOD),
        "\ufeff\ufeff" + json.dumps(GOOD),
    ],
    ids=range(10),
)
def test_tricky_files_are_refused(tmp_path, content):
    path = tmp_path / "architecture.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ArchitectureError):
        load_and_validate(path)


def test_huge_files_are_refused_unread(tmp_path):
    path = tmp_path / "architecture.json"
    with path.open("wb") as stream:
        stream.truncate(10**12)
    with pytest.raises(ArchitectureError, match="too large"):
        Architecture.load(path)


@pytest.mark.parametrize("name", ["none.json", ".", "x" * 5000, "nul\0byte.json"])
def test_paths_that_cannot_be_read_are_named(tmp_path, name):
    with pytest.raises(ArchitectureError):
        Architecture.load(tmp_path / name)


@pytest.mark.parametrize("name", ["no/such/file", "none.json", "x" * 5000 + ".json", "nul\0.json"])
def test_a_missing_file_is_an_error_of_architectures(name):
    with pytest.raises(ArchitectureError):
        load_architecture(name)


def test_architectures_of_other_spaces_and_versions_are_refused_with_advice():
    with pytest.raises(ArchitectureError, match="choose search_space=autogan"):
        BaselinesSpace(image_size=16, **WIDTHS).validate(AUTOGAN_A)
    later = Architecture(AUTOGAN_A.space, AUTOGAN_A.space_version + 1, AUTOGAN_A.choices)
    with pytest.raises(ArchitectureError, match="was made by version"):
        SPACE.validate(later)
