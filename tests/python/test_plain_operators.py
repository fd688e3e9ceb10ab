"""Operators without an integer step, or with one only at times, between convolutions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from smidgen.calibration import calibrate
from smidgen.convert import convert_graph
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.program import Dequantize, Lookup, Program, Quantize, interpret
from smidgen.qat.prepare import finish_qat, prepare_qat
from smidgen.verification import check_parity, sqnr_db

ImportModel = Callable[..., FloatModel]
Function = Callable[..., torch.Tensor]


class _Between(nn.Module):
    """A convolution, an operator and another convolution."""

    def __init__(self, function: Function, channels: int, part: nn.Module | None) -> None:
        super().__init__()
        self.before = nn.Conv2d(3, 8, 3, padding=1)
        self.function = function
        self.part = part
        self.after = nn.Conv2d(channels, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        y = self.function(x) if self.part is None else self.function(x, self.part)
        return self.after(y)


def _attention(x: torch.Tensor) -> torch.Tensor:
    rows = x.flatten(2).transpose(1, 2)
    scores = torch.softmax(rows @ rows.transpose(1, 2) / 4.0, dim=-1)
    return (scores @ rows).transpose(1, 2).reshape(x.shape)


def _spatial_gate(x: torch.Tensor) -> torch.Tensor:
    pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
    return x * torch.sigmoid(pooled.sum(1, keepdim=True))


def _unpooled(x: torch.Tensor) -> torch.Tensor:
    return F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)


def _manual_norm(x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean((2, 3), keepdim=True)
    return centred * torch.rsqrt(centred.square().mean((2, 3), keepdim=True) + 1e-3)


def _call(x: torch.Tensor, part: nn.Module) -> torch.Tensor:
    y: torch.Tensor = part(x)
    return y


def _last(x: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    y: torch.Tensor = norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return y


PLAIN: dict[str, tuple[Function, int, Callable[[], nn.Module] | None]] = {
    "attention": (_attention, 8, None),
    "spatial gate": (_spatial_gate, 8, None),
    "manual norm": (_manual_norm, 8, None),
    "group norm": (_call, 8, lambda: nn.GroupNorm(2, 8)),
    "instance norm": (_call, 8, lambda: nn.InstanceNorm2d(8)),
    "layer norm over channels": (_last, 8, lambda: nn.LayerNorm(8)),
    "slopes": (_call, 8, lambda: nn.PReLU(8)),
    "softmax": (lambda x: torch.softmax(x, 1), 8, None),
    "log softmax": (lambda x: torch.log_softmax(x, 1), 8, None),
    "quotient": (lambda x: x / (1 + x.abs()), 8, None),
    "extremes": (lambda x: torch.maximum(torch.minimum(x, x.mean((2, 3), True)), -x), 8, None),
    "broadcast sum": (lambda x: x + x[:, :1], 8, None),
    "padding by a number": (lambda x: F.pad(x, (1, 1, 1, 1), value=0.3), 8, None),
}
INTEGER: dict[str, tuple[Function, int]] = {
    "pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), 2),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), 32),
    "channel shuffle": (lambda x: torch.channel_shuffle(x, 4), 8),
    "split and join": (lambda x: torch.cat(list(x.chunk(2, 1))[::-1], 1), 8),
    "slice": (lambda x: x[:, :, ::2, 1:], 8),
    "padding": (lambda x: F.pad(x, (1, 0, 2, 1)), 8),
    "transposition": (lambda x: x.transpose(2, 3), 8),
    "adaptive max pool": (lambda x: F.adaptive_max_pool2d(x, 2), 8),
}
TABLES: dict[str, Function] = {
    "mish": F.mish,
    "softplus": F.softplus,
    "abs": torch.abs,
    "exp": torch.exp,
    "line": lambda x: (0.5 - x) * 3 / 7 + 1,
    "power": lambda x: x**3,
    "positive root": lambda x: torch.sqrt(x.clamp(min=0.0)),
}


def _convert(model: FloatModel, x: np.ndarray) -> Program:
    name = model.exported.inputs[0].name
    profile = calibrate(model, [{name: x}])
    return convert_graph(
        fuse_for_inference(model.graph),
        profile.ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )


def _samples() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32)


def _assert_near(program: Program, model: FloatModel, *, sqnr: float) -> None:
    x = _samples()
    found = interpret(program, {program.inputs[0]: x})[program.outputs[0]]
    with torch.no_grad():
        expected = model.graph(torch.from_numpy(x)).numpy()
    measured = sqnr_db(expected, found)
    assert measured is not None
    assert measured > sqnr
    assert check_parity(program, {program.inputs[0]: x[:3]}).max_difference == 0


@pytest.mark.parametrize("name", PLAIN)
def test_plain_operators_are_an_island(import_model: ImportModel, name: str) -> None:
    torch.manual_seed(0)
    function, channels, make = PLAIN[name]
    model = import_model(_Between(function, channels, make() if make else None), (3, 8, 8))
    program = _convert(model, _samples())
    kinds = [type(step) for step in program.steps]
    # The input, and what the last convolution reads; nothing in between.
    assert kinds.count(Quantize) == 2
    _assert_near(program, model, sqnr=28)


def test_an_unpool_is_an_island(import_model: ImportModel) -> None:
    torch.manual_seed(0)
    model = import_model(_Between(_unpooled, 8, None), (3, 8, 8))
    program = _convert(model, _samples())
    assert [type(step) for step in program.steps].count(Quantize) == 2
    # Elements that rounding makes equal move within their window, which is a loss of its own.
    _assert_near(program, model, sqnr=24)


@pytest.mark.parametrize("name", INTEGER)
def test_what_moves_values_stays_in_integers(import_model: ImportModel, name: str) -> None:
    torch.manual_seed(0)
    model = import_model(_Between(*INTEGER[name], None), (3, 8, 8))
    program = _convert(model, _samples())
    kinds = [type(step) for step in program.steps]
    assert kinds.count(Quantize) == kinds.count(Dequantize) == 1
    _assert_near(program, model, sqnr=32)


@pytest.mark.parametrize("name", TABLES)
def test_functions_of_one_number_are_tables(import_model: ImportModel, name: str) -> None:
    torch.manual_seed(0)
    model = import_model(_Between(TABLES[name], 8, None), (3, 8, 8))
    program = _convert(model, _samples())
    kinds = [type(step) for step in program.steps]
    assert kinds.count(Quantize) == kinds.count(Dequantize) == 1
    assert Lookup in kinds
    _assert_near(program, model, sqnr=25)


@pytest.mark.parametrize("name", ["group norm", "slopes", "attention"])
def test_islands_are_trained(import_model: ImportModel, name: str) -> None:
    torch.manual_seed(0)
    function, channels, make = PLAIN[name]
    model = import_model(_Between(function, channels, make() if make else None), (3, 8, 8))
    x = _samples()
    profile = calibrate(model, [{model.exported.inputs[0].name: x}])
    prepared = prepare_qat(model.graph, profile.ranges).train()
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.05)
    inputs = torch.from_numpy(x)
    losses = []
    for _ in range(4):
        loss = prepared(inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in prepared.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    graph, ranges = finish_qat(prepared.eval())
    program = convert_graph(
        graph, ranges, inputs=model.exported.inputs, outputs=model.exported.outputs
    )
    found = interpret(program, {program.inputs[0]: x})[program.outputs[0]]
    with torch.no_grad():
        expected = prepared(inputs).numpy()
    # A simulation that has the very bytes of the program has no noise, and no ratio to it.
    noise = np.square(found - expected).sum()
    assert noise < np.square(expected).sum() * 10**-3.5
