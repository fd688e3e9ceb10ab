"""What the engine cannot compute of a quantized model is refused, with the reason and places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.onnx_import import read_onnx, read_quantized_onnx
from tests.python.formats.onnx_import.quantized_files import Net, make_model
from tests.python.formats.onnx_import.quantized_layers import (
    INPUTS,
    OUTPUTS,
    W_SCALE,
    X_SCALE,
    Parts,
    default_bias,
    default_weight,
    layer,
)


def refused(parts: Parts, folder: Path, reason: str = "ONNX_UNSUPPORTED_QUANTIZATION") -> str:
    """Returns the message with which a layer is refused for this reason."""
    with pytest.raises(InvalidModelError) as caught:
        read_quantized_onnx(parts.save(folder))
    assert caught.value.reason == reason
    return caught.value.message


@pytest.mark.parametrize(
    ("weight", "zero_point"),
    [
        (np.full((OUTPUTS, INPUTS), 255, np.uint8), np.uint8(100)),
        (np.full((OUTPUTS, INPUTS), 127, np.int8), np.int8(-3)),
        (np.zeros((OUTPUTS, INPUTS), np.uint8), np.uint8(200)),
    ],
)
def test_asymmetric_weights(weight: Any, zero_point: Any, tmp_path: Path) -> None:
    points = np.full(OUTPUTS, zero_point)
    message = refused(layer().with_constants(w_int=weight, w_zero=points), tmp_path)
    assert "'sums' has asymmetric weights" in message
    assert f"{weight.dtype.name} with zero points such as {int(zero_point)}" in message
    assert "expected -127 to 127" in message


def test_the_weight_that_has_no_opposite(tmp_path: Path) -> None:
    weight = default_weight()
    weight[2, 3] = -128
    message = refused(layer().with_constants(w_int=weight), tmp_path)
    assert "has the weight -128" in message


def test_several_scales_for_one_output(tmp_path: Path) -> None:
    scales = np.linspace(0.001, 0.002, INPUTS).astype(np.float32)
    parts = layer().with_constants(w_scale=scales, w_zero=np.zeros(INPUTS, np.int8))
    parts = parts.with_node("w", "DequantizeLinear", "w_int w_scale w_zero", axis=1)
    assert "several scales for one output" in refused(parts, tmp_path)


@pytest.mark.parametrize("limit", [-(2**31), 2**31 - 1])
def test_a_bias_at_the_limits_of_int32_is_refused_with_what_to_do(
    limit: int, tmp_path: Path
) -> None:
    bias = default_bias()
    bias[3] = limit
    message = refused(layer().with_constants(b_int=bias), tmp_path)
    assert "'sums' has sums that can reach" in message
    assert (
        f"in output 3, expected less than 2**31: its bias is {limit} and has saturated" in message
    )
    assert "quantize the model again with a larger scale for this output's weights" in message


def test_a_float_bias_beyond_int32_is_refused_with_what_to_do(tmp_path: Path) -> None:
    parts = layer().with_constants(b=np.full(OUTPUTS, 3e6, np.float32))
    parts = replace(parts, nodes=tuple(node for node in parts.nodes if node.name != "b"))
    message = refused(parts, tmp_path)
    assert "times the scale of its products, expected at most 2**30; quantize the model" in message


def test_weights_of_int32(tmp_path: Path) -> None:
    weight = default_weight().astype(np.int32)
    parts = layer().with_constants(w_int=weight, w_zero=np.zeros(OUTPUTS, np.int32))
    assert "has weights of int32, expected int8" in refused(parts, tmp_path)


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT16", "UINT16"])
def test_other_element_types_of_weights(kind: str, tmp_path: Path) -> None:
    number = TensorProto.DataType.Value(kind)
    count = OUTPUTS * INPUTS
    size = {"INT4": count // 2, "UINT4": count // 2, "INT16": 2 * count, "UINT16": 2 * count}
    raw = bytes(size.get(kind, count))
    tensor = TensorProto(name="w_int", data_type=number, dims=[OUTPUTS, INPUTS], raw_data=raw)
    message = refused(replace(layer(), opset=21).with_constants(w_int=tensor), tmp_path)
    assert f"the tensor 'w_int' has the element type {kind}" in message


def test_values_of_int16_by_the_type_of_the_zero_point(tmp_path: Path) -> None:
    parts = layer().with_constants(x_zero=np.int16(0))
    message = refused(replace(parts, opset=21), tmp_path)
    assert "the tensor 'x_zero' has the element type INT16" in message


@pytest.mark.parametrize("kind", ["INT16", "FLOAT8E4M3FN", "INT4"])
def test_values_of_other_types_by_attribute(kind: str, tmp_path: Path) -> None:
    number = TensorProto.DataType.Value(kind)
    parts = replace(layer(), opset=21).with_node(
        "x_bytes", "QuantizeLinear", "x x_scale", output_dtype=number
    )
    parts = parts.with_node("x_real", "DequantizeLinear", "x_bytes x_scale")
    assert f"quantizes to {kind.lower()}, expected uint8 or int8" in refused(parts, tmp_path)


def test_values_of_int32(tmp_path: Path) -> None:
    parts = layer().with_constants(x_zero=np.int32(0))
    assert "quantizes a computed value to int32" in refused(parts, tmp_path)


@pytest.mark.parametrize("shape", [(OUTPUTS, 3), (1, INPUTS)])
def test_scales_of_blocks(shape: tuple[int, int], tmp_path: Path) -> None:
    scales = np.full(shape, W_SCALE)
    parts = layer().with_constants(w_scale=scales, w_zero=np.zeros(shape, np.int8))
    assert "has scales of 2 axes, as of blocks" in refused(parts, tmp_path)


def test_a_size_of_blocks(tmp_path: Path) -> None:
    parts = replace(layer(), opset=21).with_node(
        "w", "DequantizeLinear", "w_int w_scale w_zero", axis=0, block_size=2
    )
    assert "quantizes in blocks" in refused(parts, tmp_path)


def test_scales_that_are_computed(tmp_path: Path) -> None:
    parts = layer().with_node("x_bytes", "QuantizeLinear", "x x x_zero")
    assert "has a scale that is computed" in refused(parts, tmp_path)


def test_zero_points_that_are_computed(tmp_path: Path) -> None:
    parts = layer().with_node("x_bytes", "QuantizeLinear", "x x_scale x")
    assert "has a zero point that is computed" in refused(parts, tmp_path)


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf, 1e-30, 1e30])
@pytest.mark.parametrize("name", ["x_scale", "y_scale"])
def test_scales_that_are_none(name: str, scale: float, tmp_path: Path) -> None:
    message = refused(layer().with_constants(**{name: np.float32(scale)}), tmp_path)
    assert f"has the scale {np.float32(scale)!s}, expected 2**-60 to 2**60" in message


def test_one_bad_scale_among_those_of_the_outputs(tmp_path: Path) -> None:
    scales = np.array(layer().constants["w_scale"])
    scales[3] = np.nan
    assert "has the scale nan" in refused(layer().with_constants(w_scale=scales), tmp_path)


def test_scales_of_integers(tmp_path: Path) -> None:
    parts = layer().with_constants(x_scale=np.int64(1))
    assert "has scales of type int64" in refused(parts, tmp_path)


def test_scales_of_channels_for_a_computed_value(tmp_path: Path) -> None:
    scales = np.full(INPUTS, X_SCALE)
    parts = layer().with_constants(x_scale=scales, x_zero=np.full(INPUTS, 7, np.uint8))
    assert f"quantizes a computed value by {INPUTS} scales" in refused(parts, tmp_path)


def test_other_numbers_of_scales_and_zero_points(tmp_path: Path) -> None:
    parts = layer().with_constants(w_zero=np.zeros(OUTPUTS - 1, np.int8))
    assert f"has {OUTPUTS} scales and {OUTPUTS - 1} zero points" in refused(parts, tmp_path)
    scales = np.full(OUTPUTS - 1, W_SCALE)
    parts = parts.with_constants(w_scale=scales)
    message = refused(parts, tmp_path)
    assert f"has {OUTPUTS - 1} scales for an axis of {OUTPUTS}" in message


def test_no_scale(tmp_path: Path) -> None:
    parts = layer().with_node("x_bytes", "QuantizeLinear", "x")
    assert "has no scale" in refused(parts, tmp_path)


def test_bytes_dequantized_as_of_another_type(tmp_path: Path) -> None:
    parts = layer().with_constants(signed=np.int8(0))
    parts = parts.with_node("x_real", "DequantizeLinear", "x_bytes x_scale signed")
    assert "another element type" in refused(parts, tmp_path)


def test_weights_dequantized_as_of_another_type(tmp_path: Path) -> None:
    parts = layer().with_constants(w_zero=np.zeros(OUTPUTS, np.uint8))
    assert "reads int8 with parameters of uint8" in refused(parts, tmp_path)


def test_a_bias_that_leaves_int32(tmp_path: Path) -> None:
    parts = layer().with_constants(b_real=np.full(OUTPUTS, 1e9, np.float32))
    message = refused(parts.with_node("sums", "Gemm", "x_real w b_real", transB=1), tmp_path)
    assert "has a bias of" in message


def test_sums_that_leave_int32(tmp_path: Path) -> None:
    parts = layer().with_constants(b_int=np.full(OUTPUTS, 2**31 - 5, np.int32))
    message = refused(parts, tmp_path)
    assert "'sums' has sums that can reach" in message
    assert f"its bias is {2**31 - 5}; quantize the model again with a larger scale" in message


def test_multipliers_that_are_no_normal_numbers(tmp_path: Path) -> None:
    tiny = np.float32(2.0**-59)
    parts = layer().with_constants(
        x_scale=tiny, w_scale=np.full(OUTPUTS, tiny), b_scale=np.full(OUTPUTS, tiny * tiny),
        y_scale=np.float32(2.0**59),
    )  # fmt: skip
    assert "multiplier is not a normal float32" in refused(parts, tmp_path)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    net = Net(3, 8, 8)
    ends = (net.constant(X_SCALE), net.constant(np.uint8(128)))
    x = net.node("DequantizeLinear", net.node("QuantizeLinear", "x", *ends), *ends)
    factors = [net.constant(np.full(3, value, np.float32)) for value in (2.0, 0.5)]
    first = net.node("InstanceNormalization", x, *factors)
    second = net.node("InstanceNormalization", first, *factors)
    third = net.node("InstanceNormalization", second, *factors)
    path = tmp_path / "net.onnx"
    onnx.save(net.model(third), path)
    with pytest.raises(InvalidModelError) as caught:
        read_quantized_onnx(path)
    assert caught.value.reason == "ONNX_UNSUPPORTED_QUANTIZATION"
    for name in (first, second, third):
        assert f"{name!r}" in caught.value.message


def with_weights_made_by_quantization(weight: Any, **constants: Any) -> Parts:
    """Returns a layer whose weights QuantizeLinear makes of these."""
    parts = layer().with_constants(w_real=weight, **constants)
    nodes = parts.with_node("w_made", "QuantizeLinear", "w_real w_scale w_zero", axis=0).nodes
    ordered = replace(parts, nodes=(nodes[-1], *nodes[:-1]))
    return ordered.with_node("w", "DequantizeLinear", "w_made w_scale w_zero", axis=0)


def test_weights_that_are_quantized_from_no_numbers(tmp_path: Path) -> None:
    weight = np.full((OUTPUTS, INPUTS), np.nan, np.float32)
    message = refused(with_weights_made_by_quantization(weight), tmp_path)
    assert "quantizes a constant with NaN or infinite elements" in message


def test_weights_that_are_quantized_to_int32(tmp_path: Path) -> None:
    weight = np.ones((OUTPUTS, INPUTS), np.float32)
    parts = with_weights_made_by_quantization(weight, w_zero=np.zeros(OUTPUTS, np.int32))
    assert "quantizes a constant to int32" in refused(parts, tmp_path)


def test_weights_that_are_quantized_from_integers(tmp_path: Path) -> None:
    parts = with_weights_made_by_quantization(np.ones((OUTPUTS, INPUTS), np.int64))
    with pytest.raises(UnsupportedOperatorError, match="its use on other than floats"):
        read_quantized_onnx(parts.save(tmp_path))


@pytest.mark.parametrize(
    ("bias", "found"),
    [
        (np.zeros(2, np.int64), "has a bias of int64, expected int32"),
        (np.zeros((1, 2), np.int32), "has a bias of int32, expected int32"),
        (np.zeros(3, np.int32), "has 3 biases and 2 scales"),
    ],
)
def test_the_bias_of_an_operator_on_integers(bias: Any, found: str, tmp_path: Path) -> None:
    net = Net(3, 4, 4)
    ends = (net.constant(X_SCALE), net.constant(np.uint8(128)))
    weight = [
        net.constant(values)
        for values in (
            np.ones((2, 3, 1, 1), np.int8), np.full(2, W_SCALE), np.zeros(2, np.int8)
        )
    ]  # fmt: skip
    x = net.node("QuantizeLinear", "x", *ends)
    y = net.node("QLinearConv", x, *ends, *weight, *ends, net.constant(bias))
    assert found in refused_net(net, net.node("DequantizeLinear", y, *ends), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        ("Transpose", {"perm": [0, 0]}), ("Reshape", {}), ("Squeeze", {}), ("Identity", {}),
    ],
)  # fmt: skip
def test_integers_that_are_moved_by_other_operators_are_no_weights(
    change: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    operator, attributes = change
    parts = layer().with_constants(w_raw=default_weight(), shape=np.array([7, 7], np.int64))
    inputs = "w_raw shape" if operator == "Reshape" else "w_raw"
    nodes = parts.with_node("w_int2", operator, inputs, **attributes).nodes
    parts = replace(parts, nodes=(nodes[-1], *nodes[:-1]))
    parts = parts.with_node("w", "DequantizeLinear", "w_int2 w_scale w_zero", axis=0)
    if operator == "Identity":
        assert len(read_quantized_onnx(parts.save(tmp_path)).steps) == 3
        return
    with pytest.raises((InvalidModelError, UnsupportedOperatorError)) as caught:
        read_quantized_onnx(parts.save(tmp_path))
    assert operator in caught.value.message or "int64" in caught.value.message


def test_rows_of_integers_without_scales(tmp_path: Path) -> None:
    net = Net(4)
    indices = net.node("Cast", net.node("Abs", "x"), to=7)
    rows = net.node("Gather", net.constant(np.ones((5, 3), np.int8)), indices)
    floats = net.node("Cast", rows, to=1)
    for factor in (net.constant(np.float32(2)), net.node("Abs", "x")):
        message = refused_net(net, net.node("Mul", floats, factor), tmp_path)
        assert "rows of integers without a scale each" in message


def refused_net(net: Net, output: str, folder: Path) -> str:
    """Returns the message with which a net is refused."""
    path = folder / "net.onnx"
    onnx.save(net.model(output), path)
    with pytest.raises((InvalidModelError, UnsupportedOperatorError)) as caught:
        read_quantized_onnx(path)
    return str(caught.value.message)


def test_more_values_wanted_as_bytes_than_a_program_has_steps(tmp_path: Path) -> None:
    net, x = Net(4, 4), "x"
    for _ in range(130):
        x = net.node("Transpose", x, perm=[0, 2, 1])
    parts = []
    for index in range(130):
        ends = (net.constant(np.float32(0.1 + index / 1000)), net.constant(np.uint8(128)))
        parts.append(net.node("DequantizeLinear", net.node("QuantizeLinear", x, *ends), *ends))
    message = refused_net(net, net.node("Concat", *parts, axis=1), tmp_path)
    assert "more than 16384 values are wanted as bytes" in message


def test_one_constant_dequantized_again_and_again(tmp_path: Path) -> None:
    net, x = Net(256), "x"
    weight = net.constant(np.zeros((256, 256), np.int8))
    ends = (net.constant(np.float32(0.1)), net.constant(np.int8(0)))
    for _ in range(40):
        x = net.node("Gemm", x, net.node("DequantizeLinear", weight, *ends))
    assert "many times more constants than the file has" in refused_net(net, x, tmp_path)


def test_many_problems_are_counted_beyond_the_first_ones(tmp_path: Path) -> None:
    net, x = Net(2, 3, 3), "x"
    factors = [net.constant(np.full(2, value, np.float32)) for value in (2.0, 0.5)]
    for _ in range(11):
        x = net.node("InstanceNormalization", x, *factors)
    message = refused_net(net, x, tmp_path)
    assert message.count("has no step on floats") == 8
    assert message.endswith("; and 3 more.")


@pytest.mark.parametrize(
    "operator",
    [
        "Add", "Cast", "Clip", "DequantizeLinear", "MatMulInteger", "Mul", "QLinearConv",
        "QLinearMatMul", "QuantizeLinear", "Shape", "Sub", "Transpose",
    ],
)  # fmt: skip
def test_operators_without_operands(operator: str, tmp_path: Path) -> None:
    attributes = {"to": 1} if operator == "Cast" else {}
    y = helper.make_node(operator, [], ["y"], name="y", **attributes)
    model = make_model([y], [], (INPUTS,))
    model.producer_name = "smidgen"
    path = tmp_path / "none.onnx"
    onnx.save(model, path)
    with pytest.raises(InvalidModelError) as caught:
        read_quantized_onnx(path)
    assert caught.value.reason == "ONNX_BAD_ATTRIBUTE"
    assert "it has no operand 0" in caught.value.message


def test_bytes_where_floats_are_expected(tmp_path: Path) -> None:
    parts = layer()
    nodes = tuple(node for node in parts.nodes if node.name != "y")
    parts = replace(parts, nodes=nodes).with_node("y", "Neg", "y_bytes")
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_quantized_onnx(parts.save(tmp_path))
    assert "Neg (its use of integers that QuantizeLinear gives) at y" in caught.value.message


def test_an_output_of_bytes(tmp_path: Path) -> None:
    parts = layer()
    nodes = tuple(node for node in parts.nodes if node.name not in ("y", "y_bytes"))
    parts = replace(parts, nodes=nodes)
    parts = parts.with_node("y", "QuantizeLinear", "sums y_scale y_zero")
    message = refused(parts, tmp_path, "ONNX_BAD_SIGNATURE")
    assert "the output 'y' is integers that QuantizeLinear gives" in message


def test_scales_of_rows_that_are_found_while_running(tmp_path: Path) -> None:
    x = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="dynamic")
    y = helper.make_node("MatMulInteger", ["q", "w", "z"], ["y"], name="product")
    weight = onnx.numpy_helper.from_array(np.ones((INPUTS, 3), np.int8), "w")
    path = tmp_path / "dynamic.onnx"
    onnx.save(make_model([x, y], [weight], (INPUTS,)), path)
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_quantized_onnx(path)
    for operator in ("DynamicQuantizeLinear at dynamic", "MatMulInteger at product"):
        assert operator in caught.value.message


def test_reading_a_quantized_model_as_one_of_floats(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError) as caught:
        read_onnx(layer().save(tmp_path))
    assert caught.value.reason == "ONNX_QUANTIZED_MODEL"
    assert "QuantizeLinear at 'x_bytes'" in caught.value.message
    assert "`smidgen convert --local --quantized`, which keeps its scales" in caught.value.message


@pytest.mark.parametrize("per_tensor", [True, False])
def test_weights_that_are_quantized_alone_are_floats_to_the_reader_of_floats(
    per_tensor: bool, tmp_path: Path
) -> None:
    parts = layer()
    kept = tuple(node for node in parts.nodes if node.name in ("w", "b"))
    parts = replace(parts, nodes=kept).with_node("y", "Gemm", "x w b", transB=1)
    scales = np.asarray(parts.constants["w_scale"])[:, None]
    if per_tensor:
        scales = W_SCALE
        parts = parts.with_constants(w_scale=scales, w_zero=np.int8(0))
    model = read_onnx(parts.save(tmp_path))
    (weight,) = [array for array in model.weights.values() if array.ndim == 2]
    np.testing.assert_array_equal(weight, default_weight().astype(np.float32) * scales)


def test_the_reader_of_floats_refuses_blocks_and_scales_that_do_not_fit(tmp_path: Path) -> None:
    parts = layer()
    kept = tuple(node for node in parts.nodes if node.name in ("w", "b"))
    parts = replace(parts, nodes=kept).with_node("y", "Gemm", "x w b", transB=1)
    blocks = np.full((OUTPUTS, 2), W_SCALE)
    with pytest.raises(UnsupportedOperatorError, match="scales of blocks"):
        read_onnx(parts.with_constants(w_scale=blocks).save(tmp_path))
    few = parts.with_constants(w_scale=np.full(3, W_SCALE), w_zero=np.zeros(3, np.int8))
    with pytest.raises(InvalidModelError, match="3 scales for an extent of 5"):
        read_onnx(few.save(tmp_path))
    more = parts.with_constants(w_zero=np.zeros(3, np.int8))
    with pytest.raises(InvalidModelError, match="5 scales and 3 zero points"):
        read_onnx(more.save(tmp_path))
