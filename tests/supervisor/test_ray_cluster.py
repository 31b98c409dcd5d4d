"""A Ray cluster of several nodes on this machine: killed, joining late, out of reach."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray_nodes import Nodes

from nasgan.errors import ConfigError
from nasgan.supervisor import Outcome, Piece, Supervisor, ray_address
from nasgan.supervisor.ray_address import reach
from nasgan.supervisor.ray_tasks import RayTasks

# Not imported here: what it prints is settled when the supervisor imports it.
IS_THERE = importlib.util.find_spec("ray") is not None
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(not IS_THERE, reason="ray is not installed"),
]

WORK = "pieces_of_tests:work"
# Ten, and half as many again for a machine that is busy.
SENTENCE_SECONDS = 15
TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    """A folder with a short name, for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="r"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_nodes_that_leave_cost_time_only_and_those_that_join_are_used(
    short: Path, tmp_path: Path, wait_until: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    heard: dict[str, Outcome] = {}

    def begin(key: str, *do: str) -> None:
        order = {"folder": str(tmp_path), "key": key, "do": list(do)}
        supervisor.begin(Piece(key, key, WORK, order), lambda made: heard.update({key: made}))

    def begun(key: str, attempt: int = 0) -> bool:
        supervisor.advance(0.1)
        return (tmp_path / f"{key}.begun{attempt}").exists()

    with Nodes(short / "ray") as nodes:
        nodes.join("second")
        places = RayTasks(nodes.address, cpus=1, gpus=0)
        supervisor = Supervisor(places, folder=tmp_path)
        for key in ("a", "b"):
            begin(key, "wait", "wait")
        wait_until(lambda: begun("a") and begun("b"))
        assert (supervisor.size, places.depth) == (2, 4)
        nodes.kill("second")
        wait_until(lambda: supervisor.size == 1 or begun("a", 1) or begun("b", 1))
        nodes.join("third")
        wait_until(lambda: begun("a", 1) or begun("b", 1))
        (tmp_path / "a.go").touch()
        (tmp_path / "b.go").touch()
        wait_until(lambda: begun("a") and len(heard) == 2)
        assert sorted(made.retries for made in heard.values()) == [0, 1]
        assert [made.failure for made in heard.values()] == ["", ""]
        wait_until(lambda: places.size == 2)
        # A worker is killed, its node lives.
        begin("c", "die", "")
        wait_until(lambda: begun("c") and "c" in heard)
        assert heard["c"].retries == 1
        with pytest.raises(ConfigError, match=r"no machine of the Ray cluster has room .*'CPU': 9"):
            _ = RayTasks(nodes.address, cpus=9, gpus=0).size
        supervisor.close()
        assert not sys.modules["ray"].is_initialized()
        reach(nodes.address)
    out, err = capfd.readouterr()
    assert out == ""
    assert "raylet" not in err


PROGRAM = """
import sys
from contextlib import closing
from nasgan.machine import interrupted_by_sigterm
from nasgan.supervisor import Piece, Supervisor
from nasgan.supervisor.ray_tasks import RayTasks
address = sys.argv[1] if len(sys.argv) > 1 else None
order = {{"folder": {folder!r}, "key": "a", "do": ["wait"]}}
try:
    with interrupted_by_sigterm(), closing(Supervisor(RayTasks(address, cpus=1, gpus=0))) as all_of:
        all_of.begin(Piece("a", "a", {work!r}, order), print)
        while True:
            all_of.advance(0.5)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(130)
"""


def processes_with(word: str) -> list[int]:
    """Processes whose command has the word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_ended_leaves_nothing_of_a_ray_of_its_own(
    sign: signal.Signals, short: Path, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    program = PROGRAM.format(folder=str(tmp_path), work=WORK)
    environment = {
        **os.environ,
        "RAY_TMPDIR": str(short),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    wait_until((tmp_path / "a.begun0").exists)
    worker = int((tmp_path / "a.begun0").read_text())
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    if sign == signal.SIGTERM:
        assert (process.returncode, out) == (130, "interrupted\n")
        assert "Stack" not in err
        assert "SIGTERM" not in err
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), 60.0)
    wait_until(lambda: not processes_with(str(short)), 150.0)


@pytest.fixture
def since_import(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Seconds since Ray was imported to ask a cluster: that takes as long as others let it."""
    at: list[float] = []
    heard = ray_address._Lines.next

    def noting(lines: ray_address._Lines, seconds: float) -> str | None:
        line = heard(lines, seconds)
        if (line or "").startswith("IMPORTED"):
            at.append(time.monotonic())
        return line

    monkeypatch.setattr(ray_address._Lines, "next", noting)
    return lambda: time.monotonic() - at[-1]


def test_a_missing_token_is_told_in_a_sentence(
    short: Path, monkeypatch: pytest.MonkeyPatch, since_import: Callable[[], float]
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # It writes the token into the user's folder.
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "HOME": str(short)}
    with Nodes(short / "ray", **secret) as nodes:
        with pytest.raises(ConfigError, match="the cluster asks for a token") as refused:
            reach(nodes.address)
        assert since_import() < SENTENCE_SECONDS
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
        reach(nodes.address)
    assert re.fullmatch(r"executor\.address=127\.0\.0\.1:\d+: [^\n]+", str(refused.value))


def test_an_address_where_something_else_listens_is_told_in_ten_seconds(
    since_import: Callable[[], float],
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        started = time.monotonic()
        with pytest.raises(ConfigError, match="no Ray cluster answers there within 8 seconds"):
            reach(f"127.0.0.1:{other.getsockname()[1]}")
        assert since_import() < SENTENCE_SECONDS
    assert time.monotonic() - started < 60, "ten seconds on a machine that is not busy"
