"""All tensors of a module are kept as they are, and given back to it alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from smidgen.profile import ActivationRange
from smidgen.qat.learned_step import LearnedStep
from smidgen.qat.live_state import live_state, restore_live_state


def _net() -> nn.Module:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), LearnedStep(ActivationRange(-1.0, 3.0)))
    net.append(net[0])  # shared
    return net


def test_a_learned_step_keeps_where_it_started_and_how_far_it_came() -> None:
    net, other = _net(), _net()
    with torch.no_grad():
        for number, tensor in enumerate(net.parameters()):
            tensor.fill_(0.25 * number)
    kept = {name: tensor.detach().clone() for name, tensor in live_state(net).items()}
    assert "3.weight" not in kept
    restore_live_state(other, kept)
    for name, tensor in live_state(other).items():
        torch.testing.assert_close(tensor, kept[name], rtol=0, atol=0)
    assert other[2].growth.item() == net[2].growth.item() != 0.0
    assert other[2].ends.tolist() == net[2].ends.tolist()
    assert other[0].weight is other[3].weight


@pytest.mark.parametrize("change", ["name", "shape", "dtype", "missing"])
def test_tensors_of_another_module_are_refused(change: str) -> None:
    kept = dict(live_state(_net()))
    bias = kept.pop("0.bias")
    if change != "missing":
        name = "0.b" if change == "name" else "0.bias"
        kept[name] = {"shape": bias[:1], "dtype": bias.double()}.get(change, bias)
    with pytest.raises(ValueError, match="another module"):
        restore_live_state(_net(), kept)
