"""Protocol ids, metric names, and what may be called FID."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.metrics.protocol import Protocol, dataset_token, display_name
from nasgan.metrics.table import COMPUTED_METRICS, METRICS


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (
            Protocol("cifar10", "train", 50_000, "inceptionv3"),
            "cifar10-train-50k-inceptionv3-v1",
        ),
        (Protocol("digits", "train", 2000, "digits"), "digits-train-2k-digits-v1"),
        (Protocol("digits", "test", 500, "lite0_r96", 2), "digits-test-500-lite0_r96-v2"),
        (
            Protocol("my-faces@1a2b3c4d", "train", 1500, "lite0"),
            "my-faces@1a2b3c4d-train-1500-lite0-v1",
        ),
    ],
)
def test_ids_are_written_and_read_back(protocol: Protocol, expected: str) -> None:
    assert protocol.id == expected
    assert Protocol.parse(expected) == protocol


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9._+]+", fullmatch=True),
    st.integers(1, 10**7),
    st.from_regex(r"[A-Za-z0-9._+]+", fullmatch=True),
    st.integers(1, 99),
)
def test_every_id_reads_back_to_its_protocol(
    dataset: str, split: str, count: int, features: str, version: int
) -> None:
    protocol = Protocol(dataset, split, count, features, version)
    assert Protocol.parse(protocol.id) == protocol


@pytest.mark.parametrize(
    "wrong",
    ["", "cifar10", "cifar10-train-50k-inceptionv3", "cifar10-train-2000-digits-v1",
     "cifar10-train-0-digits-v1", "a-b-5k-c-v0", "a-b-5k-c-v1\n", "a b-train-5k-c-v1"],
)  # fmt: skip
def test_what_is_no_id_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError):
        Protocol.parse(wrong)


@pytest.mark.parametrize("split", ["", "train-unlabeled", "train set"])
def test_parts_that_would_make_an_id_ambiguous_are_refused(split: str) -> None:
    with pytest.raises(ConfigError, match="split"):
        Protocol("cifar10", split, 10, "digits")


def test_only_inception_scores_go_without_a_qualifier() -> None:
    assert display_name("fid", "cifar10-train-50k-inceptionv3-v1") == "FID"
    assert display_name("is", Protocol("a", "train", 10, "inceptionv3")) == "IS"
    assert display_name("fid", "cifar10-train-10k-lite0-v1") == "FID (lite0)"
    assert (
        display_name("kid", "a-train-10k-inceptionv3_bfloat16-v1") == "KID (inceptionv3_bfloat16)"
    )


def test_an_unknown_metric_lists_the_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="'recall'"):
        display_name("recal", "a-train-10k-digits-v1")


def test_directions_of_the_metrics() -> None:
    assert METRICS["fid"].better(3.0, than=4.0)
    assert METRICS["is"].better(4.0, than=3.0)
    assert not METRICS["is"].better(4.0, than=4.0)
    assert set(METRICS) - set(COMPUTED_METRICS) == {
        "is_std",
        "kid_std",
        "fid_per_class",
        "cmmd",
    }
    assert all(name == info.name for name, info in METRICS.items())


def test_names_and_protocols_do_not_import_torch() -> None:
    code = (
        "import sys, nasgan.metrics, nasgan.metrics.table, nasgan.metrics.protocol;"
        "from nasgan.metrics import METRICS, Protocol, display_name;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("identity", "token"),
    [
        ("cifar10", "cifar10"),
        ("faces@1a2b3c4d", "faces@1a2b3c4d"),
        ("my photos@1a2b3c4d", "my_photos@1a2b3c4d"),
        ("фото@1a2b3c4d", "images@1a2b3c4d"),
        ("写真@1a2b3c4d", "images@1a2b3c4d"),
        ("ä@1a2b3c4d", "images@1a2b3c4d"),
        ("_faces@1a2b3c4d", "faces@1a2b3c4d"),
        ("-faces@1a2b3c4d", "faces@1a2b3c4d"),
        ("...x@1a2b3c4d", "x@1a2b3c4d"),
        ("@1a2b3c4d", "images@1a2b3c4d"),
        ("фото", "images@5e6f7a8b"),
        ("", "images@5e6f7a8b"),
        ("my photos", "my_photos@5e6f7a8b"),
    ],
)
def test_data_of_any_name_have_a_token_of_their_own(identity: str, token: str) -> None:
    assert dataset_token(identity, "5e6f7a8b" * 8) == token


@given(st.text(max_size=30))
def test_every_name_makes_an_id_that_reads_back(name: str) -> None:
    token = dataset_token(f"{name}@1a2b3c4d", "1a2b3c4d" * 8)
    protocol = Protocol(token, "train", 64, "digits")
    assert Protocol.parse(protocol.id) == protocol
    assert token.endswith("@1a2b3c4d")
