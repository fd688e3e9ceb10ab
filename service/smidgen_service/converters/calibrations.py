"""Calibrations, and the requests of Calibrate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.histogram import Histogram
from smidgen.profile import CalibrationProfile
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.datasets import optional_dataset
from smidgen_service.converters.preprocessing import preprocessing_from_message
from smidgen_service.converters.scalars import body_sha256, timestamp
from smidgen_service.converters.tensors import tensors_from_message
from smidgen_service.converters.uploads import out_of_place
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.calibration import CalibrationRequest
from smidgen_service.handlers.tensors import RawTensor
from smidgen_service.store.records import CalibrationRecord

_METHODS = {
    pb.OBSERVER_METHOD_UNSPECIFIED: ObserverMethod.MIN_MAX,
    pb.OBSERVER_METHOD_MIN_MAX: ObserverMethod.MIN_MAX,
    pb.OBSERVER_METHOD_MOVING_AVERAGE: ObserverMethod.MOVING_AVERAGE,
    pb.OBSERVER_METHOD_PERCENTILE: ObserverMethod.PERCENTILE,
    pb.OBSERVER_METHOD_ENTROPY: ObserverMethod.ENTROPY,
    pb.OBSERVER_METHOD_SQUARED_ERROR: ObserverMethod.SQUARED_ERROR,
}
METHOD_ENUMS = {method: number for number, method in _METHODS.items() if number}

MOST_BASES = 16
MOST_HISTOGRAMS = 1 << 14
"""Up to here capacity_for bounds the cells of all together, and so the message."""


def calibration_request(header: pb.CalibrateHeader) -> CalibrationRequest:
    """Returns the header of a calibration.

    Raises:
        InvalidArgumentError: a name is malformed or an enum unknown.
        InvalidConfigError: an option is out of its range.
    """
    method = _METHODS.get(header.method)
    if method is None:
        raise InvalidArgumentError(
            f"method is {header.method}, which this server does not know",
            field="header.method",
            reason="INVALID_OBSERVER_METHOD",
        )
    defaults = CalibrationConfig()
    return CalibrationRequest(
        model_id=names.parse_model(header.model, field="header.model"),
        config=CalibrationConfig(
            method=method,
            averaging_constant=header.averaging_constant or defaults.averaging_constant,
            percentile=header.percentile or defaults.percentile,
        ),
        dataset_id=optional_dataset(header.dataset, "header.dataset"),
        base_ids=_base_ids(header.base_calibrations),
        request_id=names.check_request_id(header.request_id),
        header_sha256=body_sha256(header),
        validate_only=header.validate_only,
        preprocessing=preprocessing_from_message(header.preprocessing)
        if header.HasField("preprocessing")
        else None,
    )


def _base_ids(bases: Sequence[str]) -> tuple[str, ...]:
    if len(bases) > MOST_BASES:
        raise InvalidArgumentError(
            f"there are {len(bases)} base calibrations, expected at most {MOST_BASES}; "
            "merge some of them first",
            field="header.base_calibrations",
            reason="TOO_MANY_BASES",
        )
    return tuple(names.parse_calibration(base, field="header.base_calibrations") for base in bases)


async def batches_from_messages(
    first: pb.CalibrateRequest, messages: AsyncIterator[pb.CalibrateRequest]
) -> AsyncIterator[tuple[RawTensor, ...]]:
    """Yields the batches that follow a header.

    A client that goes away ends the messages too, sometimes before grpc says that it went. Only a
    marked end tells that all have arrived.

    Args:
        first: The message with the header.
        messages: Those that follow it.

    Raises:
        InvalidArgumentError: a message is something else, or the last one is not there.
    """
    is_over = first.is_last
    async for message in messages:
        part = message.WhichOneof("part")
        is_mark = part is None and message.is_last
        if is_over or not (part == "batch" or is_mark):
            raise out_of_place("batch")
        is_over = message.is_last
        if not is_mark:
            yield tensors_from_message(message.batch.inputs)
    if first.header.marks_last and not is_over:
        raise InvalidArgumentError(
            "the stream ended before a message with is_last; send all of it in a new call",
            field="is_last",
            reason="STREAM_INCOMPLETE",
        )


def calibration_to_message(calibration: CalibrationRecord) -> pb.Calibration:
    """Returns a calibration as a message."""
    profile = calibration.profile
    return pb.Calibration(
        name=names.calibration_name(calibration.id),
        model=names.model_name(calibration.model_id),
        method=METHOD_ENUMS[profile.method],
        sample_count=profile.sample_count,
        batch_count=profile.batch_count,
        ranges=[_range_to_message(profile, node) for node in profile.ranges],
        warnings=profile.warnings,
        sha256=calibration.sha256,
        create_time=timestamp(calibration.create_time),
        base_calibrations=[names.calibration_name(base) for base in calibration.bases],
        percentile=profile.percentile if profile.method is ObserverMethod.PERCENTILE else 0.0,
    )


def _range_to_message(profile: CalibrationProfile, node: str) -> pb.TensorRange:
    found, histogram = profile.ranges[node], profile.histogram(node)
    qparams = found.qparams if found.has_scale else None
    return pb.TensorRange(
        node=node,
        min=found.low,
        max=found.high,
        scale=0.0 if qparams is None else float(qparams.scale),
        zero_point=0 if qparams is None else int(qparams.zero_point),
        clipped_share=profile.clipped_shares.get(node),
        histogram=histogram_to_message(histogram)
        if histogram is not None and len(profile.ranges) <= MOST_HISTOGRAMS
        else None,
    )


def histogram_to_message(histogram: Histogram) -> pb.Histogram:
    """Returns a histogram as a message."""
    return pb.Histogram(low=histogram.low, width=histogram.width, counts=histogram.counts.tolist())
