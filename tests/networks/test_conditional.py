"""Class-conditional layers against formulas written down independently, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nasgan.errors import ConfigError
from nasgan.networks.conditional import (
    ConditionalBatchNorm2d,
    JoinedLatent,
    ProjectionHead,
    SNEmbedding,
    apply_norm,
    make_norm,
)

LABELS = torch.tensor([2, 0, 1, 2, 0])


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_by_class(training: bool) -> None:
    layer = ConditionalBatchNorm2d(4, 3).double().train(training)
    x = 3 * draw(5, 4, 6, 6) + 1
    with torch.no_grad():
        layer.gain.copy_(draw(3, 4))
        layer.bias.copy_(draw(4, 3).t())
        layer.norm.running_mean.copy_(draw(4))
        layer.norm.running_var.copy_(draw(4).square() + 0.5)
    mean = x.mean((0, 2, 3)) if training else layer.norm.running_mean.clone()
    variance = x.var((0, 2, 3), correction=0) if training else layer.norm.running_var.clone()
    plain = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    expected = torch.stack(
        [
            plain[k] * layer.gain[y][:, None, None] + layer.bias[y][:, None, None]
            for k, y in enumerate(LABELS.tolist())
        ]
    )
    torch.testing.assert_close(layer(x, LABELS), expected, rtol=1e-10, atol=1e-10)


def test_it_starts_as_plain_batch_norm() -> None:
    x = draw(5, 4, 6, 6)
    plain = F.batch_norm(x, None, None, training=True)
    conditional = make_norm("batch", 4, num_classes=3).double()
    torch.testing.assert_close(apply_norm(conditional, x, LABELS), plain)
    for name in ("none", "instance"):
        assert not list(make_norm(name, 4, num_classes=3).parameters())


@pytest.mark.parametrize("bias", [True, False])
def test_the_projection_adds_the_inner_product(bias: bool) -> None:
    head = ProjectionHead(7, 3, spectral_norm=False, bias=bias).double()
    h = draw(5, 7)
    offset = head.linear.bias if bias else 0.0
    expected = h @ head.linear.weight[0] + offset
    expected = expected + (head.projection.embedding.weight[LABELS] * h).sum(1)
    torch.testing.assert_close(head(h, LABELS)[:, 0], expected)


def test_the_embedding_is_divided_by_its_largest_singular_value() -> None:
    layer = SNEmbedding(4, 6).double().train()
    weight = layer.weight_orig.detach().clone()
    labels = torch.tensor([3, 1])
    for _ in range(200):
        layer(labels)
    rows = layer.eval()(labels)
    expected = weight[labels] / torch.linalg.svdvals(weight)[0]
    torch.testing.assert_close(rows, expected, rtol=1e-8, atol=1e-10)


def test_the_class_is_joined_to_the_latent() -> None:
    layer = JoinedLatent(5, 3).double()
    z = draw(5, 5)
    joined = layer(z, LABELS)
    assert joined.shape == (5, layer.out_features) == (5, 10)
    assert torch.equal(joined[:, :5], z)
    assert torch.equal(joined[:, 5:], layer.embedding.weight[LABELS])
    plain = JoinedLatent(5, 0)
    assert plain.out_features == 5
    assert plain(z, None) is z
    assert not list(plain.parameters())


def test_labels_are_checked() -> None:
    layer = JoinedLatent(5, 3).double()
    with pytest.raises(ConfigError, match="pass labels="):
        layer(draw(5, 5), None)
    with pytest.raises(ConfigError, match="int64"):
        layer(draw(5, 5), LABELS.float())
