"""Convolutions on float32: the engine gives the interpreter's bytes, and those are near torch's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from smidgen.engine import Engine, available_isas
from smidgen.errors import InvalidTensorError, ProgramError
from smidgen.program import (
    DType,
    FloatConv2d,
    FloatConvTranspose2d,
    Program,
    TensorInfo,
    interpret,
    verify,
)
from smidgen.program.multiplications import total_multiplications

Pair = tuple[int, int]


def program_of(
    step: FloatConv2d | FloatConvTranspose2d, weight: np.ndarray, channels: int, image: Pair
) -> Program:
    """Returns a program of one step from x to y whose extents are not declared."""
    is_conv = isinstance(step, FloatConv2d)
    outs = len(weight) if is_conv else weight.shape[1] * step.groups
    bias = np.random.default_rng(1).normal(size=outs)
    tensors = (
        TensorInfo("x", DType.FLOAT32, (None, channels, *image)),
        TensorInfo("y", DType.FLOAT32, (None, outs, None, None)),
    )
    return Program(
        ("x",),
        ("y",),
        {tensor.name: tensor for tensor in tensors},
        (step,),
        {"w": weight.astype(np.float32), "b": bias.astype(np.float32)},
    )


def torch_values(program: Program, x: np.ndarray) -> np.ndarray:
    """Returns what torch computes; a transposed padding must be the same at both ends."""
    (step,) = program.steps
    source, weight, bias = map(
        torch.from_numpy, (x, program.constants["w"], program.constants["b"])
    )
    if isinstance(step, FloatConvTranspose2d):
        return functional.conv_transpose2d(
            source, weight, bias, step.stride, step.padding[:2], step.output_padding, step.groups,
            step.dilation,
        ).numpy()  # fmt: skip
    assert isinstance(step, FloatConv2d)
    top, left, bottom, right = step.padding
    padded = functional.pad(source, (left, right, top, bottom))
    return functional.conv2d(
        padded, weight, bias, step.stride, 0, step.dilation, step.groups
    ).numpy()


@st.composite
def layers(draw: st.DrawFn) -> tuple[Program, np.ndarray]:
    """Draws a layer and an input: odd extents, strides, gaps, groups, paddings at one end only."""
    small, pair = st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups, channels, outs = draw(small), draw(st.integers(1, 5)), draw(st.sampled_from([1, 2, 7]))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    image = draw(st.tuples(st.integers(1, 20), st.integers(1, 40)))
    ends = st.integers(0, 3)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
    if draw(st.booleans()):
        half = draw(st.tuples(ends, ends))
        extra = tuple(draw(st.integers(0, max(stride[i], dilation[i]) - 1)) for i in (0, 1))
        step = FloatConvTranspose2d(
            "x", "y", "w", "b", stride, (*half, *half), extra, dilation, groups
        )
        weight = rng.normal(size=(channels * groups, outs, *kernel))
        found = [(image[i] - 1) * stride[i] + reach[i] - 2 * half[i] + extra[i] for i in (0, 1)]
    else:
        padding = draw(st.tuples(ends, ends, ends, ends))
        step = FloatConv2d("x", "y", "w", "b", stride, padding, dilation, groups)
        weight = rng.normal(size=(outs * groups, channels, *kernel))
        found = [image[i] + padding[i] + padding[i + 2] - reach[i] + 1 for i in (0, 1)]
    if min(found) < 1:
        image, padding = (9, 9), (3, 3, 3, 3)
        step = FloatConv2d("x", "y", "w", "b", stride, padding, dilation, groups)
        weight = rng.normal(size=(outs * groups, channels, *kernel))
    x = rng.normal(size=(draw(small), channels * groups, *image)).astype(np.float32)
    return program_of(step, weight, channels * groups, image), x


@settings(max_examples=150, deadline=None)
@given(layers())
def test_all_levels_and_threads_give_the_bytes_of_the_interpreter(
    layer: tuple[Program, np.ndarray],
) -> None:
    program, x = layer
    verify(program)
    expected = interpret(program, {"x": x})["y"]
    np.testing.assert_allclose(expected, torch_values(program, x), rtol=1e-4, atol=1e-4)
    for isa, threads in itertools.product(available_isas(), (1, 2, 3)):
        found = Engine(program, isa=isa, threads=threads).run({"x": x})["y"]
        assert found.tobytes() == expected.tobytes(), (isa, threads)


@pytest.mark.parametrize(
    ("channels", "outs", "kernel", "groups", "image"),
    [
        (256, 40, 3, 1, (14, 14)),
        (300, 300, 3, 300, (9, 9)),
        (3, 6, 5, 3, (90, 200)),
        (64, 70, 1, 1, (33, 31)),
    ],
    ids=["deep", "depthwise", "wide depthwise", "pointwise"],
)
def test_layers_of_several_blocks(
    channels: int, outs: int, kernel: int, groups: int, image: Pair
) -> None:
    """Columns do not fit into one panel, or lines into one band; some layers read in place."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(outs, channels // groups, kernel, kernel))
    padding = (kernel // 2,) * 4
    step = FloatConv2d("x", "y", "w", "b", padding=padding, groups=groups)
    program = program_of(step, weight, channels, image)
    x = rng.normal(size=(2, channels, *image)).astype(np.float32)
    expected = interpret(program, {"x": x})["y"]
    for isa, threads in itertools.product(available_isas(), (1, 3)):
        assert Engine(program, isa=isa, threads=threads).run({"x": x})["y"].tobytes() == (
            expected.tobytes()
        ), (isa, threads)


def test_values_that_are_no_numbers_spread_as_in_the_interpreter() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 2, 3, 3))
    step = FloatConv2d("x", "y", "w", "b", padding=(1, 1, 1, 1))
    program = program_of(step, weight, 2, (6, 6))
    x = np.random.default_rng(1).normal(size=(1, 2, 6, 6)).astype(np.float32)
    x[0, 0, 2, 2], x[0, 1, 5, 5], x[0, 1, 0, 0] = np.nan, np.inf, 1e-42
    expected = interpret(program, {"x": x})["y"]
    for isa in available_isas():
        found = Engine(program, isa=isa).run({"x": x}, check_finite=False)["y"]
        np.testing.assert_array_equal(found, expected)


def test_multiplications_are_counted() -> None:
    weight = np.ones((4, 3, 3, 2))
    program = program_of(FloatConv2d("x", "y", "w", "b"), weight, 3, (5, 4))
    program.tensors["y"] = TensorInfo("y", DType.FLOAT32, (None, 4, 3, 3))  # type: ignore[index]
    assert total_multiplications(program, 2) == 2 * 4 * 3 * 3 * 3 * 3 * 2


def test_an_image_that_is_too_small_is_refused() -> None:
    program = program_of(FloatConv2d("x", "y", "w", "b"), np.ones((1, 1, 3, 3)), 1, (None, None))  # type: ignore[arg-type]
    with pytest.raises(InvalidTensorError, match="no window of 3 x 3 fits"):
        Engine(program).run({"x": np.ones((1, 1, 2, 3), np.float32)})


BAD = {
    "channels": (FloatConv2d("x", "y", "w", "b"), np.ones((2, 3, 1, 1)), "constant w is"),
    "groups": (FloatConv2d("x", "y", "w", "b", groups=3), np.ones((3, 1, 1, 1)), "4 channels"),
    "outputs": (FloatConv2d("x", "y", "w", "b", groups=2), np.ones((3, 2, 1, 1)), "3 outputs"),
    "stride": (FloatConv2d("x", "y", "w", "b", (0, 1)), np.ones((2, 4, 1, 1)), "stride"),
    "infinite": (FloatConv2d("x", "y", "w", "b"), np.full((2, 4, 1, 1), np.inf), "not finite"),
    "appended": (
        FloatConvTranspose2d("x", "y", "w", "b", output_padding=(1, 0)),
        np.ones((4, 2, 1, 1)),
        "output padding",
    ),
    "cut off": (
        FloatConvTranspose2d("x", "y", "w", "b", padding=(9, 0, 9, 0)),
        np.ones((4, 2, 1, 1)),
        "pixels become",
    ),
}


@pytest.mark.parametrize(("step", "weight", "message"), BAD.values(), ids=BAD.keys())
def test_bad_steps_are_refused(
    step: FloatConv2d | FloatConvTranspose2d, weight: np.ndarray, message: str
) -> None:
    with pytest.raises(ProgramError, match=message):
        verify(program_of(step, weight, 4, (5, 5)))
