"""What is printed stays text."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from nasgan.cli.console import ConsoleHandler, complain, say


def test_texts_of_others_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2Jb\rc\x9bd", "two\nlines\tand \x1b[1mbold\x1b[0m")
    complain("no \x1b[8m")
    ConsoleHandler().emit(logging.makeLogRecord({"msg": "log \x1b]0;a\x07"}))
    shown = capsys.readouterr()
    assert shown.out == "a\\x1b[2Jb\\x0dc\\x9bd\ntwo\nlines\tand \x1b[1mbold\x1b[0m\n"
    assert shown.err == "error: no \\x1b[8m\nlog \\x1b]0;a\\x07\n"


def test_what_the_terminal_cannot_say_is_written_in_plain_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("1 ± 2 \udcff")
    assert stream.buffer.getvalue() == b"1 \\xb1 2 \\udcff\n"
