"""DiffAugment: every change against pixels set one by one; gradients; resumption."""

from __future__ import annotations

import pytest
import torch

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.training import TrainerSettings
from nasgan.training.augmentation import DiffAugment


def _images(count: int = 6, side: int = 8) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.rand((count, 3, side, side), generator=source, dtype=torch.float64) * 2 - 1


def _noise(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_colours_follow_the_formula():
    images = _images()
    made = DiffAugment(policy=["color"])(images, _noise())
    source = _noise()
    brightness, saturation, contrast = (
        torch.rand((6, 1, 1, 1), generator=source, dtype=torch.float64).flatten().tolist()
        for _ in range(3)
    )
    for n, image in enumerate(images):
        lighter = image + brightness[n] - 0.5
        grey = sum(lighter[c] for c in range(3)) / 3
        vivid = torch.stack([grey + 2 * saturation[n] * (lighter[c] - grey) for c in range(3)])
        level = vivid.sum() / vivid.numel()
        expected = level + (0.5 + contrast[n]) * (vivid - level)
        torch.testing.assert_close(made[n], expected, rtol=1e-12, atol=1e-12)


def _shifts(before: torch.Tensor, after: torch.Tensor) -> set[tuple[int, int]]:
    """By which shifts, filled with zeros, ``before`` (C, H, W) becomes ``after``."""
    side = before.shape[-1]
    found = set()
    for down in range(-side, side + 1):
        for right in range(-side, side + 1):
            moved = torch.zeros_like(before)
            for i in range(side):
                for j in range(side):
                    if 0 <= i + down < side and 0 <= j + right < side:
                        moved[:, i, j] = before[:, i + down, j + right]
            if torch.equal(moved, after):
                found.add((down, right))
    return found


def test_translations_reach_an_eighth_of_the_side_in_both_directions():
    images = _images(40)
    made = DiffAugment(policy=["translation"])(images, _noise())
    shifts = [_shifts(before, after) for before, after in zip(images, made, strict=True)]
    assert all(len(each) == 1 for each in shifts)
    assert set().union(*shifts) == {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}


def test_a_square_of_half_the_side_is_cut_out():
    images = _images(60)
    made = DiffAugment(policy=["cutout"])(images, _noise())
    sizes = set()
    for before, after in zip(images, made, strict=True):
        hidden = (after == 0).all(dim=0)
        assert torch.equal(after, before * ~hidden)
        rows, columns = hidden.any(1).nonzero().flatten(), hidden.any(0).nonzero().flatten()
        assert hidden.sum() == len(rows) * len(columns)
        sizes |= {len(rows), len(columns)}
    # Whole inside the image, or cut off by its border down to half of it.
    assert sizes == {2, 3, 4}


def test_gradients_flow_to_the_images():
    images = _images(2, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: DiffAugment()(x, _noise()), (images,))


def test_the_numbers_come_from_the_generator_alone():
    images = _images()
    first = DiffAugment()(images, _noise(3))
    torch.rand(7)
    assert torch.equal(first, DiffAugment()(images, _noise(3)))
    assert not torch.equal(first, DiffAugment()(images, _noise(4)))


def test_wrong_settings_are_refused():
    with pytest.raises(
        ConfigError, match=r"policy takes color, translation, cutout, got \['blur'\]"
    ):
        TrainerSettings(augmentation="diffaugment", augmentation_settings={"policy": ["blur"]})
    with pytest.raises(ConfigError, match=r"cutout must be in \[0, 1\], got 2"):
        DiffAugment(cutout=2)
    with pytest.raises(
        UnknownNameError, match=r"unknown trainer\.augmentation 'difaugment'\. Did you mean"
    ):
        TrainerSettings(augmentation="difaugment")


def test_both_kinds_of_images_are_augmented_in_both_networks_steps(make_trainer, tiny, monkeypatch):
    seen = []
    monkeypatch.setattr(
        DiffAugment, "__call__", lambda _self, images, _noise: seen.append(len(images)) or images
    )
    settings = tiny(augmentation="diffaugment", n_critic=2)
    make_trainer(settings).iteration()
    critic, generator = settings.discriminator_batch_size, settings.generator_batch_size
    assert seen == [critic, critic, generator, critic, critic]


def test_a_training_with_augmentation_resumes_exactly(make_trainer, tiny):
    settings = tiny(augmentation="diffaugment")
    whole, parted = make_trainer(settings), make_trainer(settings)
    for _ in range(2):
        parted.iteration()
    resumed = make_trainer(settings)
    resumed.load_state_dict(parted.state_dict())
    for _ in range(4):
        whole.iteration()
    for _ in range(2):
        resumed.iteration()
    for name, value in whole.generator.state_dict().items():
        assert torch.equal(value, resumed.generator.state_dict()[name]), name


def test_without_augmentation_the_checkpoint_is_as_before(make_trainer, tiny):
    assert "augmentation" not in make_trainer(tiny()).state_dict()
