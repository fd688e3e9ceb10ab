"""Ranks layers by what they cost the output, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from torch import fx

from smidgen.config.precision import LayerPrecision
from smidgen.evaluation import Arrays
from smidgen.latency import imported_name
from smidgen.measured import LayerSensitivity, SensitivityReport
from smidgen.profile import ActivationRange
from smidgen.sensitivity import each_sensitivity, measurable_nodes
from smidgen.tensor_names import activation_names
from smidgen.tensor_spec import TensorSpec


def rank_sensitivity(
    graph: fx.GraphModule,
    ranges: Mapping[str, ActivationRange],
    batch: Arrays,
    specs: Sequence[TensorSpec],
    *,
    noise: Mapping[str, float | None],
    precisions: Mapping[str, LayerPrecision],
    budget_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> SensitivityReport:
    """Quantizes layers alone until the time is over, those with the most noise first.

    Args:
        graph: The fused graph that was converted.
        ranges: The range of each quantized activation.
        batch: One array for each input.
        specs: The model's inputs in order.
        noise: The ratio of signal to noise of each node's output in the converted model, in dB.
        precisions: Precision of the layers by node.
        budget_s: Seconds; the layer at hand is finished, so at least one is measured.
        clock: Seconds from any start.

    Raises:
        CalibrationError: a range is missing.
    """
    start = clock()
    nodes = measurable_nodes(graph, ranges)
    order = sorted(nodes, key=lambda node: _or_infinite(noise.get(node.name)))
    found: list[LayerSensitivity] = []
    names = activation_names(graph)
    measured = each_sensitivity(graph, ranges, batch, specs, nodes=order, precisions=precisions)
    for node, loss in measured:
        name = names[node.name] if node.op == "placeholder" else imported_name(node)
        found.append(LayerSensitivity(name, loss.output_sqnr_db, loss.output_kl))
        if clock() - start >= budget_s:
            break
    return SensitivityReport(
        layers=tuple(sorted(found, key=_severity)),
        layer_count=len(nodes),
        sample_count=len(batch[specs[0].name]),
        seconds=clock() - start,
    )


def _severity(layer: LayerSensitivity) -> float:
    return _or_infinite(layer.output_sqnr_db)


def _or_infinite(ratio: float | None) -> float:
    return float("inf") if ratio is None else ratio
