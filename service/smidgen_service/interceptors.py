"""What surrounds every call, from the outside in: error guard, request id, metrics, admission."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc import aio

from smidgen.errors import SmidgenError
from smidgen_service import status
from smidgen_service.faults import hide
from smidgen_service.interception import CallInterceptor, Context, Method
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.logs import REQUEST_ID, log
from smidgen_service.metrics import Metrics

MOST_LOGGED_PER_SECOND = 100
REQUEST_ID_HEADER = "x-request-id"
HEALTH_PREFIX = "/grpc.health.v1.Health/"
REFLECTION_PREFIX = "/grpc.reflection."
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ErrorGuard(CallInterceptor):
    """Turns errors into statuses. Of unknown ones only an error_id leaves the server."""

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Catches everything but cancellation and gRPC's own aborts."""
        request_id = _request_id(context)
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

    Of successful calls at most MOST_LOGGED_PER_SECOND are logged, of failed ones every one.
    """

    def __init__(self) -> None:
        self._second = 0
        self._logged = 0

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Names the call in its log line."""
        started_s = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            yield
        except BaseException as error:
            code = code_of_exception(error, context)
            raise
        finally:
            elapsed_ms = (time.perf_counter() - started_s) * 1000
            log(
                "rpc",
                level=logging.INFO if self._is_logged(method, code) else logging.DEBUG,
                method=method.path.removeprefix("/"),
                code=code.name,
                duration_ms=round(elapsed_ms, 3),
            )
        # Only successful unary calls get here before their headers are out. Headers before an
        # error would keep clients from retrying; there the id is in the trailers.
        if not method.is_server_stream:
            await context.send_initial_metadata(((REQUEST_ID_HEADER, REQUEST_ID.get()),))

    def _is_logged(self, method: Method, code: grpc.StatusCode) -> bool:
        if code is not grpc.StatusCode.OK:
            return True
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._logged = second, 0
        self._logged += 1
        is_health = method.path.startswith(HEALTH_PREFIX)
        return self._logged <= MOST_LOGGED_PER_SECOND and not is_health


class RpcMetrics(CallInterceptor):
    """Counts calls and messages under the names that community dashboards know."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_received(self, method: Method) -> None:
        """Counts a message that arrived."""
        self._metrics.rpc_received.labels(*method.labels).inc()

    def on_sent(self, method: Method) -> None:
        """Counts a message that went out."""
        self._metrics.rpc_sent.labels(*method.labels).inc()

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Counts and times a call."""
        labels = method.labels
        self._metrics.rpc_started.labels(*labels).inc()
        started_s = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            yield
        except BaseException as error:
            code = code_of_exception(error, context)
            raise
        finally:
            self._metrics.rpc_handled.labels(*labels, code.name).inc()
            self._metrics.rpc_seconds.labels(*labels).observe(time.perf_counter() - started_s)


class Admit(CallInterceptor):
    """Refuses calls while the server starts or stops; health and reflection always pass."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Checks the phase of the server."""
        if not method.path.startswith((HEALTH_PREFIX, REFLECTION_PREFIX)):
            self._lifecycle.check()
            yield
        elif method.is_server_stream:
            with self._lifecycle.watch():
                yield
        else:
            yield


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


def _request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex
