"""Feature extractors of plugins: found, checked, and held to the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasgan.errors import PluginError
from nasgan.metrics import FeatureExtractor, is_available, make_features
from nasgan.metrics.extractors.digits import DigitsFeatures
from nasgan.testing import check_feature_extractor
from nasgan.testing.toy_evaluator import ToyFeatures


def test_the_shipped_extractors_keep_the_contract() -> None:
    check_feature_extractor(lambda size: DigitsFeatures(device="cpu", batch_size=size))
    check_feature_extractor(lambda size: ToyFeatures(device="cpu", batch_size=size))


class Brightness(FeatureExtractor):
    """The mean of each image's rows and columns, in eight numbers."""

    name = "brightness"
    dim = 8
    num_logits = 2

    def __init__(self, *, device: Any = "cpu", batch_size: int = 4) -> None:
        self.weight = torch.ones(self.num_logits, self.dim)
        super().__init__(device=device, batch_size=batch_size)

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        grey = images.float().mean(dim=1, keepdim=True)
        features = nn.functional.adaptive_avg_pool2d(grey, (2, 4)).flatten(1)
        return features, features @ self.weight.T

    def weights(self) -> Mapping[str, Tensor]:
        return {"weight": self.weight}

    def preprocessing(self) -> str:
        return "grey"


class OfTheBatch(Brightness):
    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = super().extract(images)
        return features - features.mean(dim=0), logits


class Random(Brightness):
    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = super().extract(images)
        return features + torch.randn(features.shape), logits


class OtherWeights(Brightness):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.weight = torch.rand(self.num_logits, self.dim)
        FeatureExtractor.__init__(self, **{"device": "cpu", **settings})


class Constant(Brightness):
    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = super().extract(images)
        return torch.ones_like(features), logits


class Infinite(Brightness):
    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = super().extract(images)
        return features / 0, logits


class Nameless(Brightness):
    name = "two words"


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (OfTheBatch, "depend on the other images of a batch"),
        (Random, "drew from the global generator of torch: features must not be random"),
        (OtherWeights, "different fingerprints"),
        (Constant, "all images have the same features"),
        (Infinite, "are not finite"),
        (Nameless, "set the class attribute `name`"),
    ],
)
def test_what_breaks_the_contract_is_named(kind: type[Brightness], complaint: str) -> None:
    check_feature_extractor(lambda size: Brightness(batch_size=size))
    with pytest.raises(AssertionError, match=complaint):
        check_feature_extractor(lambda size: kind(batch_size=size))


def test_a_plugin_s_extractor_is_made_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasgan.metrics.extractor.load_plugin", lambda group, name: Brightness)
    made = make_features("brightness", device="cpu", batch_size=3)
    assert isinstance(made, Brightness)
    assert made.batch_size == 3
    assert is_available("brightness") == (True, "needs no weights")


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (Brightness, "calls itself 'brightness'; protocol ids hold the name"),
        (dict, "'digits' is registered as <class 'dict'>"),
        (Brightness(), "'digits' is registered as"),
    ],
)
def test_an_extractor_under_another_s_name_or_of_another_kind_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: object, complaint: str
) -> None:
    monkeypatch.setattr("nasgan.metrics.extractor.load_plugin", lambda group, name: found)
    with pytest.raises(PluginError, match=complaint):
        make_features("digits", device="cpu")


@pytest.mark.parametrize(("device", "at_once"), [("cpu", 64), ("cuda", 256)])
def test_cuda_takes_four_times_as_many_images_in_a_pass(device: str, at_once: int) -> None:
    assert Brightness(device=device, batch_size=64).batch_size == at_once
