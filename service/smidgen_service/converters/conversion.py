"""Requests of Convert."""

from __future__ import annotations

from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.datasets import optional_dataset
from smidgen_service.converters.preprocessing import preprocessing_from_message
from smidgen_service.converters.scalars import request_key
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.preconditions import ConvertRequest


def convert_request(message: pb.ConvertRequest) -> ConvertRequest:
    """Returns a request for conversion.

    Raises:
        InvalidArgumentError: a name is malformed or no source is set.
    """
    source = message.WhichOneof("source")
    if source is None:
        raise InvalidArgumentError(
            "neither calibration nor train_job is set; name one of them",
            field="source",
            reason="SOURCE_MISSING",
        )
    body = pb.ConvertRequest()
    body.CopyFrom(message)
    # How long to wait changes nothing about what is made: a retry may wait for another time.
    body.ClearField("wait")
    return ConvertRequest(
        model_id=names.parse_model(message.name),
        calibration_id=names.parse_calibration(message.calibration, field="calibration")
        if source == "calibration"
        else None,
        train_job_id=names.parse_job(message.train_job, field="train_job")
        if source == "train_job"
        else None,
        evaluation_dataset_id=optional_dataset(message.evaluation_dataset, "evaluation_dataset"),
        wait_s=message.wait.seconds + message.wait.nanos * 1e-9,
        key=request_key("Convert", body, message.request_id),
        validate_only=message.validate_only,
        preprocessing=preprocessing_from_message(message.preprocessing)
        if message.HasField("preprocessing")
        else None,
    )
