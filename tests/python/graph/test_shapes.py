"""Shape rules agree with torch for all geometries."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from smidgen.graph import operations as ops
from smidgen.graph.arguments import BATCH_SIZE, ArgumentError, BatchSize, UnsupportedCase
from smidgen.graph.operations import Operation, Shape
from smidgen.graph.shape_lowering import resolve_sizes
from smidgen.graph.shapes import ShapeError, infer_shape


def _pair(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


def _inferred(operation: Operation, shape: Shape, **weights: tuple[int, ...]) -> Shape | None:
    try:
        return infer_shape(operation, [shape], weights)
    except ShapeError:
        return None


def _actual(compute: object, *arguments: object, **options: object) -> Shape | None:
    try:
        return tuple(compute(*arguments, **options).shape)  # type: ignore[operator]
    except RuntimeError:
        return None


@settings(max_examples=200, deadline=None)
@given(
    size=_pair(1, 9), kernel=_pair(1, 4), stride=_pair(1, 3), padding=_pair(0, 2),
    dilation=_pair(1, 3), ceil_mode=st.booleans(),
)  # fmt: skip
def test_max_pool(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int], dilation: tuple[int, int], ceil_mode: bool,
) -> None:  # fmt: skip
    x = torch.zeros(2, 3, *size)
    operation = ops.MaxPool(kernel, stride, padding, dilation, ceil_mode)
    expected = _actual(F.max_pool2d, x, kernel, stride, padding, dilation, ceil_mode)
    found = _inferred(operation, tuple(x.shape))
    # Windows that only ceil_mode makes room for are refused, though torch takes some of them.
    assert found == expected or (found is None and ceil_mode)


@settings(max_examples=150, deadline=None)
@given(
    size=_pair(1, 9), kernel=_pair(1, 4), stride=_pair(1, 3), padding=_pair(0, 2),
    ceil_mode=st.booleans(),
)  # fmt: skip
def test_average_pool(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int], ceil_mode: bool,
) -> None:  # fmt: skip
    x = torch.zeros(2, 3, *size)
    operation = ops.AveragePool(kernel, stride, padding, ceil_mode)
    expected = _actual(F.avg_pool2d, x, kernel, stride, padding, ceil_mode)
    found = _inferred(operation, tuple(x.shape))
    assert found == expected or (found is None and ceil_mode)


@settings(max_examples=150, deadline=None)
@given(
    size=_pair(1, 9), kernel=_pair(1, 4), stride=_pair(1, 3), padding=_pair(0, 3),
    dilation=_pair(1, 3), groups=st.integers(1, 3), channels=_pair(1, 6),
)  # fmt: skip
def test_convolution(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int], dilation: tuple[int, int], groups: int, channels: tuple[int, int],
) -> None:  # fmt: skip
    weight = torch.zeros(channels[1], 2, *kernel)
    x = torch.zeros(2, channels[0], *size)
    operation = ops.Conv2d("w", None, stride, padding, dilation, groups)
    expected = _actual(F.conv2d, x, weight, None, stride, padding, dilation, groups)
    assert _inferred(operation, tuple(x.shape), w=tuple(weight.shape)) == expected


@settings(max_examples=200, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    wanted=st.lists(st.sampled_from([-1, 1, 2, 3, 4, 6, 8, 12]), min_size=1, max_size=4),
)
def test_sizes_with_a_fixed_batch(shape: list[int], wanted: list[int]) -> None:
    expected = _actual(torch.zeros(shape).reshape, wanted)
    try:
        found: Shape | None = resolve_sizes(tuple(shape), wanted)
    except (ArgumentError, UnsupportedCase):
        found = None
    if found is not None and expected is None:
        with pytest.raises(ShapeError):
            infer_shape(ops.Reshape(found), [tuple(shape)], {})
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("shape", "wanted", "expected"),
    [
        ((None, 4, 6), [BATCH_SIZE, -1], (None, 24)),
        ((None, 4, 6), [-1, 24], (None, 24)),
        ((None, 4, 6), [BATCH_SIZE, 24], (None, 24)),
        ((None, 4, 6), [-1, 2, 12], (None, 2, 12)),
        ((None, 4, 6), [-1], None),
        ((None, 4, 6), [-1, 12], None),
        ((None, 4, 6), [24, -1], (24, None)),
        ((None, 4, 6), [5, -1], None),
        ((None, 4, 6), [4, 6], None),
    ],
)
def test_sizes_with_a_dynamic_batch(
    shape: Shape, wanted: list[int | BatchSize], expected: Shape | None
) -> None:
    if expected is None:
        with pytest.raises(UnsupportedCase):
            resolve_sizes(shape, wanted)
    else:
        assert resolve_sizes(shape, wanted) == expected


@pytest.mark.parametrize(
    ("operation", "inputs"),
    [
        (ops.Add(), [(None, 3), (None, 4)]),
        (ops.Concat(1), [(None, 3, 4), (None, 3, 5)]),
        (ops.Concat(0), [(None, 3), (None, 3)]),
        (ops.Concat(2), [(None, 3), (None, 3)]),
        (ops.GlobalAveragePool(), [(None, 3)]),
        (ops.Linear("w", None), [(None, 5)]),
        (ops.Linear("w", None), [(None, 2, 5)]),
        (ops.MatMul(), [(None, 2, 5), (None, 4, 2)]),
        (ops.LayerNorm("w", None), [(None, 2, 5)]),
        (ops.Transpose((0, 2, 2)), [(None, 2, 5)]),
        (ops.Slice(1, 1, 3), [(None, 2, 5)]),
        (ops.Expand((None, 3, 5)), [(None, 2, 5)]),
        (ops.Reduce("sum", (0,)), [(None, 2, 5)]),
        (ops.ScaledDotProductAttention(1.0), [(None, 2, 3, 4), (None, 2, 3, 5), (None, 2, 3, 4)]),
        (ops.Linear("w", "w"), [(None, 4)]),
        (ops.BatchNorm(None, None, "w", "w"), [(None, 4)]),
        (ops.Reshape((None, 5)), [(None, 2, 3)]),
        (ops.Flatten(), [(None, 2**20, 2**20)]),
    ],
)
def test_misfits_are_refused(operation: Operation, inputs: list[Shape]) -> None:
    with pytest.raises(ShapeError):
        infer_shape(operation, inputs, {"w": (3, 4)})
