"""Reference statistics: computed once, cached under their content, never trusted blindly."""

from __future__ import annotations

import logging
import multiprocessing
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nasgan.errors import StorageError
from nasgan.metrics import cache as cache_module
from nasgan.metrics.cache import TensorCache, cache_key, default_cache_dir
from nasgan.metrics.extractors.digits import DigitsFeatures
from nasgan.metrics.images import MetricError
from nasgan.metrics.reference import ReferenceStatistics, ScoreSettings
from nasgan.metrics.scores.neighbourhoods import NeighbourhoodSettings

IMAGES = torch.randint(
    0, 256, (90, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


class CountingFeatures(DigitsFeatures):
    """Counts the passes over images."""

    def __init__(self) -> None:
        super().__init__(device="cpu")
        self.passes = 0

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.passes += 1
        return super().extract(images)


@pytest.fixture
def extractor() -> CountingFeatures:
    return CountingFeatures()


def compute(
    extractor: CountingFeatures,
    folder: Path | None,
    *,
    checksum: str = "abc",
    num_generated: int = 80,
    settings: ScoreSettings | None = None,
) -> ReferenceStatistics:
    return ReferenceStatistics.from_images(
        IMAGES,
        extractor,
        checksum=checksum,
        num_generated=num_generated,
        cache=TensorCache(folder),
        settings=settings,
    )


def flat(reference: ReferenceStatistics) -> list[Tensor]:
    balls, frechet = reference.neighbourhoods, reference.frechet
    return [
        reference.features, frechet.mean, frechet.trace, frechet.root,
        balls.precision_radii, balls.coverage_radii, reference.kernel_sums,
    ]  # fmt: skip


def assert_same(first: ReferenceStatistics, second: ReferenceStatistics) -> None:
    assert all(torch.equal(a, b) for a, b in zip(flat(first), flat(second), strict=True))


def test_the_second_time_nothing_is_extracted(extractor: CountingFeatures, tmp_path: Path) -> None:
    first = compute(extractor, tmp_path / "new" / "folder")
    assert extractor.passes == 1
    second = compute(extractor, tmp_path / "new" / "folder")
    assert extractor.passes == 1
    assert_same(first, second)


def test_another_number_of_images_needs_no_new_features(
    extractor: CountingFeatures, tmp_path: Path
) -> None:
    first = compute(extractor, tmp_path, num_generated=80)
    second = compute(extractor, tmp_path, num_generated=70)
    assert extractor.passes == 1
    assert_same(first.for_num_generated(70), second)
    assert first.for_num_generated(80) is first


def test_another_checksum_extractor_or_setting_is_another_entry(
    extractor: CountingFeatures, tmp_path: Path
) -> None:
    compute(extractor, tmp_path)
    compute(extractor, tmp_path, checksum="other data under the same name")
    assert extractor.passes == 2
    settings = ScoreSettings(neighbourhoods=NeighbourhoodSettings(precision_recall=4))
    compute(extractor, tmp_path, settings=settings)
    assert extractor.passes == 3
    extractor.fingerprint = "other weights"
    compute(extractor, tmp_path)
    assert extractor.passes == 4


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "foreign", "pickle"])
def test_a_bad_cache_file_is_computed_again_with_a_warning(
    extractor: CountingFeatures, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    first = compute(extractor, tmp_path)
    (path,) = tmp_path.glob("reference-*.safetensors")
    content = bytearray(path.read_bytes())
    if damage == "empty":
        content = bytearray()
    elif damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[-100] ^= 1
    elif damage == "foreign":
        compute(extractor, tmp_path / "other", checksum="other")
        (other,) = (tmp_path / "other").glob("reference-*")
        content = bytearray(other.read_bytes())
    else:
        torch.save({"features": torch.zeros(3)}, path)
        content = bytearray(path.read_bytes())
    path.write_bytes(content)
    passes = extractor.passes
    with caplog.at_level(logging.WARNING):
        assert_same(compute(extractor, tmp_path), first)
    assert extractor.passes == passes + 1
    assert path.name in caplog.text
    caplog.clear()
    compute(extractor, tmp_path)
    assert extractor.passes == passes + 1
    assert not caplog.text


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(
    extractor: CountingFeatures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise StorageError(28, f"cannot write {path}: the disk is full")

    monkeypatch.setattr(cache_module, "write_file", full)
    assert_same(compute(extractor, tmp_path), compute(extractor, None))
    assert "the disk is full" in caplog.text


def test_too_few_or_broken_real_features_are_refused() -> None:
    with pytest.raises(MetricError, match="more than 5 images"):
        ReferenceStatistics.from_features(torch.randn(5, 3), num_generated=10)
    broken = torch.randn(9, 3)
    broken[0, 0] = float("nan")
    with pytest.raises(MetricError, match="real features: 1 of 9 rows"):
        ReferenceStatistics.from_features(broken, num_generated=10)


def _write_slowly(folder: str, seed: int) -> None:
    def tensors() -> dict[str, Tensor]:
        time.sleep(0.05)
        return {"x": torch.arange(200_000, dtype=torch.float64)}

    for _ in range(5):
        cache = TensorCache(Path(folder))
        value = cache.get("race", cache_key({"a": 1}), {"x"}, tensors)["x"]
        assert value[-1] == 199_999
        if seed % 2:
            for path in Path(folder).glob("race-*"):
                path.unlink(missing_ok=True)


def test_several_processes_may_fill_one_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a forked torch may deadlock
    workers = [
        context.Process(target=_write_slowly, args=(str(tmp_path), seed), daemon=True)
        for seed in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_the_default_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NASGAN_CACHE", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("NASGAN_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "nasgan"
