"""Requests of TrainQAT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from smidgen.config import (
    BudgetConfig,
    DistanceKind,
    FeatureDistance,
    FineTune,
    LossConfig,
    OptimizerConfig,
    OptimizerKind,
    QATConfig,
    RangeSource,
    Schedule,
    StageConfig,
    TaskLoss,
)
from smidgen.config.loss import MOST_FEATURES
from smidgen.training_data import check_held_out
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.datasets import optional_dataset
from smidgen_service.converters.precision import precision_config
from smidgen_service.converters.preprocessing import (
    augmentation_from_message,
    preprocessing_from_message,
)
from smidgen_service.converters.scalars import request_key
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.preconditions import TrainRequest

LOSSES = {
    pb.TASK_LOSS_UNSPECIFIED: TaskLoss.CROSS_ENTROPY,
    pb.TASK_LOSS_CROSS_ENTROPY: TaskLoss.CROSS_ENTROPY,
    pb.TASK_LOSS_MSE: TaskLoss.MSE,
    pb.TASK_LOSS_L1: TaskLoss.L1,
    pb.TASK_LOSS_BCE: TaskLoss.BCE,
    pb.TASK_LOSS_NONE: TaskLoss.NONE,
}
DISTANCES = {
    pb.DISTANCE_KIND_UNSPECIFIED: None,
    pb.DISTANCE_KIND_KL: DistanceKind.KL,
    pb.DISTANCE_KIND_MSE: DistanceKind.MSE,
}
FINE_TUNES = {
    pb.FINE_TUNE_UNSPECIFIED: FineTune.FROZEN,
    pb.FINE_TUNE_FROZEN: FineTune.FROZEN,
    pb.FINE_TUNE_WITHOUT_FAKE_QUANTIZATION: FineTune.WITHOUT_FAKE_QUANTIZATION,
}
OPTIMIZERS = {
    pb.OPTIMIZER_KIND_UNSPECIFIED: OptimizerKind.ADAM,
    pb.OPTIMIZER_KIND_ADAM: OptimizerKind.ADAM,
    pb.OPTIMIZER_KIND_ADAMW: OptimizerKind.ADAMW,
    pb.OPTIMIZER_KIND_SGD: OptimizerKind.SGD,
}
SCHEDULES = {
    pb.SCHEDULE_UNSPECIFIED: Schedule.COSINE,
    pb.SCHEDULE_COSINE: Schedule.COSINE,
    pb.SCHEDULE_CONSTANT: Schedule.CONSTANT,
    pb.SCHEDULE_STEP: Schedule.STEP,
}
RANGE_SOURCES = {
    pb.RANGE_SOURCE_UNSPECIFIED: RangeSource.OBSERVED,
    pb.RANGE_SOURCE_OBSERVED: RangeSource.OBSERVED,
    pb.RANGE_SOURCE_LEARNED: RangeSource.LEARNED,
}

T = TypeVar("T")


def train_request(message: pb.TrainQATRequest) -> TrainRequest:
    """Returns a request for training.

    Raises:
        InvalidArgumentError: a name is malformed.
        InvalidConfigError: an option is out of its range, or does not go with another.
    """
    config = qat_config(message.config)
    check_held_out(config, has_evaluation=bool(message.evaluation_dataset))
    return TrainRequest(
        model_id=names.parse_model(message.name),
        calibration_id=names.parse_calibration(message.calibration, field="calibration"),
        dataset_id=names.parse_dataset(message.dataset, field="dataset"),
        evaluation_dataset_id=optional_dataset(message.evaluation_dataset, "evaluation_dataset"),
        config=config,
        precision=precision_config(message.precision) if message.HasField("precision") else None,
        key=request_key("TrainQAT", message, message.request_id),
        validate_only=message.validate_only,
        preprocessing=preprocessing_from_message(message.preprocessing)
        if message.HasField("preprocessing")
        else None,
        augmentation=augmentation_from_message(message.augmentation)
        if message.HasField("augmentation")
        else None,
    )


def qat_config(message: pb.QATConfig) -> QATConfig:
    """Returns a configuration, with defaults where the message has none."""
    defaults = QATConfig()
    return QATConfig(
        epochs=message.epochs or defaults.epochs,
        fine_tune_epochs=message.fine_tune_epochs
        if message.HasField("fine_tune_epochs")
        else defaults.fine_tune_epochs,
        batch_size=message.batch_size or defaults.batch_size,
        learning_rate=message.learning_rate or defaults.learning_rate,
        fine_tune_learning_rate=message.fine_tune_learning_rate or None,
        task_loss=_choice(LOSSES, message.task_loss, "task_loss"),
        quantization_loss_weight=message.quantization_loss_weight
        if message.HasField("quantization_loss_weight")
        else defaults.quantization_loss_weight,
        evaluation_fraction=message.evaluation_fraction
        if message.HasField("evaluation_fraction")
        else defaults.evaluation_fraction,
        seed=message.seed,
        loss=_loss(message.loss),
        stages=_stages(message.stages),
        optimizer=_optimizer(message.optimizer),
        budget=BudgetConfig(
            steps=message.budget.steps or None,
            seconds=message.budget.seconds or None,
            patience=message.budget.patience or None,
        ),
        activations=_choice(RANGE_SOURCES, message.activations, "activations"),
    )


def _loss(message: pb.LossConfig) -> LossConfig:
    if len(message.features) > MOST_FEATURES:  # before any of them is read
        raise InvalidArgumentError(
            f"there are {len(message.features)} features, expected at most {MOST_FEATURES}",
            field="config.loss.features",
            reason="TOO_MANY_FEATURES",
        )
    return LossConfig(
        label_smoothing=message.label_smoothing,
        distance=_choice(DISTANCES, message.distance, "loss.distance"),
        temperature=message.temperature or None,
        weight_start=message.weight_start,
        weight_warm_up_steps=message.weight_warm_up_steps,
        features=tuple(
            FeatureDistance(feature.pattern, feature.weight or 1.0) for feature in message.features
        ),
    )


def _stages(message: pb.StageConfig) -> StageConfig:
    return StageConfig(
        warm_up_steps=message.warm_up_steps,
        freeze_observers_at=message.freeze_observers_at
        if message.HasField("freeze_observers_at")
        else 1.0,
        freeze_batch_norm_at=message.freeze_batch_norm_at
        if message.HasField("freeze_batch_norm_at")
        else 1.0,
        fine_tune=_choice(FINE_TUNES, message.fine_tune, "stages.fine_tune"),
    )


def _optimizer(message: pb.OptimizerConfig) -> OptimizerConfig:
    defaults = OptimizerConfig()
    return OptimizerConfig(
        kind=_choice(OPTIMIZERS, message.kind, "optimizer.kind"),
        weight_decay=message.weight_decay,
        momentum=message.momentum if message.HasField("momentum") else defaults.momentum,
        schedule=_choice(SCHEDULES, message.schedule, "optimizer.schedule"),
        decay_epochs=message.decay_epochs or defaults.decay_epochs,
        decay_factor=message.decay_factor or defaults.decay_factor,
        gradient_clip=message.gradient_clip or None,
        ema_decay=message.ema_decay if message.HasField("ema_decay") else None,
    )


def _choice(table: Mapping[Any, T], value: int, name: str) -> T:
    """Returns what an enum value means.

    Raises:
        InvalidArgumentError: this server does not know it.
    """
    if value not in table:
        raise InvalidArgumentError(
            f"{name} is {value}, which this server does not know",
            field=f"config.{name}",
            reason=f"INVALID_{name.rpartition('.')[2].upper()}",
        )
    return table[value]
