"""Calibrations, and the requests of Calibrate."""

from __future__ import annotations

from collections.abc import AsyncIterator

from smidgen.config import CalibrationConfig, ObserverMethod
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
}
_METHOD_ENUMS = {
    ObserverMethod.MIN_MAX: pb.OBSERVER_METHOD_MIN_MAX,
    ObserverMethod.MOVING_AVERAGE: pb.OBSERVER_METHOD_MOVING_AVERAGE,
}


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
        ),
        dataset_id=optional_dataset(header.dataset, "header.dataset"),
        request_id=names.check_request_id(header.request_id),
        header_sha256=body_sha256(header),
        validate_only=header.validate_only,
        preprocessing=preprocessing_from_message(header.preprocessing)
        if header.HasField("preprocessing")
        else None,
    )


async def batches_from_messages(
    messages: AsyncIterator[pb.CalibrateRequest],
) -> AsyncIterator[tuple[RawTensor, ...]]:
    """Yields the batches that follow a header.

    Raises:
        InvalidArgumentError: a message is something else.
    """
    async for message in messages:
        if not message.HasField("batch"):
            raise out_of_place("batch")
        yield tensors_from_message(message.batch.inputs)


def calibration_to_message(calibration: CalibrationRecord) -> pb.Calibration:
    """Returns a calibration as a message."""
    profile = calibration.profile
    ranges = []
    for node, found in profile.ranges.items():
        qparams = found.qparams
        ranges.append(
            pb.TensorRange(
                node=node,
                min=found.low,
                max=found.high,
                scale=float(qparams.scale),
                zero_point=int(qparams.zero_point),
            )
        )
    return pb.Calibration(
        name=names.calibration_name(calibration.id),
        model=names.model_name(calibration.model_id),
        method=_METHOD_ENUMS[profile.method],
        sample_count=profile.sample_count,
        batch_count=profile.batch_count,
        ranges=ranges,
        warnings=profile.warnings,
        sha256=calibration.sha256,
        create_time=timestamp(calibration.create_time),
    )
