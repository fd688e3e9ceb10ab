"""Calibrates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen import pipeline
from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.errors import CalibrationError
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec
from smidgen_service.jobs.tasks.channel import Channel
from smidgen_service.jobs.tasks.sources import dataset_of


def calibrate(fields: Mapping[str, Any], channel: Channel) -> None:
    """Calibrates on a dataset, or on the batches that the channel brings."""
    model = pipeline.load_model(Path(fields["model"]))
    config = CalibrationConfig(
        method=ObserverMethod(fields["method"]),
        averaging_constant=float(fields["averaging_constant"]),
    )
    calibrator = pipeline.Calibrator(model, config)
    if fields["dataset"] is not None:
        for batch in _dataset_batches(dataset_of(fields["dataset"]), model.exported.inputs):
            calibrator.observe(batch)
    else:
        for batch in _received_batches(channel):
            calibrator.observe(batch)
            channel.send("observed", {})
    channel.send("result", {}, calibrator.finish().to_json())


def _dataset_batches(
    dataset: Dataset, inputs: Sequence[TensorSpec]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yields the samples; a short last batch is left out where the model fixes the batch size."""
    fixed = inputs[0].shape[0]
    for batch in dataset.batches(inputs, fixed or pipeline.CALIBRATION_BATCH_SIZE):
        if fixed is None or len(batch[inputs[0].name]) == fixed:
            yield batch


def _received_batches(channel: Channel) -> Iterator[Mapping[str, NDArray[Any]]]:
    while (frame := channel.receive()).kind == "batch":
        batch, offset = {}, 0
        for tensor in frame.fields["tensors"]:
            shape = tuple(tensor["shape"])
            count = int(np.prod(shape))
            values = np.frombuffer(frame.payload, np.dtype(tensor["dtype"]), count, offset)
            batch[str(tensor["name"])] = values.reshape(shape)
            offset += values.nbytes
        yield batch
    if frame.kind != "end":
        raise CalibrationError(f"unexpected {frame.kind} frame among the batches")
