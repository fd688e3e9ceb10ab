"""Fake quantization equals the reference arithmetic bit for bit and passes gradients inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from smidgen import functional
from smidgen.errors import TrainingError
from smidgen.profile import ActivationRange
from smidgen.qat.fake_quantize import AVERAGING_CONSTANT, FakeQuantize, fake_quantize
from smidgen.qat.rounding import round_weight, weight_scales
from smidgen.qparams import qparams_from_range, symmetric_weight_scales

floats = st.floats(width=32, allow_subnormal=False)
finite = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
range_ends = finite.filter(lambda end: end == 0.0 or abs(end) > 1e-12)


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(np.float32, st.integers(1, 64), elements=floats),
    st.tuples(range_ends, range_ends),
)
def test_activations_equal_the_reference(x: NDArray[np.float32], ends: tuple[float, float]) -> None:
    qparams = qparams_from_range(min(ends), max(ends))
    quantized = functional.quantize(x, qparams.scale, qparams.zero_point)
    expected = functional.dequantize(quantized, qparams.scale, qparams.zero_point)
    found = fake_quantize(torch.from_numpy(x), qparams.scale, qparams.zero_point)
    assert found.numpy().tobytes() == expected.tobytes()


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=finite),
)
def test_weights_equal_the_reference(weight: NDArray[np.float32]) -> None:
    scales = symmetric_weight_scales(weight)
    tensor = torch.from_numpy(weight)
    assert weight_scales(tensor).numpy().tobytes() == scales.tobytes()
    expected = functional.quantize_weight(weight, scales).astype(np.float32) * scales[:, None]
    found = round_weight(tensor)
    assert found.numpy().tobytes() == expected.tobytes()


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, 32, elements=finite), st.tuples(range_ends, range_ends))
def test_quantizing_twice_changes_nothing(
    x: NDArray[np.float32], ends: tuple[float, float]
) -> None:
    qparams = qparams_from_range(min(ends), max(ends))
    once = fake_quantize(torch.from_numpy(x), qparams.scale, qparams.zero_point)
    assert torch.equal(once, fake_quantize(once, qparams.scale, qparams.zero_point))


def test_gradient_is_one_inside_and_zero_outside() -> None:
    x = torch.tensor([-11.0, -10.0, -0.3, 0.0, 7.4, 245.0, 245.4, 300.0], requires_grad=True)
    fake_quantize(x, 1.0, 10).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_gradient_of_weights_passes_through() -> None:
    weight = torch.tensor([[0.3, -1.27], [0.0, 0.0]], requires_grad=True)
    (round_weight(weight) * torch.tensor([[2.0, 3.0], [4.0, 5.0]])).sum().backward()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, torch.tensor([[2.0, 3.0], [4.0, 5.0]]))


def test_ranges_move_in_train_mode_only() -> None:
    module = FakeQuantize(ActivationRange(low=-1.0, high=1.0))
    module.eval()(torch.tensor([-9.0, 9.0]))
    assert module.range == ActivationRange(low=-1.0, high=1.0)
    module.train()(torch.tensor([-9.0, 9.0]))
    assert module.range.high == pytest.approx(1.0 + AVERAGING_CONSTANT * 8.0)
    assert module.range.low == -module.range.high


def test_range_is_part_of_the_state() -> None:
    source = FakeQuantize(ActivationRange(low=-0.1, high=0.3))
    target = FakeQuantize(ActivationRange(low=0.0, high=0.0))
    target.load_state_dict(source.state_dict())
    assert target.range == ActivationRange(low=-0.1, high=0.3)


def test_infinite_activation_stops_training() -> None:
    module = FakeQuantize(ActivationRange(low=0.0, high=1.0)).train()
    with pytest.raises(TrainingError, match="lower the learning rate"):
        module(torch.tensor([float("nan")]))
