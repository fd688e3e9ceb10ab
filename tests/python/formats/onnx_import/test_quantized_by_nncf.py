"""Models that NNCF has quantized run in the engine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from smidgen.engine import Engine, available_isas
from smidgen.formats.onnx_import import read_quantized_onnx
from smidgen.program import Conv2d, Linear, interpret
from tests.python.formats.onnx_import.quantized_files import Net, run_onnxruntime

IMAGE = (3, 12, 12)
HAS_NNCF = importlib.util.find_spec("nncf") is not None
HAS_EXACT_INT8 = bool({"avxvnni", "avx512vnni"} & set(available_isas()))

# In a process of its own, as nncf patches what it imports and warns of much.
QUANTIZE = """
import sys
import nncf, numpy as np, onnx
rng = np.random.default_rng(1)
samples = [{"x": rng.normal(size=(1, 3, 12, 12)).astype(np.float32)} for _ in range(4)]
preset = nncf.QuantizationPreset(sys.argv[3])
model = nncf.quantize(
    onnx.load(sys.argv[1]), nncf.Dataset(samples), subset_size=4, preset=preset
)
onnx.save(model, sys.argv[2])
"""


def net() -> onnx.ModelProto:
    """Convolutions, a residual sum, a concatenation, and a function that NNCF leaves in floats."""
    graph = Net(*IMAGE)
    trunk = graph.node("Relu", graph.conv("x", 3, 16))
    branch = graph.conv(graph.node("Relu", graph.conv(trunk, 16, 16, group=16)), 16, 16, 1)
    x = graph.node("Relu", graph.node("Add", trunk, branch))
    x = graph.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = graph.node("Concat", x, graph.conv(x, 16, 8), axis=1)
    x = graph.node("GlobalAveragePool", graph.node("HardSwish", graph.conv(x, 24, 16)))
    model = graph.model(graph.gemm(graph.node("Flatten", x), 16, 10))
    shape = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 10])
    model.graph.output[0].CopyFrom(shape)
    return model


@pytest.mark.skipif(not HAS_NNCF, reason="nncf is not installed")
@pytest.mark.skipif(not HAS_EXACT_INT8, reason="ONNX Runtime is not exact on this CPU")
@pytest.mark.parametrize("preset", ["performance", "mixed"])
def test_a_net_that_nncf_has_quantized(preset: str, tmp_path: Path) -> None:
    source, target = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    onnx.save(net(), source)
    command = [sys.executable, "-c", QUANTIZE, str(source), str(target), preset]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    program = read_quantized_onnx(target)
    assert sum(isinstance(step, Conv2d) for step in program.steps) == 4
    assert sum(isinstance(step, Linear) for step in program.steps) == 2
    x = np.random.default_rng(5).normal(size=(8, *IMAGE)).astype(np.float32)
    found, expected = Engine(program).run({"x": x})["y"], interpret(program, {"x": x})["y"]
    assert found.tobytes() == expected.tobytes()
    # NNCF leaves biases in floats, which the engine rounds to the scale of their products.
    theirs = run_onnxruntime(target, x)
    assert np.abs(found - theirs).max() <= 0.005 * np.abs(theirs).max()
