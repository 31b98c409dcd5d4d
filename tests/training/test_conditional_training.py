"""Class-conditional pairs get the labels that belong to their images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

CLASSES = 3


class ConditionalGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Embedding(CLASSES, 4)
        self.layer = nn.Linear(4, 16)
        self.seen: list[torch.Tensor] = []

    def forward(self, z, *, labels):
        self.seen.append(labels)
        return torch.tanh(self.layer(z + self.classes(labels))).reshape(-1, 1, 4, 4)


class ProjectionDiscriminator(nn.Module):
    """After Miyato and Koyama 2018."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)
        self.classes = nn.Embedding(CLASSES, 4)
        self.end = nn.Linear(4, 1)
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, x, *, labels):
        self.seen.append((x.detach(), labels))
        h = torch.tanh(self.layer(x.flatten(1)))
        return self.end(h) + (h * self.classes(labels)).sum(1, keepdim=True)


class ConditionalPair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator = ConditionalGenerator()
        self.discriminator = ProjectionDiscriminator()


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("loss", ["hinge", "wasserstein_gp"])
def test_labels_reach_both_networks_with_their_images(make_trainer, tiny, joint, loss):
    pair = ConditionalPair()
    settings = tiny(joint_discriminator_pass=joint, loss=loss, n_critic=1, gradient_penalty=1.0)
    trainer = make_trainer(settings, pair=pair, num_classes=CLASSES)
    for _ in range(3):
        pair.generator.seen.clear()
        pair.discriminator.seen.clear()
        trainer.iteration()
        images, labels = pair.discriminator.seen[0]
        # The data's brightness tells the class: 0, 100 or 200 of 255, and up to 40 more.
        brightness = (images[:4].flatten(1).mean(1) + 1) * 127.5
        assert torch.equal((brightness / 100).floor().long(), labels[:4])
        fake_labels = labels[4:] if joint else pair.discriminator.seen[1][1]
        assert torch.equal(fake_labels, pair.generator.seen[0])
        assert torch.equal(pair.discriminator.seen[-1][1], pair.generator.seen[1])
        assert len(pair.generator.seen[1]) == settings.generator_batch_size


def test_joint_and_separate_passes_agree_with_classes(make_trainer, tiny):
    found = []
    for joint in (True, False):
        pair = ConditionalPair().double()
        settings = tiny(joint_discriminator_pass=joint, lr_generator=0.01, lr_discriminator=0.01)
        trainer = make_trainer(settings, pair=pair, num_classes=CLASSES)
        for _ in range(3):
            trainer.iteration()
        found.append(list(pair.state_dict().values()))
    torch.testing.assert_close(*found, rtol=0, atol=1e-9)


def test_generated_classes_are_drawn_uniformly(make_trainer, tiny):
    pair = ConditionalPair()
    trainer = make_trainer(tiny(), pair=pair, num_classes=CLASSES)
    for _ in range(40):
        trainer.iteration()
    counts = torch.bincount(torch.cat(pair.generator.seen))
    assert len(counts) == CLASSES
    assert counts.min() > 0.7 * counts.float().mean()


def test_an_unconditional_pair_on_labelled_data_sees_no_labels(make_trainer, tiny):
    make_trainer(tiny()).iteration()
