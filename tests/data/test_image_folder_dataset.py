from __future__ import annotations

import os
from pathlib import Path
from typing import Any

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


def test_test_images_of_one_class_are_said_to_be_of_it(
    classes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / "test" / "dog", 0)
    with caplog.at_level("INFO"):
        load_image_folder(classes, image_size=8, test_path=tmp_path / "test")
        load_image_folder(tmp_path / "test", image_size=8)
    assert f"{tmp_path / 'test'}: 3 images in 1 class (dog: 3)" in caplog.messages
    assert caplog.messages[-1].endswith("3 images, no classes (all lie in the one subfolder dog)")


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


@pytest.mark.parametrize(
    "change",
    [{"image_size": 0}, {"image_channels": 4}, {"limit": 1}, {"background": "no colour"}],
)
def test_impossible_settings_are_refused(classes: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        load_image_folder(classes, **{"image_size": 8, **change})


def fill(folder: Path, first: int, count: int = 3) -> Path:
    for number in range(first, first + count):
        draw(folder / f"{number}.png", number)
    return folder


def test_class_folders_that_are_links_are_classes(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    fill(root / "birds", 0)
    for number, name in enumerate(("cats", "dogs"), start=1):
        elsewhere = fill(tmp_path / "disk" / name, 10 * number)
        (root / name).symlink_to(elsewhere, target_is_directory=True)
    found = load_image_folder(root, image_size=8).train
    assert colours(found.images) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_linked_files_are_read_and_real_ones_come_before_links_to_them(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    fill(root / "zoo", 0)
    (root / "a").symlink_to(root / "zoo", target_is_directory=True)
    (root / "zoo" / "again.png").symlink_to(root / "zoo" / "0.png")
    fill(root / "pets", 10)
    blob = draw(tmp_path / "blobs" / "f1d2.png", 77).rename(tmp_path / "blobs" / "f1d2")
    (root / "pets" / "far.png").symlink_to(blob)
    found = load_image_folder(root, image_size=8).train
    assert colours(found.images) == [10, 11, 12, 77, 0, 1, 2]
    assert found.num_classes == 2


def test_links_that_go_round_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "photos"
    fill(root / "cat", 0)
    fill(root / "dog", 10)
    (root / "cat" / "up").symlink_to(root, target_is_directory=True)
    (root / "cat" / "self.png").symlink_to(root / "cat" / "self.png")
    with caplog.at_level("INFO"):
        found = load_image_folder(root, image_size=8).train
    assert colours(found.images) == [0, 1, 2, 10, 11, 12]
    assert "links to what is there already: 1" in caplog.text
    assert "links that lead nowhere: 1" in caplog.text


def test_what_is_found_and_what_is_left_out_is_said_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "photos"
    fill(root / "cat", 0, count=4)
    fill(root / "dog", 10, count=2)
    draw(root / "cat" / "._0.png")
    draw(root / ".thumbnails" / "0.png")
    draw(root / "__MACOSX" / "cat" / "._0.png")
    for name in ("notes.txt", "more.TXT", "README"):
        (root / name).write_text("not an image")
    os.mkfifo(root / "dog" / "pipe.png")
    for number in range(12):
        (root / "dog" / f"{number}.jpg").symlink_to("/mnt/gone")
    (root / "owl").mkdir()
    with caplog.at_level("INFO"):
        load_image_folder(root, image_size=8, limit=3)
    (record,) = [record for record in caplog.records if "images" in record.message]
    assert record.levelname == "WARNING"
    assert record.message == (
        f"{root}: 6 images in 2 classes (cat: 4, dog: 2); dataset.limit keeps 3; left out: links "
        "that lead nowhere: 12, hidden files and folders: 3, files of the type .txt: 2, files "
        "without a type: 1, neither files nor folders: 1; no images in owl"
    )


def test_what_is_left_out_is_said_where_too_few_images_are_found(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(DatasetError, match=r"holds 0 images.*files of the type \.txt: 1"):
        load_image_folder(tmp_path, image_size=8)


def test_a_folder_that_cannot_be_entered_is_an_error(
    classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def locked(path: Path) -> Any:
        if Path(path).name == "puppies":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(DatasetError, match=r"puppies cannot be read \(Permission denied\)"):
        load_image_folder(classes, image_size=8)


@pytest.mark.parametrize("suffix", ["gif", "jfif", "pcx", "tga", "GIF"])
def test_all_that_pillow_decodes_is_read(tmp_path: Path, suffix: str) -> None:
    for number in (0, 1):
        picture = Image.new("L", (8, 8), 100 * number)
        with (tmp_path / f"{number}.{suffix}").open("wb") as stream:
            picture.save(stream, {"jfif": "jpeg"}.get(suffix, suffix.lower()))
    assert colours(load_image_folder(tmp_path, image_size=8).train.images) == [0, 100]


def test_animations_give_their_first_frame(tmp_path: Path) -> None:
    for name in ("a", "b"):
        frames = [Image.new("L", (8, 8), level) for level in (40, 90, 140)]
        frames[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=frames[1:])
    assert colours(load_image_folder(tmp_path, image_size=8).train.images) == [40, 40]


def test_what_would_start_another_program_is_not_opened(tmp_path: Path) -> None:
    for number in (0, 1):
        draw(tmp_path / f"{number}.png")
    Image.new("L", (8, 8)).save(tmp_path / "2.png", "EPS")
    with pytest.raises(DatasetError, match=r"2\.png .*cannot identify image file"):
        load_image_folder(tmp_path, image_size=8)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(
    tmp_path: Path, form: str, orientation: int
) -> None:
    shown = np.zeros((32, 32, 3), dtype=np.uint8)
    shown[:16, :16], shown[:16, 16:], shown[16:, :16] = 240, 160, 80
    # Tag 274: what the first row and the first column of the stored pixels are of the scene.
    stored = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1],
        5: shown.transpose(1, 0, 2), 6: np.rot90(shown), 7: shown[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(shown, 3),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    for name in ("a", "b"):
        picture = Image.fromarray(np.ascontiguousarray(stored))
        picture.save(tmp_path / f"{name}.{form.lower()}", exif=exif)
    found = load_image_folder(tmp_path, image_size=32).train.images[0]
    expected = torch.from_numpy(shown).permute(2, 0, 1)
    assert (found.int() - expected.int()).abs()[:, 4::8, 4::8].max() <= 12


def test_damaged_exif_leaves_a_picture_as_it_is_stored(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("L", (8, 8), 50).save(tmp_path / name, exif=b"Exif\0\0MM\0*\0")
    assert colours(load_image_folder(tmp_path, image_size=8).train.images) == [50, 50]


def transparent(mode: str, path: Path) -> None:
    """Red where it is seen, white where it is hidden (in the left half)."""
    pixels = np.full((8, 8, 4), (200, 0, 0, 255), dtype=np.uint8)
    pixels[:, :4] = (255, 255, 255, 0)
    picture = Image.fromarray(pixels)
    if mode == "P":
        picture.convert("RGB").quantize(4).save(path, transparency=_index_of_white(picture))
    elif mode == "RGB":
        picture.convert("RGB").save(path, transparency=(255, 255, 255))
    else:
        picture.convert(mode).save(path)


def _index_of_white(picture: Image.Image) -> int:
    index = picture.convert("RGB").quantize(4).getpixel((0, 0))
    assert isinstance(index, int)
    return index


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_shows_the_background(tmp_path: Path, mode: str, channels: int) -> None:
    for name in ("a.png", "b.png"):
        transparent(mode, tmp_path / name)
    found = load_image_folder(tmp_path, 8, channels, background="#102030").train.images[0]
    behind = [16, 32, 48] if channels == 3 else [round(0.299 * 16 + 0.587 * 32 + 0.114 * 48)]
    seen = {3: [60] * 3 if mode == "LA" else [200, 0, 0], 1: [60]}[channels]
    assert found[:, 3, 0].tolist() == behind
    assert found[:, 3, 7].tolist() == seen
    white = load_image_folder(tmp_path, 8, channels).train.images[0]
    assert white[:, 3, 0].tolist() == [255] * channels


def test_half_transparent_pixels_are_mixed(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGBA", (8, 8), (200, 100, 0, 51)).save(tmp_path / name)
    found = load_image_folder(tmp_path, 8, background="black").train.images[0, :, 0, 0]
    assert found.tolist() == [40, 20, 0]


def test_opaque_pictures_do_not_depend_on_the_background(classes: Path) -> None:
    sets = [load_image_folder(classes, 8, background=name).train for name in ("red", "white")]
    assert sets[0].checksum == sets[1].checksum


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "TEST", "notes")])
def test_classes_that_are_called_like_parts_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: tuple[str, ...]
) -> None:
    for name in names:
        fill(tmp_path / name, 0)
    assert load_image_folder(tmp_path, image_size=8).train.num_classes == len(names)
    assert any(
        record.levelname == "WARNING" and "set dataset.path to one of them" in record.message
        for record in caplog.records
    )


def test_a_class_called_like_a_part_is_no_reason_to_warn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train", "bus"):
        fill(tmp_path / name, 0)
    load_image_folder(tmp_path, image_size=8)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_test_images_may_lie_without_class_folders(classes: Path, tmp_path: Path) -> None:
    splits = load_image_folder(classes, image_size=8, test_path=fill(tmp_path / "test", 0))
    assert splits.train.num_classes == 2
    assert splits.test is not None
    assert splits.test.labels is None
    draw(tmp_path / "test" / "dog" / "0.png")
    with pytest.raises(DatasetError, match="move them into one subfolder per class"):
        load_image_folder(classes, image_size=8, test_path=tmp_path / "test")


def test_the_folder_one_stands_in_can_be_read(
    classes: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(classes)
    with caplog.at_level("INFO"):
        assert load_image_folder(".", image_size=8).train.name == "pets"
    assert ".: 5 images in 2 classes (cat: 3, dog: 2)" in caplog.messages
