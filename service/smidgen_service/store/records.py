"""The rows as values. Times are microseconds since 1970 UTC; ids stand without their collection."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from smidgen.config import Augmentation, Preprocessing
from smidgen.data.split import Split
from smidgen.formats.dataset import DatasetFormat
from smidgen.formats.model_file import ModelFormat
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stage
from smidgen.report import QuantizationReport
from smidgen.tensor_spec import TensorSpec

_MICRO = 1_000_000


class JobKind(enum.StrEnum):
    """What a job does."""

    TRAIN_QAT = "train_qat"
    CONVERT = "convert"


class JobState(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended for good."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing more happens to the job unless somebody asks for it."""
        return self.is_final or self is JobState.INTERRUPTED


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A stored model."""

    id: str
    display_name: str
    format: ModelFormat
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameter_count: int
    parameter_bytes: int
    create_time: int
    latest_version: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version in the list of everything, or a model without versions."""

    model_id: str
    version: int | None
    is_unloaded: bool


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A converted version of a model."""

    model_id: str
    version: int
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    create_time: int
    job_id: str | None = None
    calibration_id: str | None = None
    train_job_id: str | None = None
    report: QuantizationReport | None = None


@dataclass(frozen=True, slots=True)
class AliasMove:
    """A move of an alias from a version to another.

    Attributes:
        version: Where it went.
        previous_version: Where it came from; None where it was new.
        is_rollback: Whether it undid an earlier move.
        time: When.
        caller: The id of the token or the name of the certificate of whoever moved it; empty where
            callers are not told apart.
        max_drop: Most accuracy that the version might lose; None where that was not asked.
        measured_drop: What its report says that it loses; None where that was not asked.
    """

    version: int
    previous_version: int | None
    is_rollback: bool
    time: int
    caller: str = ""
    max_drop: float | None = None
    measured_drop: float | None = None


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """A name of a model that points at one of its versions.

    Attributes:
        etag: Changes with every move, and never comes back.
        moves: The newest ones, newest first.
    """

    model_id: str
    id: str
    version: int
    etag: str
    create_time: int
    update_time: int
    moves: tuple[AliasMove, ...] = ()

    @property
    def rollback_version(self) -> int | None:
        """Where a rollback leads: before the last move that none has undone; None if nowhere."""
        undone = 0
        for move in self.moves:
            if move.is_rollback:
                undone += 1
            elif undone:
                undone -= 1
            else:
                return move.previous_version
        return None


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """One of the files of a dataset."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A stored dataset; the first extent of every array is None.

    Attributes:
        sha256: Digest of its file; of several files, of their digests.
        size_bytes: Of all files.
        shards: The files in order where there are several; empty where there is one.
    """

    id: str
    format: DatasetFormat
    sha256: str
    size_bytes: int
    sample_count: int
    arrays: tuple[TensorSpec, ...]
    create_time: int
    shards: tuple[DatasetFile, ...] = ()

    @property
    def files(self) -> tuple[DatasetFile, ...]:
        """The files in order, at least one."""
        return self.shards or (DatasetFile(self.sha256, self.size_bytes),)

    @property
    def digests(self) -> tuple[str, ...]:
        """Those of the files, in order."""
        return tuple(file.sha256 for file in self.files)


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """A stored calibration.

    Attributes:
        sha256: Digest of the profile's document.
        profile: The profile without its statistics, which have a row of their own.
        bases: Ids of the calibrations that were merged in.
    """

    id: str
    model_id: str
    sha256: str
    profile: CalibrationProfile
    create_time: int
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed: the class of its error by name, and what the error carried."""

    error_type: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What training found out."""

    float_accuracy: float | None
    accuracy: float | None
    task_loss: float
    quantization_loss: float
    best_epoch: int
    step_count: int
    agreement: float | None = None
    best_stage: Stage | None = None


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What conversion made."""

    version: int
    sha256: str
    size_bytes: int
    report: QuantizationReport


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A stored job, and what it was asked to do.

    `config` is that of training or conversion and `precision` that of weights, as plain values;
    `held_out` is the split of the evaluation dataset of which only the smaller part counts.
    `saves_checkpoint` tells that it was asked to stop so that it can be resumed. `attempt` counts
    how often it was begun, `tries` the attempts in a row that got no further, and
    `start_progress` is the progress that the present attempt began with. The store gives the
    tenant.
    """

    id: str
    kind: JobKind
    model_id: str
    calibration_id: str | None
    create_time: int
    dataset_id: str | None = None
    evaluation_dataset_id: str | None = None
    train_job_id: str | None = None
    config: Mapping[str, Any] | None = None
    precision: Mapping[str, Any] | None = None
    preprocessing: Preprocessing | None = None
    augmentation: Augmentation | None = None
    held_out: Split | None = None
    state: JobState = JobState.QUEUED
    stage: Stage | None = None
    progress: float = 0.0
    last_sequence: int = 0
    start_time: int | None = None
    end_time: int | None = None
    failure: JobFailure | None = None
    result: TrainResult | ConvertResult | None = None
    result_sha256: str | None = None
    saves_checkpoint: bool = False
    attempt: int = 0
    tries: int = 0
    start_progress: float = 0.0
    tenant: str = ""

    def remaining_s(self, now: int) -> float | None:
        """Returns the time to its end at the speed of this attempt so far, in seconds.

        None where it does not run, or has got no further yet.
        """
        done = self.progress - self.start_progress
        if self.state is not JobState.RUNNING or self.start_time is None or done <= 0.0:
            return None
        # A clock that was put back meanwhile must not make it negative.
        elapsed = max(now - self.start_time, 0)
        return elapsed / _MICRO * max(1.0 - self.progress, 0.0) / done


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that happened to a job. The store gives sequence and time."""

    state: JobState
    stage: Stage | None = None
    progress: float = 0.0
    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    task_loss: float | None = None
    quantization_loss: float | None = None
    learning_rate: float | None = None
    accuracy: float | None = None
    feature_loss: float | None = None
    agreement: float | None = None
    message: str = ""
    sequence: int = 0
    time: int = 0


@dataclass(frozen=True, slots=True)
class UploadKey:
    """Names an upload among those of all tenants."""

    tenant: str
    request_id: str


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """An upload that has begun; committed_bytes is what its file holds on disk."""

    tenant: str
    request_id: str
    method: str
    body_sha256: str
    total_bytes: int
    create_time: int
    expire_time: int
    committed_bytes: int = 0


def encode_specs(specs: tuple[TensorSpec, ...]) -> str:
    """Returns specs as JSON for a column."""
    return json.dumps([asdict(spec) for spec in specs])


def decode_specs(column: str) -> tuple[TensorSpec, ...]:
    """Returns what encode_specs wrote."""
    return tuple(
        TensorSpec(name=spec["name"], dtype=spec["dtype"], shape=tuple(spec["shape"]))
        for spec in json.loads(column)
    )
