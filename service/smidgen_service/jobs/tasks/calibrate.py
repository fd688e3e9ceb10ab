"""Calibrates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen import pipeline
from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.errors import CalibrationError
from smidgen.pipeline import Calibrator
from smidgen.profile import CalibrationProfile, merge_profiles
from smidgen.profile_file import decode_profile, encode_profile
from smidgen_service.jobs.channel import Channel
from smidgen_service.jobs.data_fields import dataset_of


def calibrate(fields: Mapping[str, Any], channel: Channel) -> None:
    """Calibrates on a dataset, or on the batches that the channel brings, and merges the bases."""
    config = CalibrationConfig(
        method=ObserverMethod(fields["method"]),
        averaging_constant=float(fields["averaging_constant"]),
        percentile=float(fields["percentile"]),
    )
    # Before the data, so that bases that cannot be merged cost no time.
    base = _merged([Path(path) for path in fields["bases"]], config)
    found = _observed(Path(fields["model"]), config, fields["dataset"], channel)
    profiles = [profile for profile in (base, found) if profile is not None]
    channel.send("result", {}, encode_profile(reduce(merge_profiles, profiles)))


def _merged(paths: Sequence[Path], config: CalibrationConfig) -> CalibrationProfile | None:
    bases = [decode_profile(path.read_bytes()).with_method(config) for path in paths]
    return reduce(merge_profiles, bases) if bases else None


def _observed(
    path: Path, config: CalibrationConfig, dataset: Mapping[str, Any] | None, channel: Channel
) -> CalibrationProfile | None:
    """Runs the model, or returns None where there are no samples."""
    if dataset is not None:
        model = pipeline.load_model(path)
        batches = pipeline.calibration_batches(dataset_of(dataset), model.exported.inputs)
        return pipeline.calibrate(model, batches, config)
    calibrator: Calibrator | None = None
    for batch in _received_batches(channel):
        calibrator = calibrator or Calibrator(pipeline.load_model(path), config)
        calibrator.observe(batch)
        channel.send("observed", {})
    return None if calibrator is None else calibrator.finish()


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
