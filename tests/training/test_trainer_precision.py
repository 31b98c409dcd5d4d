"""bf16, memory formats and compilation on the CPU."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

CPU = torch.device("cpu")


def test_auto_is_float32_on_the_cpu(tiny):
    assert tiny().on(CPU).precision == "float32"
    assert tiny(precision="bf16").on(CPU).precision == "bf16"


def test_bf16_runs_on_the_cpu_with_float32_weights(make_trainer, tiny, make_pair):
    pair = make_pair()
    dtypes = []
    pair.discriminator.register_forward_hook(lambda _m, _inputs, y: dtypes.append(y.dtype))
    trainer = make_trainer(tiny(precision="bf16"), pair=pair)
    for _ in range(3):
        losses = trainer.iteration()
    assert set(dtypes) == {torch.bfloat16}
    assert {parameter.dtype for parameter in pair.parameters()} == {torch.float32}
    assert all(loss.dtype == torch.float32 and loss.isfinite().all() for loss in losses)


def test_the_memory_format_does_not_change_the_training(make_trainer, tiny):
    found = []
    for channels_last in (True, False):
        trainer = make_trainer(tiny(channels_last=channels_last))
        for _ in range(3):
            trainer.iteration()
        found.append(trainer.generator.state_dict())
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("c++")), reason="torch.compile needs a C++ compiler"
)
@pytest.mark.parametrize("loss", ["hinge", "wasserstein_gp"])
def test_compiled_networks_train_like_eager_ones(make_trainer, tiny, loss):
    found = []
    for mode in ("off", "default"):
        trainer = make_trainer(tiny(compile=mode, loss=loss))
        losses = [torch.hstack(trainer.iteration()) for _ in range(2)]
        found.append(torch.stack(losses))
        names = set(trainer.state_dict()["generator"])
        assert not any("_orig_mod" in name for name in names)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("norm", "passes"), [(False, 1), (True, 2)])
def test_the_joint_pass_is_taken_only_where_it_is_exact(
    make_trainer, tiny, make_pair, norm, passes
):
    pair = make_pair()
    if norm:
        pair.discriminator.add_module("norm", nn.BatchNorm2d(1))
    seen = []
    pair.discriminator.register_forward_hook(lambda _m, inputs, _y: seen.append(len(inputs[0])))
    trainer = make_trainer(tiny(joint_discriminator_pass=True), pair=pair)
    trainer.discriminator_loss(trainer.real_batch())
    assert seen == [8 // passes] * passes
