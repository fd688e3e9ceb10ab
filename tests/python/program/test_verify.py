from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from smidgen.errors import ProgramError
from smidgen.program import (
    DType,
    GlobalAveragePool,
    MaxPool2d,
    Multiply,
    Program,
    Quantize,
    Step,
    TensorInfo,
    verify,
)
from smidgen.program.shapes import reshaped_shape
from tests.python.program.float_programs import float_step_program
from tests.python.program.image_programs import image_step_program
from tests.python.program.small_programs import (
    every_step_program,
    with_constant,
    with_step,
    with_tensor,
)


def test_valid_programs_pass() -> None:
    verify(every_step_program())
    verify(float_step_program())
    verify(image_step_program())


CONV, DEPTHWISE, MAX_POOL, ADD, LOOKUP, CONCAT, AVERAGE, LINEAR = 1, 2, 3, 4, 5, 6, 7, 10

BROKEN: dict[str, tuple[Callable[[Program], Program], str]] = {
    "reads-before-write": (lambda p: with_step(p, CONV, input="pool"), "before it is written"),
    "unknown-output": (lambda p: with_step(p, CONV, output="nowhere"), "not declared"),
    "written-twice": (lambda p: with_step(p, DEPTHWISE, output="conv"), "already has a value"),
    "no-outputs": (lambda p: dataclasses.replace(p, outputs=()), "no outputs"),
    "output-not-written": (lambda p: dataclasses.replace(p, outputs=("y",)), "never written"),
    "unknown-input": (lambda p: dataclasses.replace(p, inputs=("y",)), "not among the tensors"),
    "unused-tensor": (
        lambda p: dataclasses.replace(p, steps=p.steps[:-1], outputs=("x",)),
        "never",
    ),
    "zero-scale": (lambda p: with_tensor(p, "x", scale=0.0), "scale"),
    "nan-scale": (lambda p: with_tensor(p, "x", scale=float("nan")), "scale"),
    "no-scale": (lambda p: with_tensor(p, "x", scale=None), "scale"),
    "double-scale": (lambda p: with_tensor(p, "x", scale=0.1), "scale"),
    "zero-point": (lambda p: with_tensor(p, "x", zero_point=256), "zero point"),
    "rank": (lambda p: with_tensor(p, "x", shape=()), "rank 0"),
    "extent": (lambda p: with_tensor(p, "x", shape=(0, 3, 8, 8)), "positive extents"),
    "float-with-scale": (lambda p: with_tensor(p, "logits", scale=1.0), "has a scale"),
    "wrong-shape": (lambda p: with_tensor(p, "conv", shape=(None, 8, 8, 7)), "expected"),
    "missing-constant": (lambda p: with_step(p, CONV, weight="w"), "constant w is missing"),
    "weight-type": (lambda p: with_constant(p, "c.w", np.zeros((8, 3, 3, 3))), "expected int8"),
    "weight-shape": (
        lambda p: with_constant(p, "c.w", np.zeros((8, 2, 3, 3), np.int8)),
        "expected int8",
    ),
    "weight-scale": (
        lambda p: with_constant(p, "c.s", np.zeros(8, np.float32)),
        r"outside \[2\*\*-60",
    ),
    "bias-overflow": (
        lambda p: with_constant(p, "c.b", np.full(8, 2**31 - 1, np.int32)),
        "accumulators reach",
    ),
    "table": (lambda p: with_constant(p, "t", np.zeros(255, np.uint8)), r"uint8 \[256\]"),
    "clamp": (lambda p: with_step(p, CONV, qmin=10, qmax=9), "clamp"),
    "groups": (lambda p: with_step(p, CONV, groups=2), "3 channels for 2 groups"),
    "no-groups": (lambda p: with_step(p, CONV, groups=0), "groups is 0"),
    "stride": (lambda p: with_step(p, CONV, stride=(0, 1)), "stride"),
    "padding": (lambda p: with_step(p, CONV, padding=(-1, 0, 0, 0)), "padding"),
    "pool-padding": (lambda p: with_step(p, MAX_POOL, padding=(2, 1, 1, 1)), "padding"),
    "pool-qparams": (lambda p: with_tensor(p, "pool", zero_point=1), "differ in scale"),
    "average-overflow": (
        lambda p: with_step(p, AVERAGE, kernel=(4096, 4096)),
        "can reach 4227858432",
    ),
    "constant-type": (lambda p: with_constant(p, "spare", np.zeros(2)), "spare is float64"),
    "weight-minus-128": (
        lambda p: with_constant(p, "l.w", np.full((5, 16), -128, np.int8)),
        "below -127",
    ),
    "window": (lambda p: with_step(p, AVERAGE, kernel=(9, 9)), "does not fit"),
    "concat-qparams": (lambda p: with_tensor(p, "table", scale=0.75), "differ in scale"),
    "concat-nothing": (lambda p: with_step(p, CONCAT, inputs=()), "joins nothing"),
    "add-shapes": (lambda p: with_step(p, ADD, lhs="conv"), "adds"),
    "linear-rank": (lambda p: with_step(p, LINEAR, input="mean"), "rank 4, expected 2"),
    "reshape": (lambda p: with_step(p, 9, shape=(0, 15)), "cannot become"),
    "reshape-minus": (lambda p: with_step(p, 9, shape=(-1, -1)), "at most once"),
    "quantize-type": (lambda p: with_step(p, 0, output="logits"), "expected uint8"),
    "input-twice": (lambda p: dataclasses.replace(p, inputs=("image", "image")), "twice"),
    "listed-name": (
        lambda p: dataclasses.replace(p, tensors={**p.tensors, "y": p.tensors["x"]}),
        "listed under",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_is_refused(name: str) -> None:
    break_it, message = BROKEN[name]
    with pytest.raises(ProgramError, match=message):
        verify(break_it(every_step_program()))


BROKEN_PRODUCTS: dict[str, tuple[Callable[[Program], Program], str]] = {
    "channels": (lambda p: with_tensor(p, "mean", shape=(None, 2, 1, 1)), "expected"),
    "rank": (lambda p: with_step(p, 2, lhs="image"), "image is float32"),
    "clamp": (lambda p: with_step(p, 2, qmin=251), "clamp"),
    "small-multiplier": (
        lambda p: with_tensor(
            with_tensor(with_tensor(p, "x", scale=2.0**-60), "mean", scale=2.0**-60),
            "scaled",
            scale=2.0**60,
        ),
        "not a normal float32",
    ),
}


@pytest.mark.parametrize("name", BROKEN_PRODUCTS)
def test_a_broken_product_is_refused(name: str) -> None:
    break_it, message = BROKEN_PRODUCTS[name]
    with pytest.raises(ProgramError, match=message):
        verify(break_it(image_step_program()))


STRETCH, RESIZE = 3, 4

BROKEN_RESAMPLING: dict[str, tuple[Callable[[Program], Program], str]] = {
    "channels": (
        lambda p: with_constant(p, "t.w", np.zeros((4, 4, 3, 3), np.int8)),
        "expected int8",
    ),
    "groups": (lambda p: with_step(p, STRETCH, groups=2), "3 channels for 2 groups"),
    "no-groups": (lambda p: with_step(p, STRETCH, groups=0), "groups is 0"),
    "stride": (lambda p: with_step(p, STRETCH, stride=(0, 2)), "stride is"),
    "padding": (lambda p: with_step(p, STRETCH, padding=(-1, 0, 0, 0)), "padding is"),
    "output-padding": (lambda p: with_step(p, STRETCH, output_padding=(2, 0)), "from 0 to 1"),
    "nothing-left": (lambda p: with_step(p, STRETCH, padding=(99, 0, 0, 0)), "become -89"),
    "clamp": (lambda p: with_step(p, STRETCH, qmin=256), "clamp"),
    "overflow": (
        lambda p: with_constant(p, "t.b", np.full(4, 2**31 - 1, np.int32)),
        "accumulators reach",
    ),
    "shape": (lambda p: with_tensor(p, "larger", shape=(None, 4, 8, 12)), "expected"),
    "mode": (lambda p: with_step(p, RESIZE, mode="cubic"), "mode is 'cubic'"),
    "size": (lambda p: with_step(p, RESIZE, size=(0, 12)), "not from 1"),
    "large-size": (lambda p: with_step(p, RESIZE, size=(2**24, 12)), "not from 1"),
    "ratio": (lambda p: with_step(p, RESIZE, ratio=(-1.0, 1.0)), "at least 0"),
    "double-ratio": (lambda p: with_step(p, RESIZE, ratio=(0.1, 1.0)), "a float32 value"),
    "ratios": (lambda p: with_step(p, RESIZE, ratio=(1.0,)), "1 values"),
    "corners": (
        lambda p: with_step(p, RESIZE, mode="nearest", align_corners=True),
        "does not align",
    ),
    "qparams": (lambda p: with_tensor(p, "blurred", zero_point=1), "differ in scale"),
}


@pytest.mark.parametrize("name", BROKEN_RESAMPLING)
def test_a_broken_resampling_is_refused(name: str) -> None:
    break_it, message = BROKEN_RESAMPLING[name]
    with pytest.raises(ProgramError, match=message):
        verify(break_it(image_step_program()))


def test_factors_of_another_image_are_refused() -> None:
    tensors = [
        TensorInfo("x", DType.UINT8, (2, 3, 4, 4), 1.0),
        TensorInfo("f", DType.UINT8, (1, 3, 1, 1), 1.0),
        TensorInfo("y", DType.UINT8, (2, 3, 4, 4), 1.0),
    ]
    declared = {tensor.name: tensor for tensor in tensors}
    for lhs, rhs in (("x", "f"), ("f", "x")):
        with pytest.raises(ProgramError, match="multiplies"):
            verify(Program(("x", "f"), ("y",), declared, (Multiply(lhs, rhs, "y"),), {}))


def _one_pool(step: Step, side: int) -> Program:
    tensors = [
        TensorInfo("x", DType.UINT8, (None, 1, side, side), 1.0),
        TensorInfo("y", DType.UINT8, (None, 1, 1, 1), 1.0),
    ]
    return Program(("x",), ("y",), {tensor.name: tensor for tensor in tensors}, (step,), {})


def test_a_global_average_whose_sum_leaves_int32_is_refused() -> None:
    with pytest.raises(ProgramError, match="can reach 2295000000"):
        verify(_one_pool(GlobalAveragePool("x", "y"), 3000))
    verify(_one_pool(GlobalAveragePool("x", "y"), 2900))


def test_a_dilated_pool_that_steps_over_the_image_is_refused() -> None:
    pool = MaxPool2d("x", "y", (2, 2), (1, 1), (2, 2, 2, 2), (4, 4))
    with pytest.raises(ProgramError, match="no value of 1 inside"):
        verify(_one_pool(pool, 1))
    verify(_one_pool(MaxPool2d("x", "y", (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), 1))


def test_multipliers_that_overflow_are_refused_without_a_warning() -> None:
    program = with_tensor(every_step_program(), "flat", scale=2.0**60)
    program = with_tensor(with_tensor(program, "mean", scale=2.0**60), "scores", scale=2.0**-60)
    scales = np.full(5, 2.0**60, np.float32)
    with pytest.raises(ProgramError, match="not a normal float32"):
        verify(with_constant(program, "l.s", scales))


def test_the_message_names_the_step() -> None:
    program = with_step(every_step_program(), 1, qmin=300)
    with pytest.raises(ProgramError, match=r"step 1 \(Conv2d, writes conv\)") as caught:
        verify(program)
    assert caught.value.metadata == {"step": "1"}


def test_a_program_may_have_only_edges() -> None:
    program = every_step_program()
    tensors = {name: program.tensors[name] for name in ("image", "x")}
    verify(
        dataclasses.replace(
            program, outputs=("x",), tensors=tensors, steps=(Quantize("image", "x"),)
        )
    )


@pytest.mark.parametrize(
    ("shape", "target", "expected"),
    [
        ((None, 8, 2, 2), (0, -1), (None, 32)),
        ((None, 8, 2, 2), (0, 32), (None, 32)),
        ((2, 8), (-1,), (16,)),
        ((None, 8), (-1, 4), (None, 4)),
        ((None, 8, None, None), (0, -1), (None, None)),
        ((None, 8), (0, 8, 1, 1), (None, 8, 1, 1)),
    ],
)
def test_reshaped_shape(shape, target, expected) -> None:  # type: ignore[no-untyped-def]
    assert reshaped_shape(shape, target) == expected


@pytest.mark.parametrize(
    ("shape", "target"), [((None, 8), (0, 7)), ((2, 8), (-1, 5)), ((2, 8), (0, 8, 0))]
)
def test_impossible_reshapes_are_refused(shape, target) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ProgramError, match="cannot become"):
        reshaped_shape(shape, target)
