"""Calibrations, and the requests of Calibrate, TrainQAT and Convert."""

from __future__ import annotations

from collections.abc import AsyncIterator

from smidgen.config import CalibrationConfig, ObserverMethod, QATConfig, TaskLoss
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.scalars import body_sha256, request_key, timestamp
from smidgen_service.converters.tensors import tensors_from_message
from smidgen_service.converters.uploads import out_of_place
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.calibration import CalibrationRequest
from smidgen_service.handlers.preconditions import ConvertRequest, TrainRequest
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
_LOSSES = {
    pb.TASK_LOSS_UNSPECIFIED: TaskLoss.CROSS_ENTROPY,
    pb.TASK_LOSS_CROSS_ENTROPY: TaskLoss.CROSS_ENTROPY,
    pb.TASK_LOSS_MSE: TaskLoss.MSE,
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
        dataset_id=_optional_dataset(header.dataset, "header.dataset"),
        request_id=names.check_request_id(header.request_id),
        header_sha256=body_sha256(header),
        validate_only=header.validate_only,
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


def train_request(message: pb.TrainQATRequest) -> TrainRequest:
    """Returns a request for training.

    Raises:
        InvalidArgumentError: a name is malformed.
        InvalidConfigError: an option is out of its range.
    """
    return TrainRequest(
        model_id=names.parse_model(message.name),
        calibration_id=names.parse_calibration(message.calibration, field="calibration"),
        dataset_id=names.parse_dataset(message.dataset, field="dataset"),
        evaluation_dataset_id=_optional_dataset(message.evaluation_dataset, "evaluation_dataset"),
        config=qat_config(message.config),
        key=request_key("TrainQAT", message, message.request_id),
        validate_only=message.validate_only,
    )


def qat_config(message: pb.QATConfig) -> QATConfig:
    """Returns a configuration, with defaults where the message has none."""
    defaults = QATConfig()
    task_loss = _LOSSES.get(message.task_loss)
    if task_loss is None:
        raise InvalidArgumentError(
            f"task_loss is {message.task_loss}, which this server does not know",
            field="config.task_loss",
            reason="INVALID_TASK_LOSS",
        )
    return QATConfig(
        epochs=message.epochs or defaults.epochs,
        fine_tune_epochs=message.fine_tune_epochs
        if message.HasField("fine_tune_epochs")
        else defaults.fine_tune_epochs,
        batch_size=message.batch_size or defaults.batch_size,
        learning_rate=message.learning_rate or defaults.learning_rate,
        fine_tune_learning_rate=message.fine_tune_learning_rate or None,
        task_loss=task_loss,
        quantization_loss_weight=message.quantization_loss_weight
        if message.HasField("quantization_loss_weight")
        else defaults.quantization_loss_weight,
        evaluation_fraction=message.evaluation_fraction
        if message.HasField("evaluation_fraction")
        else defaults.evaluation_fraction,
        seed=message.seed,
    )


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
        evaluation_dataset_id=_optional_dataset(message.evaluation_dataset, "evaluation_dataset"),
        wait_s=message.wait.seconds + message.wait.nanos * 1e-9,
        key=request_key("Convert", body, message.request_id),
        validate_only=message.validate_only,
    )


def _optional_dataset(name: str, field: str) -> str | None:
    return names.parse_dataset(name, field=field) if name else None
