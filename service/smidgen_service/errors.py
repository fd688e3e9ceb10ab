"""The errors of the service, beside those of the library.

SmidgenError
├── InvalidArgumentError     a field of a request breaks its rules
├── RequestIdReusedError     a request_id came back with another request
├── UnsupportedRequestError  a request asks for what its protocol has and this server does not
├── NotFoundError            a named resource does not exist
├── AlreadyExistsError       the id of a new resource is taken
├── FailedPreconditionError  the request is fine, the state of a resource forbids it
├── ConflictError            another call holds what this one needs
├── UploadError              the bytes of an upload are not what its header said
├── TooLargeError            something is larger than this server takes
├── StorageFullError         there is no room left on the server's disk
├── StorageFaultError        the server's disk does not do what it is told, maybe for a moment
├── OverloadedError          the server has more work than it takes
├── DrainingError            the server is starting or stopping
├── DeadlineError            there is no time left, or the client fell silent
├── UnauthenticatedError     the caller did not prove who it is
├── PermissionDeniedError    the caller may not do this
├── QuotaExceededError       the tenant has as much as it may have
├── DataLossError            stored bytes fail their digest
├── DataDirectoryError       a data directory is not one, or is in use, or not whole
├── JobInterruptedError      the server stopped while a job ran
├── WorkerDiedError          a worker process ended without an answer
└── InternalError            a fault of this program; its text stays in the log
"""

from __future__ import annotations

from smidgen.errors import SmidgenError


class InvalidArgumentError(SmidgenError):
    """A field of a request breaks its rules; `field` in the metadata names it."""

    default_reason = "INVALID_ARGUMENT"

    def __init__(
        self, message: str, *, field: str, reason: str | None = None, **metadata: str | int | float
    ) -> None:
        super().__init__(message, reason=reason, field=field, **metadata)


def malformed_message() -> InvalidArgumentError:
    """Returns the error for bytes that are no message of the expected type."""
    return InvalidArgumentError(
        "a message is not of the type that this method takes; generate the client's "
        "stubs anew from the server's proto files",
        field="",
        reason="MESSAGE_MALFORMED",
    )


class RequestIdReusedError(SmidgenError):
    """A request_id came back with another request."""

    default_reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"request_id {request_id} was already used for a different request; "
            "send the same request again or a new id",
            field="request_id",
            request_id=request_id,
        )


class UnsupportedRequestError(SmidgenError):
    """A request asks for something that its protocol has and this server does not."""

    default_reason = "REQUEST_UNSUPPORTED"


class NotFoundError(SmidgenError):
    """A named resource does not exist; the reason is for instance MODEL_NOT_FOUND."""

    default_reason = "NOT_FOUND"

    def __init__(self, resource_type: str, resource_name: str) -> None:
        super().__init__(
            f"{resource_name} does not exist; list what exists or create it first",
            reason=f"{resource_type.upper()}_NOT_FOUND",
            resource_type=resource_type,
            resource_name=resource_name,
        )


class AlreadyExistsError(SmidgenError):
    """The id of a new resource is taken."""

    default_reason = "ALREADY_EXISTS"

    def __init__(self, resource_type: str, resource_name: str) -> None:
        super().__init__(
            f"{resource_name} exists already; choose another id or delete it first",
            reason=f"{resource_type.upper()}_ALREADY_EXISTS",
            resource_type=resource_type,
            resource_name=resource_name,
        )


class FailedPreconditionError(SmidgenError):
    """The request is fine, but the state of a resource forbids it."""

    default_reason = "FAILED_PRECONDITION"


class ConflictError(SmidgenError):
    """Another call holds what this one needs."""

    default_reason = "CONFLICT"


class UploadError(SmidgenError):
    """The bytes of an upload are not what its header said."""

    default_reason = "UPLOAD_FAILED"


class TooLargeError(SmidgenError):
    """Something is larger than this server takes."""

    default_reason = "UPLOAD_TOO_LARGE"


class StorageFullError(SmidgenError):
    """There is no room left on the server's disk."""

    default_reason = "STORAGE_FULL"

    def __init__(self) -> None:
        super().__init__(
            "the server's disk is full; delete what is not needed, or ask the operator for room"
        )


class StorageFaultError(SmidgenError):
    """The server's disk, or the system below it, does not do what it is told, maybe for a moment.

    Attributes:
        retry_after_s: When to try again, in seconds.
    """

    default_reason = "STORAGE_FAULT"
    retry_after_s = 1.0

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the server's storage failed ({cause}) and nothing was changed; send the call again, "
            "and tell the operator if it fails again",
            cause=cause,
        )


class OverloadedError(SmidgenError):
    """The server has more work than it takes.

    Attributes:
        retry_after_s: When to try again, in seconds.
    """

    default_reason = "QUEUE_FULL"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float,
        reason: str | None = None,
        **metadata: str | int | float,
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.retry_after_s = retry_after_s


class DrainingError(SmidgenError):
    """The server is starting or stopping and takes no calls.

    Attributes:
        retry_after_s: When to try again, in seconds.
    """

    default_reason = "SERVER_DRAINING"

    def __init__(
        self,
        message: str = "the server is shutting down; send the call again to its successor",
        *,
        retry_after_s: float = 1.0,
        reason: str | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after_s = retry_after_s


class DeadlineError(SmidgenError):
    """There is no time left for the call, or the client fell silent in a stream."""

    default_reason = "DEADLINE_EXCEEDED"


class UnauthenticatedError(SmidgenError):
    """The caller did not prove who it is; the message does not say what was wrong."""

    default_reason = "UNAUTHENTICATED"


class PermissionDeniedError(SmidgenError):
    """The caller has no role that may call the method, whatever it asks for."""

    default_reason = "PERMISSION_DENIED"


class QuotaExceededError(SmidgenError):
    """The tenant has as much as it may have.

    Attributes:
        tenant: Whose quota it is.
        retry_after_s: When to try again, in seconds; None where waiting alone does not help.
    """

    default_reason = "QUOTA_EXCEEDED"

    def __init__(
        self,
        message: str,
        *,
        tenant: str,
        reason: str,
        retry_after_s: float | None = None,
        **metadata: str | int | float,
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.tenant = tenant
        self.retry_after_s = retry_after_s


class DataLossError(SmidgenError):
    """Stored bytes fail their digest."""

    default_reason = "STORED_BYTES_DAMAGED"


class DataDirectoryError(SmidgenError):
    """A directory cannot be maintained: it is no data directory, or in use, or not whole."""

    default_reason = "DATA_DIRECTORY_UNUSABLE"


class JobInterruptedError(SmidgenError):
    """The server stopped while the job ran."""

    default_reason = "JOB_INTERRUPTED"

    def __init__(self) -> None:
        super().__init__(
            "the server stopped while this job ran; it begins again by itself if it is QUEUED, "
            "resume it if it is INTERRUPTED, else start it again"
        )


class WorkerDiedError(SmidgenError):
    """A worker process ended, or fell silent, without an answer."""

    default_reason = "WORKER_DIED"


class InternalError(SmidgenError):
    """A fault of this program; what happened stands in the log under `error_id`."""

    default_reason = "INTERNAL"

    def __init__(self, error_id: str) -> None:
        super().__init__(
            f"internal error {error_id}; the server's log has the details", error_id=error_id
        )
