"""Protocol ids: a number compares only with numbers that were made the same way."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.metrics.table import METRICS

__all__ = ["TABLE_PROTOCOL", "Protocol", "dataset_token", "display_name"]

_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
_TOKEN = re.compile(r"[A-Za-z0-9._+]+")
_ID = re.compile(
    r"(?P<dataset>.+)-(?P<split>[^-]+)-(?P<count>[1-9][0-9]*k?)-(?P<features>[^-]+)-v(?P<version>[1-9][0-9]*)"
)

TABLE_PROTOCOL = "table:"
"""What the ids of scores begin with that were read from a table of trainings; its name follows."""

# The only features whose scores the literature calls FID and IS (Heusel et al. 2017, section 3;
# Salimans et al. 2016, section 4).
_UNQUALIFIED_FEATURES = "inceptionv3"


@dataclass(frozen=True)
class Protocol:
    """How a score was made; anything that moves the number changes the id.

    Attributes:
        dataset: the data set's identity, e.g. ``"cifar10"`` or ``"faces@1a2b3c4d"``.
        split: the reference split, e.g. ``"train"``.
        num_images: the number of generated images.
        features: the feature extractor's `protocol_name`, e.g. ``"inceptionv3"``.
        version: raised when the way of scoring changes.

    Raises:
        ConfigError: a part is empty or holds a character that would make the id ambiguous.
    """

    dataset: str
    split: str
    num_images: int
    features: str
    version: int = 1

    def __post_init__(self) -> None:
        if not _DATASET.fullmatch(self.dataset):
            raise ConfigError(
                f"the protocol's dataset name {self.dataset!r} may hold only letters, digits and "
                "._@+- and must start with a letter or digit; rename the data set"
            )
        for field, value in (("split", self.split), ("features", self.features)):
            if not _TOKEN.fullmatch(value):
                raise ConfigError(
                    f"the protocol's {field} {value!r} may hold only letters, digits and ._+"
                )
        if self.num_images < 1 or self.version < 1:
            raise ConfigError(
                f"a protocol needs at least one image and version 1, got num_images="
                f"{self.num_images} and version={self.version}"
            )

    @property
    def id(self) -> str:
        """For example ``cifar10-train-50k-inceptionv3-v1``."""
        thousands, rest = divmod(self.num_images, 1000)
        count = str(self.num_images) if rest else f"{thousands}k"
        return f"{self.dataset}-{self.split}-{count}-{self.features}-v{self.version}"

    @classmethod
    def parse(cls, protocol_id: str) -> Protocol:
        """Read an id back.

        Raises:
            ConfigError: it is no id, or not written as `id` writes it (``2000`` for ``2k``).
        """
        match = _ID.fullmatch(protocol_id)
        if match is None:
            raise ConfigError(
                f"{protocol_id!r} is no protocol id; one looks like "
                "'cifar10-train-50k-inceptionv3-v1' (dataset, split, images, features, version)"
            )
        count = match["count"]
        num_images = int(count[:-1]) * 1000 if count.endswith("k") else int(count)
        protocol = cls(
            match["dataset"], match["split"], num_images, match["features"], int(match["version"])
        )
        if protocol.id != protocol_id:
            raise ConfigError(f"the protocol id {protocol_id!r} is written {protocol.id!r}")
        return protocol


def dataset_token(identity: str, checksum: str) -> str:
    """What an id calls a data set of any name, in any script.

    Args:
        identity: of the data set, e.g. ``"cifar10"`` or ``"фото@7106f4a4"``.
        checksum: of its content; put where the name alone would no longer tell it apart.

    Returns:
        ``"cifar10"``, ``"images@7106f4a4"``: letters, digits and ``._@+-`` stay, the rest becomes
        ``_``.
    """
    token = re.sub(r"[^A-Za-z0-9._@+-]+", "_", identity).lstrip("._+-")
    if not token or token.startswith("@"):
        token = f"images{token}"
    return token if token == identity or "@" in token else f"{token}@{checksum[:8]}"


def display_name(metric: str, protocol: Protocol | str) -> str:
    """The metric's name for a reader: ``"FID"``, or ``"FID (lite0)"`` for other features.

    Scores read from a table are ``"FID (table)"``.

    Only scores from the Inception features may go without a qualifier.

    Raises:
        UnknownNameError: there is no such metric.
        ConfigError: ``protocol`` is a string and no id.
    """
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS)
    if isinstance(protocol, str) and protocol.startswith(TABLE_PROTOCOL):
        return f"{METRICS[metric].label} (table)"
    features = (Protocol.parse(protocol) if isinstance(protocol, str) else protocol).features
    label = METRICS[metric].label
    return label if features == _UNQUALIFIED_FEATURES else f"{label} ({features})"
