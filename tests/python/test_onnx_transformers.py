"""Encoders through ONNX become the integer program that they become through `.pt2`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from smidgen.calibration import calibrate
from smidgen.convert import convert_graph
from smidgen.engine import Engine
from smidgen.float_model import FloatModel, load_model
from smidgen.passes import fuse_for_inference
from smidgen.program import (
    Attention,
    Dequantize,
    LayerNorm,
    Linear,
    Lookup,
    Program,
    Quantize,
    interpret,
)
from tests.python.graph.transformers import (
    export_encoder,
    export_encoder_as_onnx,
    token_arrays,
)


def convert(model: FloatModel) -> Program:
    profile = calibrate(model, [token_arrays(16, seed) for seed in range(4)])
    return convert_graph(
        fuse_for_inference(model.graph),
        profile.ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )


@pytest.mark.parametrize("written_out", [False, True], ids=["one operator", "written out"])
def test_both_formats_become_the_same_steps_and_give_nearly_the_same(
    written_out: bool, tmp_path: Path
) -> None:
    by_pt2 = load_model(export_encoder(tmp_path / "net.pt2", written_out=written_out))
    by_onnx = load_model(export_encoder_as_onnx(tmp_path / "net.onnx", written_out=written_out))
    expected, found = convert(by_pt2), convert(by_onnx)

    assert [type(s) for s in found.steps].count(Attention) == 2
    assert steps(found) == steps(expected)
    scales = [
        [step.scale for step in program.steps if isinstance(step, Attention)]
        for program in (found, expected)
    ]
    np.testing.assert_allclose(scales[0], scales[1], rtol=1e-6)

    arrays = token_arrays(8, 7)
    with torch.no_grad():
        signals = by_pt2.graph(*map(torch.from_numpy, arrays.values()))
    ours, theirs = Engine(expected).run(arrays), Engine(found).run(arrays)
    for one, other, signal in zip(expected.outputs, found.outputs, signals, strict=True):
        noise = float((ours[one] - signal.numpy()).std())
        assert noise < 0.03 * float(signal.std())
        # Ranges differ in their last bits, and a level here and there with them.
        assert float((ours[one] - theirs[other]).std()) < 0.5 * noise


def steps(program: Program) -> list[str]:
    """Returns the kinds of steps but of those that make masks, which exporters share or repeat."""
    kinds = (Attention, Dequantize, LayerNorm, Linear, Lookup, Quantize)
    return sorted(type(step).__name__ for step in program.steps if isinstance(step, kinds))


def test_norms_written_out_below_opset_17_are_one_step_each(tmp_path: Path) -> None:
    by_operator = load_model(export_encoder_as_onnx(tmp_path / "new.onnx"))
    written_out = load_model(export_encoder_as_onnx(tmp_path / "old.onnx", opset=14))
    expected, found = convert(by_operator), convert(written_out)
    assert [type(step) for step in found.steps].count(LayerNorm) == 5
    assert steps(found) == steps(expected)
    arrays = token_arrays(3, 4)
    values = Engine(found).run(arrays)
    for name, array in interpret(found, arrays).items():
        if name in values:
            np.testing.assert_array_equal(values[name], array)
