"""How the activations of a trained model are distributed, which training has changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import fx

from smidgen.config import PrecisionConfig
from smidgen.data.source import SampleSource
from smidgen.float_model import FloatModel
from smidgen.histogram import FEWEST_CELLS
from smidgen.observers import HistogramObserver
from smidgen.placement import place_quantization
from smidgen.profile import CalibrationProfile
from smidgen.qat.prepare import finish_qat, prepare_qat
from smidgen.statistics import ActivationStatistics
from smidgen.tensor_names import activation_names

MOST_SAMPLES = 256


def trained_statistics(
    model: FloatModel,
    profile: CalibrationProfile,
    *,
    state: Mapping[str, torch.Tensor],
    precision: PrecisionConfig,
    source: SampleSource,
    batch_size: int,
) -> Mapping[str, ActivationStatistics]:
    """Runs the trained model in float on some training samples and counts its activations.

    Args:
        model: The float model that was trained.
        profile: The calibration that training started from.
        state: State dict of the prepared graph.
        precision: Bits of each layer's weights.
        source: The samples, of which 256 at even distances are taken, not augmented.
        batch_size: Samples of a run.

    Returns:
        Statistics by the names of activation_names; none where a value is not finite.
    """
    prepared = prepare_qat(model.graph, profile.ranges, precision)
    prepared.load_state_dict(dict(state))
    graph, _ = finish_qat(prepared.eval())
    observing = _Observing(graph)
    for batch in _batches(source, batch_size):
        inputs = [torch.from_numpy(np.array(batch[spec.name])) for spec in model.exported.inputs]
        with torch.inference_mode():
            observing.run(*inputs)
        if not observing.is_finite:
            return {}
    names = activation_names(graph)
    return {names[node]: one.statistics for node, one in observing.observers.items()}


class _Observing(fx.Interpreter):
    """Runs a graph and counts the values of each quantized activation."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.extra_traceback = False
        self.is_finite = True
        self.observers = {
            point: HistogramObserver(capacity=FEWEST_CELLS)
            for point in dict.fromkeys(place_quantization(graph).values())
        }

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node and counts its values."""
        value = super().run_node(n)
        observer = self.observers.get(n.name)
        if observer is not None and self.is_finite:
            low, high = (float(end) for end in torch.aminmax(value))
            self.is_finite = math.isfinite(low) and math.isfinite(high)
            if self.is_finite:
                observer.observe(value, low, high)
        return value


def _batches(source: SampleSource, batch_size: int) -> Iterator[Mapping[str, Any]]:
    """Yields whole batches: the model may be for no others."""
    count = max(min(MOST_SAMPLES, source.sample_count) // batch_size, 1) * batch_size
    places = np.linspace(0, source.sample_count - 1, count).astype(np.int64)
    for start in range(0, count, batch_size):
        yield source.rows(places[start : start + batch_size]).inputs
