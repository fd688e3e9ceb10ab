"""What surrounds every call: error guard, request id, metrics; and admission, innermost."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

import grpc
from grpc import aio
from prometheus_client import Counter, Histogram

from smidgen.errors import SmidgenError
from smidgen_service import status
from smidgen_service.converters.open_inference.wording import tritons_words
from smidgen_service.faults import hide
from smidgen_service.interception import CallInterceptor, Context, Method
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.logs import LOGGER, REQUEST_ID, log
from smidgen_service.metrics import Metrics
from smidgen_service.security.principals import CALLER

MOST_LOGGED_PER_SECOND = 100
REQUEST_ID_HEADER = "x-request-id"
HEALTH_PREFIX = "/grpc.health.v1.Health/"
REFLECTION_PREFIX = "/grpc.reflection."
_OPEN_INFERENCE = "/inference.GRPCInferenceService/"
PROBES = (f"{_OPEN_INFERENCE}ServerLive", f"{_OPEN_INFERENCE}ServerReady")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ErrorGuard(CallInterceptor):
    """Turns errors into statuses. Of unknown ones only an error_id leaves the server."""

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Catches everything but cancellation and gRPC's own aborts."""
        request_id = sent_request_id(context) or uuid.uuid4().hex
        REQUEST_ID.set(request_id)
        try:
            yield
            return
        except (asyncio.CancelledError, aio.AbortError, GeneratorExit):
            raise
        except SmidgenError as found:
            error = found
        except Exception as found:  # this is the place that catches everything
            error = hide(found, "call_fault", method=method.path)
        ending = status.ending_of(error, request_id=request_id)
        await context.abort(ending.code, ending.message, ending.trailers)


class RequestIds(CallInterceptor):
    """Echoes the caller's x-request-id, or a new one, and logs calls.

    Of successful calls and of those without valid credentials, which anyone can make, at most
    MOST_LOGGED_PER_SECOND are logged, of other failed ones every one.
    """

    def __init__(self) -> None:
        self._second = 0
        self._logged = 0

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Names the call in its log line."""
        started_s = time.perf_counter()
        code = grpc.StatusCode.OK
        context.set_trailing_metadata(((REQUEST_ID_HEADER, REQUEST_ID.get()),))
        try:
            yield
        except BaseException as error:
            code = code_of_exception(error, context)
            raise
        finally:
            level = logging.INFO if self._is_logged(method, code) else logging.DEBUG
            if LOGGER.isEnabledFor(level):
                _log_call(level, method, code, started_s)
        # Headers before an error would keep clients from retrying, and sending them takes time:
        # only successful calls of clients that asked for their id have it there as well.
        if not method.is_server_stream and sent_request_id(context) is not None:
            await context.send_initial_metadata(((REQUEST_ID_HEADER, REQUEST_ID.get()),))

    def _is_logged(self, method: Method, code: grpc.StatusCode) -> bool:
        if code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED):
            return True
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._logged = second, 0
        self._logged += 1
        is_health = method.path.startswith((HEALTH_PREFIX, *PROBES))
        return self._logged <= MOST_LOGGED_PER_SECOND and not is_health


def _log_call(level: int, method: Method, code: grpc.StatusCode, started_s: float) -> None:
    caller = CALLER.get()
    log(
        "rpc",
        level=level,
        method=method.path.removeprefix("/"),
        code=code.name,
        duration_ms=round((time.perf_counter() - started_s) * 1000, 3),
        tenant=caller.tenant if caller is not None and caller.name else None,
        caller=caller.name or None if caller is not None else None,
    )


@dataclass(frozen=True, slots=True)
class _Series:
    """The series of one method; `handled` has those of the codes that were met."""

    started: Counter
    received: Counter
    sent: Counter
    seconds: Histogram
    handled: dict[grpc.StatusCode, Counter]


class RpcMetrics(CallInterceptor):
    """Counts calls and messages under the names that community dashboards know."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._series: dict[str, _Series] = {}

    def on_received(self, method: Method) -> None:
        """Counts a message that arrived."""
        self._of(method).received.inc()

    def on_sent(self, method: Method) -> None:
        """Counts a message that went out."""
        self._of(method).sent.inc()

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Counts and times a call."""
        series = self._of(method)
        series.started.inc()
        started_s = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            yield
        except BaseException as error:
            code = code_of_exception(error, context)
            raise
        finally:
            self._handled(series, method, code).inc()
            series.seconds.observe(time.perf_counter() - started_s)

    def _handled(self, series: _Series, method: Method, code: grpc.StatusCode) -> Counter:
        found = series.handled.get(code)
        if found is None:
            found = self._metrics.rpc_handled.labels(*method.labels, code.name)
            series.handled[code] = found
        return found

    def _of(self, method: Method) -> _Series:
        """Returns the series of a method; finding them by labels takes longer than counting."""
        series = self._series.get(method.path)
        if series is None:
            metrics, labels = self._metrics, method.labels
            series = _Series(
                started=metrics.rpc_started.labels(*labels),
                received=metrics.rpc_received.labels(*labels),
                sent=metrics.rpc_sent.labels(*labels),
                seconds=metrics.rpc_seconds.labels(*labels),
                handled={},
            )
            self._series[method.path] = series
        return series


class Admit(CallInterceptor):
    """Refuses calls while the server starts or stops; probes and reflection always pass.

    Being the innermost, it also refuses messages that cannot be parsed.
    """

    refuses_malformed = True

    def __init__(self, lifecycle: Lifecycle, *, silence_s: float | None = None) -> None:
        self._lifecycle = lifecycle
        self.silence_s = silence_s

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Checks the phase of the server."""
        if not method.path.startswith((HEALTH_PREFIX, REFLECTION_PREFIX, *PROBES)):
            with self._words(method):
                self._lifecycle.check()
            yield
        elif method.is_server_stream:
            with self._lifecycle.watch():
                yield
        else:
            yield

    def _words(self, method: Method) -> AbstractContextManager[None]:
        return tritons_words() if method.path.startswith(_OPEN_INFERENCE) else nullcontext()


def code_of_exception(error: BaseException, context: Context) -> grpc.StatusCode:
    """Returns the code that a call ends with which raised this."""
    if isinstance(error, SmidgenError):
        return status.code_of(type(error))
    if isinstance(error, aio.AbortError):
        number = context.code()
        return next(
            (code for code in grpc.StatusCode if number in (code, code.value[0])),
            grpc.StatusCode.UNKNOWN,
        )
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        remaining = context.time_remaining()
        is_late = remaining is not None and remaining <= 0
        return grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
    return grpc.StatusCode.INTERNAL


def sent_request_id(context: Context) -> str | None:
    """Returns the caller's x-request-id if it has the form of one."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return None
