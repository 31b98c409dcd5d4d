from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nasgan.data.sources import Archive, Member, file_md5

Pack = Callable[[Archive, Mapping[str, bytes]], Archive]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address that serves ``tmp_path / "host"``, on this machine only."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "host").mkdir()
    handler = partial(QuietHandler, directory=str(tmp_path / "host"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def packed(tmp_path: Path, host: str) -> Pack:
    """Makes a small archive in ``tmp_path / "host"`` and the description that fits it."""

    def pack(archive: Archive, contents: Mapping[str, bytes]) -> Archive:
        path = tmp_path / "host" / archive.filename
        with tarfile.open(path, "w:gz") as bundle:
            for name, data in {**contents, "readme.html": b"<p>"}.items():
                entry = tarfile.TarInfo(f"{archive.folder}/{name}")
                entry.size = len(data)
                bundle.addfile(entry, io.BytesIO(data))
        members = {}
        for name, data in contents.items():
            single = path.with_name(name)
            single.write_bytes(data)
            members[name] = Member(len(data), file_md5(single))
        return replace(archive, url=f"{host}/{path.name}", md5=file_md5(path), members=members)

    return pack
