"""What inspection says of files of each format."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import smidgen
from smidgen.artifact import save_artifact
from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.float_model import load_model
from smidgen.formats.onnx_export import export_float_onnx, export_onnx
from smidgen.formats.pt2 import read_pt2
from smidgen.inspection import FileFacts, Placement, inspect_file
from smidgen.pipeline import plan
from smidgen.program import Add, Dequantize, DType, Program, Quantize, TensorInfo
from tests.python.formats.pt2_files import export
from tests.python.graph.networks import NETWORKS, randomize
from tests.python.graph.transformers import export_encoder


class Small(nn.Module):
    """Layers that become steps, and parts that become none."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 16, 3)
        self.drop = nn.Dropout()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(image)))
        return self.drop(torch.softmax(self.fc(torch.flatten(x, 1)), 1))


class RoundedUp(nn.Module):
    """Has a pool that cannot be converted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = F.avg_pool2d(torch.relu(self.conv(image)), 3, 2, ceil_mode=True)
        return F.layer_norm(pooled, (2,))


@pytest.fixture(scope="module")
def pt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "small.pt2"
    return export(path, Small().eval(), torch.zeros(2, 1, 4, 4))


def placements(found: FileFacts) -> dict[str, Placement | None]:
    return {layer.op: layer.placement for layer in found.layers}


def test_a_float_model(pt2: Path) -> None:
    found = inspect_file(pt2)
    assert found.format == "pt2"
    assert found.sha256 == hashlib.sha256(pt2.read_bytes()).hexdigest()
    assert found.size_bytes == pt2.stat().st_size
    assert [(spec.name, spec.shape) for spec in found.inputs] == [("image", (None, 1, 4, 4))]
    assert [spec.shape for spec in found.outputs] == [(None, 3)]
    assert found.operators == dict.fromkeys(
        ["conv2d", "batch_norm", "relu", "flatten", "linear", "softmax", "dropout"], 1
    )
    assert (found.parameter_count, found.parameter_bytes) == (36 + 8 + 195, 4 * (36 + 8 + 195))
    assert found.multiplications == 4 * 16 * 9 + 3 * 64
    conv = found.layers[0]
    assert (conv.name, conv.module_path, conv.dtype) == ("v0", "conv", "float32")
    assert (conv.shape, conv.parameter_count, conv.parameter_bytes) == ((None, 4, 4, 4), 36, 144)
    assert conv.multiplications == 4 * 16 * 9
    assert conv.source.startswith("test_inspect_file.py:")


def test_each_layer_says_whether_it_is_quantized_and_why_not(pt2: Path) -> None:
    assert placements(inspect_file(pt2)) == {
        "conv2d": Placement(True),
        "batch_norm": Placement(False, "FOLDED", "part of v0"),
        "relu": Placement(False, "FUSED", "part of v0"),
        "flatten": Placement(True),
        "linear": Placement(True),
        "softmax": Placement(False, "FLOAT", "softmax has no integer step"),
        "dropout": Placement(False, "REMOVED"),
    }


def test_onnx_says_the_same_as_pt2(pt2: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    path.write_bytes(export_float_onnx(read_pt2(pt2)).SerializeToString())
    expected, found = inspect_file(pt2), inspect_file(path)
    assert found.format == "onnx"
    assert (found.inputs, found.outputs) == (expected.inputs, expected.outputs)
    assert found.multiplications == expected.multiplications
    kept = {op: how for op, how in placements(expected).items() if op != "dropout"}
    assert placements(found) == kept


def test_an_artifact(pt2: Path, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(size=(16, 1, 4, 4)).astype(np.float32)
    program = smidgen.quantize(pt2, samples).program
    path = tmp_path / "small.smidgen"
    digest = save_artifact(program, path)
    found = inspect_file(path)
    assert (found.format, found.sha256) == ("artifact", digest)
    assert found.lineage["model_sha256"] == hashlib.sha256(pt2.read_bytes()).hexdigest()
    assert found.multiplications == 4 * 16 * 9 + 3 * 64
    assert found.operators == dict.fromkeys(
        ["Quantize", "Conv2d", "Reshape", "Linear", "Softmax"], 1
    )
    conv = next(layer for layer in found.layers if layer.op == "Conv2d")
    # int8 weights, and for each of the 4 channels a float32 scale and an int32 bias
    assert (conv.parameter_count, conv.parameter_bytes) == (36 + 8, 36 + 4 * 8)
    assert conv.placement == Placement(True)
    softmax = next(layer for layer in found.layers if layer.op == "Softmax")
    assert softmax.placement == Placement(False, "FLOAT")
    constants = program.constants.values()
    assert found.parameter_bytes == sum(value.nbytes for value in constants)


def test_what_keeps_a_model_from_being_converted_is_told(tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", RoundedUp().eval(), torch.zeros(2, 1, 4, 4))
    found = placements(inspect_file(path))
    assert found["average_pool"] == Placement(
        False, "UNSUPPORTED", "an average pool rounds its extent up; set ceil_mode=False"
    )
    assert found["conv2d"] == Placement(True)
    assert found["layer_norm"] == Placement(False, "FLOAT", "layer_norm has no integer step")
    with pytest.raises(UnsupportedOperatorError, match="average pool rounds"):
        plan(load_model(path))


def test_parts_of_attention_belong_to_its_step(tmp_path: Path) -> None:
    found = inspect_file(export_encoder(tmp_path / "m.pt2"))
    layers = {layer.name: layer for layer in found.layers}
    for layer in found.layers:
        if layer.op == "scaled_dot_product_attention":
            assert layer.placement is not None
            assert layer.placement.reason == "FUSED"
            step = layers[layer.placement.detail.removeprefix("part of ")]
            assert step.placement == Placement(True)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_foreseen_is_what_the_plan_says(name: str, tmp_path: Path) -> None:
    net, shape = NETWORKS[name]
    path = export(tmp_path / "m.pt2", randomize(net()).eval(), torch.zeros(2, *shape))
    planned = {node.node: node.is_quantized for node in plan(load_model(path)).nodes}
    found = {
        layer.name: layer.placement.is_quantized
        for layer in inspect_file(path).layers
        if layer.placement is not None
    }
    assert found == planned


def test_without_torch_nothing_is_foreseen(pt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = inspect_file(pt2)
    assert set(placements(found).values()) == {None}
    assert found.multiplications == 4 * 16 * 9 + 3 * 64


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(InvalidModelError) as caught:
        inspect_file(tmp_path / "weights.bin")
    assert caught.value.reason == "MODEL_FORMAT_UNKNOWN"


def test_the_document_has_what_the_facts_have(pt2: Path) -> None:
    found = inspect_file(pt2)
    document = found.to_dict()
    assert document["multiplications"] == found.multiplications
    assert document["operators"]["conv2d"] == 1
    assert document["layers"][1]["placement"]["reason"] == "FOLDED"


def test_a_quantized_onnx_file_shows_the_steps_that_it_becomes(tmp_path: Path) -> None:
    tensors = {
        "x": TensorInfo("x", DType.FLOAT32, (None, 8)),
        "z": TensorInfo("z", DType.FLOAT32, (None, 8)),
        "r": TensorInfo("r", DType.UINT8, (None, 8), 0.25, 9),
        "q": TensorInfo("q", DType.UINT8, (None, 8), 0.5, 3),
        "s": TensorInfo("s", DType.UINT8, (None, 8), 0.75, 7),
        "y": TensorInfo("y", DType.FLOAT32, (None, 8)),
    }
    steps = (Quantize("x", "q"), Quantize("z", "r"), Add("q", "r", "s"), Dequantize("s", "y"))
    path = tmp_path / "quantized.onnx"
    path.write_bytes(
        export_onnx(Program(("x", "z"), ("y",), tensors, steps, {})).SerializeToString()
    )

    found = inspect_file(path)

    assert found.format == "quantized_onnx"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [spec.name for spec in (*found.inputs, *found.outputs)] == ["x", "z", "y"]
    kinds = [layer.op for layer in found.layers]
    assert sorted(kinds) == ["Add", "Dequantize", "Quantize", "Quantize"]
    assert [kinds[-2], kinds[-1]] == ["Add", "Dequantize"]
    assert all(layer.placement == Placement(True, "") for layer in found.layers)
