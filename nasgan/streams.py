"""Output to whoever reads it, and to nobody once the reader has gone (``nasgan search | head``)."""

from __future__ import annotations

import os
from typing import TextIO

__all__ = ["put"]


def put(stream: TextIO, text: str) -> None:
    """Write ``text`` and flush; a run goes on, and says nothing more, when its reader has left."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # What is still buffered goes there too, so that no second error ends the interpreter.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
