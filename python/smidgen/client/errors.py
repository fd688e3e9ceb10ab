"""What a failed call looks like to the user of the client.

    SmidgenError
    └── RemoteError                 the server refused or failed; has its code and reason
        ├── UnavailableError        no server answers, or it is starting, draining or gone
        ├── DeadlineExceededError   no answer in time
        └── JobFailedError          a job ended without a result; has the job

No grpc error leaves the client: remote_error translates each, with what the server put into
google.rpc.Status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from smidgen.errors import SmidgenError
from smidgen.v1 import job_service_pb2 as jobs_pb

_DETAILS_KEY = "grpc-status-details-bin"


class RemoteError(SmidgenError):
    """A call failed.

    Attributes:
        code: Name of the gRPC status code, for instance `NOT_FOUND`.
        retry_after_s: When the server suggests to try again, in seconds; None if it does not.
    """

    default_reason = "REMOTE_ERROR"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.metadata = dict(metadata or {})
        self.code = code
        self.retry_after_s = retry_after_s


class UnavailableError(RemoteError):
    """No server answers, or it is starting, draining or gone. The call may be repeated."""


class DeadlineExceededError(RemoteError):
    """No answer came in time. The call may have taken effect."""


class JobFailedError(RemoteError):
    """A job ended without a result.

    Attributes:
        job: The job as it ended.
    """

    def __init__(self, job: jobs_pb.Job) -> None:
        if job.state == jobs_pb.JOB_STATE_CANCELLED:
            super().__init__(f"{job.name} was cancelled", code="CANCELLED", reason="JOB_CANCELLED")
        elif job.state == jobs_pb.JOB_STATE_INTERRUPTED and not job.HasField("error"):
            super().__init__(
                f"{job.name} was stopped and can be resumed",
                code="CANCELLED",
                reason="JOB_STOPPED",
            )
        else:
            is_over = job.state != jobs_pb.JOB_STATE_INTERRUPTED
            super().__init__(
                f"{job.name} {'failed' if is_over else 'was interrupted'}: {job.error.message}",
                code=_code_name(job.error.code),
                reason=job.error.reason or "JOB_FAILED",
                metadata=job.error.metadata,
            )
        self.job = job


class _Metadatum(Protocol):
    @property
    def key(self) -> str: ...

    @property
    def value(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Details:
    reason: str | None = None
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


def remote_error(error: grpc.RpcError, target: str) -> RemoteError:
    """Translates what grpc raised, from a call to target (`host:port`)."""
    code = error.code()
    details = _read_details(error.trailing_metadata() or ())
    message = details.message or error.details() or f"The server answered {code.name}."
    reason = details.reason or code.name
    kind = RemoteError
    if code is grpc.StatusCode.UNAVAILABLE:
        kind = UnavailableError
        if details.reason is None:
            reason, message = "SERVER_UNREACHABLE", _unreachable(target, error.details() or "")
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        kind = DeadlineExceededError
        if details.reason is None:
            message = f"No answer from {target} in time; try again, or allow a longer timeout."
    return kind(
        message,
        code=code.name,
        reason=reason,
        metadata=details.metadata,
        retry_after_s=details.retry_after_s,
    )


def _unreachable(target: str, details: str) -> str:
    return (
        f"No Smidgen server can be reached at {target} ({details or 'no details'}). "
        "Check the address, and that `smidgen serve` is running there."
    )


def _read_details(metadata: Iterable[_Metadatum]) -> _Details:
    for entry in metadata:
        if entry.key == _DETAILS_KEY:
            try:
                return _unpack(status_pb2.Status.FromString(entry.value))
            except DecodeError:  # a proxy's trailer; the status itself still counts
                return _Details()
    return _Details()


def _unpack(status: status_pb2.Status) -> _Details:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    has_retry = False
    for detail in status.details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(retry.DESCRIPTOR):
            has_retry = detail.Unpack(retry)
    return _Details(
        reason=info.reason or None,
        message=status.message,
        metadata=dict(info.metadata),
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if has_retry else None,
    )


def _code_name(number: int) -> str:
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), "UNKNOWN")
