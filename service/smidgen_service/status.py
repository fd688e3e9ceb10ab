"""The one table of errors and status codes, and the status that a client gets of an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from smidgen import errors as library
from smidgen.errors import SmidgenError
from smidgen_service import errors as service
from smidgen_service import wire
from smidgen_service.errors import OverloadedError

DOMAIN = "smidgen.dev"
MOST_TRAILER_BYTES = 4096

_Code = grpc.StatusCode
CODES: Mapping[type[SmidgenError], grpc.StatusCode] = {
    SmidgenError: _Code.INTERNAL,
    library.InvalidModelError: _Code.INVALID_ARGUMENT,
    library.UnsupportedOperatorError: _Code.UNIMPLEMENTED,
    library.InvalidDatasetError: _Code.INVALID_ARGUMENT,
    library.InvalidTensorError: _Code.INVALID_ARGUMENT,
    library.InvalidConfigError: _Code.INVALID_ARGUMENT,
    library.CalibrationError: _Code.INVALID_ARGUMENT,
    library.TrainingError: _Code.FAILED_PRECONDITION,
    library.ResumeError: _Code.FAILED_PRECONDITION,
    library.CheckpointDamagedError: _Code.DATA_LOSS,
    library.GateError: _Code.FAILED_PRECONDITION,
    library.ProgramError: _Code.INVALID_ARGUMENT,
    library.ArtifactError: _Code.INVALID_ARGUMENT,
    library.EngineError: _Code.FAILED_PRECONDITION,
    library.MissingExtraError: _Code.FAILED_PRECONDITION,
    service.InvalidArgumentError: _Code.INVALID_ARGUMENT,
    service.RequestIdReusedError: _Code.INVALID_ARGUMENT,
    service.UnsupportedRequestError: _Code.UNIMPLEMENTED,
    service.NotFoundError: _Code.NOT_FOUND,
    service.AlreadyExistsError: _Code.ALREADY_EXISTS,
    service.FailedPreconditionError: _Code.FAILED_PRECONDITION,
    service.ConflictError: _Code.ABORTED,
    service.UploadError: _Code.INVALID_ARGUMENT,
    service.TooLargeError: _Code.RESOURCE_EXHAUSTED,
    service.StorageFullError: _Code.RESOURCE_EXHAUSTED,
    service.StorageFaultError: _Code.UNAVAILABLE,
    service.OverloadedError: _Code.RESOURCE_EXHAUSTED,
    service.DrainingError: _Code.UNAVAILABLE,
    service.DeadlineError: _Code.DEADLINE_EXCEEDED,
    service.UnauthenticatedError: _Code.UNAUTHENTICATED,
    service.PermissionDeniedError: _Code.PERMISSION_DENIED,
    service.QuotaExceededError: _Code.RESOURCE_EXHAUSTED,
    service.DataLossError: _Code.DATA_LOSS,
    service.DataDirectoryError: _Code.FAILED_PRECONDITION,
    service.JobInterruptedError: _Code.UNAVAILABLE,
    service.WorkerDiedError: _Code.INTERNAL,
    service.InternalError: _Code.INTERNAL,
}

# Longest message and longest metadata value in characters, tried until the trailers fit.
_LENGTHS = ((1200, 160), (600, 120), (300, 60), (100, 20))


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ends in an error: the arguments of the context's abort."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def code_of(error_type: type[SmidgenError]) -> grpc.StatusCode:
    """Returns the code of an error class, or of its nearest ancestor in the table."""
    return next(CODES[ancestor] for ancestor in error_type.__mro__ if ancestor in CODES)


def code_number(error_type: str) -> int:
    """Returns the number of the code of an error class given by its name."""
    for known, code in CODES.items():
        if known.__name__ == error_type:
            return int(code.value[0])
    return int(_Code.INTERNAL.value[0])


def ending_of(error: SmidgenError, *, request_id: str = "") -> Ending:
    """Returns code, message and trailers for an error; the trailers stay below 4 KiB."""
    if type(error) is not OverloadedError:
        return _with_id(_ending(error, len(request_id)), request_id)
    # Where there is too much to do, errors alike are made by the hundred a second.
    retry_ms = round(error.retry_after_s * 1000)
    alike = (error.message, error.reason, retry_ms, len(request_id), *error.metadata.items())
    found = _OVERLOADED.get(alike)
    if found is None:
        if len(_OVERLOADED) >= _MOST_KNOWN:
            _OVERLOADED.clear()
        found = _OVERLOADED[alike] = _ending(error, len(request_id))
    return _with_id(found, request_id)


_OVERLOADED: dict[tuple[object, ...], Ending] = {}
_MOST_KNOWN = 256


def _ending(error: SmidgenError, id_length: int) -> Ending:
    """Returns the ending of a call whose id, which is not in it, has so many characters."""
    code = code_of(type(error))
    for most, most_value in _LENGTHS:
        message = _cut(error.message, most)
        metadata = {key: _cut(value, most_value) for key, value in error.metadata.items()}
        info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
        details = _details(error, info, message)
        status = status_pb2.Status(code=code.value[0], message=message, details=details)
        ending = Ending(code, message, _trailers(error, status))
        if _size(message, _with_id(ending, "x" * id_length).trailers) < MOST_TRAILER_BYTES:
            break
    return ending


def _with_id(ending: Ending, request_id: str) -> Ending:
    """Returns an ending with the id of its call, in the status and beside it."""
    if not request_id:
        return ending
    (key, encoded), *others = ending.trailers
    assert isinstance(encoded, bytes)  # the status, whose last field this makes longer
    info = wire.with_size(request_id.encode())
    detail = _REQUEST_INFO + wire.with_size(_REQUEST_ID + info)
    with_info = encoded + _DETAILS + wire.with_size(detail)
    trailers = ((key, with_info), *others, ("x-request-id", request_id))
    return Ending(ending.code, ending.message, trailers)


_DETAILS, _REQUEST_ID = b"\x1a", b"\x0a"
"""Keys of Status.details and of RequestInfo.request_id."""
_REQUEST_INFO = b"\x0a" + wire.with_size(b"type.googleapis.com/google.rpc.RequestInfo") + b"\x12"
"""The beginning of an Any: its type, and the key of its value."""


def _details(error: SmidgenError, info: Message, message: str) -> list[any_pb2.Any]:
    details = [info]
    specific = _SPECIFIC.get(code_of(type(error)))
    detail = specific(error, _cut(message, 240)) if specific is not None else None
    if detail is not None:
        details.append(detail)
    retry_after_s = _retry_after_s(error)
    if retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(retry_after_s * 1000))
        details.append(retry)
    packed = []
    for entry in details:
        wrapper = any_pb2.Any()
        wrapper.Pack(entry)
        packed.append(wrapper)
    return packed


def _bad_request(error: SmidgenError, message: str) -> Message | None:
    field = error.metadata.get("field")
    if field is None:
        return None
    violation = error_details_pb2.BadRequest.FieldViolation(
        field=field, description=message, reason=error.reason
    )
    detail: Message = error_details_pb2.BadRequest(field_violations=[violation])
    return detail


def _resource_info(error: SmidgenError, message: str) -> Message | None:
    detail: Message = error_details_pb2.ResourceInfo(
        resource_type=error.metadata.get("resource_type", ""),
        resource_name=error.metadata.get("resource_name", ""),
        description=message,
    )
    return detail


def _precondition(error: SmidgenError, message: str) -> Message | None:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=error.reason,
        subject=error.metadata.get("resource_name", ""),
        description=message,
    )
    detail: Message = error_details_pb2.PreconditionFailure(violations=[violation])
    return detail


def _quota_failure(error: SmidgenError, message: str) -> Message | None:
    if not isinstance(error, service.QuotaExceededError):
        return None
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=f"tenants/{error.tenant}", description=message
    )
    detail: Message = error_details_pb2.QuotaFailure(violations=[violation])
    return detail


_SPECIFIC: Mapping[grpc.StatusCode, Callable[[SmidgenError, str], Message | None]] = {
    _Code.INVALID_ARGUMENT: _bad_request,
    _Code.NOT_FOUND: _resource_info,
    _Code.ALREADY_EXISTS: _resource_info,
    _Code.FAILED_PRECONDITION: _precondition,
    _Code.RESOURCE_EXHAUSTED: _quota_failure,
}


def _retry_after_s(error: SmidgenError) -> float | None:
    retriable = (
        service.OverloadedError,
        service.DrainingError,
        service.StorageFaultError,
        service.QuotaExceededError,
    )
    if isinstance(error, retriable):
        return error.retry_after_s
    return None


def _trailers(
    error: SmidgenError, status: status_pb2.Status
) -> tuple[tuple[str, str | bytes], ...]:
    trailers: list[tuple[str, str | bytes]] = list(rpc_status.to_status(status).trailing_metadata)
    retry_after_s = _retry_after_s(error)
    if retry_after_s is not None:
        trailers.append(("grpc-retry-pushback-ms", str(round(retry_after_s * 1000))))
    return tuple(trailers)


def _size(message: str, trailers: tuple[tuple[str, str | bytes], ...]) -> int:
    """Bounds the bytes on the wire: percent-encoded message, base64 of binary values."""
    is_plain = message.isascii() and message.isprintable() and "%" not in message
    encoded = len(message) if is_plain else _percent_encoded_bytes(message)
    values = sum(
        len(key) + 32 + (len(value) * 4 // 3 + 4 if isinstance(value, bytes) else len(value))
        for key, value in trailers
    )
    return encoded + values + 64


def _percent_encoded_bytes(message: str) -> int:
    return sum(1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in message.encode())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
