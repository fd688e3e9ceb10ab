"""Which calls the log has lines of."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from smidgen_service import observers
from smidgen_service.observers import MOST_LOGGED_PER_SECOND, CallLog
from smidgen_service.surroundings import Call, Method

INFER = Method("/smidgen.v1.InferenceService/Infer", False, False)
HEALTH = Method("/grpc.health.v1.Health/Check", False, False)
CONTEXT = cast(Any, SimpleNamespace(invocation_metadata=lambda: ()))


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> SimpleNamespace:
    """The clock of the log, which shows INFO and above."""
    clock = SimpleNamespace(now=5.0)
    monkeypatch.setattr(observers, "time", SimpleNamespace(monotonic=lambda: clock.now))
    caplog.set_level(logging.INFO, logger="smidgen_service")
    return clock


def log_calls(calls: CallLog, method: Method, code: grpc.StatusCode, count: int) -> None:
    watch = calls(method)
    for _ in range(count):
        call = Call(method, CONTEXT)
        call.code = code
        watch.ended(call)


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.OK,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ],
)
def test_of_what_may_be_many_some_a_second_are_logged(
    code: grpc.StatusCode, seconds: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    calls = CallLog()
    log_calls(calls, INFER, code, 2 * MOST_LOGGED_PER_SECOND)
    assert len(caplog.records) == MOST_LOGGED_PER_SECOND
    seconds.now += 1
    log_calls(calls, INFER, code, 3)
    assert len(caplog.records) == MOST_LOGGED_PER_SECOND + 3


def test_a_line_names_the_callers_trace(
    seconds: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    header = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
    for metadata in ((header,), ()):
        context = cast(Any, SimpleNamespace(invocation_metadata=lambda sent=metadata: sent))
        CallLog()(INFER).ended(Call(INFER, context))
    found = [record.fields["trace_id"] for record in cast(Any, caplog.records)]
    assert found == ["4bf92f3577b34da6a3ce929d0e0e4736", None]


def test_other_failures_are_all_logged(
    seconds: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    calls = CallLog()
    log_calls(calls, INFER, grpc.StatusCode.INVALID_ARGUMENT, 2 * MOST_LOGGED_PER_SECOND)
    assert len(caplog.records) == 2 * MOST_LOGGED_PER_SECOND
    assert {record.levelno for record in caplog.records} == {logging.INFO}


def test_probes_that_succeed_are_not(
    seconds: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    log_calls(CallLog(), HEALTH, grpc.StatusCode.OK, 3)
    assert not caplog.records
    log_calls(CallLog(), HEALTH, grpc.StatusCode.DEADLINE_EXCEEDED, 1)
    assert len(caplog.records) == 1
