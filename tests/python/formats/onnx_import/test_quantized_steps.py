"""Operators of quantized models that work on floats, on functions of bytes, and on bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.engine import Engine
from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.onnx_import import read_quantized_onnx
from smidgen.program import Program, interpret
from tests.python.formats.onnx_import.quantized_files import Net, run_onnxruntime

SHAPE = (4, 6, 5)
SCALE, ZERO = 0.03, 128
IMAGES = np.random.default_rng(3).normal(0, 1.5, (3, *SHAPE)).astype(np.float32)


def run(program: Program, x: NDArray[np.float32] = IMAGES) -> NDArray[np.float32]:
    """Returns the engine's output, which is the interpreter's."""
    found, expected = Engine(program).run({"x": x})["y"], interpret(program, {"x": x})["y"]
    assert found.tobytes() == expected.tobytes()
    return np.asarray(found)


def save(net: Net, output: str, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(net.model(output).SerializeToString())
    return path


def kinds_of(program: Program) -> list[str]:
    return [type(step).__name__ for step in program.steps]


def quantized(net: Net, value: str, scale: float = SCALE, zero_point: int = ZERO) -> str:
    """Adds QuantizeLinear and DequantizeLinear and returns what comes out."""
    return dequantized(net, as_bytes(net, value, scale, zero_point), scale, zero_point)


def as_bytes(net: Net, value: str, scale: float = SCALE, zero_point: int = ZERO) -> str:
    ends = (net.constant(np.float32(scale)), net.constant(np.uint8(zero_point)))
    return net.node("QuantizeLinear", value, *ends)


def dequantized(net: Net, value: str, scale: float = SCALE, zero_point: int = ZERO) -> str:
    ends = (net.constant(np.float32(scale)), net.constant(np.uint8(zero_point)))
    return net.node("DequantizeLinear", value, *ends)


def number(net: Net, value: float) -> str:
    return net.constant(np.float32(value))


def vector(net: Net, count: int, low: float = 0.5, high: float = 1.5) -> str:
    return net.constant(np.linspace(low, high, count).astype(np.float32))


def gelu(net: Net, x: str) -> str:
    error = net.node("Erf", net.node("Div", x, number(net, 2**0.5)))
    product = net.node("Mul", x, net.node("Add", error, number(net, 1)))
    return net.node("Mul", product, number(net, 0.5))


def gelu_tanh(net: Net, x: str) -> str:
    small = net.node("Mul", net.node("Pow", x, number(net, 3)), number(net, 0.044715))
    scaled = net.node("Mul", net.node("Add", x, small), number(net, (2 / np.pi) ** 0.5))
    grown = net.node("Add", net.node("Tanh", scaled), number(net, 1))
    return net.node("Mul", x, net.node("Mul", grown, number(net, 0.5)))


def one(operator: str, **attributes: float) -> Callable[[Net, str], str]:
    return lambda net, x: net.node(operator, x, **attributes)


FUNCTIONS: dict[str, Callable[[Net, str], str]] = {
    "relu": one("Relu"),
    "clamp": lambda net, x: net.node("Clip", x, number(net, -0.5), number(net, 0.75)),
    "leaky_relu": one("LeakyRelu", alpha=0.125),
    "elu": one("Elu", alpha=0.75),
    "pow": lambda net, x: net.node("Pow", x, number(net, 4)),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": lambda net, x: net.node("Mul", net.node("Sigmoid", x), x),
    "mish": lambda net, x: net.node("Mul", x, net.node("Tanh", net.node("Softplus", x))),
    "rsqrt": lambda net, x: net.node(
        "Reciprocal", net.node("Sqrt", net.node("Add", net.node("Abs", x), number(net, 1)))
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_floats(name: str, tmp_path: Path) -> None:
    net = Net(*SHAPE)
    path = save(net, FUNCTIONS[name](net, "x"), tmp_path)
    program = read_quantized_onnx(path)
    last = program.steps[-1]
    assert getattr(last, "function", "") == name
    np.testing.assert_allclose(run(program), run_onnxruntime(path, IMAGES), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_bytes_is_a_table(name: str, tmp_path: Path) -> None:
    net = Net(*SHAPE)
    path = save(net, quantized(net, FUNCTIONS[name](net, quantized(net, "x"))), tmp_path)
    program = read_quantized_onnx(path)
    assert kinds_of(program) == ["Quantize", "Lookup", "Dequantize"]
    expected = run_onnxruntime(path, IMAGES, optimize=False)
    np.testing.assert_allclose(run(program), expected, atol=1e-6)


def layer_norm(net: Net, x: str) -> str:
    return net.node("LayerNormalization", x, vector(net, 5), vector(net, 5, -1, 1), axis=-1)


def batch_norm(net: Net, x: str) -> str:
    statistics = [vector(net, 4, *ends) for ends in ((0.5, 2), (-1, 1), (-0.5, 0.5), (0.2, 3))]
    return net.node("BatchNormalization", x, *statistics)


def choice(net: Net, x: str) -> str:
    is_larger = net.node("Greater", x, number(net, 0.25))
    return net.node("Where", is_larger, net.node("Neg", x), x)


def product(net: Net, x: str) -> str:
    return net.node("MatMul", x, net.node("Transpose", x, perm=[0, 1, 3, 2]))


def linear(net: Net, x: str) -> str:
    product = net.node("MatMul", x, net.weight(5, 7))
    return net.node("Add", product, vector(net, 7, -1, 1))


def rows(net: Net, x: str) -> str:
    indices = net.node("Cast", net.node("Clip", net.node("Abs", x), "", number(net, 3)), to=7)
    table = np.array([[127, -127], [127, 1], [0, 127], [-127, 5]], np.float32) / 127
    return net.node("Gather", net.constant(table), indices)


STEPS: dict[str, Callable[[Net, str], str]] = {
    "LayerNorm": layer_norm,
    "Binary": batch_norm,
    "Where": choice,
    "MatMul": product,
    "Softmax": one("Softmax", axis=-1),
    "Reduce": lambda net, x: net.node("ReduceMean", x, axes=[1], keepdims=1),
    "Unary": lambda net, x: net.node("LogSoftmax", x, axis=1),
    "Embedding": rows,
    "prelu": lambda net, x: net.node("PRelu", x, net.constant(np.full((4, 1, 1), 0.2, np.float32))),
    "linear": linear,
    "global": one("GlobalAveragePool"),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("ends", ["floats", "bytes"])
def test_an_operator_on_floats(name: str, ends: str, tmp_path: Path) -> None:
    net = Net(*SHAPE)
    y = STEPS[name](net, "x" if ends == "floats" else quantized(net, "x"))
    path = save(net, y, tmp_path)
    program = read_quantized_onnx(path)
    if name[0].isupper():
        assert name in kinds_of(program)
    expected = run_onnxruntime(path, IMAGES, optimize=False)
    np.testing.assert_allclose(run(program), expected, atol=5e-6, rtol=2e-5)


def pad(net: Net, x: str, value: float = 0.0) -> str:
    amounts = net.constant(np.array([0, 0, 1, 2, 0, 0, 0, 1], np.int64))
    return net.node("Pad", x, amounts, number(net, value))


def test_padding_with_zeros_is_one_of_bytes_and_with_others_one_of_floats(tmp_path: Path) -> None:
    for value, expected in (
        (0.0, ["Quantize", "Pad", "Dequantize"]),
        (1.5, ["Quantize", "Dequantize", "Pad", "Quantize", "Dequantize"]),
    ):
        net = Net(*SHAPE)
        path = save(net, quantized(net, pad(net, quantized(net, "x"), value)), tmp_path)
        program = read_quantized_onnx(path)
        assert kinds_of(program) == expected
        np.testing.assert_array_equal(run(program), run_onnxruntime(path, IMAGES))


@pytest.mark.parametrize("scale", [SCALE, 0.05])
def test_interpolation_keeps_the_scale_and_then_takes_the_wanted_one(
    scale: float, tmp_path: Path
) -> None:
    net = Net(*SHAPE)
    sizes = net.constant(np.array([1, 1, 2, 2], np.float32))
    resized = net.node("Resize", quantized(net, "x"), "", sizes, mode="linear")
    path = save(net, quantized(net, resized, scale, 100), tmp_path)
    program = read_quantized_onnx(path)
    assert kinds_of(program) == ["Quantize", "Resize", "Lookup", "Dequantize"]
    difference = np.abs(run(program) - run_onnxruntime(path, IMAGES, optimize=False))
    assert difference.max() <= 1.01 * (SCALE / 2 + scale)


MOVES: dict[str, Callable[[Net, str], str]] = {
    "Transpose": lambda net, x: net.node("Transpose", x, perm=[0, 2, 3, 1]),
    "Reshape": lambda net, x: net.node("Reshape", x, net.constant(np.array([0, 24, 5]))),
    "Concat": lambda net, x: net.node("Concat", x, x, axis=1),
    "Slice": lambda net, x: net.node("Slice", x, *map(net.constant, np.array([[1], [4], [2]]))),
    "MaxPool2d": lambda net, x: net.node("MaxPool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1]),
    "shape": lambda net, x: net.node("Reshape", x, net.node("Shape", x)),
}


@pytest.mark.parametrize("name", ["Transpose", "Reshape", "Concat", "Slice", "shape"])
def test_moving_bytes(name: str, tmp_path: Path) -> None:
    net = Net(*SHAPE)
    path = save(net, dequantized(net, MOVES[name](net, as_bytes(net, "x"))), tmp_path)
    program = read_quantized_onnx(path)
    inner = [] if name == "shape" else [name]
    assert kinds_of(program) == ["Quantize", *inner, "Dequantize"]
    np.testing.assert_array_equal(run(program), run_onnxruntime(path, IMAGES))


def test_bytes_of_several_scales_are_not_joined(tmp_path: Path) -> None:
    net = Net(*SHAPE)
    joined = net.node("Concat", as_bytes(net, "x"), as_bytes(net, "x", 0.5), axis=1)
    with pytest.raises(UnsupportedOperatorError, match="bytes of several scales"):
        read_quantized_onnx(save(net, dequantized(net, joined), tmp_path))


def test_constants_in_bytes_are_operands_of_sums(tmp_path: Path) -> None:
    for zero_point, dtype in ((10, np.uint8), (-3, np.int8)):
        net = Net(*SHAPE)
        values = np.arange(np.prod(SHAPE)).reshape(1, *SHAPE).astype(dtype)
        ends = (net.constant(np.float32(0.02)), net.constant(dtype(zero_point)))
        constant = net.node("DequantizeLinear", net.constant(values), *ends)
        gate = net.node("Sigmoid", net.node("GlobalAveragePool", quantized(net, "x")))
        shifted = net.node(
            "Add", quantized(net, net.node("Mul", quantized(net, "x"), gate)), constant
        )
        path = save(net, quantized(net, shifted), tmp_path)
        program = read_quantized_onnx(path)
        assert kinds_of(program).count("ConstantTensor") == 1
        expected = run_onnxruntime(path, IMAGES, optimize=False)
        np.testing.assert_allclose(run(program), expected, atol=1.01 * SCALE)
        assert np.mean(run(program) != expected) < 0.01


def test_a_table_that_is_read_by_bytes_may_be_of_int8(tmp_path: Path) -> None:
    net = Net(*SHAPE)
    table = np.random.default_rng(0).integers(-128, 128, 256).astype(np.int8)
    index = net.node("Cast", as_bytes(net, "x"), to=6)
    ends = (net.constant(np.float32(0.5)), net.constant(np.int8(3)))
    entries = net.node("Gather", net.constant(table), index)
    path = save(net, net.node("DequantizeLinear", entries, *ends), tmp_path)
    program = read_quantized_onnx(path)
    assert kinds_of(program) == ["Quantize", "Lookup", "Dequantize"]
    np.testing.assert_array_equal(run(program), run_onnxruntime(path, IMAGES))


def test_a_table_of_another_size_is_refused(tmp_path: Path) -> None:
    net = Net(*SHAPE)
    index = net.node("Cast", as_bytes(net, "x"), to=6)
    entries = net.node("Gather", net.constant(np.zeros(255, np.uint8)), index)
    with pytest.raises(UnsupportedOperatorError, match=r"a table of the shape \[255\]"):
        read_quantized_onnx(save(net, dequantized(net, entries), tmp_path))


@pytest.mark.parametrize(("low", "high"), [(200, 100), (-1, 300)])
def test_bounds_of_bytes_that_are_none(low: int, high: int, tmp_path: Path) -> None:
    net = Net(*SHAPE)
    bounds = (net.constant(np.int32(low)), net.constant(np.int32(high)))
    clipped = net.node("Clip", as_bytes(net, "x"), *bounds)
    with pytest.raises(InvalidModelError, match=r"clips bytes to \["):
        read_quantized_onnx(save(net, dequantized(net, clipped), tmp_path))


def test_an_input_that_is_bounded_before_it_is_quantized(tmp_path: Path) -> None:
    net = Net(*SHAPE)
    bounded = net.node("Clip", "x", number(net, -0.3), number(net, 0.9))
    path = save(net, quantized(net, bounded), tmp_path)
    program = read_quantized_onnx(path)
    assert kinds_of(program) == ["Quantize", "Lookup", "Dequantize"]
    np.testing.assert_array_equal(run(program), run_onnxruntime(path, IMAGES))


def test_one_value_as_two_outputs_of_functions(tmp_path: Path) -> None:
    net = Net(*SHAPE)
    x = quantized(net, "x")
    y = net.node("Sub", net.node("Exp", x), quantized(net, net.node("Exp", x)))
    path = save(net, y, tmp_path)
    program = read_quantized_onnx(path)
    assert sorted(kinds_of(program)) == [
        "Binary", "Dequantize", "Dequantize", "Lookup", "Quantize", "Unary",
    ]  # fmt: skip
    expected = run_onnxruntime(path, IMAGES, optimize=False)
    np.testing.assert_allclose(run(program), expected, atol=1e-6, rtol=1e-5)


def test_numbers_that_functions_do_not_take_are_smallest_bytes(tmp_path: Path) -> None:
    net = Net(*SHAPE)
    path = save(net, quantized(net, net.node("Log", quantized(net, "x"))), tmp_path)
    found = run(read_quantized_onnx(path))
    real = np.clip(np.rint(IMAGES / np.float32(SCALE)), -128, 127) * np.float32(SCALE)
    np.testing.assert_array_equal(found[real <= 0], np.float32(-ZERO * SCALE))
