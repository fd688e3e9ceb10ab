"""Batch norm of the tokens of all samples, which models join for it: [N, k, C] as [N * k, C]."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.calibration import calibrate
from smidgen.convert import convert_graph
from smidgen.errors import UnsupportedOperatorError
from smidgen.float_model import FloatModel
from smidgen.formats.onnx_export import export_float_onnx
from smidgen.formats.pt2 import read_pt2
from smidgen.graph.build import build_graph
from smidgen.graph.modules import LastAxisBatchNorm
from smidgen.passes import fuse_for_inference
from smidgen.program import interpret
from smidgen.verification import check_parity, sqnr_db
from tests.python.formats.onnx_import.models import run_onnxruntime
from tests.python.formats.pt2_files import export

ImportModel = Callable[..., FloatModel]
TOKENS, CHANNELS = 6, 8


class _Tokens(nn.Module):
    """A batch norm with a linear layer before it, and one behind a function."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(CHANNELS, 12, bias=False)
        self.norm = nn.BatchNorm1d(12)
        self.lone_norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, 4)
        for norm in (self.norm, self.lone_norm):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        x = torch.tanh(self.norm(x.flatten(0, 1)).reshape_as(x))
        return self.head(self.lone_norm(x.flatten(0, 1)).view(-1, TOKENS, 12))


@pytest.fixture
def network() -> _Tokens:
    torch.manual_seed(0)
    return _Tokens()


def _samples(count: int = 5) -> torch.Tensor:
    return torch.randn(count, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(1))


def test_training_takes_the_statistics_of_all_tokens(network: _Tokens, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", network.eval(), _samples(2))
    graph = build_graph(read_pt2(path)).train()
    network.train()

    torch.testing.assert_close(graph(_samples()), network(_samples()))

    expected = {name: value for name, value in network.state_dict().items() if "running" in name}
    buffers = dict(graph.named_buffers())
    found = [value for name, value in buffers.items() if "running" in name]
    assert len(found) == len(expected) == 4
    for value in expected.values():
        assert any(torch.allclose(value, other) for other in found if other.shape == value.shape)
    torch.testing.assert_close(graph.eval()(_samples()), network.eval()(_samples()))


def test_a_linear_layer_takes_the_norm_behind_it(
    network: _Tokens, import_model: ImportModel
) -> None:
    model = import_model(network, (TOKENS, CHANNELS))
    name = model.exported.inputs[0].name
    fused = fuse_for_inference(model.graph)

    left = [part for part in fused.modules() if isinstance(part, LastAxisBatchNorm)]
    assert len(left) == 1
    torch.testing.assert_close(fused(_samples()), model.graph(_samples()), rtol=1e-5, atol=1e-5)

    x = _samples(64).numpy()
    program = convert_graph(
        fused,
        calibrate(model, [{name: x}]).ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )
    with torch.no_grad():
        expected = model.graph(torch.from_numpy(x)).numpy()
    measured = sqnr_db(expected, interpret(program, {name: x})[program.outputs[0]])
    assert measured is not None
    assert measured > 35
    assert check_parity(program, {name: x[:3]}).max_difference == 0


def test_onnxruntime_computes_the_exported_norm(network: _Tokens, tmp_path: Path) -> None:
    network.eval()
    model = read_pt2(export(tmp_path / "m.pt2", network, _samples(2)))
    (found,) = run_onnxruntime(export_float_onnx(model), {model.inputs[0].name: _samples().numpy()})

    with torch.no_grad():
        np.testing.assert_allclose(found, network(_samples()), rtol=1e-4, atol=1e-5)


class _Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalizes [N * k, C, H, W]."""
        return self.norm(x.flatten(0, 1)).view(-1, 3, 4, 5, 5)


def test_joined_images_are_refused(tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", _Images().eval(), torch.zeros(2, 3, 4, 5, 5))

    with pytest.raises(
        UnsupportedOperatorError,
        match="samples that are joined with another",
    ):
        read_pt2(path)
