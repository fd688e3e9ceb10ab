"""Calibration: runs observers over representative data to find the range of each activation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.convertible import check_convertible
from smidgen.errors import CalibrationError, InvalidTensorError
from smidgen.float_model import FloatModel
from smidgen.histogram import capacity_for
from smidgen.node_place import place_of
from smidgen.not_finite import not_finite_error
from smidgen.observers import HistogramObserver, MovingAverageObserver
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import Kind, kind_of
from smidgen.placement import place_quantization
from smidgen.profile import CalibrationProfile, make_profile
from smidgen.tensor_names import activation_names
from smidgen.tensor_spec import TensorSpec

Batch = Mapping[str, NDArray[Any]]

_CHANNEL_AXES = {Kind.CONV: 1, Kind.CONV_TRANSPOSE: 1, Kind.LINEAR: -1}


def calibrate(
    model: FloatModel, batches: Iterable[Batch], config: CalibrationConfig | None = None
) -> CalibrationProfile:
    """Observes every batch and returns the ranges.

    Args:
        model: The model, which is not changed.
        batches: Arrays by input name; the first extent is the number of samples.
        config: How to estimate ranges; the defaults if None.

    Raises:
        UnsupportedOperatorError: the model has nodes that cannot be quantized.
        InvalidTensorError: a batch does not fit the model or is not finite.
        CalibrationError: there is no sample, or an activation is not finite.
    """
    calibrator = Calibrator(model, config)
    for batch in batches:
        calibrator.observe(batch)
    return calibrator.finish()


class Calibrator:
    """Calibration batch by batch, in memory of fixed size.

    Args:
        model: The model.
        config: How to estimate ranges; the defaults if None.
        graph: The graph to run, where it is no longer the one that fuse_for_inference makes of the
            model.

    Raises:
        UnsupportedOperatorError: the model has nodes that cannot be quantized.
    """

    def __init__(
        self,
        model: FloatModel,
        config: CalibrationConfig | None = None,
        *,
        graph: fx.GraphModule | None = None,
    ) -> None:
        self._model = model
        self._config = config or CalibrationConfig()
        self._graph = graph or fuse_for_inference(model.graph)
        check_convertible(self._graph)
        points = set(place_quantization(self._graph).values())
        capacity = capacity_for(len(points))
        self._observers = {
            node.name: _Observers(node, capacity, self._config)
            for node in self._graph.graph.nodes
            if node.name in points
        }
        self._module_paths = {
            node.name: str(node.meta.get("module_path") or place_of(node))
            for node in self._graph.graph.nodes
            if node.name in points and node.op != "placeholder"
        }
        self._sample_count = 0
        self._batch_count = 0

    def observe(self, batch: Batch) -> None:
        """Runs the model on one batch and widens the ranges.

        Raises:
            InvalidTensorError: the batch does not fit the model or is not finite.
            CalibrationError: an activation is not finite.
        """
        inputs = self._model.exported.inputs
        count = check_batch(batch, inputs)
        tensors = [torch.from_numpy(np.array(batch[spec.name])) for spec in inputs]
        with torch.inference_mode():
            _ObservingInterpreter(self._graph, self._observers, tensors).observe()
        self._sample_count += count
        self._batch_count += 1

    def finish(self) -> CalibrationProfile:
        """Returns the ranges found so far.

        Raises:
            CalibrationError: no sample was observed.
        """
        if self._sample_count == 0:
            raise CalibrationError(
                "there is no calibration sample; send at least one, better a few hundred",
                reason="NO_CALIBRATION_SAMPLES",
            )
        names = activation_names(self._graph)
        found = {names[node]: observers for node, observers in self._observers.items()}
        return make_profile(
            self._model.exported.sha256,
            {name: observers.histogram.statistics for name, observers in found.items()},
            self._config,
            self._sample_count,
            self._batch_count,
            averages={
                name: observers.average.range
                for name, observers in found.items()
                if observers.average is not None
            },
            module_paths={names[name]: path for name, path in self._module_paths.items()},
        )


class _Observers:
    """What looks at one activation."""

    def __init__(self, node: fx.Node, capacity: int, config: CalibrationConfig) -> None:
        self.histogram = HistogramObserver(
            capacity=capacity, channel_axis=_CHANNEL_AXES.get(kind_of(node))
        )
        self.average = (
            MovingAverageObserver(config.averaging_constant)
            if config.method is ObserverMethod.MOVING_AVERAGE
            else None
        )

    def observe(self, values: torch.Tensor, low: float, high: float) -> None:
        self.histogram.observe(values, low, high)
        if self.average is not None:
            self.average.follow(low, high)


class _ObservingInterpreter(fx.Interpreter):
    """Runs a graph and shows each quantized activation to its observers."""

    def __init__(
        self,
        graph: fx.GraphModule,
        observers: Mapping[str, _Observers],
        inputs: Sequence[torch.Tensor],
    ) -> None:
        super().__init__(graph)
        self.extra_traceback = False  # fx would write about its nodes into the message of an error
        self._graph = graph
        self._observers = observers
        self._inputs = inputs

    def observe(self) -> None:
        """Runs the graph.

        Raises: CalibrationError: ACTIVATION_NOT_FINITE.
        """
        self.run(*self._inputs)

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node and observes its output."""
        value = super().run_node(n)
        observers = self._observers.get(n.name)
        if observers is not None:
            # The ends are NaN or infinite if any value is.
            low, high = (float(end) for end in torch.aminmax(value))
            if not (math.isfinite(low) and math.isfinite(high)):
                raise not_finite_error(self._graph, self._inputs, n)
            observers.observe(value, low, high)
        return value


def check_batch(batch: Batch, inputs: tuple[TensorSpec, ...]) -> int:
    """Checks that a batch fits the model's inputs and returns its number of samples.

    Raises:
        InvalidTensorError: a name, type or shape is wrong, or a value is not finite.
    """
    expected = [spec.name for spec in inputs]
    if set(batch) != set(expected):
        raise InvalidTensorError(
            f"batch has inputs {sorted(batch)}, expected {sorted(expected)}",
            reason="TENSOR_NAME_MISMATCH",
        )
    for spec in inputs:
        _check_array(batch[spec.name], spec)
    counts = {batch[name].shape[0] for name in expected}
    if len(counts) != 1:
        raise InvalidTensorError(
            f"inputs have {sorted(counts)} samples, expected the same number in all",
            reason="TENSOR_SHAPE_MISMATCH",
        )
    return int(counts.pop())


def _check_array(array: NDArray[Any], spec: TensorSpec) -> None:
    if array.dtype.name != spec.dtype:
        raise InvalidTensorError(
            f"input {spec.name} is {array.dtype.name}, expected {spec.dtype}",
            reason="TENSOR_DTYPE_MISMATCH",
            input=spec.name,
        )
    if not spec.accepts_shape(array.shape):
        raise InvalidTensorError(
            f"input {spec.name} has shape {list(array.shape)}, expected {spec.describe_shape()} "
            "with at least one sample",
            reason="TENSOR_SHAPE_MISMATCH",
            input=spec.name,
        )
    if spec.index_count is not None and not 0 <= array.min() <= array.max() < spec.index_count:
        raise InvalidTensorError(
            f"input {spec.name} has values from {array.min()} to {array.max()}, expected 0 to "
            f"{spec.index_count - 1}",
            reason="INDEX_OUT_OF_RANGE",
            input=spec.name,
        )
    if not bool(np.isfinite(array).all()):
        raise InvalidTensorError(
            f"input {spec.name} has a NaN or an infinity, expected finite values",
            reason="TENSOR_NOT_FINITE",
            input=spec.name,
        )
