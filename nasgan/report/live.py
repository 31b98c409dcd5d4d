"""The report as a live page: a small server that shows one folder of results and nothing else."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from nasgan.errors import ConfigError, NasganError, RunDirectoryError
from nasgan.reading import walk
from nasgan.report.chapters import collect
from nasgan.report.page import JOBS_PLACE, render_page, rendered
from nasgan.runs.history import HISTORY_FILE
from nasgan.runs.record import RECORD_FILE
from nasgan.runs.simulations import SEARCHES_FILE
from nasgan.runs.status import STATUS_FILE, Status

__all__ = ["Jobs", "LivePage", "LiveServer", "find_jobs", "render_jobs"]

_SHOWN_FILES = frozenset({RECORD_FILE, HISTORY_FILE, SEARCHES_FILE, "final.png"})
_SILENT_SECONDS = 300.0
_ORDER = ("running", "silent", "failed", "interrupted", "unreadable", "completed")
_LOOK_EVERY_SECONDS = 1.0
_REQUEST_SECONDS = 30

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A run's folder and its state.

    Attributes:
        name: of the folder, below the folder that is watched.
        state: that of its status; ``silent`` if it calls itself running and has not been heard of
            for minutes, ``unreadable`` if its status is damaged.
        phase: what it is doing.
        percent: of the phase, in whole numbers; None if it cannot be told.
        message: a few words, or why it failed.
        updated: when it was last heard of.
    """

    name: str
    state: str
    phase: str = ""
    percent: int | None = None
    message: str = ""
    updated: str = ""


@dataclass(frozen=True)
class Jobs:
    """All jobs.

    Attributes:
        jobs: those that need attention first.
    """

    jobs: tuple[Job, ...]

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many are in each state, in the order of attention."""
        counts = Counter(job.state for job in self.jobs)
        return [(state, counts[state]) for state in _ORDER if counts[state]]

    @property
    def unfinished(self) -> list[Job]:
        """Those that have not completed."""
        return [job for job in self.jobs if job.state != "completed"]


def find_jobs(roots: Sequence[str | Path], *, now: datetime | None = None) -> Jobs:
    """Read the status files below ``roots``, not through links.

    Args:
        roots: folders.
        now: to tell silent jobs by; by default this moment.
    """
    moment = now or datetime.now(timezone.utc)
    jobs = [_job(root, folder, moment) for root, folder in _folders(roots)]
    return Jobs(tuple(sorted(jobs, key=lambda job: (_ORDER.index(job.state), job.name))))


def _folders(roots: Sequence[str | Path]) -> Iterator[tuple[Path, Path]]:
    for root in map(Path, roots):
        for folder, _, files in walk(root, lambda error: None):
            if STATUS_FILE in files and not (folder / STATUS_FILE).is_symlink():
                yield root, folder


def _job(root: Path, folder: Path, now: datetime) -> Job:
    name = folder.relative_to(root).as_posix()
    name = folder.name if name == "." else name
    try:
        status = Status.read(folder / STATUS_FILE)
    except RunDirectoryError:
        return Job(name, "unreadable")
    state: str = status.state
    silence = (now - datetime.fromisoformat(status.updated)).total_seconds()
    if state == "running" and silence > _SILENT_SECONDS:
        # A record says that it ended: the process was killed between the two.
        state = "completed" if (folder / RECORD_FILE).exists() else "silent"
    return Job(
        name,
        state,
        status.phase,
        None if status.progress is None else int(100 * status.progress),
        status.message,
        status.updated[:16].replace("T", " "),
    )


def render_jobs(jobs: Jobs) -> str:
    """What is going on, as HTML that stands at `JOBS_PLACE`."""
    return rendered("jobs.html.j2", jobs=jobs)


class LivePage:
    """The page about some folders, made anew when what they hold has changed.

    Args:
        roots: folders that hold runs; what links in them lead to elsewhere is left out.
        protocol: the only one to show; by default each gets a chapter.
        rank_by: metric to rank by; by default as the leaderboard.

    Raises:
        ConfigError: a root is no folder.
    """

    def __init__(
        self,
        roots: Sequence[str | Path],
        *,
        protocol: str | None = None,
        rank_by: str | None = None,
    ) -> None:
        self._roots = [Path(root) for root in roots]
        for root in self._roots:
            if not root.is_dir():
                raise ConfigError(f"{root}: there is no such results folder; give one with runs=")
        self._protocol = protocol
        self._rank_by = rank_by
        self._looking, self._making = threading.Lock(), threading.Lock()
        self._looked_at = float("-inf")
        self._seen = ("", "")
        self._made = ("", "")

    def digest(self) -> str:
        """A text that changes when the page would, but for its jobs."""
        return self._look()[0]

    def jobs(self) -> str:
        """What is going on now, as HTML."""
        return self._look()[1]

    def html(self) -> str:
        """The page as it is now."""
        # Who asks for the jobs does not wait for a page in the making.
        with self._making:
            digest, jobs = self._look()
            if self._made[0] != digest:
                self._made = (digest, self._render(digest))
            return self._made[1].replace(JOBS_PLACE, jobs, 1)

    def _look(self) -> tuple[str, str]:
        """Look at the folders, at most once a second however many ask: the digest and the jobs."""
        with self._looking:
            if monotonic() - self._looked_at >= _LOOK_EVERY_SECONDS:
                files = json.dumps(list(_files(self._roots)))
                digest = hashlib.sha256(files.encode("utf-8")).hexdigest()[:32]
                self._seen = (digest, render_jobs(find_jobs(self._roots)))
                self._looked_at = monotonic()
            return self._seen

    def _render(self, digest: str) -> str:
        found = collect(self._roots, protocol=self._protocol, rank_by=self._rank_by, confined=True)
        # Runs without a record are no problem here: they are among the jobs.
        problems = tuple(item for item in found.problems if not _is_run(Path(item.source)))
        return render_page(replace(found, problems=problems), digest=digest)


class LiveServer:
    """Serves a `LivePage`: ``/``, its ``/digest``, its ``/jobs``, and there is nothing else.

    It answers only to names that no other web site can take on: addresses, ``localhost``, and the
    host that it was given (DNS rebinding).

    Args:
        page: what to serve.
        host: name or address to listen at.
        port: to listen at; 0 takes any free one.

    Raises:
        ConfigError: the port is taken, or the host is not this machine's.
    """

    def __init__(self, page: LivePage, *, host: str = "127.0.0.1", port: int = 8765) -> None:
        handler = type("_Handler", (_PageHandler,), {"page": page, "host": host})
        try:
            self._server = _Server((host, port), handler)
        except (OSError, OverflowError, TypeError) as error:  # the last: a name that is none
            raise ConfigError(
                f"cannot listen at host={host} port={port}: {_reason(error)}; choose another port= "
                "(0: any free one)"
            ) from error
        self.port = int(self._server.server_address[1])
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def serve(self) -> None:
        """Answer requests until `close` is called from another thread, or an exception ends it."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Stop to answer, and free the port."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader who leaves is no news; anything else goes to the log."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            _log.error("a request failed: %s: %s", type(error).__name__, error, exc_info=error)


class _PageHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of the three routes."""

    page: LivePage
    host: str
    server_version = "nasgan"
    sys_version = ""
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        """Answer with the page, its digest, or an error."""
        if not _is_own_host(self.headers.get("Host", ""), self.host):
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "unknown host\n", "text/plain")
            return
        try:
            if self.path == "/":
                self._answer(HTTPStatus.OK, self.page.html(), "text/html")
            elif self.path == "/jobs":
                self._answer(HTTPStatus.OK, self.page.jobs(), "text/html")
            elif self.path == "/digest":
                self._answer(HTTPStatus.OK, self.page.digest(), "text/plain")
            else:
                self._answer(HTTPStatus.NOT_FOUND, "there is only /\n", "text/plain")
        except NasganError as error:
            # A folder in use may be half-way between two states: the next request sees it anew.
            _log.warning("%s", error)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n", "text/plain")

    do_HEAD = do_GET  # noqa: N815 - the name that the base class calls

    def _answer(self, status: HTTPStatus, text: str, kind: str) -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Requests are no news."""
        _log.debug(format, *args)


def _is_own_host(header: str, host: str) -> bool:
    """Whether a ``Host`` header names this machine in a way that no foreign name server can."""
    try:
        name = urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_run(folder: Path) -> bool:
    try:
        return (folder / STATUS_FILE).is_file()
    except OSError:  # the folder may not be entered
        return False


def _reason(error: Exception) -> str:
    """The system's words without its error number."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def _files(roots: Sequence[Path]) -> Iterator[tuple[str, int, int]]:
    """Name, time and size of the files of finished runs that the page is made of."""
    for root in roots:
        for folder, _, files in walk(root, lambda error: None):
            done = {RECORD_FILE, SEARCHES_FILE}.intersection(files)
            is_finished = done or folder.name == "samples"
            for name in sorted(_SHOWN_FILES.intersection(files)) if is_finished else ():
                path = folder / name
                try:
                    stat = path.stat()
                except OSError:
                    continue  # it went while we looked
                yield str(path), stat.st_mtime_ns, stat.st_size
