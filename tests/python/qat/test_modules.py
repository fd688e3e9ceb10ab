"""Layers with fake-quantized weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smidgen.passes.fold_batch_norm import folded_layer, statistics_factor
from smidgen.passes.operators import ConvBatchNorm2d
from smidgen.qat.modules import QATConv2d, QATConvBatchNorm2d, QATLinear
from smidgen.qat.rounding import round_weight


def _conv_batch_norm(*, bias: bool = True, groups: int = 1) -> ConvBatchNorm2d:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6 if groups == 1 else 4, 3, padding=1, bias=bias, groups=groups)
    batch_norm = nn.BatchNorm2d(conv.out_channels)
    with torch.no_grad():
        batch_norm.weight.uniform_(-2, 2)
        batch_norm.bias.uniform_(-1, 1)
        assert batch_norm.running_mean is not None
        assert batch_norm.running_var is not None
        batch_norm.running_mean.uniform_(-1, 1)
        batch_norm.running_var.uniform_(0.2, 2)
    return ConvBatchNorm2d(conv, batch_norm)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 4], ids=["dense", "depthwise"])
def test_eval_equals_the_folded_convolution(bias: bool, groups: int) -> None:
    fused = _conv_batch_norm(bias=bias, groups=groups)
    module = QATConvBatchNorm2d(fused).eval()
    folded = folded_layer(fused.conv, fused.batch_norm)
    with torch.no_grad():
        folded.weight.copy_(round_weight(folded.weight))
        x = torch.randn(3, 4, 8, 8)
        assert torch.equal(module(x), folded(x))
        assert torch.equal(
            module.folded().weight, folded_layer(fused.conv, fused.batch_norm).weight
        )


def test_training_normalizes_by_the_batch() -> None:
    fused = _conv_batch_norm()
    module = QATConvBatchNorm2d(fused).train()
    before = fused.batch_norm.running_mean
    assert before is not None
    before = before.clone()
    y = module(torch.randn(16, 4, 8, 8))
    mean, std = y.mean(dim=(0, 2, 3)), y.std(dim=(0, 2, 3))
    assert torch.allclose(mean, fused.batch_norm.bias, atol=1e-4)
    assert torch.allclose(std, fused.batch_norm.weight.abs(), rtol=1e-2)
    assert not torch.equal(before, fused.batch_norm.running_mean)


def test_training_is_near_float_training() -> None:
    fused = _conv_batch_norm()
    x = torch.randn(16, 4, 8, 8)
    expected = fused.batch_norm(fused.conv(x))
    found = QATConvBatchNorm2d(fused).train()(x)
    assert float((found - expected).detach().abs().max()) < 0.1


def test_training_rounds_the_folded_weights() -> None:
    fused = _conv_batch_norm()
    x = torch.randn(16, 4, 8, 8)
    factor = statistics_factor(fused.batch_norm).reshape(-1, 1, 1, 1)
    rounded = round_weight(fused.conv.weight * factor)
    scaled = nn.functional.conv2d(x, rounded, padding=1) / factor.reshape(1, -1, 1, 1)
    assert fused.conv.bias is not None
    expected = fused.batch_norm(scaled + fused.conv.bias.reshape(1, -1, 1, 1))
    assert torch.allclose(QATConvBatchNorm2d(fused).train()(x), expected, atol=1e-5)


def test_channel_with_gamma_zero_is_its_bias() -> None:
    fused = _conv_batch_norm()
    with torch.no_grad():
        fused.batch_norm.weight[0] = 0.0
    module = QATConvBatchNorm2d(fused).train()
    y = module(torch.randn(4, 4, 8, 8))
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert torch.equal(y[:, 0], fused.batch_norm.bias[0].expand_as(y[:, 0]))
    assert fused.conv.weight.grad is not None
    assert torch.isfinite(fused.conv.weight.grad).all()


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_gradients_reach_weights_and_batch_norm(mode: bool) -> None:
    fused = _conv_batch_norm()
    module = QATConvBatchNorm2d(fused).train(mode)
    module(torch.randn(4, 4, 8, 8)).square().sum().backward()
    for parameter in (fused.conv.weight, fused.batch_norm.weight, fused.batch_norm.bias):
        assert parameter.grad is not None
        assert float(parameter.grad.abs().sum()) > 0


def test_plain_layers_use_quantized_weights() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(2, 3, 3, stride=2), nn.Linear(5, 4)
    x, z = torch.randn(2, 2, 9, 9), torch.randn(2, 5)
    found_conv, found_linear = QATConv2d(conv)(x), QATLinear(linear)(z)
    with torch.no_grad():
        conv.weight.copy_(round_weight(conv.weight))
        linear.weight.copy_(round_weight(linear.weight))
    assert torch.equal(found_conv, conv(x))
    assert torch.equal(found_linear, linear(z))
