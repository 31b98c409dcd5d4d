"""Sample grids as small pictures inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from nasgan.reading import open_file

__all__ = ["EmbeddedGrid", "budget_for", "embed_grid"]

_TOTAL_BYTES = 9_000_000
_MOST_BYTES = 90_000
_LEAST_BYTES = 6_000
_MOST_FILE_BYTES = 60_000_000
_MOST_PIXELS = 110_000_000
_WIDTHS = (520, 420, 320, 240, 180, 120)
_QUALITIES = (86, 72, 55, 35)


@dataclass(frozen=True)
class EmbeddedGrid:
    """A picture that needs no file.

    Attributes:
        uri: a ``data:`` address.
        width: pixels.
        height: pixels.
    """

    uri: str
    width: int
    height: int


def budget_for(count: int) -> int:
    """The bytes that each of ``count`` pictures may take, so that the page stays small."""
    return max(_LEAST_BYTES, min(_MOST_BYTES, _TOTAL_BYTES // max(1, count)))


def embed_grid(path: Path, most_bytes: int) -> EmbeddedGrid | None:
    """Read, shrink and encode a picture; None if there is none that can be read.

    The picture is decoded and encoded anew: nothing of the file itself gets into the page.

    Args:
        path: of a picture; a link out of its run's folder is not followed.
        most_bytes: of the encoded picture; missed only where the smallest size is larger.
    """
    try:
        stat = path.stat()
        inside = path.resolve().is_relative_to(path.parent.parent.resolve())
    except OSError:
        return None
    if not inside or stat.st_size > _MOST_FILE_BYTES:
        return None
    return _embedded(path, stat.st_mtime_ns, most_bytes)


@lru_cache(maxsize=1024)
def _embedded(path: Path, _changed: int, most_bytes: int) -> EmbeddedGrid | None:
    """As `embed_grid`; the file's time tells a changed one from one known."""
    try:
        with (
            open_file(path, most=_MOST_FILE_BYTES) as stream,
            Image.open(stream, formats=("PNG", "JPEG", "WEBP")) as opened,
        ):
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    encoded, size = b"", picture.size
    for width in _WIDTHS:
        smaller = _shrunk(picture, width)
        for quality in _QUALITIES:
            encoded, size = _encoded(smaller, quality), smaller.size
            if len(encoded) <= most_bytes:
                return EmbeddedGrid(_uri(encoded), *size)
    return EmbeddedGrid(_uri(encoded), *size)


def _shrunk(picture: Image.Image, width: int) -> Image.Image:
    if picture.width <= width:
        return picture
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, height), Image.Resampling.BOX)


def _encoded(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=quality, method=2)
    return stream.getvalue()


def _uri(encoded: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode('ascii')}"
