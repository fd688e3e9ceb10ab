"""Requests of Convert."""

from __future__ import annotations

from smidgen.config import (
    ConversionConfig,
    GateConfig,
    MeasurementConfig,
    PostTrainingConfig,
    SearchConfig,
)
from smidgen.config.post_training import check_together
from smidgen.config.precision import ALL_INT8
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.datasets import optional_dataset
from smidgen_service.converters.precision import precision_config
from smidgen_service.converters.preprocessing import preprocessing_from_message
from smidgen_service.converters.scalars import request_key
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.preconditions import ConvertRequest


def convert_request(message: pb.ConvertRequest) -> ConvertRequest:
    """Returns a request for conversion.

    Raises:
        InvalidArgumentError: a name is malformed, or post_training lacks samples.
        InvalidConfigError: an option of the precision, the gate or the search is out of its range,
            or post_training is asked for with weights of other bits.
    """
    source = message.WhichOneof("source")
    has_precision = message.HasField("precision")
    post_training = PostTrainingConfig(
        equalize=message.post_training.equalize,
        round_weights=message.post_training.round_weights,
        correct_bias=message.post_training.correct_bias,
    )
    _check_post_training(message, post_training)
    precision = precision_config(message.precision) if has_precision else None
    check_together(post_training, precision or ALL_INT8)
    gate = GateConfig(
        max_drop=message.gate.max_drop if message.gate.HasField("max_drop") else None,
        min_sqnr_db=message.gate.min_sqnr_db if message.gate.HasField("min_sqnr_db") else None,
    )
    search = None
    if message.HasField("search"):
        search = SearchConfig(
            message.search.evaluations or SearchConfig().evaluations,
            message.search.seconds or None,
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
        precision=precision,
        calibration_dataset_id=optional_dataset(message.calibration_dataset, "calibration_dataset"),
        evaluation_dataset_id=optional_dataset(message.evaluation_dataset, "evaluation_dataset"),
        config=ConversionConfig(post_training, gate, search, _measurements(message)),
        wait_s=message.wait.seconds + message.wait.nanos * 1e-9,
        key=request_key("Convert", body, message.request_id),
        validate_only=message.validate_only,
        preprocessing=preprocessing_from_message(message.preprocessing)
        if message.HasField("preprocessing")
        else None,
    )


def _measurements(message: pb.ConvertRequest) -> MeasurementConfig:
    return MeasurementConfig(
        sensitivity_seconds=message.measurements.sensitivity_seconds,
        latency=message.measurements.latency,
    )


def _check_post_training(message: pb.ConvertRequest, config: PostTrainingConfig) -> None:
    if config.is_any and message.WhichOneof("source") == "train_job":
        raise InvalidArgumentError(
            "post_training does not apply to trained weights; leave it out, or convert "
            "a calibration",
            field="post_training",
            reason="POST_TRAINING_AND_QAT",
        )
    if config.is_any and not message.calibration_dataset:
        raise InvalidArgumentError(
            "post_training needs samples; name the data of the calibration in calibration_dataset",
            field="calibration_dataset",
            reason="POST_TRAINING_NEEDS_SAMPLES",
        )
    if message.calibration_dataset and not config.is_any:
        raise InvalidArgumentError(
            "calibration_dataset would not be used without post_training; leave it out, or say "
            "what to do with it",
            field="calibration_dataset",
            reason="CALIBRATION_DATASET_UNUSED",
        )
