"""Fake-quantized weights equal those of conversion bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from smidgen.config import LayerPrecision, WeightBits
from smidgen.layer_quantization import quantize_layer
from smidgen.profile import ActivationRange
from smidgen.qat.fake_quantize import FakeQuantize
from smidgen.qat.weight_grid import FakeQuantizeWeight

INT4 = WeightBits.INT4
PRECISIONS = [LayerPrecision(), LayerPrecision(INT4, 0), LayerPrecision(INT4, 32)]
weights = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 3), st.integers(1, 3)),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False),
)


@settings(max_examples=200, deadline=None)
@given(weights, st.data())
def test_weights_and_biases_equal_conversion(
    weight: NDArray[np.float32], data: st.DataObject
) -> None:
    # Biases up to 2^40, for which the scales of small weights must be widened.
    exponents = hnp.arrays(np.float32, len(weight), elements=st.floats(-9, 40, width=32))
    signs = data.draw(hnp.arrays(np.float32, len(weight), elements=st.sampled_from([-1.0, 1.0])))
    bias = signs * np.exp2(data.draw(exponents)).astype(np.float32)
    precision = data.draw(st.sampled_from(PRECISIONS))
    high = data.draw(st.sampled_from([1e-3, 1.0, 1e5]))
    source = FakeQuantize(ActivationRange(low=0.0, high=high))
    layer = quantize_layer(weight, bias, source.qparams, precision, node="v0")
    expected = layer.weight.astype(np.float32) * layer.weight_scale.reshape(-1, 1, 1, 1)
    on_grid = FakeQuantizeWeight(precision)
    on_grid.source = source
    given_weight, given_bias = torch.from_numpy(weight), torch.from_numpy(bias)
    found = on_grid(given_weight, given_bias).numpy()
    # Adding 0 turns -0 into 0: the integer has one zero.
    assert (found + 0.0).tobytes() == (expected + 0.0).tobytes()
    again, found_bias = on_grid.with_bias(given_weight, given_bias)
    assert (again.numpy() + 0.0).tobytes() == (expected + 0.0).tobytes()
    bias_scale = np.float64(source.qparams.scale) * layer.weight_scale.astype(np.float64)
    assert found_bias is not None
    expected_bias = (layer.bias * bias_scale).astype(np.float32)
    assert (found_bias.numpy() + 0.0).tobytes() == (expected_bias + 0.0).tobytes()


def test_gradient_of_a_bias_passes_through() -> None:
    on_grid = FakeQuantizeWeight()
    on_grid.source = FakeQuantize(ActivationRange(low=0.0, high=255.0))
    bias = torch.tensor([0.75, -3.2]).requires_grad_()
    _, rounded = on_grid.with_bias(torch.tensor([[127.0], [254.0]]), bias)
    assert rounded is not None
    assert rounded.tolist() == [1.0, -4.0]
    (rounded * torch.tensor([2.0, 5.0])).sum().backward()
    assert bias.grad is not None
    assert bias.grad.tolist() == [2.0, 5.0]


def test_a_bias_is_not_rounded_where_conversion_does_not() -> None:
    weight, bias = torch.tensor([[127.0]]), torch.tensor([0.75])
    unknown = FakeQuantizeWeight()
    assert unknown.with_bias(weight, bias)[1] is bias
    kept = FakeQuantizeWeight(LayerPrecision(WeightBits.FLOAT))
    kept.source = FakeQuantize(ActivationRange(low=0.0, high=255.0))
    assert kept.with_bias(weight, bias) == (weight, bias)
    kept.precision = LayerPrecision()
    assert kept.with_bias(weight, None)[1] is None


def test_widened_scales_reach_training() -> None:
    on_grid = FakeQuantizeWeight()
    weight, bias = torch.tensor([[1e-12, -1e-12]]), torch.tensor([0.7])
    assert on_grid(weight, bias).abs().max() > 0
    on_grid.source = FakeQuantize(ActivationRange(low=0.0, high=1.0))
    assert on_grid(weight, bias).abs().max() == 0


@pytest.mark.parametrize("precision", PRECISIONS[1:], ids=["channel", "group"])
def test_gradient_of_int4_weights_passes_through(precision: LayerPrecision) -> None:
    weight = torch.full((1, 128), 0.45)
    weight[0, 0] = 0.7  # clipped
    weight.requires_grad_()
    factor = torch.arange(128.0)[None]
    on_grid = FakeQuantizeWeight(precision)(weight, None)
    assert float(on_grid.detach().max()) < 0.65
    (on_grid * factor).sum().backward()
    assert weight.grad is not None
    assert torch.equal(weight.grad, factor)


@pytest.mark.parametrize("precision", PRECISIONS, ids=["int8", "channel", "group"])
def test_nan_does_not_stop_the_forward_pass(precision: LayerPrecision) -> None:
    weight = torch.tensor([[float("nan"), 1.0]])
    assert FakeQuantizeWeight(precision)(weight, None).shape == (1, 2)
