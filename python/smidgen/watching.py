"""Chooses what is watched of a converted model, and describes how it was in calibration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from smidgen.activation_range import ActivationRange
from smidgen.histogram import Histogram, coarsened, grid_exponent
from smidgen.passes.operators import UNBOUNDED, clamp_of
from smidgen.placement import range_sources
from smidgen.profile import CalibrationProfile
from smidgen.program import DType, HealthReference, Program, TensorInfo, WatchedTensor
from smidgen.program.health_reference import LONGEST_LABEL, MOST_CELLS, MOST_WATCHED, TOTAL, Bounds
from smidgen.ranges.clipping import clipped_share
from smidgen.statistics import ActivationStatistics
from smidgen.tensor_names import activation_names

MOST_LAYERS = 8


def health_reference(
    program: Program,
    graph: fx.GraphModule,
    profile: CalibrationProfile,
    statistics: Mapping[str, ActivationStatistics],
) -> HealthReference | None:
    """Returns what a program shall remember of its calibration.

    Watched are its quantized inputs, and layers at even distances from the first to the last, eight
    at most.

    Args:
        program: The program.
        graph: The fused graph that it was written from.
        profile: The calibration, for the names of modules.
        statistics: How activations of that graph were distributed, by their names in the profile.

    Returns:
        None where no statistics were kept, or nothing that they tell of is quantized.
    """
    names, sources = activation_names(graph), range_sources(graph)
    inputs: list[WatchedTensor] = []
    layers: list[WatchedTensor] = []
    for place, node in _quantized_nodes(program, graph):
        # A value whose scale another one chose was not looked at itself.
        found = statistics.get(names[node.name]) if sources.get(node.name) == node.name else None
        if found is None:
            continue
        name = names[node.name]
        label = f"{place}:{profile.module_paths.get(name) or name}"
        watched = _watch(program.tensor(node.name), _printable(label), found)
        (inputs if node.op == "placeholder" else layers).append(watched)
    chosen = inputs[: MOST_WATCHED - MOST_LAYERS] + _spread(layers)
    return HealthReference(tuple(chosen), _bounds(program, graph)) if chosen else None


def _quantized_nodes(program: Program, graph: fx.GraphModule) -> Iterator[tuple[int, fx.Node]]:
    """Yields the nodes with a quantized tensor of their name, and the step that writes it."""
    places = {step.output: place for place, step in enumerate(program.steps)}
    for node in graph.graph.nodes:
        tensor = program.tensors.get(node.name)
        if tensor is not None and tensor.dtype is DType.UINT8:
            yield places[node.name], node


def _watch(tensor: TensorInfo, label: str, found: ActivationStatistics) -> WatchedTensor:
    assert tensor.scale is not None
    low = -tensor.zero_point * tensor.scale
    high = (255 - tensor.zero_point) * tensor.scale
    first, exponent, counts = _counts(found.histogram, low, high)
    half = tensor.scale / 2  # what is rounded into the range is not clipped
    return WatchedTensor(
        tensor=tensor.name,
        label=label,
        exponent=exponent,
        first=first,
        counts=counts,
        clipped=clipped_share(found, ActivationRange(low - half, high + half)),
    )


def _counts(histogram: Histogram, low: float, high: float) -> tuple[int, int, tuple[int, ...]]:
    """Returns first cell, exponent and counts of a coarser grid over a range."""
    exponent = max(grid_exponent(low, high, MOST_CELLS), histogram.exponent)
    first, last = (int(np.floor(np.ldexp(end, -exponent))) for end in (low, high))
    start, cells = coarsened(histogram, exponent)
    places = np.clip(np.arange(start, start + len(cells)), first - 1, last + 1) - first + 1
    counts = np.bincount(places, cells, minlength=last - first + 3)
    return first, exponent, _of_total(counts)


def _of_total(counts: NDArray[Any]) -> tuple[int, ...]:
    """Returns counts in proportion that add up to TOTAL: the largest remainders are rounded up."""
    shares = counts * (TOTAL / counts.sum())
    whole = np.floor(shares).astype(np.int64)
    missing = TOTAL - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:missing]] += 1
    return tuple(whole.tolist())


def _bounds(program: Program, graph: fx.GraphModule) -> tuple[tuple[Bounds, tuple[str, ...]], ...]:
    tensors: dict[Bounds, list[str]] = defaultdict(list)
    for _, node in _quantized_nodes(program, graph):
        bounds = clamp_of(graph, node)
        if bounds != UNBOUNDED:
            tensors[bounds].append(node.name)
    return tuple((bounds, tuple(names)) for bounds, names in sorted(tensors.items()))


def _spread(layers: Sequence[WatchedTensor]) -> list[WatchedTensor]:
    if len(layers) <= MOST_LAYERS:
        return list(layers)
    return [layers[round(i * (len(layers) - 1) / (MOST_LAYERS - 1))] for i in range(MOST_LAYERS)]


def _printable(label: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in label)[:LONGEST_LABEL]
