"""Exported models are valid and compute what the programs do."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from smidgen import unary_functions
from smidgen.engine import available_isas
from smidgen.errors import ProgramError
from smidgen.formats.onnx_export import OPSET, export_onnx
from smidgen.formats.onnx_export.rules import RULES
from smidgen.lookup_tables import function_table, requantizing_table
from smidgen.program import (
    BINARY_TYPES,
    COMPARISONS,
    REDUCTIONS,
    STEP_TYPES,
    UNARY_PARAMETERS,
    Attention,
    AveragePool2d,
    Binary,
    Compare,
    Conv2d,
    ConvTranspose2d,
    DType,
    DynamicLinear,
    FloatConv2d,
    FloatConvTranspose2d,
    GlobalAveragePool,
    LayerNorm,
    Linear,
    Lookup,
    MatMul,
    Multiply,
    Program,
    Reduce,
    Resize,
    Softmax,
    Step,
    TensorInfo,
    Unary,
    interpret,
    step_inputs,
)
from smidgen.qparams import QParams
from tests.python.formats.onnx_export.onnx_sessions import run
from tests.python.program.attention_programs import attention_program
from tests.python.program.float_layer_programs import float_layer_program
from tests.python.program.float_programs import float_step_program
from tests.python.program.image_programs import image_step_program
from tests.python.program.small_programs import every_step_program

SOURCE, TARGET = QParams(scale=0.0625, zero_point=100), QParams(scale=0.03125, zero_point=30)


def operators(program: Program) -> Counter[str]:
    return Counter(node.op_type for node in export_onnx(program).graph.node)


def test_every_kind_of_step_has_a_rule() -> None:
    assert set(STEP_TYPES) == RULES.keys()


# ONNX leaves the rounding of these to the runtime.
ROUNDED_FREELY = (Attention, AveragePool2d, GlobalAveragePool, Multiply, Resize)
# The order of their sums, and the last bits of their functions, are the runtime's.
SUMMED_FREELY = (
    DynamicLinear, FloatConv2d, FloatConvTranspose2d, LayerNorm, MatMul, Reduce, Softmax, Unary,
)  # fmt: skip

HAS_VNNI = bool({"avxvnni", "avx512vnni"} & set(available_isas()))

STEPS = [
    (program, step)
    for program in (
        every_step_program(),
        image_step_program(),
        float_step_program(),
        float_layer_program(),
        attention_program(5, 2, 8),
        attention_program(None, 3, 16, (None, 1, 1, None)),
    )
    for step in program.steps
]


def alone(program: Program, step: Step) -> Program:
    """Returns a program of one step; what it reads are the inputs."""
    inputs = tuple(dict.fromkeys(step_inputs(step)))
    tensors = {name: program.tensor(name) for name in (*inputs, step.output)}
    constants = {
        name: values
        for name, values in program.constants.items()
        if name in dataclasses.astuple(step)
    }
    return Program(inputs, (step.output,), tensors, (step,), constants)


def random_values(tensor: TensorInfo, rng: np.random.Generator) -> NDArray[Any]:
    """Returns values of a tensor; all unknown extents are one number, and indices below 6."""
    shape = [4 if extent is None else extent for extent in tensor.shape]
    if tensor.dtype is DType.FLOAT32:
        return rng.normal(0, 1, shape).astype(np.float32)
    limit = {DType.UINT8: 256, DType.BOOL: 2, DType.INT64: 6}[tensor.dtype]
    return rng.integers(0, limit, shape).astype(tensor.dtype.numpy)


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize(("whole", "step"), STEPS, ids=[step.output for _, step in STEPS])
def test_onnx_runtime_computes_each_step(whole: Program, step: Step, optimize: bool) -> None:
    program = alone(whole, step)
    rng = np.random.default_rng(0)
    inputs = {name: random_values(program.tensor(name), rng) for name in program.inputs}
    expected = interpret(program, inputs)[step.output]
    found = run(program, inputs, optimize=optimize)[step.output]
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    # Without optimization quantized layers run in float32, which rounds otherwise near ties.
    is_float_layer = isinstance(step, ConvTranspose2d) or (
        isinstance(step, Conv2d | Linear) and not optimize
    )
    if isinstance(step, DynamicLinear) and not optimize and not HAS_VNNI:
        pytest.skip("only an optimization makes ONNX Runtime exact on this CPU")
    if isinstance(step, ROUNDED_FREELY) or is_float_layer:
        assert np.abs(found.astype(int) - expected).max() <= (
            2 if isinstance(step, Attention) else 1
        )
    elif isinstance(step, SUMMED_FREELY):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)


def pointwise(kind: Any, inputs: tuple[TensorInfo, ...], output: DType, **fields: Any) -> Program:
    """Returns a program of one step from its inputs to `y`."""
    tensors = {tensor.name: tensor for tensor in inputs}
    tensors["y"] = TensorInfo("y", output, inputs[0].shape)
    return Program(tuple(tensors)[:-1], ("y",), tensors, (kind(output="y", **fields),), {})


def compare_with_interpreter(program: Program, inputs: dict[str, NDArray[Any]]) -> None:
    expected, found = interpret(program, inputs)["y"], run(program, inputs)["y"]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


PARAMETERS = {"clamp": (-0.5, 0.75), "pow": (3.0,), "leaky_relu": (0.125,), "elu": (0.75,)}


@pytest.mark.parametrize("function", UNARY_PARAMETERS)
def test_functions_of_one_value(function: str) -> None:
    dtype = DType.BOOL if function == "not" else DType.FLOAT32
    x = TensorInfo("x", dtype, (None, 64))
    parameters = PARAMETERS.get(function, ())
    program = pointwise(Unary, (x,), dtype, input="x", function=function, parameters=parameters)
    values: NDArray[Any] = np.random.default_rng(0).normal(0, 2, (4, 64)).astype(dtype.numpy)
    if function in {"log", "rsqrt", "sqrt"}:
        values = np.abs(values) + np.float32(0.01)
    compare_with_interpreter(program, {"x": values})


@pytest.mark.parametrize(
    ("function", "dtype"), [(name, t) for name, types in BINARY_TYPES.items() for t in types]
)
def test_functions_of_two_values(function: str, dtype: str) -> None:
    kind = DType(dtype)
    ends = (TensorInfo("lhs", kind, (None, 64)), TensorInfo("rhs", kind, (None, 64)))
    program = pointwise(Binary, ends, kind, lhs="lhs", rhs="rhs", function=function)
    rng = np.random.default_rng(0)
    inputs = {tensor.name: random_values(tensor, rng) for tensor in ends}
    if function == "pow":
        inputs["lhs"] = np.abs(inputs["lhs"])
    compare_with_interpreter(program, inputs)


@pytest.mark.parametrize("function", COMPARISONS)
@pytest.mark.parametrize("dtype", [DType.INT64, DType.FLOAT32])
def test_comparisons(function: str, dtype: DType) -> None:
    ends = (TensorInfo("lhs", dtype, (None, 64)), TensorInfo("rhs", dtype, (None, 64)))
    program = pointwise(Compare, ends, DType.BOOL, lhs="lhs", rhs="rhs", function=function)
    rng = np.random.default_rng(0)
    compare_with_interpreter(program, {tensor.name: random_values(tensor, rng) for tensor in ends})


@pytest.mark.parametrize("function", REDUCTIONS)
@pytest.mark.parametrize("keep_dims", [True, False])
def test_reductions(function: str, keep_dims: bool) -> None:
    axes = (1,) if function == "argmax" else (1, 2)
    kept = tuple(1 if i in axes else n for i, n in enumerate((None, 5, 6, 7)))
    shape = kept if keep_dims else tuple(n for i, n in enumerate(kept) if i not in axes)
    dtype = DType.INT64 if function == "argmax" else DType.FLOAT32
    tensors = {
        "x": TensorInfo("x", DType.FLOAT32, (None, 5, 6, 7)),
        "y": TensorInfo("y", dtype, shape),
    }
    step = Reduce("x", "y", function, axes, keep_dims)
    program = Program(("x",), ("y",), tensors, (step,), {})
    x = np.random.default_rng(0).normal(size=(3, 5, 6, 7)).astype(np.float32)
    compare_with_interpreter(program, {"x": x})


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions(groups: int) -> None:
    rng = np.random.default_rng(groups)
    constants = {
        "w": rng.integers(-60, 61, (6, 8 // groups, 3, 2), np.int8),
        "s": rng.uniform(0.001, 0.01, 8).astype(np.float32),
        "b": rng.integers(-500, 500, 8, np.int32),
    }
    tensors = {
        "x": TensorInfo("x", DType.UINT8, (None, 6, 5, 7), 0.125, 100),
        "y": TensorInfo("y", DType.UINT8, (None, 8, 11, 15), 0.25, 90),
    }
    step = ConvTranspose2d(
        "x", "y", *("w", "s", "b"), stride=(2, 2), output_padding=(0, 1), groups=groups
    )
    program = Program(("x",), ("y",), tensors, (step,), constants)
    x = rng.integers(0, 256, (2, 6, 5, 7), np.uint8)
    found, expected = run(program, {"x": x})["y"], interpret(program, {"x": x})["y"]
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("mode", "align_corners"),
    [("nearest", False), ("nearest_exact", False), ("bilinear", False), ("bilinear", True)],
)
@pytest.mark.parametrize("size", [(10, 14), (3, 5), (8, 9)])
def test_resizing(mode: str, align_corners: bool, size: tuple[int, int]) -> None:
    qparams = (0.125, 100)
    tensors = {
        "x": TensorInfo("x", DType.UINT8, (None, 3, 5, 7), *qparams),
        "y": TensorInfo("y", DType.UINT8, (None, 3, *size), *qparams),
    }
    spans = [
        ((n - 1) / (m - 1) if align_corners else n / m) for n, m in zip((5, 7), size, strict=True)
    ]
    ratio = tuple(float(np.float32(span)) for span in spans)
    step = Resize("x", "y", mode, size, ratio, align_corners)
    program = Program(("x",), ("y",), tensors, (step,), {})
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), np.uint8)
    found, expected = run(program, {"x": x})["y"], interpret(program, {"x": x})["y"]
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (mode == "bilinear")


def test_linear_layers_of_any_rank_with_either_type_of_result() -> None:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.integers(-60, 61, (7, 12), np.int8),
        "s": rng.uniform(0.001, 0.01, 7).astype(np.float32),
        "b": rng.integers(-500, 500, 7, np.int32),
    }
    x = rng.integers(0, 256, (3, 5, 12), np.uint8)
    for scale in (0.25, None):
        dtype = DType.FLOAT32 if scale is None else DType.UINT8
        tensors = {
            "x": TensorInfo("x", DType.UINT8, (None, 5, 12), 0.125, 100),
            "y": TensorInfo("y", dtype, (None, 5, 7), scale, 0 if scale is None else 90),
        }
        program = Program(("x",), ("y",), tensors, (Linear("x", "y", *constants),), constants)
        expected, found = interpret(program, {"x": x})["y"], run(program, {"x": x})["y"]
        assert found.dtype == expected.dtype
        difference = np.abs(found.astype(np.float64) - expected).max()
        assert difference <= (1e-4 if scale is None else 1)


def test_a_model_says_what_it_is() -> None:
    program = every_step_program()
    model = export_onnx(program, name="every step")
    onnx.checker.check_model(model, full_check=True)
    assert model.graph.name == "every step"
    assert [entry.version for entry in model.opset_import] == [OPSET]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in shape] == ["batch", 3, 8, 8]
    assert [value.name for value in model.graph.output] == ["logits"]


def test_weights_stay_int8_with_a_scale_for_each_channel_and_biases_int32() -> None:
    program = every_step_program()
    graph = export_onnx(program).graph
    values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    nodes = {node.output[0]: node for node in graph.node}
    layers = [node for node in graph.node if node.op_type in {"Conv", "Gemm"}]
    assert len(layers) == 3
    for layer in layers:
        weight, bias = (nodes[name] for name in layer.input[1:])
        assert [values[name].dtype for name in weight.input] == [np.int8, np.float32, np.int8]
        assert [values[name].dtype for name in bias.input] == [np.int32, np.float32, np.int32]
        assert len(values[weight.input[1]]) == len(values[weight.input[0]])
        source = nodes[layer.input[0]]
        np.testing.assert_array_equal(
            values[bias.input[1]], values[source.input[1]] * values[weight.input[1]]
        )


def test_bounds_that_saturation_brings_need_no_node() -> None:
    program = every_step_program()
    clipped = sum(
        (getattr(step, "qmin", 0), getattr(step, "qmax", 255)) != (0, 255) for step in program.steps
    )
    assert operators(program)["Clip"] == clipped
    assert any(isinstance(step, Conv2d) for step in program.steps)


def table_program(table: NDArray[np.uint8]) -> Program:
    tensors = [
        TensorInfo("x", DType.UINT8, (256,), SOURCE.scale, SOURCE.zero_point),
        TensorInfo("y", DType.UINT8, (256,), TARGET.scale, TARGET.zero_point),
    ]
    return Program(
        inputs=("x",),
        outputs=("y",),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=(Lookup("x", "y", "table"),),
        constants={"table": table},
    )


EVERY_BYTE = {"x": np.arange(256, dtype=np.uint8)}


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        ("hardswish", "HardSwish"),
        ("hardsigmoid", "HardSigmoid"),
        ("sigmoid", "Sigmoid"),
        ("tanh", "Tanh"),
        ("silu", "Sigmoid"),
        ("gelu", "Erf"),
    ],
)
def test_tables_of_functions_are_exported_as_these(name: str, operator: str) -> None:
    function: Any = getattr(unary_functions, name)
    program = table_program(function_table(function, SOURCE, TARGET))
    found = operators(program)
    assert found[operator] == 1
    assert not found["Gather"]
    expected = interpret(program, EVERY_BYTE)["y"].astype(int)
    assert np.abs(run(program, EVERY_BYTE)["y"].astype(int) - expected).max() <= 1


def test_a_change_of_scale_is_exported_as_one() -> None:
    program = table_program(requantizing_table(SOURCE, TARGET))
    assert set(operators(program)) == {"QuantizeLinear", "DequantizeLinear"}
    expected = interpret(program, EVERY_BYTE)["y"]
    np.testing.assert_array_equal(run(program, EVERY_BYTE)["y"], expected)


def test_any_other_table_is_kept_as_it_is() -> None:
    program = table_program(np.random.default_rng(0).integers(0, 256, 256, np.uint8))
    assert set(operators(program)) == {"Cast", "Gather"}
    expected = interpret(program, EVERY_BYTE)["y"]
    np.testing.assert_array_equal(run(program, EVERY_BYTE)["y"], expected)


def test_names_of_the_program_do_not_collide_with_new_ones() -> None:
    table = requantizing_table(SOURCE, TARGET)
    names = ("x", "x/scale", "x/DequantizeLinear")
    tensors = {
        name: TensorInfo(name, DType.UINT8, (256,), SOURCE.scale, SOURCE.zero_point)
        for name in names
    }
    tensors["y"] = TensorInfo("y", DType.UINT8, (256,), TARGET.scale, TARGET.zero_point)
    chain = [*names, "y"]
    moving = np.arange(255, -1, -1, dtype=np.uint8)
    steps = tuple(
        Lookup(a, b, "last" if b == "y" else "moving") for a, b in itertools.pairwise(chain)
    )
    constants = {"moving": moving, "last": table}
    program = Program(("x",), ("y",), tensors, steps, constants)
    expected = interpret(program, EVERY_BYTE)["y"]
    np.testing.assert_array_equal(run(program, EVERY_BYTE)["y"], expected)


def test_programs_that_break_a_rule_are_refused() -> None:
    program = table_program(np.zeros(255, np.uint8))
    with pytest.raises(ProgramError):
        export_onnx(program)


def test_exporting_needs_no_torch() -> None:
    code = "import sys, smidgen.formats.onnx_export; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
