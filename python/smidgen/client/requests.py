"""Builds the requests that take more than a name. Pure functions of their arguments."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from numpy.typing import NDArray

from smidgen.client.channel import MAX_MESSAGE_BYTES
from smidgen.client.names import calibration_name, dataset_name, job_name, model_name
from smidgen.client.tensors import encode_tensors
from smidgen.config import (
    Augmentation,
    CalibrationConfig,
    ConversionConfig,
    DistanceKind,
    Extent,
    FineTune,
    ImageLayout,
    LayerPrecision,
    LossConfig,
    ObserverMethod,
    OptimizerConfig,
    OptimizerKind,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
    RangeSource,
    Resampling,
    Schedule,
    TaskLoss,
    WeightBits,
)
from smidgen.errors import InvalidConfigError, InvalidTensorError
from smidgen.v1 import inference_service_pb2 as inference_pb
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen.v1 import precision_pb2 as precision_pb
from smidgen.v1 import preprocessing_pb2 as preprocessing_pb

Batch = NDArray[Any] | Mapping[str, NDArray[Any]]
"""Samples for a model with one input, or for each input by name."""

_METHODS = {
    ObserverMethod.MIN_MAX: pb.OBSERVER_METHOD_MIN_MAX,
    ObserverMethod.MOVING_AVERAGE: pb.OBSERVER_METHOD_MOVING_AVERAGE,
    ObserverMethod.PERCENTILE: pb.OBSERVER_METHOD_PERCENTILE,
    ObserverMethod.ENTROPY: pb.OBSERVER_METHOD_ENTROPY,
    ObserverMethod.SQUARED_ERROR: pb.OBSERVER_METHOD_SQUARED_ERROR,
}
_WEIGHT_BITS = {
    WeightBits.INT8: precision_pb.WEIGHT_BITS_INT8,
    WeightBits.INT4: precision_pb.WEIGHT_BITS_INT4,
    WeightBits.FLOAT: precision_pb.WEIGHT_BITS_FLOAT,
}
_TASK_LOSSES = {
    TaskLoss.CROSS_ENTROPY: pb.TASK_LOSS_CROSS_ENTROPY,
    TaskLoss.MSE: pb.TASK_LOSS_MSE,
    TaskLoss.L1: pb.TASK_LOSS_L1,
    TaskLoss.BCE: pb.TASK_LOSS_BCE,
    TaskLoss.NONE: pb.TASK_LOSS_NONE,
}
_DISTANCES = {
    None: pb.DISTANCE_KIND_UNSPECIFIED,
    DistanceKind.KL: pb.DISTANCE_KIND_KL,
    DistanceKind.MSE: pb.DISTANCE_KIND_MSE,
}
_FINE_TUNES = {
    FineTune.FROZEN: pb.FINE_TUNE_FROZEN,
    FineTune.WITHOUT_FAKE_QUANTIZATION: pb.FINE_TUNE_WITHOUT_FAKE_QUANTIZATION,
}
_OPTIMIZERS = {
    OptimizerKind.ADAM: pb.OPTIMIZER_KIND_ADAM,
    OptimizerKind.ADAMW: pb.OPTIMIZER_KIND_ADAMW,
    OptimizerKind.SGD: pb.OPTIMIZER_KIND_SGD,
}
_SCHEDULES = {
    Schedule.COSINE: pb.SCHEDULE_COSINE,
    Schedule.CONSTANT: pb.SCHEDULE_CONSTANT,
    Schedule.STEP: pb.SCHEDULE_STEP,
}
_RANGE_SOURCES = {
    RangeSource.OBSERVED: pb.RANGE_SOURCE_OBSERVED,
    RangeSource.LEARNED: pb.RANGE_SOURCE_LEARNED,
}
_RESAMPLINGS = {
    Resampling.BILINEAR: preprocessing_pb.RESAMPLING_BILINEAR,
    Resampling.BICUBIC: preprocessing_pb.RESAMPLING_BICUBIC,
}
_LAYOUTS = {
    ImageLayout.NCHW: preprocessing_pb.IMAGE_LAYOUT_NCHW,
    ImageLayout.NHWC: preprocessing_pb.IMAGE_LAYOUT_NHWC,
}


def new_request_id() -> str:
    """Returns an id that makes a call safe to repeat."""
    return str(uuid.uuid4())


def calibrate_header(
    model: str,
    config: CalibrationConfig,
    *,
    dataset: str = "",
    bases: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    validate_only: bool = False,
) -> pb.CalibrateRequest:
    """Builds the first message of a calibration."""
    return pb.CalibrateRequest(
        header=pb.CalibrateHeader(
            model=model_name(model),
            method=_METHODS[config.method],
            averaging_constant=config.averaging_constant,
            dataset=dataset_name(dataset) if dataset else "",
            request_id=new_request_id(),
            validate_only=validate_only,
            percentile=config.percentile,
            base_calibrations=[calibration_name(base) for base in bases],
            preprocessing=encode_preprocessing(preprocessing),
            marks_last=True,
        )
    )


def calibrate_requests(
    header: pb.CalibrateRequest, batches: Iterable[Batch]
) -> Iterator[pb.CalibrateRequest]:
    """Yields the header, then each batch, and marks the last message.

    Raises: InvalidTensorError for a batch that no message can hold.
    """
    if isinstance(batches, Sized) and not len(batches):
        header.is_last = True
    yield header
    if header.is_last:
        return
    # Servers of before the mark take no message without a batch: the last batch has it.
    last: pb.CalibrateRequest | None = None
    for batch in batches:
        if last is not None:
            yield last
        last = pb.CalibrateRequest(batch=pb.CalibrationBatch(inputs=encode_tensors(batch)))
        check_size(last, "A batch")
    if last is None:
        last = pb.CalibrateRequest()
    last.is_last = True
    yield last


def encode_preprocessing(
    preprocessing: Preprocessing | None,
) -> preprocessing_pb.Preprocessing | None:
    """Writes a preprocessing as the wire has it, each field explicit."""
    if preprocessing is None:
        return None
    return preprocessing_pb.Preprocessing(
        input=preprocessing.input,
        channels=preprocessing.channels,
        resize=_extent(preprocessing.resize),
        shorter_side=preprocessing.shorter_side or 0,
        crop=_extent(preprocessing.crop),
        resampling=_RESAMPLINGS[preprocessing.resampling],
        scale=preprocessing.scale,
        mean=preprocessing.mean,
        std=preprocessing.std,
        layout=_LAYOUTS[preprocessing.layout],
    )


def _extent(extent: Extent | None) -> preprocessing_pb.ImageExtent | None:
    if extent is None:
        return None
    return preprocessing_pb.ImageExtent(height=extent.height, width=extent.width)


def encode_qat_config(config: QATConfig) -> pb.QATConfig:
    """Writes the options of training as the wire has them, each one that is set explicit."""
    return pb.QATConfig(
        epochs=config.epochs,
        fine_tune_epochs=config.fine_tune_epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        fine_tune_learning_rate=config.fine_tune_learning_rate or 0.0,
        task_loss=_TASK_LOSSES[config.task_loss],
        quantization_loss_weight=config.quantization_loss_weight,
        evaluation_fraction=config.evaluation_fraction,
        seed=config.seed,
        loss=_encode_loss(config.loss),
        stages=pb.StageConfig(
            warm_up_steps=config.stages.warm_up_steps,
            freeze_observers_at=config.stages.freeze_observers_at,
            freeze_batch_norm_at=config.stages.freeze_batch_norm_at,
            fine_tune=_FINE_TUNES[config.stages.fine_tune],
        ),
        optimizer=_encode_optimizer(config.optimizer),
        budget=pb.BudgetConfig(
            steps=config.budget.steps or 0,
            seconds=config.budget.seconds or 0.0,
            patience=config.budget.patience or 0,
        ),
        activations=_RANGE_SOURCES[config.activations],
    )


def _encode_loss(loss: LossConfig) -> pb.LossConfig:
    features = (pb.FeatureDistance(pattern=f.pattern, weight=f.weight) for f in loss.features)
    return pb.LossConfig(
        label_smoothing=loss.label_smoothing,
        distance=_DISTANCES[loss.distance],
        temperature=loss.temperature or 0.0,
        weight_start=loss.weight_start,
        weight_warm_up_steps=loss.weight_warm_up_steps,
        features=features,
    )


def _encode_optimizer(optimizer: OptimizerConfig) -> pb.OptimizerConfig:
    return pb.OptimizerConfig(
        kind=_OPTIMIZERS[optimizer.kind],
        weight_decay=optimizer.weight_decay,
        momentum=optimizer.momentum,
        schedule=_SCHEDULES[optimizer.schedule],
        decay_epochs=optimizer.decay_epochs,
        decay_factor=optimizer.decay_factor,
        gradient_clip=optimizer.gradient_clip or 0.0,
        ema_decay=optimizer.ema_decay,
    )


def encode_precision(config: PrecisionConfig) -> precision_pb.PrecisionConfig:
    """Writes the precision of layers as the wire has it."""
    return precision_pb.PrecisionConfig(
        default=_encode_layer_precision(config.default),
        overrides=[
            precision_pb.PrecisionOverride(
                pattern=override.pattern, precision=_encode_layer_precision(override.precision)
            )
            for override in config.overrides
        ],
    )


def _encode_layer_precision(precision: LayerPrecision) -> precision_pb.LayerPrecision:
    return precision_pb.LayerPrecision(
        weights=_WEIGHT_BITS[precision.weights], group_size=precision.group_size
    )


def train_qat_request(
    model: str,
    *,
    calibration: str,
    dataset: str,
    evaluation_dataset: str,
    config: QATConfig,
    precision: PrecisionConfig | None,
    preprocessing: Preprocessing | None,
    augmentation: Augmentation | None,
    validate_only: bool,
) -> pb.TrainQATRequest:
    """Builds the request that starts training."""
    return pb.TrainQATRequest(
        name=model_name(model),
        calibration=calibration_name(calibration),
        dataset=dataset_name(dataset),
        evaluation_dataset=dataset_name(evaluation_dataset) if evaluation_dataset else "",
        config=encode_qat_config(config),
        precision=None if precision is None else encode_precision(precision),
        request_id=new_request_id(),
        validate_only=validate_only,
        preprocessing=encode_preprocessing(preprocessing),
        augmentation=None
        if augmentation is None
        else preprocessing_pb.Augmentation(
            flip=augmentation.flip, least_area=augmentation.least_area
        ),
    )


def convert_request(
    model: str,
    *,
    calibration: str,
    train_job: str,
    evaluation_dataset: str,
    precision: PrecisionConfig | None,
    config: ConversionConfig,
    calibration_dataset: str,
    preprocessing: Preprocessing | None,
    wait_s: float,
    validate_only: bool,
) -> pb.ConvertRequest:
    """Builds the request that starts a conversion.

    Raises: InvalidConfigError if there are two sources.
    """
    if calibration and train_job:
        raise InvalidConfigError(
            "A conversion starts from a calibration or from a training job, found both; "
            "name one of them",
            reason="CONVERT_SOURCE_INVALID",
        )
    wait = Duration()
    wait.FromNanoseconds(round(wait_s * 1e9))
    request = pb.ConvertRequest(
        name=model_name(model),
        evaluation_dataset=dataset_name(evaluation_dataset) if evaluation_dataset else "",
        precision=None if precision is None else encode_precision(precision),
        wait=wait,
        request_id=new_request_id(),
        validate_only=validate_only,
        calibration_dataset=dataset_name(calibration_dataset) if calibration_dataset else "",
        preprocessing=encode_preprocessing(preprocessing),
    )
    _encode_conversion(config, request)
    if calibration:
        request.calibration = calibration_name(calibration)
    elif train_job:
        request.train_job = job_name(train_job)
    return request


def _encode_conversion(config: ConversionConfig, request: pb.ConvertRequest) -> None:
    """Writes the options of a conversion into a request; what is not asked for stays absent."""
    post_training, gate, search = config.post_training, config.gate, config.search
    measurements = config.measurements
    if post_training.is_any:
        request.post_training.equalize = post_training.equalize
        request.post_training.round_weights = post_training.round_weights
        request.post_training.correct_bias = post_training.correct_bias
    if gate.is_any:
        request.gate.CopyFrom(pb.GateConfig(max_drop=gate.max_drop, min_sqnr_db=gate.min_sqnr_db))
    if measurements.is_any:
        request.measurements.sensitivity_seconds = measurements.sensitivity_seconds
        request.measurements.latency = measurements.latency
    if search is not None:
        request.search.evaluations = search.evaluations
        request.search.seconds = search.seconds or 0.0


def infer_request(
    name: str, inputs: Batch, output_names: Sequence[str]
) -> inference_pb.InferRequest:
    """Builds one inference request.

    Raises: InvalidTensorError for inputs that no message can hold.
    """
    request = inference_pb.InferRequest(
        name=name, inputs=encode_tensors(inputs), output_names=output_names
    )
    check_size(request, "The request")
    return request


def infer_images_request(
    name: str, images: Sequence[bytes] | NDArray[np.uint8], output_names: Sequence[str]
) -> inference_pb.InferRequest:
    """Builds a request of encoded images, or of one array of pixels [N, height, width, channels].

    Raises: InvalidTensorError for images that no message can hold.
    """
    if isinstance(images, np.ndarray):
        (pixels,) = encode_tensors(images)
        request = inference_pb.InferRequest(name=name, pixels=pixels, output_names=output_names)
    else:
        request = inference_pb.InferRequest(name=name, images=images, output_names=output_names)
    check_size(request, "The request")
    return request


def check_size(message: Message, what: str) -> None:
    """Refuses a message that gRPC would refuse. Raises: InvalidTensorError."""
    size = message.ByteSize()
    if size > MAX_MESSAGE_BYTES:
        raise InvalidTensorError(
            f"{what} takes {size} bytes, expected at most {MAX_MESSAGE_BYTES}; "
            "send fewer samples at a time",
            reason="TENSOR_TOO_LARGE",
            found=size,
            expected=MAX_MESSAGE_BYTES,
        )


def as_seconds(duration: Duration) -> float:
    """Reads a duration in seconds.

    >>> as_seconds(Duration(seconds=1, nanos=500_000_000))
    1.5
    """
    return duration.ToNanoseconds() / 1e9


def set_alias_request(
    name: str,
    model_version: str,
    *,
    expected_version: str,
    etag: str,
    max_drop: float | None,
    validate_only: bool,
) -> models_pb.SetAliasRequest:
    """Makes the request of SetAlias; arguments are names in full."""
    condition = None if max_drop is None else models_pb.PromotionCondition(max_drop=max_drop)
    return models_pb.SetAliasRequest(
        name=name,
        model_version=model_version,
        expected_version=expected_version,
        etag=etag,
        condition=condition,
        request_id=new_request_id(),
        validate_only=validate_only,
    )
