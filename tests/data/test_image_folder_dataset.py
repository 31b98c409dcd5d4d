from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nasgan.data import load_image_folder
from nasgan.errors import ConfigError, DatasetError


def draw(
    path: Path, colour: int | tuple[int, int, int] = 0, size: tuple[int, int] = (8, 8)
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


def colours(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Three cats and two dogs, one of them deeper."""
    root = tmp_path / "pets"
    for number in range(3):
        draw(root / "cat" / f"{number}.png", number)
    draw(root / "dog" / "a.png", 10)
    draw(root / "dog" / "puppies" / "b.JPG", 11)
    return root


def test_subfolders_are_classes_in_sorted_order(classes: Path) -> None:
    found = load_image_folder(classes, image_size=4).train
    assert found.images.shape == (5, 3, 4, 4)
    assert colours(found.images) == [0, 1, 2, 10, 11]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1, 1]
    assert found.num_classes == 2
    assert found.identity == f"pets@{found.checksum[:8]}"


def test_one_folder_of_images_has_no_classes(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        draw(tmp_path / "flat" / f"{number}.png", number)
        draw(tmp_path / "nested" / "all" / f"{number}.png", number)
    (tmp_path / "flat" / "notes.txt").write_text("not an image")
    draw(tmp_path / "flat" / ".hidden.png", 200)
    for name in ("flat", "nested"):
        found = load_image_folder(tmp_path / name, image_size=8).train
        assert colours(found.images) == [0, 1, 2]
        assert found.labels is None


def test_images_are_cropped_to_the_centre_then_resized(tmp_path: Path) -> None:
    pixels = np.zeros((8, 20, 3), dtype=np.uint8)
    pixels[:, 6:14] = (10, 20, 30)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    found = load_image_folder(tmp_path, image_size=4).train.images
    assert (found == torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None]).all()


def test_colours_are_converted_to_the_channels_asked_for(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", (255, 0, 0))
    draw(tmp_path / "b.png", 77)
    grey = load_image_folder(tmp_path, image_size=8, image_channels=1).train.images
    assert colours(grey) == [76, 77]
    colour = load_image_folder(tmp_path, image_size=8).train.images
    assert colour[:, :, 0, 0].tolist() == [[255, 0, 0], [77, 77, 77]]


def test_a_limit_keeps_every_class(classes: Path) -> None:
    found = load_image_folder(classes, image_size=8, limit=3).train
    assert colours(found.images) == [0, 1, 10]
    assert found.num_classes == 2
    assert len(load_image_folder(classes, image_size=8, limit=99).train) == 5


def test_a_test_folder_shares_the_classes(classes: Path, tmp_path: Path) -> None:
    for number in range(2):
        draw(tmp_path / "test" / "dog" / f"{number}.png", number)
    splits = load_image_folder(classes, image_size=8, test_path=tmp_path / "test")
    assert splits.test is not None
    assert splits.test.labels is not None
    assert splits.test.labels.tolist() == [1, 1]
    assert splits.test.split == "test"
    draw(tmp_path / "test" / "fish" / "0.png")
    with pytest.raises(DatasetError, match=r"'fish', which the train images lack; .* cat, dog"):
        load_image_folder(classes, image_size=8, test_path=tmp_path / "test")


def test_images_beside_class_folders_are_refused(classes: Path) -> None:
    draw(classes / "stray.png")
    with pytest.raises(DatasetError, match=r"stray\.png"):
        load_image_folder(classes, image_size=8)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "16-bit"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, suffix: str, damage: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for name in ("a", "b"):
        Image.fromarray(noise).save(tmp_path / f"{name}.{suffix}")
    victim = tmp_path / f"b.{suffix}"
    if damage == "truncated":
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    elif damage == "16-bit":
        wide = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
        wide.save(victim, format="PNG")
    else:
        victim.write_bytes(b"hello" if damage == "text" else b"")
    with pytest.raises(DatasetError) as caught:
        load_image_folder(tmp_path, image_size=8)
    assert str(victim) in str(caught.value)


def test_folders_without_images_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere is not a folder; set dataset\.path"):
        load_image_folder(tmp_path / "nowhere", image_size=8)
    with pytest.raises(DatasetError, match=r"holds 0 images.*\.png"):
        load_image_folder(tmp_path, image_size=8)
    draw(tmp_path / "one.png")
    with pytest.raises(DatasetError, match="holds 1 images"):
        load_image_folder(tmp_path, image_size=8)


@pytest.mark.parametrize("change", [{"image_size": 0}, {"image_channels": 4}, {"limit": 1}])
def test_impossible_settings_are_refused(classes: Path, change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        load_image_folder(classes, **{"image_size": 8, **change})
