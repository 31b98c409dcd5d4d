from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision import transforms

from nasgan.data import Batch, ImageSet, ShuffledBatches, to_float
from nasgan.errors import CheckpointError, ConfigError


def numbered(count: int = 23, side: int = 4, seed: int = 0) -> ImageSet:
    """Images whose labels are their indices."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, side, side)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return ImageSet("numbered", pixels, torch.arange(count))


def stream(
    batch_size: int, *, images: ImageSet | None = None, seed: int = 3, **settings: Any
) -> ShuffledBatches:
    return ShuffledBatches(images or numbered(), batch_size, seed=seed, device="cpu", **settings)


def indices(batch: Batch) -> list[int]:
    assert batch.labels is not None
    return batch.labels.tolist()


def dealt(batches: ShuffledBatches, images: int) -> list[int]:
    found: list[int] = []
    while len(found) < images:
        found += indices(batches.next())
    return found[:images]


@pytest.mark.parametrize("batch_size", [1, 5, 23, 64])
def test_every_epoch_deals_each_image_once(batch_size: int) -> None:
    order = dealt(stream(batch_size), 4 * 23)
    epochs = [order[start : start + 23] for start in range(0, 4 * 23, 23)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_every_batch_has_the_full_size() -> None:
    batches = stream(10)
    assert [len(batches.next().images) for _ in range(9)] == [10] * 9
    assert stream(64).next().images.shape == (64, 3, 4, 4)


def test_the_order_depends_on_the_seed_only() -> None:
    assert dealt(stream(5), 60) == dealt(stream(7), 60)
    assert dealt(stream(5), 60) != dealt(stream(5, seed=4), 60)
    torch.manual_seed(99)
    assert dealt(stream(5), 60) == dealt(stream(5), 60)


def test_dealing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    stream(5, horizontal_flip=True).next()
    assert torch.equal(before, torch.get_rng_state())


def test_batches_pair_images_with_their_labels() -> None:
    images = numbered()
    batch = stream(9, images=images).next()
    assert torch.equal(batch.images, to_float(images.images[indices(batch)]))


def test_images_without_labels_come_without() -> None:
    assert stream(3, images=ImageSet("plain", numbered().images)).next().labels is None


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("batch_size", [4, 23, 30])
@pytest.mark.parametrize("taken", [0, 1, 3, 7])
def test_a_restored_stream_continues_bit_identically(
    taken: int, batch_size: int, flip: bool
) -> None:
    kept = stream(batch_size, horizontal_flip=flip)
    for _ in range(taken):
        kept.next()
    stored = io.BytesIO()
    torch.save(kept.state_dict(), stored)
    stored.seek(0)
    restored = stream(batch_size, horizontal_flip=flip)
    restored.next()
    restored.load_state_dict(torch.load(stored, weights_only=True))
    for _ in range(8):
        expected, found = kept.next(), restored.next()
        assert torch.equal(expected.images, found.images)
        assert indices(expected) == indices(found)
    assert kept.state_dict() == restored.state_dict()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seed": 4}, "seed 4, this run has 3"),
        ({"checksum": "0" * 64}, "checksum"),
        ({"epoch": -1}, "cannot stand"),
        ({"position": 24}, "cannot stand"),
        ({"extra": 0}, "extra"),
    ],
)
def test_a_state_of_another_run_is_refused(change: dict[str, object], complaint: str) -> None:
    batches = stream(5)
    with pytest.raises(CheckpointError, match=complaint):
        batches.load_state_dict({**batches.state_dict(), **change})


def test_pixels_are_bit_identical_to_the_published_transform() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(2, 3, 16, 16)
    published = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    picture = Image.fromarray(values[0].permute(1, 2, 0).contiguous().numpy())
    found = to_float(values)
    assert torch.equal(found[0], published(picture))
    assert found.min() == -1
    assert found.max() == 1


def test_conversion_leaves_the_source_and_obeys_dtype_and_layout() -> None:
    source = numbered().images
    kept = source.clone()
    plain = to_float(source)
    last = to_float(source, dtype=torch.bfloat16, channels_last=True)
    assert torch.equal(source, kept)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, plain.to(torch.bfloat16))
    batch = stream(5, dtype=torch.bfloat16, channels_last=True).next()
    assert batch.images.dtype == torch.bfloat16
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_flips_mirror_about_half_of_the_images_left_to_right() -> None:
    images = numbered(400)
    batch = stream(400, images=images, horizontal_flip=True).next()
    plain = to_float(images.images[indices(batch)])
    mirrored = (batch.images == plain.flip(3)).flatten(1).all(1)
    kept = (batch.images == plain).flatten(1).all(1)
    assert bool((mirrored ^ kept).all())
    assert 140 < int(mirrored.sum()) < 260


def test_every_epoch_throws_its_own_coins() -> None:
    images = numbered(64)
    batches = stream(64, images=images, horizontal_flip=True)
    coins = []
    for _ in range(2):
        batch = batches.next()
        plain = to_float(images.images[indices(batch)])
        coins.append((batch.images == plain).flatten(1).all(1))
    assert not torch.equal(coins[0], coins[1])


def test_flips_do_not_depend_on_the_batch_size() -> None:
    small, large = (stream(size, horizontal_flip=True) for size in (10, 30))
    together = torch.cat([small.next().images for _ in range(3)])
    assert torch.equal(together, large.next().images)


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"batch_size": 2, "dtype": torch.int32}])
def test_refuses_impossible_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        stream(**settings)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_deals_the_same_bits_as_the_cpu() -> None:
    on_cpu = stream(10, horizontal_flip=True)
    on_cuda = ShuffledBatches(numbered(), 10, seed=3, device="cuda", horizontal_flip=True)
    for _ in range(5):
        assert torch.equal(on_cpu.next().images, on_cuda.next().images.cpu())
