from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page_reader import ReadPage
from report_samples import write_run, write_status, write_sweep

from nasgan.errors import ConfigError
from nasgan.report import live
from nasgan.report.live import LivePage, LiveServer

Ask = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    write_sweep(folder, methods=["random"], spaces=["autogan"], seeds=1, grid_pixels=0)
    return folder


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LOOK_EVERY_SECONDS", 0.0)


@pytest.fixture
def server(root: Path) -> Iterator[LiveServer]:
    made = LiveServer(LivePage([root]), port=0)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.close()
    thread.join(timeout=10)
    assert not thread.is_alive()


@pytest.fixture
def ask(server: LiveServer) -> Ask:
    def request(
        path: str, *, method: str = "GET", host: str | None = None
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        headers = {"Host": host} if host is not None else {}
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            body = answer.read().decode("utf-8")
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, body
        finally:
            connection.close()

    return request


def test_the_page_is_served_with_its_digest(ask: Ask) -> None:
    status, headers, body = ask("/")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    page = ReadPage(body)
    assert page.unclosed == []
    (element,) = page.all("body")
    assert element["data-digest"] == ask("/digest")[2]
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    assert "connect-src 'self'" in (policy["content"] or "")


@pytest.mark.parametrize(
    "path",
    [
        "/record.json", "/random-autogan/seed0/record.json", "/../secret", "/%2e%2e/secret",
        "//etc/passwd", "/etc/passwd", "/?x", "/digest/", "/jobs/x", "/digest?x=1", "/#", "/.",
        "/index.html", "/favicon.ico", "http://127.0.0.1/digest", "*",
    ],
)  # fmt: skip
def test_there_is_nothing_else(ask: Ask, root: Path, path: str) -> None:
    (root.parent / "secret").write_text("secret", encoding="utf-8")
    status, _, body = ask(path)
    assert (status, body) == (404, "there is only /\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"])
def test_nothing_can_be_sent(ask: Ask, method: str) -> None:
    assert ask("/", method=method)[0] == 501


def test_head_has_no_body(ask: Ask) -> None:
    status, headers, body = ask("/", method="HEAD")
    assert (status, body) == (200, "")
    assert int(headers["content-length"]) > 10_000


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:8765", 200), ("localhost:1", 200), ("[::1]:8765", 200),
        ("LOCALHOST", 200), ("192.168.0.7:8765", 200), ("evil.example", 421),
        ("evil.example:8765", 421), ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("", 421), ("[::1", 421), ("user@evil.example", 421), ("127.0.0.1@evil.example", 421),
    ],
)  # fmt: skip
def test_only_names_of_this_machine_are_answered(ask: Ask, host: str, status: int) -> None:
    assert ask("/digest", host=host)[0] == status


def test_the_page_follows_the_sweep(ask: Ask, root: Path) -> None:
    before = ask("/digest")[2]
    assert ask("/digest")[2] == before
    write_run(root / "rl" / "seed1", "rl", "autogan", 1, grid_pixels=0)
    assert ask("/digest")[2] != before
    assert "rl" in ReadPage(ask("/")[2]).text


def test_jobs_are_told_as_they_are_now_without_a_new_page(ask: Ask, root: Path) -> None:
    now = "2999-01-01T00:00:00.000+00:00"
    write_status(root / "x", "running", message="step 1", progress=0.101, updated=now)
    (root / "x" / "history.jsonl").write_text("{}\n", encoding="utf-8")
    before = ask("/digest")[2]
    assert "step 1" in ask("/jobs")[2]
    write_status(root / "x", "running", message="step 2", progress=0.2, updated=now)
    write_status(root / "rl" / "seed0", "failed", message="the <b>disk</b> is full")
    assert ask("/digest")[2] == before
    status, headers, jobs = ask("/jobs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    whole = ask("/")[2]
    for page in (ReadPage(jobs), ReadPage(whole)):
        assert page.unclosed == []
        assert "the <b>disk</b> is full" in page.text
        assert "step 2" in page.text
        assert {"x", "rl/seed0"} <= set(page.texts["strong"])
    assert "has no record yet" not in whole


def test_the_page_is_made_once_for_each_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = LivePage([root])
    first = page.html()
    monkeypatch.setattr(live, "render_page", None)
    assert page.html() == first


def test_links_lead_nowhere(tmp_path: Path, root: Path) -> None:
    write_run(tmp_path / "elsewhere", "adversarial", "autogan", 5, run_id="the secret run")
    os.symlink(tmp_path / "elsewhere", root / "link")
    (root / "one").mkdir()
    os.symlink(tmp_path / "elsewhere" / "record.json", root / "one" / "record.json")
    (tmp_path / "secret.txt").write_text("the secret text", encoding="utf-8")
    (root / "two").mkdir()
    os.symlink(tmp_path / "secret.txt", root / "two" / "record.json")
    inside = write_run(root / "three", "rl", "autogan", 0, grid_pixels=0, with_history=False)
    os.symlink(tmp_path / "elsewhere" / "history.jsonl", root / "three" / "history.jsonl")
    write_status(tmp_path / "elsewhere", "running", message="the secret status")
    (root / "four").mkdir()
    os.symlink(tmp_path / "elsewhere" / "status.json", root / "four" / "status.json")
    page = LivePage([root]).html()
    assert inside.run_id in page
    assert "the secret" not in page
    assert "secret.txt" not in page
    assert "two" not in ReadPage(page).texts["td"]


def test_an_empty_folder_waits_for_its_first_run(tmp_path: Path) -> None:
    page = LivePage([tmp_path])
    assert "No finished runs yet" in page.html()
    assert "No runs have begun" in page.jobs()
    write_run(tmp_path / "a", grid_pixels=0)
    assert "No finished runs yet" not in page.html()


def test_a_folder_that_cannot_be_shown_is_an_answer_not_an_end(tmp_path: Path) -> None:
    write_run(tmp_path / "a", grid_pixels=0)
    server = LiveServer(LivePage([tmp_path], rank_by="nonsense"), port=0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            connection.request("GET", "/")
            answer = connection.getresponse()
            assert (answer.status, b"unknown metric" in answer.read()) == (503, True)
            connection.close()
    finally:
        server.close()
        thread.join(timeout=10)


def test_a_port_in_use_and_a_strange_host_are_refused(root: Path) -> None:
    page = LivePage([root])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another port="):
            LiveServer(page, port=taken.getsockname()[1])
    for host, port in (("127.0.0.1", 70_000), ("no.such.host.invalid", 0), ("ä..b", 0)):
        with pytest.raises(ConfigError, match="cannot listen"):
            LiveServer(page, host=host, port=port)
    with pytest.raises(ConfigError, match="no such results folder"):
        LivePage([root / "nowhere"])


def test_a_reader_who_leaves_is_no_news(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def gone(page: LivePage) -> str:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(LivePage, "digest", gone)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/digest")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    connection.close()
    assert capfd.readouterr().err == ""
