"""``nasgan doctor``: what works on this machine, and how to get the rest."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nasgan.cli import checkup, plugin_checkup
from nasgan.cli.checkup import Finding
from nasgan.cli.console import heading, say

__all__ = ["run"]

_MARKS = {"ok": "ok     ", "note": "note   ", "faulty": "FAULTY ", "broken": "BROKEN "}

_SECTIONS = (
    ("environment", checkup.environment),
    ("optional", checkup.optional),
    ("plugins", plugin_checkup.plugin_findings),
    ("configurations", plugin_checkup.config_findings),
    ("datasets", checkup.datasets),
    ("metric features", checkup.features),
    ("folders", checkup.folders),
)


def run(arguments: Sequence[str]) -> int:
    """Print all findings; 1 if what the embedded default needs or a plugin is broken, else 0."""
    parser = argparse.ArgumentParser(
        prog="nasgan doctor",
        description="Check this machine: what works, and how to get what does not. "
        "The exit code is 1 if `nasgan search` without arguments cannot work (BROKEN) or a plugin "
        "does not (FAULTY), else 0.",
    )
    parser.parse_args(list(arguments))
    found: list[Finding] = []
    for title, examine in _SECTIONS:
        say(heading(title))
        for finding in examine():
            say(f"  {_MARKS[finding.state]}{finding.what}: {finding.detail}")
            found.append(finding)
    if faulty := _names(found, "faulty"):
        say("", f"Plugins that do not work: {faulty}. Everything else is unaffected.")
    if broken := _names(found, "broken"):
        say("", f"The embedded default cannot run: {broken}.")
    else:
        say("", "The embedded default works: nasgan search")
    return int(bool(faulty or broken))


def _names(found: Sequence[Finding], state: str) -> str:
    return ", ".join(finding.what for finding in found if finding.state == state)
