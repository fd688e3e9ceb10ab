"""What is told of every call: the log and the metrics."""

from __future__ import annotations

import logging
import time

import grpc

from smidgen_service.logs import LOGGER, log
from smidgen_service.methods import INFERENCES, is_probe
from smidgen_service.metrics import Metrics
from smidgen_service.rejections import Rejections
from smidgen_service.security.principals import CALLER
from smidgen_service.series import Count
from smidgen_service.surroundings import Call, Method, Watch
from smidgen_service.tracing import traceparent
from smidgen_service.tracing.current import CALL_SPAN

MOST_LOGGED_PER_SECOND = 10
"""Lines about calls that are like many others. One takes as long as a short call does itself."""
_MANY_FAILED = frozenset((grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED))


class CallLog:
    """Logs calls.

    Of successful calls, of those without valid credentials, which anyone can make, and of those
    that a full server refuses, at most MOST_LOGGED_PER_SECOND are logged, of other failed ones
    every one. Metrics count them all.
    """

    def __init__(self) -> None:
        self._second = 0
        self._logged = 0

    def __call__(self, method: Method) -> Watch:
        """Returns what logs the calls of a method."""
        return _LoggedMethod(self, method)

    def may_log(self) -> bool:
        """Counts a call that not every one of its kind is logged of; tells whether this one is."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._logged = second, 0
        self._logged += 1
        return self._logged <= MOST_LOGGED_PER_SECOND


class _LoggedMethod(Watch):
    def __init__(self, calls: CallLog, method: Method) -> None:
        self._calls = calls
        self._name = method.path.removeprefix("/")
        self._is_probe = is_probe(method.path)

    def ended(self, call: Call) -> None:
        """Logs a call."""
        is_plain = call.code is grpc.StatusCode.OK or call.code in _MANY_FAILED
        is_logged = not is_plain or (self._calls.may_log() and not self._is_probe)
        level = logging.INFO if is_logged else logging.DEBUG
        if not LOGGER.isEnabledFor(level):
            return
        call.is_logged = True
        caller = CALLER.get()
        log(
            "rpc",
            level=level,
            method=self._name,
            code=call.code.name,
            duration_ms=round(call.seconds * 1000, 3),
            tenant=caller.tenant if caller is not None and caller.name else None,
            caller=caller.name or None if caller is not None else None,
            trace_id=_trace_id(call),
        )


def _trace_id(call: Call) -> str | None:
    """Returns the trace that a call is part of: that of its own span, or the caller's."""
    span = CALL_SPAN.get()
    if span is not None:
        return span.trace_id
    parent = traceparent.find(call.metadata)
    return parent.trace_id if parent is not None else None


class RpcMetrics:
    """Counts calls and messages under the names that community dashboards know."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._rejections = Rejections(metrics)

    def __call__(self, method: Method) -> Watch:
        """Returns what counts the calls of a method."""
        return _CountedMethod(self._metrics, self._rejections, method)


class _CountedMethod(Watch):
    """The series of one method, found once: finding them by labels takes longer than counting."""

    def __init__(self, metrics: Metrics, rejections: Rejections, method: Method) -> None:
        self._metrics = metrics
        self._rejections = rejections
        self._is_inference = method.path in INFERENCES
        self._labels = method.labels
        self._started = metrics.rpc_started.labels(*self._labels)
        self._received = metrics.rpc_received.labels(*self._labels)
        self._sent = metrics.rpc_sent.labels(*self._labels)
        self._seconds = metrics.rpc_seconds.labels(*self._labels)
        self._handled = metrics.rpc_handled.labels(*self._labels, grpc.StatusCode.OK.name)
        self._failed: dict[grpc.StatusCode, Count] = {}

    def began(self, _call: Call) -> None:
        """Counts a call."""
        self._started.value += 1

    def received(self) -> None:
        """Counts a message that arrived."""
        self._received.value += 1

    def sent(self) -> None:
        """Counts a message that goes out."""
        self._sent.value += 1

    def ended(self, call: Call) -> None:
        """Counts and times a call."""
        # A status code is an enum's member, whose hash is a function in Python.
        handled = self._handled if call.code is grpc.StatusCode.OK else self._failure(call.code)
        handled.value += 1
        # Looking for a trace would take longer than counting.
        trace_id = _trace_id(call) if call.has_trace else None
        if trace_id is None:
            self._seconds.observe(call.seconds)
        else:
            self._seconds.observe_traced(call.seconds, trace_id)
        if call.reason:
            self._rejections.of_call(call.reason, is_inference=self._is_inference)

    def _failure(self, code: grpc.StatusCode) -> Count:
        found = self._failed.get(code)
        if found is None:
            found = self._metrics.rpc_handled.labels(*self._labels, code.name)
            self._failed[code] = found
        return found
