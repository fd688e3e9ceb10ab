"""Random weights keep the size of activations, and batch norms have the statistics of a batch."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.coverage.random_weights import randomize
from tests.benchmarks.coverage.small_nets import Net


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def test_equal_seeds_give_equal_nets() -> None:
    nets = [Net(), Net(), Net()]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        randomize(net, (batch(8, 3, 8, 8),), seed)
    first, second, third = (net.state_dict() for net in nets)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["conv.weight"], third["conv.weight"])


def test_batch_norms_normalize_the_batch_that_ran_through_and_keep_their_momentum() -> None:
    net, images = Net(), batch(16, 3, 8, 8)
    randomize(net, (images,))
    with torch.no_grad():
        values = net.conv(images)
    torch.testing.assert_close(net.norm.running_mean, values.mean((0, 2, 3)))
    torch.testing.assert_close(net.norm.running_var, values.var((0, 2, 3)))
    assert net.norm.momentum == 0.1
    assert not any(module.training for module in net.modules())
    assert float(net.norm.weight.detach().min()) >= 0.5
    assert float(net.norm.weight.detach().max()) <= 1.0


def test_a_deep_net_neither_grows_nor_fades() -> None:
    layers = [nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()) for _ in range(20)]
    net, images = nn.Sequential(*layers), batch(4, 64, 12, 12)
    randomize(net, (images,))
    with torch.no_grad():
        size = float(net(images).square().mean().sqrt())
    assert 0.05 < size < 20


def test_tables_and_linear_layers_get_weights_of_their_variance() -> None:
    net = nn.ModuleList([nn.Embedding(200, 50), nn.Linear(400, 100)])
    randomize(net, ())
    table, layer = net[0].weight, net[1].weight
    assert isinstance(table, torch.Tensor)
    assert isinstance(layer, torch.Tensor)
    assert abs(float(table.detach().std()) - 1) < 0.05
    assert abs(float(layer.detach().std()) * 20 - 1) < 0.05
