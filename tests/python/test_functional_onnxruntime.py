"""ONNX Runtime as a second witness: its operators give the bytes of smidgen.functional."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from smidgen import functional

# Below 7 bits ONNX Runtime is exact even on CPUs where its 16-bit pair sums would saturate.
LARGEST_WEIGHT = 63


def run_node(op: str, inputs: dict[str, np.ndarray], output_type: int, **attributes) -> np.ndarray:
    """Runs one operator; the first input is fed, the others are initializers."""
    feed, *constants = inputs
    node = helper.make_node(op, list(inputs), ["y"], **attributes)
    kind = helper.np_dtype_to_tensor_dtype(inputs[feed].dtype)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(feed, kind, list(inputs[feed].shape))],
        [helper.make_tensor_value_info("y", output_type, None)],
        [numpy_helper.from_array(inputs[name], name) for name in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {feed: inputs[feed]})[0]


@pytest.mark.parametrize("zero_point", [0, 3, 255])
def test_quantize(zero_point: int) -> None:
    rng = np.random.default_rng(zero_point)
    x = np.concatenate([rng.normal(0, 20, 4096), np.arange(-200, 200) * 0.25 + 0.125])
    x = x.astype(np.float32)
    inputs = {"x": x, "s": np.float32(0.25), "z": np.uint8(zero_point)}
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    found = run_node("QuantizeLinear", inputs, TensorProto.UINT8)
    assert found.tolist() == functional.quantize(x, 0.25, zero_point).tolist()


def test_dequantize() -> None:
    x = np.arange(256, dtype=np.uint8)
    inputs = {"x": x, "s": np.asarray(np.float32(0.1)), "z": np.asarray(np.uint8(77))}
    found = run_node("DequantizeLinear", inputs, TensorProto.FLOAT)
    assert found.tolist() == functional.dequantize(x, float(np.float32(0.1)), 77).tolist()


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("zero_points", [(0, 0), (128, 3), (255, 200)])
def test_convolution(groups: int, stride: int, zero_points: tuple[int, int]) -> None:
    rng = np.random.default_rng(groups * 10 + stride)
    x = rng.integers(0, 256, (2, 16, 9, 7), np.uint8)
    weight = rng.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT + 1, (20, 16 // groups, 3, 3), np.int8)
    bias = rng.integers(-9999, 9999, 20, np.int32)
    weight_scales = rng.uniform(0.001, 0.02, 20).astype(np.float32)
    source_scale, target_scale = np.float32(0.02), np.float32(0.11)
    inputs = {
        "x": x,
        "xs": np.asarray(source_scale),
        "xz": np.asarray(np.uint8(zero_points[0])),
        "w": weight,
        "ws": weight_scales,
        "wz": np.zeros(20, np.int8),
        "ys": np.asarray(target_scale),
        "yz": np.asarray(np.uint8(zero_points[1])),
        "b": bias,
    }
    found = run_node(
        "QLinearConv",
        inputs,
        TensorProto.UINT8,
        pads=[1, 1, 0, 1],
        strides=[stride, stride],
        group=groups,
    )
    acc = functional.convolve(
        x,
        zero_points[0],
        weight,
        bias,
        stride=(stride, stride),
        padding=(1, 1, 0, 1),
        dilation=(1, 1),
        groups=groups,
    )
    m = functional.requantize_multipliers(float(source_scale), weight_scales, float(target_scale))
    assert found.tolist() == functional.requantize(acc, m, zero_points[1], 0, 255).tolist()


def test_max_pool() -> None:
    x = np.random.default_rng(5).integers(0, 256, (2, 3, 9, 8), np.uint8)
    found = run_node(
        "MaxPool",
        {"x": x},
        TensorProto.UINT8,
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
    )
    expected = functional.max_pool(
        x, kernel=(3, 3), stride=(2, 2), padding=(1, 1, 1, 1), dilation=(1, 1)
    )
    assert found.tolist() == expected.tolist()
