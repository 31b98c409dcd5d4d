"""Inception-v3 features: the ones that published FID and IS numbers are made from.

The network is torch-fidelity's port of the TensorFlow graph of 2015-12-05, its weights are the
file that torch-fidelity downloads, kept where torch-fidelity keeps it.
"""

from __future__ import annotations

import io
import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from nasgan.errors import ConfigError
from nasgan.metrics.extractor import FeatureExtractor, linear_float64, to_rgb
from nasgan.reading import digest_of, open_file

__all__ = ["InceptionV3Features"]

_LOG = logging.getLogger(__name__)
_GET = (
    "fetch it once on a machine with internet (metrics.features.download=true, about 95 MB) or "
    "name a local copy with metrics.features.weights=PATH"
)


class InceptionV3Features(FeatureExtractor):
    """2048 pooled features and 1008 class logits without bias ("logits_unbiased").

    Images are resized to 299x299 inside the network, as TensorFlow 1 does it.

    Args:
        device: where it computes.
        batch_size: images in one pass.
        precision: see `FeatureExtractor`.
        weights: a local copy of the weights. Any file that is not the published one is accepted
            with a warning and gives another protocol name, so that its scores are never called
            FID or IS without a qualifier.
        download: fetch the weights if they are not there. Nothing is downloaded otherwise.

    Raises:
        ConfigError: the weights are missing, damaged or of another network.
    """

    name = "inceptionv3"
    dim: ClassVar[int] = 2048
    num_logits: ClassVar[int] = 1008

    def __init__(
        self,
        *,
        device: torch.device | str,
        batch_size: int = 64,
        precision: str = "float32",
        weights: str | Path | None = None,
        download: bool = False,
    ) -> None:
        path = default_weights() if weights is None else Path(weights)
        if weights is None and download and not path.is_file():
            _download(path)
        if not path.is_file():
            raise ConfigError(f"the Inception-v3 weights {path} are missing; {_GET}")
        self._published = _is_published(path)
        if not self._published:
            if weights is None:
                raise ConfigError(
                    f"the Inception-v3 weights {path} are damaged (their checksum is not the "
                    f"published one); delete the file and {_GET}"
                )
            _LOG.warning("%s is not the published Inception-v3: its scores are no FID or IS", path)
        self._network = _build(path)
        super().__init__(device=device, batch_size=batch_size, precision=precision)
        self._network.to(self.device)

    @staticmethod
    def availability() -> tuple[bool, str]:
        """See `nasgan.metrics.extractor.is_available`."""
        path = default_weights()
        return (True, str(path)) if path.is_file() else (False, f"{path} is missing; {_GET}")

    @property
    def protocol_name(self) -> str:
        """``inceptionv3`` for the published weights in float32, else marked as something else."""
        plain = super().protocol_name
        return plain if self._published else plain.replace(self.name, f"{self.name}_custom", 1)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `FeatureExtractor.extract`."""
        (features,) = self._network(to_rgb(images))
        return features, linear_float64(features, self._network.fc.weight)

    def weights(self) -> Mapping[str, Tensor]:
        """See `FeatureExtractor.weights`."""
        state: Mapping[str, Tensor] = self._network.state_dict()
        return state

    def preprocessing(self) -> str:
        """See `FeatureExtractor.preprocessing`."""
        return "torch-fidelity inception-v3-compat, features 2048, logits_unbiased in float64"


def default_weights() -> Path:
    """Where torch-fidelity keeps its download."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name


def _checksum_prefix() -> str:
    """The start of the published file's SHA-256, which is part of its name."""
    match = re.search(r"-([0-9a-f]{8})\.", default_weights().name)
    assert match is not None
    return match[1]


def _is_published(path: Path) -> bool:
    return digest_of(path).startswith(_checksum_prefix())


def _download(path: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    _LOG.info("downloading the Inception-v3 weights to %s", path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            URL_INCEPTION_V3, str(path), hash_prefix=_checksum_prefix(), progress=False
        )
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"the Inception-v3 weights could not be downloaded to {path}: {error}; {_GET}"
        ) from error


def _build(path: Path) -> Any:
    """The network with the weights of ``path``, which are read without executing anything."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    try:
        with open_file(path) as stream:
            state = torch.load(stream, map_location="cpu", weights_only=True)
        # The constructor unpickles its weights without restrictions, from a file or a stream: it
        # is handed our own serialisation of the tensors just read, never the foreign file.
        buffer = io.BytesIO()
        torch.save({name: tensor for name, tensor in state.items() if _is_tensor(tensor)}, buffer)
        buffer.seek(0)
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=buffer
        )
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        raise ConfigError(
            f"the Inception-v3 weights {path} are damaged or of another network ({error}); {_GET}"
        ) from error
    return network.to(memory_format=torch.channels_last)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)
