"""The forms in which files state one and the same quantization, and what becomes of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from smidgen.engine import Engine
from smidgen.errors import InvalidModelError
from smidgen.formats.onnx_import import read_quantized_onnx
from smidgen.program import (
    Conv2d,
    FloatConv2d,
    FloatConvTranspose2d,
    Linear,
    Lookup,
    MatMul,
    Program,
    Quantize,
    Reshape,
    interpret,
)
from tests.python.formats.onnx_import.quantized_files import Net, run_onnxruntime
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

IMAGES = np.random.default_rng(9).normal(0, 1.5, (32, INPUTS)).astype(np.float32)


def run(program: Program, x: NDArray[np.float32] = IMAGES) -> NDArray[np.float32]:
    """Returns the engine's output, which is the interpreter's."""
    found, expected = Engine(program).run({"x": x})["y"], interpret(program, {"x": x})["y"]
    assert found.tobytes() == expected.tobytes()
    return np.asarray(found)


def imported(parts: Parts, folder: Path) -> Program:
    return read_quantized_onnx(parts.save(folder))


def only(program: Program, kind: type[Linear]) -> Linear:
    (step,) = [step for step in program.steps if isinstance(step, kind)]
    return step


def test_a_layer_is_one_step_between_quantize_and_dequantize(tmp_path: Path) -> None:
    parts = layer()
    program = imported(parts, tmp_path)
    assert [type(step).__name__ for step in program.steps] == ["Quantize", "Linear", "Dequantize"]
    source, target = (program.tensor(step.output) for step in program.steps[:2])
    assert (source.scale, source.zero_point) == (0.03125, 120)
    assert (target.scale, target.zero_point) == (0.0625, 100)
    np.testing.assert_array_equal(run(program), run_onnxruntime(parts.save(tmp_path), IMAGES))


def test_the_lineage_names_the_file(tmp_path: Path) -> None:
    program = imported(layer(), tmp_path)
    assert program.lineage["method"] == "imported"
    assert len(program.lineage["model_sha256"]) == 64


def same(parts: Parts, folder: Path) -> Program:
    """Returns the program of a layer that must compute what the plain one does."""
    expected = imported(layer(), folder)
    found = imported(parts, folder)
    np.testing.assert_array_equal(run(found), run(expected))
    return found


def test_int8_activations_are_uint8_ones_with_another_zero_point(tmp_path: Path) -> None:
    same(layer().with_constants(x_zero=np.int8(-8), y_zero=np.int8(-28)), tmp_path)


def test_uint8_weights_around_128_are_int8_weights(tmp_path: Path) -> None:
    shifted = (default_weight().astype(np.int16) + 128).astype(np.uint8)
    parts = layer().with_constants(w_int=shifted, w_zero=np.full(OUTPUTS, 128, np.uint8))
    program = same(parts, tmp_path)
    weight = program.constants[only(program, Linear).weight]
    np.testing.assert_array_equal(weight, default_weight())


def test_weights_that_int8_holds_around_their_zero_point_are_moved(tmp_path: Path) -> None:
    halved = (default_weight().astype(np.int16) // 2).astype(np.int8)
    parts = layer().with_constants(w_int=halved)
    moved = layer().with_constants(
        w_int=(halved + 40).astype(np.int8), w_zero=np.full(OUTPUTS, 40, np.int8)
    )
    expected = run(imported(parts, tmp_path))
    np.testing.assert_array_equal(run(imported(moved, tmp_path)), expected)


def test_zero_points_left_out_are_zero(tmp_path: Path) -> None:
    bare = layer().with_node("w", "DequantizeLinear", "w_int w_scale", axis=0)
    same(bare, tmp_path)
    unsigned = layer().with_constants(x_zero=np.uint8(0))
    left_out = layer().with_node("x_bytes", "QuantizeLinear", "x x_scale")
    left_out = left_out.with_node("x_real", "DequantizeLinear", "x_bytes x_scale")
    expected = run(imported(unsigned, tmp_path))
    np.testing.assert_array_equal(run(imported(left_out, tmp_path)), expected)


def test_a_type_stated_by_an_attribute_counts(tmp_path: Path) -> None:
    signed = layer().with_constants(x_zero=np.int8(0))
    stated = replace(layer(), opset=21).with_node(
        "x_bytes", "QuantizeLinear", "x x_scale", output_dtype=3
    )
    stated = stated.with_node("x_real", "DequantizeLinear", "x_bytes x_scale")
    expected = run(imported(signed, tmp_path))
    np.testing.assert_array_equal(run(imported(stated, tmp_path)), expected)


def test_scales_of_one_element_are_scalars(tmp_path: Path) -> None:
    parts = layer()
    names = ("x_scale", "x_zero", "y_scale", "y_zero")
    vectors = {name: np.reshape(np.asarray(parts.constants[name]), 1) for name in names}
    same(parts.with_constants(**vectors), tmp_path)


def test_one_scale_for_all_weights(tmp_path: Path) -> None:
    scales = np.full(OUTPUTS, W_SCALE)
    each = layer().with_constants(w_scale=scales, b_scale=X_SCALE * scales)
    one = each.with_constants(w_scale=W_SCALE, w_zero=np.int8(0), b_scale=X_SCALE * W_SCALE)
    expected = run(imported(each, tmp_path))
    np.testing.assert_array_equal(run(imported(one, tmp_path)), expected)


def test_weights_that_are_transposed_after_they_are_dequantized(tmp_path: Path) -> None:
    turned = layer().with_constants(w_int=np.ascontiguousarray(default_weight().T))
    turned = turned.with_node("w", "DequantizeLinear", "w_int w_scale w_zero", axis=1)
    same(turned.with_node("sums", "Gemm", "x_real w b"), tmp_path)
    transposed = in_front_of_sums(turned, "w_turned", "Transpose", "w")
    same(transposed.with_node("sums", "Gemm", "x_real w_turned b", transB=1), tmp_path)


def test_weights_that_are_transposed_before_they_are_dequantized(tmp_path: Path) -> None:
    turned = layer().with_constants(w_raw=np.ascontiguousarray(default_weight().T))
    nodes = turned.with_node("w_turned", "Transpose", "w_raw", perm=[1, 0]).nodes
    ordered = replace(turned, nodes=(nodes[-1], *nodes[:-1]))
    dequantized = ordered.with_node("w", "DequantizeLinear", "w_turned w_scale w_zero", axis=0)
    same(dequantized, tmp_path)


def test_weights_of_a_matrix_product(tmp_path: Path) -> None:
    turned = layer().with_constants(w_int=np.ascontiguousarray(default_weight().T))
    turned = turned.with_node("w", "DequantizeLinear", "w_int w_scale w_zero", axis=1)
    turned = in_front_of_sums(turned, "products", "MatMul", "x_real w")
    program = same(turned.with_node("sums", "Add", "products b"), tmp_path)
    assert only(program, Linear)


def test_float_weights_that_the_file_quantizes_itself(tmp_path: Path) -> None:
    scales = np.asarray(layer().constants["w_scale"])[:, None]
    reals = default_weight().astype(np.float32) * scales
    parts = layer().with_constants(w_real=reals)
    nodes = parts.with_node("w_made", "QuantizeLinear", "w_real w_scale w_zero", axis=0).nodes
    ordered = replace(parts, nodes=(nodes[-1], *nodes[:-1]))
    parts = ordered.with_node("w", "DequantizeLinear", "w_made w_scale w_zero", axis=0)
    program = same(parts, tmp_path)
    weight = program.constants[only(program, Linear).weight]
    np.testing.assert_array_equal(weight, default_weight())


def test_a_layer_whose_weights_the_file_leaves_in_floats_computes_in_floats(
    tmp_path: Path,
) -> None:
    weight = np.random.default_rng(1).normal(0, 0.3, (OUTPUTS, INPUTS)).astype(np.float32)
    parts = layer().with_constants(w_real=weight)
    parts = parts.with_node("sums", "Gemm", "x_real w_real b", transB=1)
    program = imported(parts, tmp_path)
    kinds = [type(step).__name__ for step in program.steps]
    assert "Linear" not in kinds
    assert kinds.count("MatMul") == 1
    assert kinds[-2:] == ["Quantize", "Dequantize"]
    expected = run_onnxruntime(parts.save(tmp_path), IMAGES, optimize=False)
    np.testing.assert_array_equal(run(program), expected)


def test_a_float_bias_is_quantized_with_the_scale_of_the_products(tmp_path: Path) -> None:
    scales = np.asarray(layer().constants["b_scale"])
    parts = layer().with_constants(b_real=(default_bias() * scales).astype(np.float32))
    program = same(parts.with_node("sums", "Gemm", "x_real w b_real", transB=1), tmp_path)
    bias = program.constants[only(program, Linear).bias]
    np.testing.assert_array_equal(bias, default_bias())


def test_a_bias_with_a_scale_of_its_own_is_quantized_again(tmp_path: Path) -> None:
    scales = np.asarray(layer().constants["b_scale"])
    parts = layer().with_constants(b_int=default_bias() * 4, b_scale=scales / np.float32(4))
    program = same(parts, tmp_path)
    np.testing.assert_array_equal(program.constants[only(program, Linear).bias], default_bias())


def test_a_large_bias_keeps_every_bit(tmp_path: Path) -> None:
    large = np.array([16777217, -16777219, 33554435, 7, -3], np.int32)
    program = imported(layer().with_constants(b_int=large), tmp_path)
    np.testing.assert_array_equal(program.constants[only(program, Linear).bias], large)


def in_front_of_sums(parts: Parts, name: str, operator: str, inputs: str) -> Parts:
    """Returns a layer with one more node in front of the product."""
    *nodes, added = parts.with_node(name, operator, inputs).nodes
    index = [node.name for node in nodes].index("sums")
    return replace(parts, nodes=(*nodes[:index], added, *nodes[index:]))


def behind_sums(parts: Parts, name: str, operator: str, inputs: str) -> Parts:
    """Returns a layer with one more node behind the product, which is quantized instead."""
    *nodes, added = parts.with_node(name, operator, inputs).nodes
    index = [node.name for node in nodes].index("sums") + 1
    made = replace(parts, nodes=(*nodes[:index], added, *nodes[index:]))
    return made.with_node("y_bytes", "QuantizeLinear", f"{name} y_scale y_zero")


def test_an_activation_in_front_of_quantization_narrows_the_step(tmp_path: Path) -> None:
    parts = behind_sums(layer(), "bounded", "Relu", "sums")
    program = imported(parts, tmp_path)
    step = only(program, Linear)
    assert (step.qmin, step.qmax) == (100, 255)
    np.testing.assert_array_equal(run(program), run_onnxruntime(parts.save(tmp_path), IMAGES))


def test_a_clip_of_bytes_narrows_the_step(tmp_path: Path) -> None:
    clipped = layer().with_constants(low=np.uint8(90), high=np.uint8(130))
    clipped = clipped.with_node("clipped", "Clip", "y_bytes low high")
    *nodes, end, clip = clipped.nodes
    clipped = replace(clipped, nodes=(*nodes, clip, end))
    clipped = clipped.with_node("y", "DequantizeLinear", "clipped y_scale y_zero")
    program = imported(clipped, tmp_path)
    step = only(program, Linear)
    assert (step.qmin, step.qmax) == (90, 130)
    np.testing.assert_array_equal(run(program), run_onnxruntime(clipped.save(tmp_path), IMAGES))


def test_a_function_behind_a_layer_works_on_its_floats(tmp_path: Path) -> None:
    parts = behind_sums(layer(), "bent", "Tanh", "sums").with_constants(y_scale=np.float32(1 / 128))
    program = imported(parts, tmp_path)
    kinds = [type(step).__name__ for step in program.steps]
    assert kinds == ["Quantize", "Linear", "Unary", "Quantize", "Dequantize"]
    expected = run_onnxruntime(parts.save(tmp_path), IMAGES, optimize=False)
    np.testing.assert_allclose(run(program), expected, atol=0.0079)


def test_a_chain_of_functions_of_one_value_is_one_table(tmp_path: Path) -> None:
    net = Net(INPUTS)
    scale, zero = net.constant(np.float32(0.02)), net.constant(np.uint8(128))
    x = net.node("DequantizeLinear", net.node("QuantizeLinear", "x", scale, zero), scale, zero)
    three, six = net.constant(np.float32(3)), net.constant(np.float32(6))
    gate = net.node("Clip", net.node("Add", x, three), net.constant(np.float32(0)), six)
    bent = net.node("Div", net.node("Mul", x, gate), six)
    y = net.node("DequantizeLinear", net.node("QuantizeLinear", bent, scale, zero), scale, zero)
    path = save(net, y, tmp_path)
    program = read_quantized_onnx(path)
    assert [type(step).__name__ for step in program.steps] == ["Quantize", "Lookup", "Dequantize"]
    np.testing.assert_array_equal(run(program), run_onnxruntime(path, IMAGES, optimize=False))


def save(net: Net, output: str, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(net.model(output).SerializeToString())
    return path


def test_bytes_read_with_another_scale_are_the_same_bytes(tmp_path: Path) -> None:
    parts = layer().with_constants(other=np.float32(0.125), away=np.uint8(7))
    parts = parts.with_node("y", "DequantizeLinear", "y_bytes other away")
    program = imported(parts, tmp_path)
    (table,) = [step for step in program.steps if isinstance(step, Lookup)]
    np.testing.assert_array_equal(program.constants[table.table], np.arange(256))
    np.testing.assert_array_equal(run(program), run_onnxruntime(parts.save(tmp_path), IMAGES))


def test_a_value_that_is_quantized_twice_is_computed_for_both(tmp_path: Path) -> None:
    parts = layer().with_constants(z_scale=np.float32(0.25))
    parts = parts.with_node("z_bytes", "QuantizeLinear", "sums z_scale y_zero")
    parts = parts.with_node("z", "DequantizeLinear", "z_bytes z_scale y_zero")
    parts = parts.with_node("y", "DequantizeLinear", "y_bytes y_scale y_zero")
    nodes = [node for node in parts.nodes if node.name != "y"]
    renamed = replace(parts, nodes=tuple(nodes)).with_node(
        "y_real", "DequantizeLinear", "y_bytes y_scale y_zero"
    )
    renamed = renamed.with_node("y", "Sub", "y_real z")
    program = imported(renamed, tmp_path)
    assert sum(isinstance(step, Linear) for step in program.steps) == 2
    expected = run_onnxruntime(renamed.save(tmp_path), IMAGES)
    np.testing.assert_array_equal(run(program), expected)


def test_a_value_that_is_quantized_twice_in_the_same_way_is_computed_once(tmp_path: Path) -> None:
    parts = layer().with_node("z_bytes", "QuantizeLinear", "sums y_scale y_zero")
    parts = parts.with_node("z", "DequantizeLinear", "z_bytes y_scale y_zero")
    nodes = tuple(node for node in parts.nodes if node.name != "y")
    parts = replace(parts, nodes=nodes).with_node(
        "y_real", "DequantizeLinear", "y_bytes y_scale y_zero"
    )
    program = imported(parts.with_node("y", "Sub", "y_real z"), tmp_path)
    assert sum(isinstance(step, Linear) for step in program.steps) == 1
    assert not run(program).any()


def test_bytes_that_are_moved_before_they_are_dequantized(tmp_path: Path) -> None:
    parts = layer().with_constants(shape=np.array([0, 1, OUTPUTS], np.int64))
    *nodes, end = parts.with_node("cut", "Reshape", "y_bytes shape").nodes
    ordered = replace(parts, nodes=(*nodes[:-1], end, nodes[-1]))
    moved = ordered.with_node("y", "DequantizeLinear", "cut y_scale y_zero")
    program = imported(moved, tmp_path)
    assert [type(step) for step in program.steps].count(Reshape) == 1
    np.testing.assert_array_equal(run(program), run_onnxruntime(moved.save(tmp_path), IMAGES))


def test_quantization_behind_what_only_moves_values_is_done_before(tmp_path: Path) -> None:
    net = Net(3, 8, 8)
    x = quantized(net, "x", 0.02, 128)
    weight = dequantized_weight(net, 8, 3)
    x = net.node("Conv", x, weight, pads=[1] * 4)
    x = net.node("Transpose", net.node("MaxPool", x, kernel_shape=[2, 2]), perm=[0, 2, 3, 1])
    path = save(net, quantized(net, x, 0.05, 100), tmp_path)
    program = read_quantized_onnx(path)
    kinds = [type(step).__name__ for step in program.steps]
    assert kinds == ["Quantize", "Conv2d", "MaxPool2d", "Transpose", "Dequantize"]
    images = np.random.default_rng(1).normal(0, 1, (4, 3, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(run(program, images), run_onnxruntime(path, images))


def quantized(net: Net, value: str, scale: float, zero_point: int) -> str:
    """Adds QuantizeLinear and DequantizeLinear and returns what comes out."""
    ends = (net.constant(np.float32(scale)), net.constant(np.uint8(zero_point)))
    made: str = net.node("DequantizeLinear", net.node("QuantizeLinear", value, *ends), *ends)
    return made


def dequantized_weight(net: Net, outputs: int, inputs: int, kernel: int = 3) -> str:
    """Adds int8 weights with a scale for each output and returns their real values."""
    rng = np.random.default_rng(outputs)
    values = rng.integers(-127, 128, (outputs, inputs, kernel, kernel)).astype(np.int8)
    scales = rng.uniform(0.001, 0.004, outputs).astype(np.float32)
    constants = (values, scales, np.zeros(outputs, np.int8))
    made: str = net.node("DequantizeLinear", *map(net.constant, constants), axis=0)
    return made


def test_parts_of_other_scales_are_joined_in_the_scale_of_the_whole(tmp_path: Path) -> None:
    net = Net(INPUTS)
    parts = [quantized(net, "x", scale, zero) for scale, zero in ((0.02, 128), (0.03, 60))]
    path = save(net, quantized(net, net.node("Concat", *parts, axis=1), 0.04, 90), tmp_path)
    program = read_quantized_onnx(path)
    kinds = [type(step).__name__ for step in program.steps]
    assert kinds.count("Lookup") == 2
    assert kinds.count("Concat") == 1
    np.testing.assert_array_equal(run(program), run_onnxruntime(path, IMAGES, optimize=False))


def test_a_linear_layer_of_four_axes_joins_two_of_them(tmp_path: Path) -> None:
    net = Net(2, 3, INPUTS)
    weight = np.ascontiguousarray(default_weight().T)
    ends = (net.constant(W_SCALE), net.constant(np.int8(0)))
    w = net.node("DequantizeLinear", net.constant(weight), *ends)
    product = net.node("MatMul", quantized(net, "x", 0.03, 120), w)
    path = save(net, quantized(net, product, 0.05, 100), tmp_path)
    program = read_quantized_onnx(path)
    assert sum(isinstance(step, Linear) for step in program.steps) == 1
    x = np.random.default_rng(2).normal(0, 1, (4, 2, 3, INPUTS)).astype(np.float32)
    np.testing.assert_array_equal(run(program, x), run_onnxruntime(path, x))


@pytest.mark.parametrize("is_quantized", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 3)])
def test_a_convolution_whose_result_stays_in_floats(
    stride: int, dilation: int, groups: int, is_quantized: bool, tmp_path: Path
) -> None:
    net = Net(4, 11, 9)
    x = quantized(net, "x", 0.02, 120) if is_quantized else "x"
    weight = dequantized_weight(net, 4, 4 // groups)
    bias = net.constant(np.linspace(-1, 1, 4).astype(np.float32))
    geometry = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": [2, 2, 2, 2]}
    path = save(net, net.node("Conv", x, weight, bias, group=groups, **geometry), tmp_path)
    program = read_quantized_onnx(path)
    kinds = {type(step) for step in program.steps}
    assert kinds & {Conv2d, FloatConv2d, Linear, MatMul} == (
        {Linear} if groups == 1 and is_quantized else {FloatConv2d}
    )
    images = np.random.default_rng(5).normal(0, 1, (3, 4, 11, 9)).astype(np.float32)
    expected = run_onnxruntime(path, images, optimize=False)
    # The bias of a layer of integers is rounded to the scale of its products.
    np.testing.assert_allclose(run(program, images), expected, atol=4e-5 if is_quantized else 4e-6)


def test_float_weights_of_a_transposed_convolution(tmp_path: Path) -> None:
    net = Net(3, 8, 8)
    y = net.node("ConvTranspose", quantized(net, "x", 0.02, 128), net.weight(3, 3, 2, 2))
    path = save(net, quantized(net, y, 0.05, 100), tmp_path)
    program = read_quantized_onnx(path)
    kinds = [type(step).__name__ for step in program.steps]
    assert kinds == ["Quantize", "Dequantize", "FloatConvTranspose2d", "Quantize", "Dequantize"]
    images = np.random.default_rng(5).normal(0, 1, (2, 3, 8, 8)).astype(np.float32)
    # Where it optimizes, ONNX Runtime quantizes the float weights of layers between Q and DQ.
    expected = run_onnxruntime(path, images, optimize=False)
    np.testing.assert_array_equal(run(program, images), expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_of_floats(groups: int, tmp_path: Path) -> None:
    net = Net(4, 5, 6)
    weight = dequantized_weight(net, 4, 6 // groups)
    bias = net.constant(np.linspace(-1, 1, 6).astype(np.float32))
    geometry = {"strides": [3, 2], "pads": [1, 0, 1, 0], "output_padding": [1, 0], "group": groups}
    path = save(net, net.node("ConvTranspose", "x", weight, bias, **geometry), tmp_path)
    program = read_quantized_onnx(path)
    assert [type(step) for step in program.steps] == [FloatConvTranspose2d]
    images = np.random.default_rng(5).normal(0, 1, (3, 4, 5, 6)).astype(np.float32)
    expected = run_onnxruntime(path, images, optimize=False)
    np.testing.assert_allclose(run(program, images), expected, atol=4e-6)


def test_a_maximum_of_floats(tmp_path: Path) -> None:
    net = Net(2, 7, 8)
    pool = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 1, 1]}
    negative = net.node("Sub", net.node("Neg", net.node("Abs", "x")), net.constant(np.float32(1)))
    path = save(net, net.node("MaxPool", negative, **pool), tmp_path)
    images = np.random.default_rng(5).normal(0, 1, (3, 2, 7, 8)).astype(np.float32)
    program = read_quantized_onnx(path)
    np.testing.assert_array_equal(run(program, images), run_onnxruntime(path, images))


@pytest.mark.parametrize("includes", [0, 1])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_a_mean_of_floats(pads: list[int], includes: int, tmp_path: Path) -> None:
    net = Net(2, 7, 8)
    pool = {"kernel_shape": [3, 2], "strides": [2, 1], "count_include_pad": includes}
    path = save(net, net.node("AveragePool", "x", pads=pads, **pool), tmp_path)
    images = np.random.default_rng(5).normal(0, 1, (3, 2, 7, 8)).astype(np.float32)
    found = run(read_quantized_onnx(path), images)
    np.testing.assert_allclose(found, run_onnxruntime(path, images), atol=1e-6)


def resized(net: Net, x: str, rows: float, columns: float, **attributes: str) -> str:
    """Adds a Resize by factors."""
    return net.node("Resize", x, "", net.constant(np.float32([1, 1, rows, columns])), **attributes)


NEAREST = {
    "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor",
}  # fmt: skip


def test_a_nearest_resize_of_floats_repeats_pixels(tmp_path: Path) -> None:
    net = Net(2, 3, 4)
    path = save(net, resized(net, "x", 3, 2, **NEAREST), tmp_path)
    images = np.random.default_rng(5).normal(0, 1, (3, 2, 3, 4)).astype(np.float32)
    found = run(read_quantized_onnx(path), images)
    np.testing.assert_array_equal(found, run_onnxruntime(path, images))


@pytest.mark.parametrize("attributes", [NEAREST, {"mode": "linear"}])
def test_another_resize_of_floats_is_refused(attributes: dict[str, str], tmp_path: Path) -> None:
    net = Net(2, 4, 4)
    path = save(net, resized(net, "x", 1.5, 1.5, **attributes), tmp_path)
    with pytest.raises(InvalidModelError, match="gives floats in other than a whole multiple"):
        read_quantized_onnx(path)


@pytest.mark.parametrize("is_quantized", [True, False])
def test_a_mean_that_reaches_past_the_end_is_refused(is_quantized: bool, tmp_path: Path) -> None:
    net = Net(2, 8, 8)
    x = quantized(net, "x", 0.02, 120) if is_quantized else "x"
    y = net.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    path = save(net, quantized(net, y, 0.02, 120), tmp_path)
    with pytest.raises(InvalidModelError, match="rounds its extent up"):
        read_quantized_onnx(path)


def test_a_table_of_rows_keeps_its_integers(tmp_path: Path) -> None:
    net = Net(INPUTS)
    table = np.random.default_rng(8).integers(-127, 128, (9, 5)).astype(np.int8)
    ends = (net.constant(np.float32(0.02)), net.constant(np.int8(0)))
    indices = net.node("Cast", net.node("Floor", net.node("Abs", "x")), to=7)
    rows = net.node("Gather", net.constant(table), indices)
    path = save(net, net.node("DequantizeLinear", rows, *ends), tmp_path)
    program = read_quantized_onnx(path)
    (step,) = [step for step in program.steps if type(step).__name__ == "Embedding"]
    np.testing.assert_array_equal(program.constants[step.table], table)  # type: ignore[union-attr]
    np.testing.assert_array_equal(run(program), run_onnxruntime(path, IMAGES))


def test_a_model_without_any_quantization_is_one_of_floats(tmp_path: Path) -> None:
    net = Net(INPUTS)
    path = save(net, net.node("Sigmoid", net.gemm("x", INPUTS, OUTPUTS)), tmp_path)
    program = read_quantized_onnx(path)
    assert not any(isinstance(step, Linear | Quantize) for step in program.steps)
    np.testing.assert_allclose(run(program), run_onnxruntime(path, IMAGES), atol=1e-6)


def test_constants_in_nodes_are_those_in_initializers(tmp_path: Path) -> None:
    parts = layer()
    nodes = [
        node for name in ("w_int", "w_scale", "w_zero", "x_zero")
        for node in parts.with_node(
            name, "Constant", "", value=as_tensor(np.asarray(parts.constants[name]))
        ).nodes[-1:]
    ]  # fmt: skip
    kept = {
        name: value
        for name, value in parts.constants.items()
        if name not in {node.name for node in nodes}
    }
    same(replace(parts, constants=kept, nodes=(*nodes, *parts.nodes)), tmp_path)


def as_tensor(values: NDArray[np.generic]) -> object:
    return numpy_helper.from_array(values)


def test_a_file_with_a_fixed_batch(tmp_path: Path) -> None:
    path = layer().save(tmp_path)
    fixed = onnx.load(path)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(fixed, path)
    program = read_quantized_onnx(path)
    assert program.tensor("x").shape == (4, INPUTS)
    np.testing.assert_array_equal(run(program, IMAGES[:4]), run_onnxruntime(path, IMAGES[:4]))
