"""Exported programs come back and give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.conversion import convert
from benchmarks.nets import NETS
from smidgen import pipeline, unary_functions
from smidgen.calibration import calibrate
from smidgen.config import Activations
from smidgen.engine import Engine
from smidgen.float_model import load_model
from smidgen.lookup_tables import function_table
from smidgen.program import (
    Add,
    Attention,
    Conv2d,
    ConvTranspose2d,
    DType,
    DynamicLinear,
    Embedding,
    Linear,
    Lookup,
    Program,
    Step,
    TensorInfo,
    interpret,
)
from smidgen.qparams import QParams
from smidgen.verification import random_samples
from tests.python.formats.onnx_export.test_export import STEPS, alone, random_values
from tests.python.formats.onnx_import.round_trips import (
    come_back,
    with_fixed_extents,
    with_float_ends,
)
from tests.python.graph.transformers import export_encoder, token_arrays
from tests.python.program.random_programs import RandomProgram

Arrays = Mapping[str, NDArray[Any]]
EXTENT = 4
# A program of a constant has no inputs, and indices that are computed are read for tables alone.
NOT_ALONE = ("ConstantTensor", "Gather")


def assert_same_bytes(program: Program, found: Program, inputs: Arrays) -> None:
    expected, values = interpret(program, inputs), interpret(found, inputs)
    assert found.inputs == program.inputs
    assert found.outputs == program.outputs
    for name in program.outputs:
        assert values[name].dtype == expected[name].dtype
        assert values[name].tobytes() == expected[name].tobytes(), name


def inputs_of(program: Program, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return {name: random_values(program.tensor(name), rng) for name in program.inputs}


def reads_bools(program: Program) -> bool:
    return any(program.tensor(name).dtype is DType.BOOL for name in program.inputs)


SINGLE = [
    (with_fixed_extents(with_float_ends(alone(whole, step)), EXTENT), step)
    for whole, step in STEPS
    if type(step).__name__ not in NOT_ALONE
]


@pytest.mark.parametrize(
    ("program", "step"),
    [(program, step) for program, step in SINGLE if not reads_bools(program)],
    ids=[step.output for program, step in SINGLE if not reads_bools(program)],
)
def test_each_step_comes_back(program: Program, step: Step, tmp_path: Path) -> None:
    found = come_back(program, tmp_path)
    assert_same_bytes(program, found, inputs_of(program))
    kinds = [type(found_step) for found_step in found.steps]
    # Gather of constant indices is written as slices, and a multiplication by one as nothing.
    if isinstance(step, Attention | Conv2d | ConvTranspose2d | DynamicLinear | Embedding | Linear):
        assert kinds.count(type(step)) == 1


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_sums_of_nets_come_back_as_sums(name: str, tmp_path: Path) -> None:
    net = replace(NETS[name], image_shape=(3, 32, 32))  # type: ignore[type-var]  # it has images
    program = convert(net.random(), net.samples(4))

    found = come_back(program, tmp_path)

    assert [type(step) for step in found.steps] == [type(step) for step in program.steps]
    for ours, theirs in zip(program.steps, found.steps, strict=True):
        assert found.tensor(theirs.output).scale == program.tensor(ours.output).scale


def test_sums_of_tables_and_of_sums_come_back(tmp_path: Path) -> None:
    """The scale of a table's bytes is said by those who read it alone, here by sums."""
    table = np.random.default_rng(0).integers(0, 256, 256, np.uint8)
    scales = {"a": 0.1, "b": 0.03, "c": 0.07, "d": 0.11, "e": 0.5}
    tensors = {
        name: TensorInfo(name, DType.UINT8, (None, 40), float(np.float32(scale)), 7 + index)
        for index, (name, scale) in enumerate(scales.items())
    }
    steps = (Lookup("a", "b", "t"), Add("a", "b", "c"), Add("c", "b", "d"), Add("d", "d", "e"))
    program = with_float_ends(Program(("a",), ("e",), tensors, steps, {"t": table}))

    found = come_back(program, tmp_path)

    assert_same_bytes(program, found, inputs_of(program))
    kinds = [type(step).__name__ for step in found.steps]
    assert kinds.count("Add") >= 2
    assert not set(kinds) & {"Binary", "Unary"}


WHOLE = [
    with_fixed_extents(with_float_ends(whole), EXTENT)
    for whole in {id(whole): whole for whole, _ in STEPS}.values()
]


@pytest.mark.parametrize("program", WHOLE, ids=lambda program: ",".join(program.outputs))
def test_programs_of_many_steps_come_back(program: Program, tmp_path: Path) -> None:
    assert_same_bytes(program, come_back(program, tmp_path), inputs_of(program))


class RandomLayers(RandomProgram):
    """A program without scales, windows and sizes that no converted net has."""

    def _scale(self) -> float:
        return float(np.float32(2.0 ** self._rng.uniform(-8, 2)))

    def _resize(self, source: TensorInfo) -> None:
        self._lookup(source)

    _transpose_convolve = _average = _maximum = _resize


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_programs_come_back(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    random = RandomLayers(seed)
    program = with_float_ends(random.program())
    inputs = inputs_of(with_known_batch(program, random.inputs), seed % 1000)
    assert_same_bytes(program, come_back(program, tmp_path_factory.mktemp("random")), inputs)


def with_known_batch(program: Program, inputs: Arrays) -> Program:
    """Returns a program whose inputs state the batch that arrays of it have."""
    batch = len(next(iter(inputs.values())))
    tensors = {
        name: TensorInfo(
            tensor.name,
            tensor.dtype,
            tuple(batch if extent is None else extent for extent in tensor.shape),
            tensor.scale,
            tensor.zero_point,
        )
        for name, tensor in program.tensors.items()
    }
    return Program(program.inputs, program.outputs, tensors, program.steps, program.constants)


@pytest.mark.parametrize("name", ["digits", "mobilenet_v2"])
def test_a_net_comes_back_with_the_same_steps(name: str, tmp_path: Path) -> None:
    net = NETS[name]
    program = convert(net.random(), net.samples(4))
    found = come_back(program, tmp_path)
    inputs = net.samples(2, seed=1)
    (output,) = program.outputs
    expected = Engine(program).run(inputs)[output]
    assert Engine(found).run(inputs)[output].tobytes() == expected.tobytes()
    assert kinds_of(found) == kinds_of(program)


def kinds_of(program: Program) -> list[str]:
    return sorted(type(step).__name__ for step in program.steps)


@pytest.mark.parametrize("activations", list(Activations))
def test_an_encoder_comes_back(activations: Activations, tmp_path: Path) -> None:
    model = load_model(export_encoder(tmp_path / "encoder.pt2"))
    profile = calibrate(model, [token_arrays(16, seed) for seed in range(2)])
    program = pipeline.convert(model, profile, activations=activations).program
    found = come_back(program, tmp_path)
    assert_same_bytes(program, found, random_samples(program, 3))
    for kind in ("Attention", "DynamicLinear", "Embedding", "LayerNorm", "Linear"):
        assert kinds_of(found).count(kind) == kinds_of(program).count(kind)


EVERY_BYTE = (np.arange(256, dtype=np.float32) - 100) * np.float32(0.0625)


def table_program(table: NDArray[np.uint8]) -> Program:
    tensors = [
        TensorInfo("x", DType.UINT8, (1, 256), 0.0625, 100),
        TensorInfo("y", DType.UINT8, (1, 256), 0.03125, 30),
    ]
    steps = (Lookup("x", "y", "table"),)
    by_name = {tensor.name: tensor for tensor in tensors}
    return with_float_ends(Program(("x",), ("y",), by_name, steps, {"table": table}))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        unary_functions.hardswish,
        unary_functions.hardsigmoid,
        unary_functions.sigmoid,
        unary_functions.tanh,
        unary_functions.silu,
        unary_functions.gelu,
        unary_functions.gelu_tanh,
    ],
)
def test_tables_of_functions_come_back_as_they_were(
    function: Callable[[float], float], tmp_path: Path
) -> None:
    source, target = QParams(0.0625, 100), QParams(0.03125, 30)
    program = table_program(function_table(function, source, target))
    found = come_back(program, tmp_path)
    assert_same_bytes(program, found, {"x_real": EVERY_BYTE[None]})
    assert kinds_of(found) == ["Dequantize", "Lookup", "Quantize"]


def test_any_other_table_comes_back_as_it_was(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(0, 256, 256, np.uint8)
    program = table_program(table)
    found = come_back(program, tmp_path)
    assert_same_bytes(program, found, {"x_real": EVERY_BYTE[None]})
    (lookup,) = [step for step in found.steps if isinstance(step, Lookup)]
    np.testing.assert_array_equal(found.constants[lookup.table], table)


def test_the_scales_of_a_grouped_transposed_convolution_survive(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    constants = {
        "w": rng.integers(-60, 61, (6, 4, 3, 2), np.int8),
        "s": rng.uniform(0.001, 0.01, 8).astype(np.float32),
        "b": rng.integers(-500, 500, 8, np.int32),
    }
    tensors = {
        "x": TensorInfo("x", DType.UINT8, (None, 6, 5, 7), 0.125, 100),
        "y": TensorInfo("y", DType.UINT8, (None, 8, 11, 15), 0.25, 90),
    }
    step = ConvTranspose2d(
        "x", "y", *("w", "s", "b"), stride=(2, 2), output_padding=(0, 1), groups=2
    )
    program = with_float_ends(Program(("x",), ("y",), tensors, (step,), constants))
    found = come_back(program, tmp_path)
    (layer,) = [step for step in found.steps if isinstance(step, ConvTranspose2d)]
    for field in ("weight", "weight_scale", "bias"):
        expected = constants[{"weight": "w", "weight_scale": "s", "bias": "b"}[field]]
        np.testing.assert_array_equal(found.constants[getattr(layer, field)], expected)
    assert_same_bytes(program, found, inputs_of(program))
