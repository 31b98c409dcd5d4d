"""DINOv2's and CLIP's features, with random weights of a tiny network of timm."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nasgan
from nasgan.data import load_digits
from nasgan.errors import ConfigError, MissingDependencyError
from nasgan.metrics import build_harness
from nasgan.metrics.extractor import is_available, make_features
from nasgan.metrics.extractors.vision_transformers import (
    CLIPFeatures,
    DINOv2Features,
    TimmFeatures,
)
from nasgan.testing import check_feature_extractor

MODEL = "test_vit.r160_in1k"
SIDE = 32
KINDS = (DINOv2Features, CLIPFeatures)


@pytest.fixture(scope="module")
def timm() -> Any:
    return pytest.importorskip("timm")


@pytest.fixture(scope="module")
def weights(timm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(timm, tmp_path_factory.mktemp("weights") / "tiny.safetensors", 0)


def random_weights(timm: Any, path: Path, seed: int) -> Path:
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = timm.create_model(MODEL, pretrained=False, img_size=SIDE).state_dict()
        for value in state.values():  # away from layers that begin at nothing
            value.add_(0.02 * torch.randn_like(value))
    save_file(state, path)
    return path


def made(kind: type[TimmFeatures], weights: Path | None, **settings: Any) -> TimmFeatures:
    given = {"model": MODEL, "resolution": SIDE, **settings}
    return kind(device="cpu", weights=weights, **given)


def noise(side: int = SIDE, channels: int = 3) -> Tensor:
    shape = (4, channels, side, side)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_they_keep_the_contract(kind: type[TimmFeatures], weights: Path) -> None:
    check_feature_extractor(lambda size: made(kind, weights, batch_size=size))


def test_dinov2_is_what_the_class_token_is_before_any_classifier(timm: Any, weights: Path) -> None:
    bare = timm.create_model(MODEL, pretrained=False, img_size=SIDE, num_classes=0).eval().double()
    bare.load_state_dict(stored(weights), strict=False)
    with torch.no_grad():
        expected = bare((noise().double() / 255 - 0.5) / 0.5)
    found = made(DINOv2Features, weights)(noise()).features
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_clip_is_the_embedding_after_the_projection(timm: Any, weights: Path) -> None:
    whole = timm.create_model(MODEL, pretrained=False, img_size=SIDE).eval().double()
    whole.load_state_dict(stored(weights))
    with torch.no_grad():
        expected = whole((noise().double() / 255 - 0.5) / 0.5)
    extractor = made(CLIPFeatures, weights)
    assert extractor.dim == expected.shape[1] == 1000
    found = extractor(noise()).features
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def stored(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_grey_and_small_images_are_taken(weights: Path) -> None:
    extractor = made(DINOv2Features, weights)
    grey = noise(side=16, channels=1)
    colours = grey.repeat(1, 3, 1, 1)
    assert torch.equal(extractor(grey).features, extractor(colours).features)


def test_the_protocol_names_the_weights_and_what_else_moves_numbers(
    timm: Any, weights: Path, tmp_path: Path
) -> None:
    extractor = made(DINOv2Features, weights)
    digits = extractor.checksum[:8]
    assert extractor.protocol_name == f"dinov2_r{SIDE}_{digits}"
    other = made(DINOv2Features, random_weights(timm, tmp_path / "other.safetensors", 1))
    assert other.checksum[:8] != digits
    assert other.protocol_name.endswith(other.checksum[:8])
    fast = made(DINOv2Features, weights, precision="bfloat16")
    assert fast.protocol_name == f"dinov2_r{SIDE}_{digits}_bfloat16"
    clip = made(CLIPFeatures, weights)
    clip.resolution = SIDE  # type: ignore[misc]
    assert clip.protocol_name == f"clip_{digits}"


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_without_timm_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=rf"{name} features need .*'nasgan\[timm\]'"):
        make_features(name, device="cpu")
    assert is_available(name) == (False, "install the optional extra: pip install 'nasgan[timm]'")


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_missing_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    available, how = is_available(name)
    assert not available
    assert "metrics.features.download=true" in how
    with pytest.raises(ConfigError, match=r"are missing; .*download=true, about 1\.2 GB.*weights="):
        make_features(name, device="cpu")
    with pytest.raises(ConfigError, match=r"nowhere\.safetensors are missing"):
        make_features(name, device="cpu", weights="nowhere.safetensors")


def test_a_download_is_made_when_it_is_asked_for_alone(
    monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    import huggingface_hub

    asked: list[tuple[str, str]] = []

    def fetch(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(weights)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    with pytest.raises(ConfigError, match="are missing"):
        made(DINOv2Features, None)
    assert not asked
    expected = made(DINOv2Features, weights).fingerprint
    assert made(DINOv2Features, None, download=True).fingerprint == expected
    assert asked == [(f"timm/{MODEL}", "model.safetensors")]

    def fail(*_: str) -> str:
        raise OSError("no route to the hub")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ConfigError, match="could not be downloaded: no route to the hub"):
        made(DINOv2Features, None, download=True)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "pickled"])
def test_damaged_weights_are_named(weights: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "w.safetensors"
    if damage == "truncated":
        path.write_bytes(weights.read_bytes()[:1000])
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(3)}, path)
    else:
        path = tmp_path / "w.pth"
        torch.save({"x": Path("/")}, path)
    with pytest.raises(ConfigError, match=r"the dinov2 weights .*w\.\w+ are damaged or of another"):
        made(DINOv2Features, path)


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("model", ["vit_of_nobody", "test_vit.trained_by_nobody"])
def test_an_unknown_model_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match=rf"features\.model: timm has no '{model}'"):
        made(DINOv2Features, None, model=model)


def test_impossible_resolutions_are_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be in 14\.\.1024: 5"):
        made(DINOv2Features, weights, resolution=5)


def test_the_inception_score_needs_logits(weights: Path) -> None:
    train = load_digits().train
    with pytest.raises(ConfigError, match=r"is needs class logits, and the dinov2 features have"):
        build_harness(train, made(DINOv2Features, weights), num_images=20, metrics=("is", "fid"))


def test_a_training_is_scored_by_cmmd(weights: Path, tmp_path: Path) -> None:
    features = [f"metrics.features.{k}" for k in (f"model={MODEL}", f"resolution={SIDE}")]
    words = ["+experiment=debug/tiny", "metrics=clip", "objective=cmmd", *features]
    run = nasgan.train(
        "sngan", *words, f"metrics.features.weights={weights}", run_dir=str(tmp_path / "run")
    )
    assert set(run.metrics) == {"cmmd", "fid"}
    assert 0 < run.metrics["cmmd"] < 1000
    assert f"-clip_r{SIDE}_" in run.record.protocol
