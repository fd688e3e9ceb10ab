"""Rounding by the engine and by torch: the same values, the same gradients, on any layout."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from smidgen import _engine, functional
from smidgen.engine import available_isas
from smidgen.errors import EngineError
from smidgen.qat.rounding import Rounding, round_activation, round_weight, value_range
from smidgen.qparams import QParams, qparams_from_range

BOUNDS = [(-math.inf, math.inf), (0.0, math.inf), (0.0, 6.0), (-1.0, 2.0), (-math.inf, 0.5)]

floats = st.floats(width=32)
finite = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
range_ends = finite.filter(lambda end: end == 0.0 or abs(end) > 1e-12)
arrays = hnp.arrays(np.float32, st.integers(1, 70), elements=floats)


class _ForTorch(torch.Tensor):
    """A tensor that the engine's kernels do not take."""


def _values_and_gradient(
    x: torch.Tensor, weights: torch.Tensor, rounding: Rounding
) -> tuple[bytes, bytes]:
    leaf = x.clone().requires_grad_()
    found = round_activation(leaf, rounding)
    (gradient,) = torch.autograd.grad(found, leaf, weights)
    found, gradient = (t.detach().as_subclass(torch.Tensor) for t in (found, gradient))
    return found.numpy().tobytes(), (gradient + 0.0).numpy().tobytes()


@settings(max_examples=200, deadline=None)
@given(arrays, st.tuples(range_ends, range_ends), st.sampled_from(BOUNDS))
def test_the_engine_equals_torch(
    x: NDArray[np.float32], ends: tuple[float, float], bounds: tuple[float, float]
) -> None:
    rounding = Rounding.to_uint8(qparams_from_range(min(ends), max(ends)), bounds)
    tensor = torch.from_numpy(x)
    weights = torch.arange(1.0, len(x) + 1)
    by_torch = _values_and_gradient(tensor.as_subclass(_ForTorch), weights, rounding)
    assert _values_and_gradient(tensor, weights, rounding) == by_torch


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 40)), elements=finite),
    st.none() | st.lists(st.just(0.0) | st.floats(-8.0, 8.0, width=32), min_size=4, max_size=4),
)
def test_the_engine_equals_torch_on_weights(
    weight: NDArray[np.float32], factors: list[float] | None
) -> None:
    factor = None if factors is None else torch.tensor(factors[: len(weight)])
    found = []
    for tensor in (torch.from_numpy(weight), torch.from_numpy(weight).as_subclass(_ForTorch)):
        leaf = tensor.clone().requires_grad_()
        rounded = round_weight(leaf, factor)
        (gradient,) = torch.autograd.grad(rounded.sum(), leaf)
        plain = [t.detach().as_subclass(torch.Tensor).numpy() for t in (rounded, gradient)]
        found.append([values.tobytes() for values in plain])
    assert found[0] == found[1]


def test_factors_scale_the_grid_of_weights() -> None:
    weight = torch.randn(4, 9, generator=torch.Generator().manual_seed(0), requires_grad=True)
    factor = torch.tensor([0.5, -3.0, 0.0, 1.0], requires_grad=True)
    column = factor.detach().reshape(-1, 1)
    found = round_weight(weight, factor)
    expected = round_weight(weight * column) / torch.where(column == 0.0, 1.0, column)
    assert torch.equal(found, expected)
    found.sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones(4, 9))
    assert factor.grad is None


@pytest.mark.parametrize("isa", available_isas())
@settings(max_examples=100, deadline=None)
@given(x=arrays, ends=st.tuples(range_ends, range_ends))
def test_every_instruction_set_equals_the_reference(
    isa: str, x: NDArray[np.float32], ends: tuple[float, float]
) -> None:
    qparams = qparams_from_range(min(ends), max(ends))
    quantized = functional.quantize(x, qparams.scale, qparams.zero_point)
    expected = functional.dequantize(quantized, qparams.scale, qparams.zero_point)
    with np.errstate(over="ignore", invalid="ignore"):
        quotients = x / np.float32(qparams.scale)
    low, high = -qparams.zero_point, 255 - qparams.zero_point
    out, bits = np.empty_like(x), np.empty(-(-len(x) // 8), np.uint8)
    _engine.FakeQuantizer(isa).round(
        x, qparams.scale, low, high, -math.inf, math.inf, None, out, bits, threads=1
    )
    assert out.tobytes() == expected.tobytes()
    is_inside = (quotients >= low) & (quotients <= high)
    assert np.unpackbits(bits, count=len(x), bitorder="little").tolist() == is_inside.tolist()


@pytest.mark.parametrize("isa", available_isas())
@settings(max_examples=50, deadline=None)
@given(x=arrays)
def test_every_instruction_set_finds_the_range(isa: str, x: NDArray[np.float32]) -> None:
    low, high = _engine.FakeQuantizer(isa).value_range(x, threads=2)
    np.testing.assert_array_equal([low, high], [x.min(), x.max()])


def test_threads_do_not_matter() -> None:
    """Beside PyTorch, whose OpenMP threads take parts."""
    x = np.random.default_rng(0).normal(size=100_003).astype(np.float32)
    kernels = _engine.FakeQuantizer(None)
    found = []
    for threads in (1, 2, 3):
        out, passed = np.empty_like(x), np.empty_like(x)
        bits = np.empty(-(-len(x) // 8), np.uint8)
        limits = (-100.0, 155.0, -1.0, 2.0)
        kernels.round(x, 0.0078125, *limits, None, out, bits, threads)
        kernels.pass_gradient(x, bits, passed, threads)
        weight, by_weight = x[:-3].reshape(50, -1), np.empty(100_000, np.float32)
        row_bits, scales = np.empty(50 * 250, np.uint8), np.empty(50, np.float32)
        kernels.round_weight(weight, None, by_weight, row_bits, scales, threads)
        arrays = (out, bits, passed, by_weight, row_bits, scales)
        ends = kernels.value_range(x, threads)
        found.append(([array.tobytes() for array in arrays], ends))
    assert found[0] == found[1] == found[2]
    assert found[0][1] == (float(x.min()), float(x.max()))


def test_range_of_values_that_lie_apart() -> None:
    x = torch.tensor([[1.0, 9.0], [-2.0, -9.0]])
    assert value_range(x[:, 0]) == (-2.0, 1.0)
    assert value_range(x.as_subclass(_ForTorch)) == (-9.0, 9.0)


@pytest.mark.parametrize(
    "arrange",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.transpose(1, 3).contiguous().transpose(1, 3),
        lambda x: x[:, :, ::2],
        lambda x: x[:, :1],
        lambda x: x[0, 0, 0],
    ],
    ids=["channels-last", "transposed", "strided", "one-channel", "vector"],
)
def test_layout_does_not_matter(arrange: object) -> None:
    assert callable(arrange)
    x = arrange(torch.randn(3, 5, 6, 7, generator=torch.Generator().manual_seed(0)))
    rounding = Rounding.to_uint8(QParams(0.0078125, 100), (-0.5, 1.0))
    gradient = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found = []
    for tensor in (x, x.as_subclass(_ForTorch)):
        leaf = tensor.detach().requires_grad_()
        rounded = round_activation(leaf, rounding)
        rounded.backward(gradient)
        assert leaf.grad is not None
        found.append([t.detach().as_subclass(torch.Tensor) for t in (rounded, leaf.grad)])
    for engine, by_torch in zip(*found, strict=True):
        assert torch.equal(engine, by_torch)


def test_overwriting_changes_no_number() -> None:
    x = torch.randn(4, 5, requires_grad=True)
    rounding = Rounding.to_uint8(QParams(0.0078125, 100), (0.0, math.inf))
    weights = torch.randn(4, 5)
    found = []
    for overwrites in (False, True):
        source = x * 2.0
        rounded = round_activation(source, rounding, overwrites=overwrites)
        assert (rounded.data_ptr() == source.data_ptr()) == overwrites
        found.append((rounded.detach().clone(), torch.autograd.grad(rounded, x, weights)[0]))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_views_are_not_overwritten() -> None:
    base = torch.randn(4, 6, requires_grad=True) * 1.0
    before = base.detach().clone()
    round_activation(base.view(24), Rounding.to_uint8(QParams(0.5, 0)), overwrites=True)
    assert torch.equal(base.detach(), before)


def test_overwriting_what_a_gradient_needs_is_an_error() -> None:
    saved = torch.sigmoid(torch.randn(8, requires_grad=True))
    rounded = round_activation(saved, Rounding.to_uint8(QParams(0.5, 0)), overwrites=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        rounded.sum().backward()


def test_gradient_of_a_relu_does_not_pass_at_zero() -> None:
    x = torch.tensor([-1.0, -0.0, 0.0, 1e-42, 0.4, 300.0], requires_grad=True)
    round_activation(x, Rounding.to_uint8(QParams(1.0, 0), (0.0, math.inf))).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]


def test_gradients_of_gradients_are_refused() -> None:
    x = torch.randn(3, requires_grad=True)
    rounded = round_activation(x, Rounding.to_uint8(QParams(1.0, 0)))
    (gradient,) = torch.autograd.grad((rounded * x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    kernels = _engine.FakeQuantizer(None)
    x, bits = np.zeros(9, np.float32), np.zeros(2, np.uint8)
    cases = [(np.zeros(8, np.float32), bits, 1), (x, bits[:1], 1), (x, bits, 0)]
    for out, written, threads in cases:
        with pytest.raises(EngineError) as caught:
            kernels.round(x, 1.0, 0.0, 255.0, 0.0, 1.0, None, out, written, threads)
        assert caught.value.reason in {"ARRAY_SIZE_MISMATCH", "INVALID_THREADS"}
        with pytest.raises(EngineError):
            kernels.pass_gradient(x, written, out, threads)
    weight, scales = np.zeros((3, 4), np.float32), np.zeros(2, np.float32)
    with pytest.raises(EngineError, match="each of 2 rows"):
        kernels.round_weight(weight, None, weight, np.zeros(3, np.uint8), scales, 1)
    with pytest.raises(EngineError, match="factors has 2 elements, expected 3"):
        kernels.round_weight(weight, scales, weight, np.zeros(3, np.uint8), weight[:, 0].copy(), 1)
    with pytest.raises(EngineError):
        kernels.pass_weight_gradient(weight, np.zeros(4, np.uint8), weight, 1)
    with pytest.raises(EngineError, match="empty"):
        kernels.value_range(x[:0], 1)
    with pytest.raises(TypeError):
        kernels.value_range(np.zeros(3, np.float64), 1)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(EngineError):
        _engine.FakeQuantizer("no-such-level")
