"""What plans make of the steps between an encoder's products, and that its bytes stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.engine import Engine, available_isas
from smidgen.program import (
    Binary,
    ConstantTensor,
    DType,
    LayerNorm,
    Program,
    Quantize,
    TensorInfo,
    interpret,
)


def residual_program(features: int, outputs: tuple[str, ...] = ("q", "y")) -> Program:
    """Returns two sums, each normalized; the first one is quantized and read by the second sum."""
    shape = (None, 5, features)
    tensors = [TensorInfo(name, DType.FLOAT32, shape) for name in ("a", "b", "s", "n", "t", "y")]
    tensors.append(TensorInfo("c", DType.FLOAT32, (features,)))
    tensors.append(TensorInfo("q", DType.UINT8, shape, 0.03125, 100))
    rng = np.random.default_rng(features)
    weight, bias, constant = rng.normal(1, 0.5, (3, features)).astype(np.float32)
    steps = (
        ConstantTensor("c", "constant"),
        Binary("a", "b", "s", "add"),
        LayerNorm("s", "n", 2.0**-16, "weight", "bias"),
        Quantize("n", "q"),
        Binary("n", "c", "t", "add"),
        LayerNorm("t", "y", 2.0**-16, None, "bias"),
    )
    return Program(
        ("a", "b"),
        outputs,
        {tensor.name: tensor for tensor in tensors},
        steps,
        {"weight": weight, "bias": bias, "constant": constant},
    )


def samples(program: Program, count: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(count)
    shape = (count, 5, program.tensor("a").shape[2] or 1)
    return {name: rng.normal(0, 2, shape).astype(np.float32) for name in program.inputs}


def test_a_layer_norm_stands_for_the_sum_before_and_the_quantization_behind_it() -> None:
    program = residual_program(24)
    plan = Engine(program).describe_plan({"a": (2, 5, 24), "b": (2, 5, 24)})
    first, total, second = plan.steps
    assert (first.output, first.inputs, first.absorbed) == ("n", ("a", "b"), ("s",))
    assert (first.quantized, second.quantized) == ("q", None)
    # The constant repeats, so that sum is a step; what it wrote is overwritten.
    assert (total.output, second.output) == ("t", "y")
    assert plan.aliases == {"y": "t"}


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("features", [1, 15, 16, 33, 64, 100, 384, 4096])
def test_fused_steps_give_the_bytes_of_the_interpreter(
    isa: str, threads: int, features: int
) -> None:
    for outputs in (("q",), ("y",), ("q", "y"), ("s", "n", "t", "q", "y")):
        program = residual_program(features, outputs)
        engine = Engine(program, isa=isa, threads=threads)
        for count in (1, 7):
            inputs = samples(program, count)
            expected = interpret(program, inputs)
            for name, found in engine.run(inputs).items():
                np.testing.assert_array_equal(found, expected[name], err_msg=name)


@pytest.mark.parametrize("isa", available_isas())
def test_special_numbers_are_quantized_as_by_the_step_alone(isa: str) -> None:
    program = residual_program(40)
    inputs = samples(program, 3)
    inputs["a"][0, 0, :3] = [np.inf, -np.inf, np.nan]
    inputs["a"][1, 1, 1], inputs["b"][1, 1, 1] = 3e38, 3e38
    inputs["a"][2] *= np.float32(1e-40)
    inputs["b"][2] *= np.float32(1e-40)
    expected = interpret(program, inputs)
    for name, found in Engine(program, isa=isa).run(inputs, check_finite=False).items():
        np.testing.assert_array_equal(found, expected[name], err_msg=name)
