"""Each zero-cost proxy against a formula of its own, on networks of a few numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasgan.contracts import Supernet
from nasgan.data import ImageSet
from nasgan.errors import ConfigError
from nasgan.evaluation import DerivedPair
from nasgan.evaluation.zero_cost import PROXIES, Half, Inputs, measured
from nasgan.evaluation.zero_cost.measures import (
    conditioning,
    gradient_norm,
    jacobian_correlation,
    ntk_condition,
    ntk_mmd,
    nwot,
    radial_spectrum,
    snip,
    spectrum_distance,
    synflow,
    zico,
)
from nasgan.evaluation.zero_cost.proxies import check_defined
from nasgan.evaluation.zero_cost.untrained import Gradients
from nasgan.networks.spectral_norm import SNConv2d, SNLinear
from nasgan.testing import ToySpace
from nasgan.training.losses import Hinge, RelativisticAverageHinge


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half(network: nn.Module, *inputs: Tensor) -> Half:
    return Half(network.double(), inputs, (None,) * len(inputs))


def perceptron(*between: nn.Module) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 5), *between, nn.Linear(5, 2)).double()


class Generator(nn.Module):
    """Images (N, 1, 4, 4), linear in z."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 16)

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z).view(-1, 1, 4, 4)


class Discriminator(nn.Module):
    """Logits linear in the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


@pytest.fixture
def pair() -> Supernet:
    torch.manual_seed(2)
    return Supernet(Generator(), Discriminator()).double()


@pytest.fixture
def inputs() -> Inputs:
    pixels = torch.randint(256, (40, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    images = ImageSet("noise", pixels.to(torch.uint8))
    return Inputs.drawn(images, latent_dim=3, batch_size=6, batches=2, seed=4)


def test_sizes_are_those_of_the_layers(pair: Supernet, inputs: Inputs) -> None:
    found = measured(pair, inputs, Hinge())
    assert (found["parameters_g"], found["parameters_d"]) == (3 * 16 + 16, 16 + 1)
    assert (found["macs_g"], found["macs_d"]) == (3 * 16, 16)


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.LeakyReLU(0.2), nn.PReLU(), nn.ReLU(True)])
def test_nwot_counts_the_units_that_are_alike(rectifier: nn.Module) -> None:
    x, network = random(4, 3), perceptron(rectifier)
    on = (network[0](x) > 0).numpy()
    alike = [[sum(a == b for a, b in zip(p, q, strict=True)) for q in on] for p in on]
    expected = math.log(abs(np.linalg.det(np.array(alike, dtype=float))))
    assert nwot(half(network, x)) == pytest.approx(expected, rel=1e-12)


def test_nwot_adds_up_over_the_rectifiers() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 6), nn.LeakyReLU()).double()
    x = random(4, 3)
    on = torch.cat([network[:1](x) > 0, network[:3](x) > 0], dim=1).numpy()
    alike = (on[:, None, :] == on[None, :, :]).sum(axis=2).astype(float)
    assert nwot(half(network, x)) == pytest.approx(np.linalg.slogdet(alike)[1], rel=1e-12)


def test_nwot_has_no_value_without_a_rectifier() -> None:
    assert math.isnan(nwot(half(perceptron(nn.Tanh()), random(4, 3))))


def test_the_jacobian_correlation_is_that_of_the_slopes() -> None:
    x, network = random(4, 3), perceptron(nn.ReLU())
    first, second = network[0].weight.detach().numpy(), network[2].weight.detach().numpy()
    on = (network[0](x) > 0).numpy()
    slopes = [second.sum(axis=0) * row @ first for row in on]
    values = np.linalg.eigvalsh(np.corrcoef(slopes))
    expected = -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in values)
    assert jacobian_correlation(half(network, x)) == pytest.approx(expected, rel=1e-6)


def test_slopes_of_nothing_have_no_correlation() -> None:
    network = perceptron(nn.ReLU())
    nn.init.zeros_(network[2].weight)
    assert math.isnan(jacobian_correlation(half(network, random(4, 3))))


def flow(*weights: Tensor) -> float:
    """The sum over all paths of the product of the absolute weights."""
    x = np.ones(weights[0].shape[1])
    for weight in weights:
        x = np.abs(weight.detach().numpy()) @ x
    return float(x.sum())


def bare(*between: nn.Module) -> nn.Sequential:
    network = perceptron(*between)
    for layer in (network[0], network[-1]):
        layer.bias = None
    return network


@pytest.mark.parametrize(
    "between",
    [
        (nn.ReLU(),),
        (nn.BatchNorm1d(5, affine=False), nn.ReLU()),
        (nn.LayerNorm(5, elementwise_affine=False), nn.ReLU()),
        (nn.ReLU(), nn.Tanh()),
    ],
    ids=["plain", "batch norm", "layer norm", "tanh"],
)
def test_synflow_is_the_flow_through_each_layer(between: tuple[nn.Module, ...]) -> None:
    network = bare(*between)
    # theta dR/dtheta of a layer without a bias is R itself: R is linear in it.
    expected = math.log(2 * flow(network[0].weight, network[-1].weight))
    found = synflow(half(network.eval(), random(4, 3)))
    assert found == pytest.approx(expected, rel=1e-12)


def test_synflow_of_spectrally_normalised_layers_is_that_of_their_weights() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        SNConv2d(1, 2, 1, bias=False), nn.ReLU(), nn.Flatten(), SNLinear(8, 1, bias=False)
    ).double()
    kernel, last = (network[k].weight_orig.detach() for k in (0, 3))
    spread = torch.kron(kernel.view(2, 1), torch.eye(4, dtype=torch.float64))
    expected = math.log(2 * flow(spread, last))
    assert synflow(half(network.eval(), random(2, 1, 2, 2))) == pytest.approx(expected, rel=1e-12)


def test_synflow_counts_biases() -> None:
    network = perceptron(nn.ReLU())
    values = [p.detach().abs().numpy() for p in network.parameters()]
    first, shift, second, last = values
    inside = first @ np.ones(3)
    # By the product rule: W1 and b1 flow through W2, W2 takes all of what it reads, b2 is itself.
    total = (second @ inside).sum() + (second @ shift).sum()
    total += (second @ (inside + shift)).sum() + last.sum()
    assert synflow(half(network, random(4, 3))) == pytest.approx(math.log(total), rel=1e-12)


def test_synflow_leaves_deep_networks_finite() -> None:
    layers = [nn.Linear(64, 64) for _ in range(60)]
    for layer in layers:
        nn.init.constant_(layer.weight, 4.0)
    assert synflow(half(nn.Sequential(*layers), random(2, 64))) > 200


def hinge_gradients(pair: Supernet, inputs: Inputs) -> dict[str, np.ndarray]:
    """Of both players' hinge losses on the first batch, by hand."""
    a, shift = (p.detach().numpy() for p in pair.generator.parameters())
    w, b = (p.detach().numpy() for p in pair.discriminator.parameters())
    z, real = inputs.z[0].numpy(), inputs.real[0].flatten(1).numpy()
    fake = z @ a.T + shift
    on_real, on_fake = ((x @ w.T + b)[:, 0] for x in (real, fake))
    pulled, pushed = -1.0 * (on_real < 1) / len(real), (on_fake > -1) / len(fake)
    return {
        "a": -np.outer(w[0], z.mean(axis=0)),
        "shift": -w[0],
        "w": pulled @ real + pushed @ fake,
        "b": pulled.sum() + pushed.sum(),
    }


def test_snip_and_the_gradient_norm_are_of_each_players_loss(
    pair: Supernet, inputs: Inputs
) -> None:
    own = hinge_gradients(pair, inputs)
    found = measured(pair, inputs, Hinge())
    a, shift = (p.detach().numpy() for p in pair.generator.parameters())
    w, b = (p.detach().numpy() for p in pair.discriminator.parameters())
    norm = np.linalg.norm
    assert found["gradient_norm_g"] == pytest.approx(norm(own["a"]) + norm(own["shift"]))
    assert found["gradient_norm_d"] == pytest.approx(norm(own["w"]) + abs(own["b"]))
    generator = np.abs(a * own["a"]).sum() + np.abs(shift * own["shift"]).sum()
    discriminator = np.abs(w * own["w"]).sum() + np.abs(b * own["b"]).sum()
    assert found["snip_g"] == pytest.approx(generator)
    assert found["snip_d"] == pytest.approx(discriminator)


def test_a_loss_that_looks_at_real_images_gets_some(pair: Supernet, inputs: Inputs) -> None:
    hinge = measured(pair, inputs, Hinge(), ["snip_g"])
    relative = measured(pair, inputs, RelativisticAverageHinge(), ["snip_g"])
    assert relative["snip_g"] > 0
    assert relative["snip_g"] != hinge["snip_g"]


def test_snip_and_norm_add_up_over_parameters() -> None:
    values, slopes = (random(2, 3), random(3, seed=1)), (random(2, 3, seed=2), random(3, seed=3))
    gradients = Gradients(values, (slopes,))
    pairs = [(v.numpy(), g.numpy()) for v, g in zip(values, slopes, strict=True)]
    assert snip(gradients) == pytest.approx(sum(np.abs(v * g).sum() for v, g in pairs))
    assert gradient_norm(gradients) == pytest.approx(sum(np.sqrt((g**2).sum()) for _, g in pairs))


def test_zico_is_of_weights_whose_gradient_varies() -> None:
    batches = tuple(
        (random(2, 3, seed=k), random(3, seed=10 + k), random(4, 2, seed=20 + k)) for k in range(3)
    )
    for _, _, steady in batches:
        steady[0] = 5.0  # the same in each batch: no spread
    found = zico(Gradients(batches[0], batches))
    expected = 0.0
    for layer in (0, 2):  # the second is a bias
        slopes = np.stack([batch[layer].numpy() for batch in batches])
        spread = slopes.std(axis=0)
        varies = spread > 0
        expected += math.log((np.abs(slopes).mean(axis=0)[varies] / spread[varies]).sum())
    assert found == pytest.approx(expected, rel=1e-12)


def test_conditioning_is_the_spread_of_how_far_a_step_moves_the_images() -> None:
    generator, z = Generator().double(), random(6, 3)
    directions = torch.nn.functional.normalize(random(6, 3, seed=1), dim=1)
    matrix = generator.linear.weight.detach().numpy()
    moved = [np.linalg.norm(matrix @ d) for d in directions.numpy()]
    expected = np.std(np.log(moved), ddof=1)
    assert conditioning(half(generator, z), directions) == pytest.approx(expected, rel=1e-9)


def test_conditioning_is_nothing_where_all_steps_move_alike() -> None:
    generator = Generator().double()
    with torch.no_grad():
        generator.linear.weight.copy_(torch.eye(16, 3) * 7)
    directions = torch.nn.functional.normalize(random(6, 3, seed=1), dim=1)
    assert conditioning(half(generator, random(6, 3)), directions) == pytest.approx(0, abs=1e-9)


def spectrum_by_sums(images: np.ndarray) -> np.ndarray:
    """By the definition of the Fourier transform, frequency by frequency."""
    side = images.shape[-1]
    rings: dict[int, list[float]] = {}
    rows, columns = np.mgrid[:side, :side]
    for u in range(-side // 2, side // 2):
        for v in range(-side // 2, side // 2):
            wave = np.exp(-2j * np.pi * (u * rows + v * columns) / side)
            power = np.mean([abs((image * wave).sum()) ** 2 for image in images])
            rings.setdefault(round(math.hypot(u, v)), []).append(power)
    found = np.array([np.mean(rings[r]) for r in range(1, side // 2 + 1)])
    return found / found.sum()


def test_the_spectrum_is_the_mean_power_by_distance_of_the_frequency() -> None:
    images = random(3, 1, 8, 8)
    expected = spectrum_by_sums(images[:, 0].numpy())
    assert radial_spectrum(images).numpy() == pytest.approx(expected, rel=1e-10)


def test_the_distance_of_spectra_is_of_their_logarithms_and_blind_to_contrast() -> None:
    generated, real = random(3, 1, 8, 8), random(5, 1, 8, 8, seed=1).cumsum(dim=3)
    logs = [np.log(spectrum_by_sums(x[:, 0].numpy())) for x in (generated, real)]
    expected = math.sqrt(((logs[0] - logs[1]) ** 2).mean())
    assert spectrum_distance(generated, real) == pytest.approx(expected, rel=1e-10)
    assert spectrum_distance(0.01 * generated + 0.3, real) == pytest.approx(expected, rel=1e-8)


def test_the_kernel_of_a_linear_discriminator_is_the_inner_product(
    pair: Supernet, inputs: Inputs
) -> None:
    found = measured(pair, inputs, Hinge())
    real = inputs.real[0].flatten(1).numpy()
    fake = pair.generator(inputs.z[0]).detach().flatten(1).numpy()
    rows = np.concatenate([real, fake])
    kernel = rows @ rows.T + 1  # by w the gradient is the image, by b it is 1
    n = len(real)
    mmd = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
    assert found["ntk_mmd_d"] == pytest.approx(mmd, rel=1e-9)
    values = np.linalg.eigvalsh(kernel)
    expected = math.log10(values[-1] / max(values[0], values[-1] * np.finfo(float).eps))
    assert found["ntk_condition_d"] == pytest.approx(expected, rel=1e-3)


def test_a_singular_kernel_is_as_ill_conditioned_as_can_be_told() -> None:
    rows = random(2, 5)
    twice = torch.cat([rows, rows[:1]])
    assert ntk_condition(twice, random(1, 5, seed=1)) == pytest.approx(15.65, abs=0.01)
    assert ntk_mmd(rows, rows) == 0


@pytest.mark.parametrize("classes", [0, 3])
def test_all_proxies_of_a_real_pair_repeat_and_leave_it_alone(classes: int) -> None:
    space = ToySpace(num_classes=classes, spectral_norm=True)
    pair = DerivedPair(space, next(space.enumerate()), seed=0, initialisation="xavier_uniform")
    pixels = torch.randint(256, (20, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % classes if classes else None
    images = ImageSet("noise", pixels.to(torch.uint8), labels)
    drawn = Inputs.drawn(images, latent_dim=4, num_classes=classes, batch_size=5, batches=2, seed=1)
    before = {name: value.clone() for name, value in pair.state_dict().items()}
    found = measured(pair, drawn, Hinge())
    assert tuple(found) == tuple(PROXIES)
    assert all(math.isfinite(value) for value in found.values())
    assert measured(pair, drawn, Hinge()) == found
    after = pair.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_inputs_are_different_images_and_the_same_for_a_seed() -> None:
    pixels = torch.arange(12).view(12, 1, 1, 1).expand(12, 1, 4, 4).contiguous().to(torch.uint8)
    images = ImageSet("grey", pixels)

    def draw(seed: int) -> Inputs:
        return Inputs.drawn(images, latent_dim=3, batch_size=6, batches=2, seed=seed)

    drawn = draw(0)
    greys = torch.cat(drawn.real)[:, 0, 0, 0]
    assert len(greys.unique()) == 12
    assert all(torch.equal(a, b) for a, b in zip(drawn.z, draw(0).z, strict=True))
    assert not torch.equal(drawn.z[0], draw(1).z[0])
    assert drawn.directions.norm(dim=1).numpy() == pytest.approx(1)


class Normalised(ToySpace):
    """Its networks' weights are made by torch's own spectral norm."""

    name = "normalised"

    def build_discriminator(self, architecture: Any) -> nn.Module:
        network = super().build_discriminator(architecture)
        network.end = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 1))
        return network


class Smooth(ToySpace):
    """A generator without rectifiers."""

    name = "smooth"

    def build_generator(self, architecture: Any) -> nn.Module:
        return Generator()


class Fixed(ToySpace):
    """A discriminator that nothing is learnt in."""

    name = "fixed"

    def build_discriminator(self, architecture: Any) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.AvgPool1d(16), nn.ReLU())


@pytest.mark.parametrize(
    ("space", "proxy", "reason"),
    [
        (Smooth(latent_dim=3), "nwot_g", "the generator has no rectifier"),
        (Normalised(latent_dim=3), "synflow_d", "makes its weights by torch's parametrizations"),
        (Fixed(latent_dim=3), "zico_d", "the discriminator has no parameters"),
        (Fixed(latent_dim=3), "ntk_mmd_d", "the discriminator has no parameters"),
    ],
)
def test_a_proxy_that_networks_do_not_have_is_refused_by_name(
    inputs: Inputs, space: ToySpace, proxy: str, reason: str
) -> None:
    architecture = next(space.enumerate())
    with pytest.raises(ConfigError, match=rf"evaluator\.proxies: {proxy} is not .*{reason}"):
        check_defined([proxy], space, architecture, inputs, Hinge())
    check_defined(["macs_g", "jacobian_d"], space, architecture, inputs, Hinge())


def test_images_without_frequencies_have_no_spectrum(inputs: Inputs) -> None:
    tiny = Inputs(
        tuple(x[..., :2, :2] for x in inputs.real),
        inputs.z,
        inputs.directions,
        inputs.real_labels,
        inputs.labels,
    )
    space = ToySpace(latent_dim=3, image_size=2)
    with pytest.raises(ConfigError, match=r"spectrum_g is not .*images of 2 pixels"):
        check_defined(["spectrum_g"], space, next(space.enumerate()), tiny, Hinge())
