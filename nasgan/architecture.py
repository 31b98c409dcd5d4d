"""Architectures as values: a named option for each decision of a search space.

Imports no torch: the leaderboard, the report and the command line's light verbs read these too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from nasgan import atomic
from nasgan.errors import ArchitectureError, quoted
from nasgan.reading import load_json

__all__ = ["Architecture", "Decision", "Part"]

Part = Literal["generator", "discriminator"]

_FORMAT = "nasgan-architecture"
_FORMAT_VERSION = 1
_MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True)
class Decision:
    """One categorical choice of a search space.

    Attributes:
        name: unique in its space, e.g. ``"cell2.norm"``.
        options: the names of the options, in the order of the published integer encoding.
        part: the network that the choice shapes; ``"both"`` for one that both networks share.
        stage: for progressive search, the stage that decides it (0 first); 0 where there are none.
        surplus: for gradient searches, how many more weights a relaxation makes than there are
            options. These last ones are dropped, so that those of the options sum to less than 1
            (published for AdversarialNAS' first down-cell).
    """

    name: str
    options: tuple[str, ...]
    part: Part | Literal["both"] = "generator"
    stage: int = 0
    surplus: int = 0

    def __post_init__(self) -> None:
        if len(set(self.options)) != len(self.options) or not self.options:
            raise ArchitectureError(
                f"decision {self.name!r} needs distinct options, got {list(self.options)}"
            )
        if self.surplus < 0:
            raise ArchitectureError(
                f"decision {self.name!r}: surplus must be at least 0, got {self.surplus}"
            )

    def index(self, option: str | int) -> int:
        """The index of ``option``, given by name or by index.

        Raises:
            ArchitectureError: there is no such option.
        """
        if isinstance(option, str) and option in self.options:
            return self.options.index(option)
        is_index = isinstance(option, int) and not isinstance(option, bool)
        if is_index and 0 <= int(option) < len(self.options):
            return int(option)
        listed = ", ".join(f"{i} = {name}" for i, name in enumerate(self.options))
        raise ArchitectureError(
            f"decision {self.name!r} has no option {quoted(option)}; it has {listed}"
        )


@dataclass(frozen=True)
class Architecture:
    """An immutable, hashable point of a search space.

    It names its options, so a person can read it and a file stays meaningful when a later version
    of the space reorders them. Build one with ``space.architecture(choices)``, which checks it.

    Attributes:
        space: registered name of the search space.
        space_version: the space's version when the architecture was made.
        choices: ``(decision, option)`` pairs in the order of ``space.decisions``.
    """

    space: str
    space_version: int
    choices: tuple[tuple[str, str], ...]

    def __getitem__(self, decision: str) -> str:
        try:
            return self._by_name[decision]
        except KeyError:
            known = ", ".join(self._by_name)
            raise ArchitectureError(
                f"architecture {self.id} has no decision {quoted(decision)}; it has {known}"
            ) from None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.choices)

    def __len__(self) -> int:
        return len(self.choices)

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return dict(self.choices)

    @cached_property
    def id(self) -> str:
        """A stable short name: the first 12 hexadecimal digits of the SHA-256 of the content."""
        content = json.dumps([self.space, self.space_version, self.choices], separators=(",", ":"))
        return hashlib.sha256(content.encode("utf-8")).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """The architecture as JSON data; `from_json` reads it back."""
        return {
            "format": _FORMAT,
            "format_version": _FORMAT_VERSION,
            "id": self.id,
            "space": self.space,
            "space_version": self.space_version,
            "choices": dict(self.choices),
        }

    @classmethod
    def from_json(cls, data: object, *, source: str = "architecture") -> Architecture:
        """Read what `to_json` wrote. ``source`` names the origin in error messages.

        The content is checked for its form here; whether the options exist is checked by
        ``space.validate``.

        Raises:
            ArchitectureError: malformed, foreign, of a newer format, or changed by hand.
        """
        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            raise ArchitectureError(
                f"{source}: not a nasgan architecture (expected a JSON object with "
                f'"format": "{_FORMAT}", as in the architecture.json of a run)'
            )
        version = data.get("format_version")
        if type(version) is not int or version != _FORMAT_VERSION:  # 1.0 and true are equal to 1
            raise ArchitectureError(
                f"{source}: format_version {quoted(version)} is not the "
                f"{_FORMAT_VERSION} that this nasgan reads; update nasgan or export it again"
            )
        space, made_by, choices = (data.get(k) for k in ("space", "space_version", "choices"))
        if not isinstance(space, str) or not space:
            raise ArchitectureError(f"{source}: 'space' must be a text, got {quoted(space)}")
        if not isinstance(made_by, int) or isinstance(made_by, bool) or made_by < 0:
            raise ArchitectureError(
                f"{source}: 'space_version' must be a whole number, got {quoted(made_by)}"
            )
        if not isinstance(choices, Mapping) or not all(
            isinstance(k, str) and isinstance(v, str) for k, v in choices.items()
        ):
            raise ArchitectureError(
                f"{source}: 'choices' must map each decision's name to an option's name, got "
                f"{quoted(choices)}"
            )
        architecture = cls(space, made_by, tuple(choices.items()))
        if data.get("id") not in (None, architecture.id):
            raise ArchitectureError(
                f"{source}: its id {quoted(data['id'])} does not match its content "
                f"({architecture.id}); the file was changed: remove the id if that was meant"
            )
        return architecture

    def save(self, path: str | Path) -> None:
        """Write the architecture atomically as JSON."""
        atomic.write_json(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Read an architecture file.

        Raises:
            ArchitectureError: the file is missing, too large, not JSON, or malformed.
        """
        path = Path(path)
        data = load_json(path, ArchitectureError, "architecture file", most=_MAX_FILE_BYTES)
        return cls.from_json(data, source=str(path))
