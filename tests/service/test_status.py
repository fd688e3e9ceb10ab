"""The table of errors: complete, and small enough for trailers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import smidgen.errors
import smidgen_service.errors
from smidgen.errors import InvalidTensorError, SmidgenError, UnsupportedOperatorError
from smidgen_service.errors import (
    DrainingError,
    InternalError,
    JobInterruptedError,
    NotFoundError,
    OverloadedError,
)
from smidgen_service.jobs.failures import error_of, failure_of
from smidgen_service.status import CODES, DOMAIN, MOST_TRAILER_BYTES, code_number, ending_of

OWN_MODULES = (smidgen.errors.__name__, smidgen_service.errors.__name__)


def subclasses(root: type[SmidgenError]) -> Iterator[type[SmidgenError]]:
    yield root
    for child in root.__subclasses__():
        yield from subclasses(child)


@pytest.mark.parametrize(
    "error_type",
    [kind for kind in subclasses(SmidgenError) if kind.__module__ in OWN_MODULES],
)
def test_every_error_has_a_row(error_type: type[SmidgenError]) -> None:
    assert error_type in CODES
    assert re.fullmatch(r"[A-Z][A-Z0-9_]{1,61}[A-Z0-9]", error_type.default_reason)
    assert code_number(error_type.__name__) == CODES[error_type].value[0]


def test_reasons_of_classes_are_distinct() -> None:
    reasons = [kind.default_reason for kind in CODES]
    assert len(reasons) == len(set(reasons))


def test_ending_carries_reason_domain_and_metadata() -> None:
    error = InvalidTensorError("bad", reason="TENSOR_NOT_FINITE", field="inputs", tensor="x")
    ending = ending_of(error, request_id="r1")
    assert (ending.code, ending.message) == (grpc.StatusCode.INVALID_ARGUMENT, "bad")
    status = unpack(ending.trailers)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("TENSOR_NOT_FINITE", DOMAIN)
    assert dict(info.metadata) == {"field": "inputs", "tensor": "x"}
    names = [detail.TypeName() for detail in status.details]
    assert names == ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RequestInfo"]
    assert dict(ending.trailers)["x-request-id"] == "r1"


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (NotFoundError("model", "models/m"), "google.rpc.ResourceInfo"),
        (OverloadedError("full", retry_after_s=0.5), "google.rpc.RetryInfo"),
        (DrainingError(), "google.rpc.RetryInfo"),
    ],
)
def test_special_details_are_there(error: SmidgenError, detail: str) -> None:
    status = unpack(ending_of(error).trailers)
    assert detail in [entry.TypeName() for entry in status.details]


def test_retry_delay_is_also_a_pushback() -> None:
    trailers = dict(ending_of(OverloadedError("full", retry_after_s=0.25)).trailers)
    assert trailers["grpc-retry-pushback-ms"] == "250"


@pytest.mark.parametrize("letter", ["x", "é", "%", "\n", "漢"])
def test_long_messages_fit_into_the_trailers(letter: str) -> None:
    metadata = {f"key_{number}": letter * 4000 for number in range(4)}
    error = UnsupportedOperatorError(letter * 50_000, **metadata)
    ending = ending_of(error, request_id="r" * 64)
    wire = len(ending.message.encode()) * 3 if not letter.isascii() else len(ending.message)
    for key, value in ending.trailers:
        wire += len(key) + (len(value) * 4 // 3 if isinstance(value, bytes) else len(value))
    assert wire < MOST_TRAILER_BYTES
    assert ending.message.endswith("…")


def test_internal_errors_say_nothing_but_their_id() -> None:
    ending = ending_of(InternalError("abc"))
    assert ending.code is grpc.StatusCode.INTERNAL
    assert ending.message == "internal error abc; the server's log has the details"


@pytest.mark.parametrize(
    "error",
    [JobInterruptedError(), InvalidTensorError("m", reason="R_R", a=1), InternalError("x")],
)
def test_errors_survive_storage(error: SmidgenError) -> None:
    again = error_of(failure_of(error))
    assert type(again) is type(error)
    assert (again.message, again.reason, again.metadata) == (
        error.message,
        error.reason,
        error.metadata,
    )


def unpack(trailers: tuple[tuple[str, str | bytes], ...]) -> status_pb2.Status:
    status = status_pb2.Status()
    encoded = dict(trailers)["grpc-status-details-bin"]
    assert isinstance(encoded, bytes)
    status.ParseFromString(encoded)
    return status
