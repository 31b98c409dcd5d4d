"""Addresses of clusters that cannot be: refused before a connection is tried."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

from nasgan.errors import ConfigError
from nasgan.supervisor import ray_address
from nasgan.supervisor.ray_address import reach


@pytest.fixture
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)


@pytest.mark.parametrize("by_variable", [False, True])
def test_where_nothing_listens_is_told_at_once(
    by_variable: bool, nobody_is_asked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    address = told = f"127.0.0.1:{port}"
    if by_variable:
        monkeypatch.setenv("RAY_ADDRESS", address)
        address, told = "auto", f"auto, RAY_ADDRESS={address}"
    with pytest.raises(ConfigError, match=f"executor.address={told}: nothing listens there"):
        reach(address)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("host:x", "'x' is no port; give auto, or HOST:6379"),
        ("host", "'host' is no port; give auto"),
        (
            "ray://host:10001",
            "does not use Ray Client; let this machine join .*write executor.address=auto",
        ),
    ],
)
def test_what_is_no_address_of_a_cluster_is_refused_at_once(
    address: str, message: str, nobody_is_asked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"executor.address={address}: .*{message}"):
        reach(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=f"executor.address=auto, RAY_ADDRESS={address}: "):
        reach("auto")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('REACHED [{"CPU": 8.0, "GPU": 1.0}]', ""),
        ("E rpc: InvalidAuthToken: Authentication token is missing", "asks for a token"),
        ("REFUSED Version mismatch", "no connection to a Ray cluster: Version mismatch"),
    ],
)
def test_what_a_cluster_answers_is_told_in_a_sentence(
    line: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"print('IMPORTED')\nprint('a warning of a library')\nprint({line!r})\nprint()"
    monkeypatch.setattr(ray_address, "_PROGRAM", program)
    if message:
        with pytest.raises(ConfigError, match=message):
            reach("auto")
    else:
        assert reach("auto") == [{"CPU": 8.0, "GPU": 1.0}]


def test_a_cluster_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import time\nprint('IMPORTED', flush=True)\ntime.sleep(60)"
    monkeypatch.setattr(ray_address, "_PROGRAM", program)
    monkeypatch.setattr(ray_address, "_ANSWER_SECONDS", 0.2)
    with pytest.raises(ConfigError, match=r"no Ray cluster answers there within 0\.2 seconds"):
        reach("auto")
