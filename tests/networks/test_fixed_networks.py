"""The SNGAN and DCGAN pairs: sizes, structure, cost; initial values by the published rule."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nasgan.errors import ConfigError, UnknownNameError
from nasgan.networks.autogan_discriminator import AutoGANDiscriminator
from nasgan.networks.cost import count_macs, count_parameters
from nasgan.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from nasgan.networks.initialise import initialise
from nasgan.networks.resampling import set_published_order
from nasgan.networks.sizes import bottom_and_doublings
from nasgan.networks.sngan import SNGANDiscriminator, SNGANGenerator
from nasgan.networks.spectral_norm import SNConv2d

PAIRS = [(SNGANGenerator, SNGANDiscriminator), (DCGANGenerator, DCGANDiscriminator)]


@pytest.mark.parametrize(("generator", "discriminator"), PAIRS)
@pytest.mark.parametrize("image_size", [16, 28, 32, 48, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_pairs_fit_together_at_every_size(generator, discriminator, image_size, channels):
    sizes = {"image_size": image_size, "image_channels": channels, "channels": 8}
    images = generator(latent_dim=5, **sizes)(torch.randn(2, 5))
    assert images.shape == (2, channels, image_size, image_size)
    assert images.abs().max() <= 1
    for spectral_norm in (True, False):
        logits = discriminator(spectral_norm=spectral_norm, **sizes)(images)
        assert logits.shape == (2, 1)


def test_sngan_at_32_px_is_the_papers():
    """Three blocks of 256; the discriminator is the one that AutoGAN took over."""
    generator, width = SNGANGenerator(image_size=32), 256
    block = 2 * (9 * width**2 + width) + 4 * width + (width**2 + width)
    ends = 129 * 16 * width + 2 * width + 27 * width + 3
    assert count_parameters(generator) == 3 * block + ends
    theirs, ours = AutoGANDiscriminator(image_size=32), SNGANDiscriminator(image_size=32)
    assert count_parameters(ours) == count_parameters(theirs)
    values = theirs.state_dict()
    for k in range(4):
        prefix = f"blocks.{k}."
        ours.blocks[k].load_state_dict(theirs.get_submodule(f"block{k + 1}").state_dict())
        assert any(name.startswith(prefix) for name in ours.state_dict())
    ours.linear.load_state_dict({n[7:]: v for n, v in values.items() if n.startswith("linear.")})
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_sngan_equals_its_published_order_exactly():
    generator = SNGANGenerator(image_size=64, channels=4, latent_dim=3).double().eval()
    z = torch.randn(2, 3, dtype=torch.float64)
    found = generator(z)
    set_published_order(generator)
    torch.testing.assert_close(found, generator(z), rtol=0, atol=1e-13)


def test_dcgan_widths_halve_towards_the_image():
    generator = DCGANGenerator(image_size=64, channels=64)
    widths = [conv.weight.shape[:2] for conv in generator.convs]
    assert widths == [(64, 32), (32, 16), (16, 8), (8, 3)]
    plain = DCGANDiscriminator(image_size=32, channels=32, spectral_norm=False)
    normalised = DCGANDiscriminator(image_size=32, channels=32, spectral_norm=True)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in plain.modules()) == 2
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in normalised.modules())
    assert sum(isinstance(layer, SNConv2d) for layer in normalised.modules()) == 3


@pytest.mark.parametrize(
    ("size", "split"), [(8, (4, 1)), (28, (7, 2)), (32, (4, 3)), (48, (6, 3)), (64, (4, 4))]
)
def test_sizes_split_into_bottom_and_doublings(size, split):
    assert bottom_and_doublings(size) == split


@pytest.mark.parametrize(("size", "nearest"), [(30, "28 and 32"), (7, "are 8"), (33, "32 and 40")])
def test_impossible_sizes_name_the_nearest(size, nearest):
    with pytest.raises(ConfigError, match=nearest):
        bottom_and_doublings(size)


def test_counting_leaves_the_network_alone():
    network = SNGANDiscriminator(image_size=16, channels=4).train()
    before = copy.deepcopy(network.state_dict())
    macs = count_macs(network, torch.empty(1, 3, 16, 16))
    assert count_macs(network, torch.empty(2, 3, 16, 16)) == 2 * macs
    assert network.training
    assert not any(getattr(m, "published_order", False) for m in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_counting_agrees_with_arithmetic():
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Flatten(), nn.Linear(5 * 64, 7))
    assert count_macs(network, torch.empty(1, 3, 8, 8)) == 27 * 5 * 64 + 5 * 64 * 7


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(64, 64, 3)
        self.normalised = SNConv2d(64, 64, 3)
        self.transposed = nn.ConvTranspose2d(64, 64, 2)
        self.linear = nn.Linear(64, 64)
        self.norm = nn.BatchNorm2d(4096)


def initialised(scheme, **options):
    network = Mixed()
    before = copy.deepcopy(network.state_dict())
    initialise(network, scheme, generator=torch.Generator().manual_seed(0), **options)
    after = network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    return network, changed


def test_initialisation_reaches_convolutions_and_batch_norm_only():
    network, changed = initialised("xavier_uniform")
    assert changed == {"conv.weight", "norm.weight"}
    bound = (6 / (64 * 9 * 2)) ** 0.5
    assert network.conv.weight.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert network.norm.weight.mean().item() == pytest.approx(1, abs=2e-3)
    assert network.norm.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_spectrally_normalised_convolutions_follow_on_request():
    network, changed = initialised("normal", include_spectral_norm=True)
    assert changed >= {"normalised.weight_orig", "normalised.weight_u", "normalised.weight_v"}
    assert network.normalised.weight_orig.std().item() == pytest.approx(0.02, rel=0.05)
    assert network.conv.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_other_schemes():
    network, _ = initialised("orthogonal")
    rows = network.conv.weight.flatten(1)
    torch.testing.assert_close(rows @ rows.t(), torch.eye(64), atol=1e-5, rtol=0)
    assert initialised("default")[1] == set()
    with pytest.raises(UnknownNameError, match="xavier_uniform"):
        initialise(Mixed(), "xavier")
