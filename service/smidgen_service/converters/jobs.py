"""Jobs and their events."""

from __future__ import annotations

from smidgen.progress import Stage
from smidgen.v1 import error_pb2
from smidgen.v1 import job_service_pb2 as pb
from smidgen_service import names, status
from smidgen_service.converters.reports import report_to_message
from smidgen_service.converters.scalars import duration, timestamp
from smidgen_service.handlers.optimization import JobPlan
from smidgen_service.store.records import (
    ConvertResult,
    JobEvent,
    JobFailure,
    JobKind,
    JobRecord,
    JobState,
    TrainResult,
)

KINDS = {
    JobKind.TRAIN_QAT: pb.JOB_KIND_TRAIN_QAT,
    JobKind.CONVERT: pb.JOB_KIND_CONVERT,
}
STATES = {
    JobState.QUEUED: pb.JOB_STATE_QUEUED,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.CANCELLING: pb.JOB_STATE_CANCELLING,
    JobState.SUCCEEDED: pb.JOB_STATE_SUCCEEDED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
    JobState.INTERRUPTED: pb.JOB_STATE_INTERRUPTED,
}
STAGES = {
    None: pb.JOB_STAGE_UNSPECIFIED,
    Stage.LOAD: pb.JOB_STAGE_LOAD,
    Stage.QAT: pb.JOB_STAGE_QAT,
    Stage.WARM_UP: pb.JOB_STAGE_WARM_UP,
    Stage.FREEZE: pb.JOB_STAGE_FREEZE,
    Stage.FINE_TUNE: pb.JOB_STAGE_FINE_TUNE,
    Stage.CONVERT: pb.JOB_STAGE_CONVERT,
    Stage.SEARCH: pb.JOB_STAGE_SEARCH,
    Stage.VERIFY: pb.JOB_STAGE_VERIFY,
}


def job_to_message(job: JobRecord | JobPlan, *, now: int | None = None) -> pb.Job:
    """Returns a job as a message; a plan becomes a job without a name.

    Args:
        job: The job.
        now: The time, where the time that remains shall be told.
    """
    if isinstance(job, JobPlan):
        return pb.Job(
            kind=KINDS[job.kind],
            model=names.model_name(job.model_id),
            plan=report_to_message(job.report),
        )
    result = job.result
    remaining = None if now is None else job.remaining_s(now)
    return pb.Job(
        name=names.job_name(job.id),
        kind=KINDS[job.kind],
        state=STATES[job.state],
        stage=STAGES[job.stage],
        progress=job.progress,
        model=names.model_name(job.model_id),
        last_sequence=job.last_sequence,
        attempt=job.attempt,
        remaining=None if remaining is None else duration(remaining),
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time) if job.start_time is not None else None,
        end_time=timestamp(job.end_time) if job.end_time is not None else None,
        error=_error(job.failure) if job.failure is not None else None,
        train_qat=train_result_to_message(result) if isinstance(result, TrainResult) else None,
        convert=_convert_result(job.model_id, result)
        if isinstance(result, ConvertResult)
        else None,
    )


def event_to_message(event: JobEvent) -> pb.JobEvent:
    """Returns an event as a message."""
    return pb.JobEvent(
        sequence=event.sequence,
        time=timestamp(event.time),
        state=STATES[event.state],
        stage=STAGES[event.stage],
        progress=event.progress,
        epoch=event.epoch,
        step=event.step,
        total_steps=event.total_steps,
        task_loss=event.task_loss,
        quantization_loss=event.quantization_loss,
        learning_rate=event.learning_rate,
        accuracy=event.accuracy,
        feature_loss=event.feature_loss,
        agreement=event.agreement,
        message=event.message,
    )


def _error(failure: JobFailure) -> error_pb2.JobError:
    return error_pb2.JobError(
        code=status.code_number(failure.error_type),
        reason=failure.reason,
        message=failure.message,
        metadata=dict(failure.metadata),
    )


def train_result_to_message(result: TrainResult) -> pb.TrainQATResult:
    """Returns what a training found out as a message."""
    return pb.TrainQATResult(
        float_accuracy=result.float_accuracy,
        accuracy=result.accuracy,
        task_loss=result.task_loss,
        quantization_loss=result.quantization_loss,
        best_epoch=result.best_epoch,
        step_count=result.step_count,
        agreement=result.agreement,
        best_stage=STAGES[result.best_stage],
    )


def _convert_result(model_id: str, result: ConvertResult) -> pb.ConvertResult:
    return pb.ConvertResult(
        model_version=names.version_name(model_id, result.version),
        sha256=result.sha256,
        size_bytes=result.size_bytes,
        report=report_to_message(result.report),
    )
