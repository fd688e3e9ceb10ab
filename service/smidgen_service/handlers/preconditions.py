"""TrainQAT and Convert requests, and the rows they name: there, and fitting together."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from smidgen.config import (
    Augmentation,
    ConversionConfig,
    Override,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
)
from smidgen.config.documents import from_document
from smidgen.config.precision import ALL_INT8, check_as_trained
from smidgen.data.split import Split
from smidgen.extras import require_torch
from smidgen.formats.model_file import ModelFormat
from smidgen_service import names
from smidgen_service.errors import FailedPreconditionError, InvalidArgumentError
from smidgen_service.handlers.calibration import check_trainable
from smidgen_service.handlers.ownership import calibration_of
from smidgen_service.store import datasets, jobs, models
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import (
    CalibrationRecord,
    DatasetRecord,
    JobKind,
    JobRecord,
    JobState,
    ModelRecord,
)

_VALUE_FIELDS = ("input", "channels", "scale", "mean", "std", "layout")
"""Of a preprocessing: what says which values pixels become, and where they go."""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What TrainQAT is asked."""

    model_id: str
    calibration_id: str
    dataset_id: str
    evaluation_dataset_id: str | None
    config: QATConfig
    precision: PrecisionConfig | None
    key: RequestKey | None
    validate_only: bool
    preprocessing: Preprocessing | None = None
    augmentation: Augmentation | None = None

    @property
    def names_layers(self) -> bool:
        """Whether it has patterns, which only the model itself can prove to fit."""
        return bool(_overrides(self.precision) or self.config.loss.features)


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """What Convert is asked; at most one of calibration_id and train_job_id is set."""

    model_id: str
    calibration_id: str | None
    train_job_id: str | None
    precision: PrecisionConfig | None
    calibration_dataset_id: str | None
    evaluation_dataset_id: str | None
    config: ConversionConfig
    wait_s: float
    key: RequestKey | None
    validate_only: bool
    preprocessing: Preprocessing | None = None

    @property
    def names_layers(self) -> bool:
        """Whether it has patterns, which only the model itself can prove to fit."""
        return bool(_overrides(self.precision))


@dataclass(frozen=True, slots=True)
class CheckedInputs:
    """The rows that a request named, all of them there and fitting together.

    Only a model that was uploaded quantized has no calibration. `held_out` says which part of the
    evaluation dataset counts; None for all of it. `precision` is what was asked for, or what a
    training that is converted was for; None for int8 throughout.
    """

    model: ModelRecord
    calibration: CalibrationRecord | None
    dataset: DatasetRecord | None
    evaluation: DatasetRecord | None
    preprocessing: Preprocessing | None = None
    held_out: Split | None = None
    precision: PrecisionConfig | None = None


def check_train(tx: sqlite3.Connection, request: TrainRequest) -> CheckedInputs:
    """Returns the rows of a training.

    Raises:
        NotFoundError: one of them does not exist.
        FailedPreconditionError: they do not belong together.
    """
    model = models.get(tx, request.model_id)
    check_trainable(model)
    return CheckedInputs(
        model=model,
        calibration=calibration_of(tx, model, request.calibration_id),
        dataset=datasets.get(tx, request.dataset_id),
        evaluation=_dataset(tx, request.evaluation_dataset_id),
        preprocessing=request.preprocessing,
        precision=request.precision,
    )


def check_convert(tx: sqlite3.Connection, request: ConvertRequest) -> CheckedInputs:
    """Returns the rows of a conversion.

    Raises:
        NotFoundError: one of them does not exist.
        FailedPreconditionError: they do not belong together, or the training has not succeeded.
        InvalidArgumentError: the model needs a source and has none, or is quantized and has one;
            or pixels are to become other values than in the training.
        InvalidConfigError: a precision is asked for that the training was not for.
    """
    model = models.get(tx, request.model_id)
    if model.format is ModelFormat.QUANTIZED_ONNX:
        _check_quantized(model, request)
        return CheckedInputs(model, None, None, None, preprocessing=request.preprocessing)
    check_trainable(model)
    if request.calibration_id is None and request.train_job_id is None:
        raise InvalidArgumentError(
            "neither calibration nor train_job is set; name one of them",
            field="source",
            reason="SOURCE_MISSING",
        )
    calibration_id = request.calibration_id
    preprocessing = request.preprocessing
    precision = request.precision
    evaluation, held_out = _dataset(tx, request.evaluation_dataset_id), None
    if request.train_job_id is not None:
        job = _training(tx, model, request.train_job_id)
        calibration_id = job.calibration_id
        _check_same_values(preprocessing, job)
        preprocessing = preprocessing or job.preprocessing
        precision = _trained_for(job)
        check_as_trained(request.precision, precision)
        if evaluation is None and request.config.needs_evaluation:
            evaluation, held_out = _evaluated_on(tx, job)
    assert calibration_id is not None  # the request has one of the two
    return CheckedInputs(
        model=model,
        calibration=calibration_of(tx, model, calibration_id),
        dataset=_dataset(tx, request.calibration_dataset_id),
        evaluation=evaluation,
        preprocessing=preprocessing,
        held_out=held_out,
        precision=precision,
    )


def _check_same_values(asked: Preprocessing | None, job: JobRecord) -> None:
    """Checks that pixels become what they became in the training; sizes and crops may differ.

    Raises:
        InvalidArgumentError: they become something else, which the weights have not seen.
    """
    if asked is None or job.preprocessing is None:
        return
    given, trained = _values_of(asked), _values_of(job.preprocessing)
    differing = [name for name in _VALUE_FIELDS if given[name] != trained[name]]
    if not differing:
        return
    said = ", ".join(f"{name} {given[name]} for {trained[name]}" for name in differing)
    raise InvalidArgumentError(
        f"the preprocessing has {said} of {names.job_name(job.id)}, whose weights know no other "
        "values; leave the preprocessing out, change its sizes and crop alone, or train with it",
        field="preprocessing",
        reason="PREPROCESSING_GIVEN_TWICE",
        differing=",".join(differing),
    )


def _values_of(preprocessing: Preprocessing) -> dict[str, Any]:
    """Returns its fields, with a mean and a deviation for each channel."""
    fields = preprocessing.to_document()
    for name in ("mean", "std"):
        if len(fields[name]) == 1:
            fields[name] = fields[name] * preprocessing.channels
    return fields


def _check_quantized(model: ModelRecord, request: ConvertRequest) -> None:
    """Refuses what would change the quantization of a model, or needs its float weights.

    Raises:
        InvalidArgumentError: the request sets such a field.
        MissingExtraError: this server has no worker that converts.
    """
    given = {
        "calibration": request.calibration_id is not None,
        "train_job": request.train_job_id is not None,
        "precision": request.precision is not None,
        "post_training": request.config.post_training.is_any,
        "gate": request.config.gate.is_any,
        "measurements": request.config.measurements.is_any,
        "calibration_dataset": request.calibration_dataset_id is not None,
        "evaluation_dataset": request.evaluation_dataset_id is not None,
    }
    for option, is_given in given.items():
        if is_given:
            raise InvalidArgumentError(
                f"{option} is set, and {names.model_name(model.id)} was uploaded quantized: its "
                f"scales and integers are kept, and there are no float weights; leave {option} out",
                field=option,
                reason="MODEL_IS_QUANTIZED",
            )
    require_torch()


def _training(tx: sqlite3.Connection, model: ModelRecord, job_id: str) -> JobRecord:
    job, name = jobs.get(tx, job_id), names.job_name(job_id)
    if job.kind is not JobKind.TRAIN_QAT or job.model_id != model.id:
        raise FailedPreconditionError(
            f"{name} is a {job.kind.upper()} job of {names.model_name(job.model_id)}, expected a "
            f"TRAIN_QAT job of {names.model_name(model.id)}",
            reason="TRAIN_JOB_OF_OTHER_MODEL",
            resource_name=name,
        )
    if job.state is not JobState.SUCCEEDED or job.result_sha256 is None:
        raise FailedPreconditionError(
            f"{name} is {job.state.upper()} and has no weights to convert; "
            "wait until it has SUCCEEDED, or train again",
            reason="TRAIN_JOB_NOT_SUCCEEDED",
            resource_name=name,
            state=job.state.upper(),
        )
    return job


def _trained_for(training: JobRecord) -> PrecisionConfig:
    precision = training.precision
    return ALL_INT8 if precision is None else PrecisionConfig.from_dict(precision)


def _evaluated_on(
    tx: sqlite3.Connection, training: JobRecord
) -> tuple[DatasetRecord | None, Split | None]:
    """Returns the data that a training was evaluated on, and which part of it counts.

    Without any where it held nothing out, or where the dataset was deleted meanwhile; another one
    may have its name now.
    """
    dataset_id = training.evaluation_dataset_id or training.dataset_id
    dataset = None if dataset_id is None else datasets.find(tx, dataset_id)
    if dataset is None or dataset.create_time > training.create_time:
        return None, None
    if training.evaluation_dataset_id is not None:
        return dataset, None
    split = Split.of(from_document(QATConfig, training.config or {}))
    return (dataset, split) if split.count(dataset.sample_count) > 0 else (None, None)


def _overrides(precision: PrecisionConfig | None) -> tuple[Override, ...]:
    return () if precision is None else precision.overrides


def _dataset(tx: sqlite3.Connection, dataset_id: str | None) -> DatasetRecord | None:
    return datasets.get(tx, dataset_id) if dataset_id is not None else None


def recheck(now: CheckedInputs, before: CheckedInputs) -> None:
    """Refuses a job whose rows were replaced by others of the same name meanwhile."""
    if now != before:
        raise FailedPreconditionError(
            "the model or its data was replaced while the request was checked; send it again",
            reason="INPUTS_REPLACED",
            resource_name=names.model_name(before.model.id),
        )
