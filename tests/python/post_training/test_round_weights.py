"""Rounding that looks at the inputs: never worse than the nearest, and what conversion keeps."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import fx, nn

from smidgen import pipeline
from smidgen.convert import activation_qparams
from smidgen.float_model import FloatModel
from smidgen.layer_quantization import quantize_layer
from smidgen.passes import fuse_for_inference
from smidgen.post_training import round_weights
from smidgen.post_training.layers import own_layers, source_of
from smidgen.post_training.round_weights import best_rounding
from smidgen.profile import CalibrationProfile

SHAPE = (3, 9, 9)
ImportModel = Callable[..., FloatModel]
Numbers = NDArray[np.float64]


def cost(rounded: Numbers, exact: Numbers, moment: Numbers) -> Numbers:
    error = rounded - exact
    return np.einsum("ri,ij,rj->r", error, moment, error)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rounding_lies_between_the_nearest_and_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    exact = rng.uniform(-120, 120, (3, 6))
    inputs = rng.normal(size=(6, 20)) + 3 * rng.normal(size=(1, 20))
    moment = inputs @ inputs.T
    found = best_rounding(exact, moment)
    assert ((found == np.floor(exact)) | (found == np.ceil(exact))).all()
    best = np.min(
        [
            cost(np.floor(exact) + np.array(up), exact, moment)
            for up in itertools.product((0.0, 1.0), repeat=6)
        ],
        axis=0,
    )
    tolerance = 1e-9 * moment.max()
    assert (cost(found, exact, moment) <= cost(np.rint(exact), exact, moment) + tolerance).all()
    assert (cost(found, exact, moment) >= best - tolerance).all()


def test_inputs_that_do_not_go_together_want_the_nearest() -> None:
    exact = np.random.default_rng(0).uniform(-120, 120, (4, 9))
    assert np.array_equal(best_rounding(exact, np.diag(np.arange(9.0) + 1)), np.rint(exact))


def test_equal_inputs_want_a_small_sum_of_errors() -> None:
    exact = np.full((1, 10), 5.3)
    found = best_rounding(exact, np.ones((10, 10)))
    assert abs(found.sum() - exact.sum()) <= 0.5
    assert np.rint(exact).sum() == 50


def test_the_largest_weight_keeps_the_scale() -> None:
    exact = np.array([[127.0, 126.7, -126.4, 3.4]])
    found = best_rounding(exact, np.ones((4, 4)))
    assert found[0, 0] == 127
    assert np.abs(found).max() == 127


@pytest.mark.parametrize(
    ("net", "shape", "most"),
    [
        (lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2), (6, 9, 9), 0.6),
        (lambda: nn.Conv2d(6, 6, 3, dilation=2, groups=6, bias=False), (6, 9, 9), 0.8),
        (lambda: nn.Linear(20, 5), (4, 20), 0.6),
    ],
    ids=["grouped", "depthwise", "linear"],
)
def test_outputs_of_a_layer_get_closer(
    import_model: ImportModel, net: Callable[[], nn.Module], shape: tuple[int, ...], most: float
) -> None:
    torch.manual_seed(0)
    model = import_model(nn.Sequential(net()), shape)
    specs = model.exported.inputs
    rng = np.random.default_rng(0)
    # All positive, as after a ReLU: inputs go together.
    samples = rng.uniform(0, 1, (64, *shape)).astype(np.float32)
    batch = {specs[0].name: samples[:32]}
    profile = pipeline.calibrate(model, [batch])
    fused = fuse_for_inference(model.graph)
    graph, layers = round_weights(fused, profile.ranges, [batch], specs)
    assert layers == 1
    held_out = torch.from_numpy(samples[32:])
    nearest, rounded = (mean_squared_error(model, one, profile, held_out) for one in (fused, graph))
    assert rounded < most * nearest


def mean_squared_error(
    model: FloatModel, graph: fx.GraphModule, profile: CalibrationProfile, samples: torch.Tensor
) -> float:
    """Returns the error that quantizing the weights of the one layer causes."""
    graph = copy.deepcopy(graph)
    ((name, layer),) = own_layers(graph).items()
    source = activation_qparams(graph, profile.ranges)[source_of(graph, name)]
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    quantized = quantize_layer(layer.weight.detach().numpy(), bias, source, node=name)
    scales = quantized.weight_scale.reshape(-1, *([1] * (layer.weight.ndim - 1)))
    with torch.inference_mode():
        layer.weight.copy_(torch.from_numpy(quantized.weight * scales))
        return float(((graph(samples) - model.graph(samples)) ** 2).mean())


def test_conversion_finds_the_integers_that_were_chosen(import_model: ImportModel) -> None:
    torch.manual_seed(0)
    model = import_model(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)), SHAPE)
    specs = model.exported.inputs
    batch = {specs[0].name: np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)}
    profile = pipeline.calibrate(model, [batch])
    graph, layers = round_weights(fuse_for_inference(model.graph), profile.ranges, [batch], specs)
    assert layers == 2
    qparams = activation_qparams(graph, profile.ranges)
    for name, layer in own_layers(graph).items():
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        quantized = quantize_layer(weight, bias, qparams[source_of(graph, name)], node=name)
        scales = quantized.weight_scale.reshape(-1, 1, 1, 1)
        np.testing.assert_allclose(quantized.weight * scales, weight, rtol=1e-6)
        assert (np.abs(quantized.weight).max(axis=(1, 2, 3)) == 127).all()
