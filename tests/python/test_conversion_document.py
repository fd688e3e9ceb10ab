"""The page of a conversion without a server has what a server's has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from smidgen import pipeline
from smidgen.conversion_document import conversion_document
from smidgen.float_model import FloatModel
from smidgen.progress import Stage
from smidgen.qat.curve import EvaluationPoint, TrainingCurve


def test_it_has_ranges_histograms_and_curves(import_model: Callable[..., FloatModel]) -> None:
    torch.manual_seed(0)
    model = import_model(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()), (2, 6, 6))
    samples = np.random.default_rng(0).normal(size=(8, 2, 6, 6)).astype(np.float32)
    profile = pipeline.calibrate(model, [{model.exported.inputs[0].name: samples}])
    conversion = pipeline.convert(model, profile)
    steps = np.array([[1.0, 2.0, 0.5, 0.0, 1.0, 0.1], [2.0, 1.0, 0.25, 0.0, 1.0, 0.1]])
    held_out = EvaluationPoint(1, 1, Stage.QAT, 0.75, None, 1.5, 0.1)
    document = conversion_document(
        "net.pt2",
        conversion.report,
        inputs=model.exported.inputs,
        profile=profile,
        curve=TrainingCurve(steps, (held_out,)),
    )
    assert document.calibration == "8 samples in 1 batch, method min max."
    assert document.warnings == profile.warnings
    assert document.is_trained
    assert [point.step for point in document.curve] == [1, 1, 2]
    assert [point.task_loss for point in document.curve] == [2.0, None, 1.0]
    assert document.curve[1].accuracy == 0.75
    given, *rest = document.activations
    assert given.node == model.exported.inputs[0].name
    assert sum(given.counts) == samples.size
    assert given.edges[0] <= samples.min()
    assert given.edges[1] >= samples.max()
    (node,) = (node for node in conversion.report.nodes if node.op == "conv2d")
    (conv,) = (view for view in rest if view.node == node.node)
    assert (conv.scale, conv.zero_point) == (node.output_scale, node.output_zero_point)
    assert conv.counts
    assert conv.clipped_share == 0.0
    equalized = conversion_document(
        "net.pt2",
        conversion.report,
        inputs=model.exported.inputs,
        profile=profile,
        is_equalized=True,
    )
    assert not any(view.counts for view in equalized.activations)
    assert equalized.activations[0] == replace(given, counts=(), edges=(0, 0), clipped_share=None)
    assert equalized.curve == ()
