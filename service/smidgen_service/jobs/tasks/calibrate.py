"""Calibrates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen import pipeline
from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.errors import CalibrationError
from smidgen_service.jobs.data_fields import dataset_of
from smidgen_service.jobs.tasks.channel import Channel


def calibrate(fields: Mapping[str, Any], channel: Channel) -> None:
    """Calibrates on a dataset, or on the batches that the channel brings."""
    model = pipeline.load_model(Path(fields["model"]))
    config = CalibrationConfig(
        method=ObserverMethod(fields["method"]),
        averaging_constant=float(fields["averaging_constant"]),
    )
    calibrator = pipeline.Calibrator(model, config)
    if fields["dataset"] is not None:
        dataset = dataset_of(fields["dataset"])
        for batch in pipeline.calibration_batches(dataset, model.exported.inputs):
            calibrator.observe(batch)
    else:
        for batch in _received_batches(channel):
            calibrator.observe(batch)
            channel.send("observed", {})
    channel.send("result", {}, calibrator.finish().to_json())


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
