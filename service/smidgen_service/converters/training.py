"""Requests of TrainQAT."""

from __future__ import annotations

from smidgen.config import QATConfig, TaskLoss
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.datasets import optional_dataset
from smidgen_service.converters.preprocessing import (
    augmentation_from_message,
    preprocessing_from_message,
)
from smidgen_service.converters.scalars import request_key
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.preconditions import TrainRequest

_LOSSES = {
    pb.TASK_LOSS_UNSPECIFIED: TaskLoss.CROSS_ENTROPY,
    pb.TASK_LOSS_CROSS_ENTROPY: TaskLoss.CROSS_ENTROPY,
    pb.TASK_LOSS_MSE: TaskLoss.MSE,
}


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
        evaluation_dataset_id=optional_dataset(message.evaluation_dataset, "evaluation_dataset"),
        config=qat_config(message.config),
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
