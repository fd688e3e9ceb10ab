"""What is around every call, whatever its type: observers, checks, and statuses for errors."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Never

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from grpc import aio

from smidgen.errors import SmidgenError
from smidgen_service import status
from smidgen_service.errors import DeadlineError, malformed_message
from smidgen_service.faults import hide
from smidgen_service.logs import REQUEST_ID
from smidgen_service.methods import is_always_served
from smidgen_service.tracing import traceparent
from smidgen_service.wire import check_field_count

GRPC_LOGGER = "grpc._cython.cygrpc"
REQUEST_ID_HEADER = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NEW_IDS = random.Random()

Context = aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Any]
Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Method:
    """The RPC that is called."""

    path: str
    is_client_stream: bool
    is_server_stream: bool

    @property
    def labels(self) -> tuple[str, str, str]:
        """Type, service and method, as metrics name them."""
        _, service, name = self.path.split("/", 2)
        return rpc_type(self.is_client_stream, self.is_server_stream), service, name


def rpc_type(is_client_stream: bool, is_server_stream: bool) -> str:
    """Returns the type of an RPC as metrics name it."""
    if is_client_stream and is_server_stream:
        return "bidi_stream"
    if is_client_stream:
        return "client_stream"
    return "server_stream" if is_server_stream else "unary"


class Call:
    """A call under way.

    Attributes:
        method: What is called.
        context: grpc's side of it.
        metadata: What the client sent before its messages.
        request_id: The caller's x-request-id, or a new one.
        is_id_sent: Whether it is the caller's.
        wants_id: Whether the caller sent one at all.
        is_logged: Whether there is a line about it in the log.
        started_s: When it began, by time.perf_counter.
        code: How it ended, once it has.
        reason: Of the error that it ended in; "" without one that has a reason.
        has_trace: Whether the caller sent the trace that it is part of.
    """

    __slots__ = (
        "code",
        "context",
        "has_trace",
        "is_id_sent",
        "is_logged",
        "metadata",
        "method",
        "reason",
        "request_id",
        "started_s",
        "wants_id",
    )

    def __init__(self, method: Method, context: Context) -> None:
        self.method = method
        self.context = context
        self.started_s = time.perf_counter()
        self.metadata = tuple(context.invocation_metadata() or ())
        given: str | None = None
        self.has_trace = False
        for key, value in self.metadata:
            if key == REQUEST_ID_HEADER:
                given = str(value)
            elif key == traceparent.HEADER:
                self.has_trace = True
        sent = given if given is not None and _REQUEST_ID.fullmatch(given) else None
        self.wants_id = given is not None
        self.is_id_sent = sent is not None
        self.is_logged = False
        self.request_id = sent or f"{_NEW_IDS.getrandbits(128):032x}"
        self.code = grpc.StatusCode.OK
        self.reason = ""

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self.started_s


class Watch(ABC):
    """Is told of the calls of one method. Nothing here may raise."""

    def received(self) -> None:  # noqa: B027 - not all need it
        """A message arrived."""

    def sent(self) -> None:  # noqa: B027 - not all need it
        """A message goes out."""

    def began(self, call: Call) -> None:  # noqa: B027 - not all need it
        """A call begins."""

    @abstractmethod
    def ended(self, call: Call) -> None:
        """A call has ended."""


Observer = Callable[[Method], Watch]
"""Returns what is told of the calls of a method."""
Check = Callable[[Call], None]
"""Raises if a call may not go on to its handler."""


class Surroundings:
    """What every call passes on its way to its handler and back.

    Each call is one coroutine for all of it: a context manager for each part costs more than most
    parts do. Errors become statuses here, and of unknown ones only an error_id leaves the server.

    Args:
        observers: Are told of all calls and messages.
        checks: Let calls pass, in this order.
        silence_s: How long a client's stream may take to its first message; None for as long as it
            likes.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        checks: Sequence[Check] = (),
        *,
        silence_s: float | None = None,
    ) -> None:
        self._observers = observers
        self._checks = tuple(checks)
        self._silence_s = silence_s

    def way(self, handler: Any, path: str) -> Way:
        """Returns the way of the calls of a path to their handler."""
        method = Method(path, handler.request_streaming, handler.response_streaming)
        watches = tuple(observer(method) for observer in self._observers)
        return Way(method, handler, watches, self._checks, self._silence_s)


class Way:
    """The way of the calls of one method to their handler and back.

    Attributes:
        handler: The handler with all that is around it.
    """

    def __init__(
        self,
        method: Method,
        handler: Any,
        watches: tuple[Watch, ...],
        checks: tuple[Check, ...],
        silence_s: float | None,
    ) -> None:
        name, factory = _FACTORIES[method.is_client_stream, method.is_server_stream]
        self._method = method
        self._behaviour: Behaviour = getattr(handler, name)
        self._on_begin = _told(watches, Watch.began)
        self._on_message = _told(watches, Watch.received)
        self._on_answer = _told(watches, Watch.sent)
        self._on_end = tuple(watch.ended for watch in watches)
        self._checks = checks
        self._silence_s = silence_s
        # Handlers of grpc's own end calls in errors by themselves, and streams after any answer.
        self._tells_id_first = method.is_server_stream or is_always_served(method.path)
        is_generator = inspect.isasyncgenfunction(self._behaviour)
        self.handler: grpc.RpcMethodHandler[Any, Any] = factory(
            self._generate if is_generator else self._answer,
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    async def refuse(self, error: SmidgenError, context: Context) -> None:
        """Ends a call of which no message is read."""
        call = self._begin(context)
        ending = self._fail(call, error)
        if ending is not None:
            await _abort(context, ending)

    async def _answer(self, request: Any, context: Context) -> Any:
        call = self._begin(context)
        try:
            response = await self._behaviour(self._let_in(call, request), context)
        except BaseException as error:
            ending = self._fail(call, error)
            if ending is None:
                raise _of_one_that_left(error) from None
        else:
            for sent in self._on_answer:
                sent()
            self._end(call)
            # Sending an id takes time, and one that is neither in the log nor the caller's finds
            # nothing.
            if call.wants_id or call.is_logged:
                context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
            # Headers before an error would keep clients from retrying: only successful calls of
            # clients that asked for their id have it there as well.
            if call.is_id_sent and not self._method.is_server_stream:
                await context.send_initial_metadata(((REQUEST_ID_HEADER, call.request_id),))
            return response
        # grpc keeps this frame with the error that ends the call, until garbage is collected.
        request = None
        return await _abort(context, ending)

    async def _generate(self, request: Any, context: Context) -> AsyncIterator[Any]:
        call = self._begin(context)
        try:
            async for response in self._behaviour(self._let_in(call, request), context):
                for sent in self._on_answer:
                    sent()
                yield response
        except BaseException as error:
            ending = self._fail(call, error)
            if ending is None:
                raise _of_one_that_left(error) from None
        else:
            self._end(call)
            return
        request = None  # as in _answer
        await _abort(context, ending)

    def _begin(self, context: Context) -> Call:
        call = Call(self._method, context)
        REQUEST_ID.set(call.request_id)
        if self._tells_id_first:
            context.set_trailing_metadata(((REQUEST_ID_HEADER, call.request_id),))
        for began in self._on_begin:
            began(call)
        return call

    def _let_in(self, call: Call, request: Any) -> Any:
        """Returns what the handler gets.

        Raises:
            SmidgenError: the call may not go on, or its message cannot be parsed.
        """
        if not self._method.is_client_stream:
            for received in self._on_message:
                received()
        for check in self._checks:
            check(call)
        if self._method.is_client_stream:
            return self._messages(request)
        return request if type(request) is bytes else _parsed(request)

    async def _messages(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        if self._silence_s is not None:
            messages = begun_in_time(messages, self._silence_s)
        async for message in messages:
            for received in self._on_message:
                received()
            yield _parsed(message)

    def _fail(self, call: Call, error: BaseException) -> status.Ending | None:
        """Returns the status for an error; None where grpc has one already."""
        ending = None
        if isinstance(error, (asyncio.CancelledError, GeneratorExit, aio.InternalError)):
            remaining = call.context.time_remaining()
            is_late = remaining is not None and remaining <= 0
            call.code = grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
        elif isinstance(error, aio.AbortError):
            call.code = _code_of(call.context)
        elif isinstance(error, Exception):
            known = (
                error
                if isinstance(error, SmidgenError)
                else hide(error, "call_fault", method=self._method.path)
            )
            ending = status.ending_of(known, request_id=call.request_id)
            call.code, call.reason = ending.code, known.reason
        else:
            call.code = grpc.StatusCode.INTERNAL
        self._end(call)
        return ending

    def _end(self, call: Call) -> None:
        for ended in self._on_end:
            ended(call)


def _told(watches: Iterable[Watch], event: Callable[..., None]) -> tuple[Callable[..., None], ...]:
    """Returns the methods for an event of those that do something about it."""
    name = event.__name__
    return tuple(
        getattr(watch, name) for watch in watches if getattr(type(watch), name) is not event
    )


async def _abort(context: Context, ending: status.Ending) -> Never:
    """Ends a call in an error, as a cancelled one where its client has left meanwhile."""
    try:
        await context.abort(ending.code, ending.message, ending.trailers)
    except aio.InternalError:
        raise asyncio.CancelledError from None


def _of_one_that_left(error: BaseException) -> BaseException:
    """Returns what grpc is told: that something could not be sent to a client is no fault."""
    return asyncio.CancelledError() if isinstance(error, aio.InternalError) else error


def is_of_a_fault(record: logging.LogRecord) -> bool:
    """Tells whether a line of grpc's log is about more than an answer whose client has left.

    Anyone can leave, as often as they like, and each would cost a traceback of two pages.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], aio.InternalError))


async def begun_in_time(messages: AsyncIterator[Any], limit_s: float) -> AsyncIterator[Any]:
    """Yields messages of which the first must be there in time.

    Raises:
        DeadlineError: it was not.
    """
    try:
        async with asyncio.timeout(limit_s):
            first = await anext(messages)
    except StopAsyncIteration:
        return
    except TimeoutError:
        raise silent(limit_s) from None
    yield first
    async for message in messages:
        yield message


def silent(limit_s: float) -> DeadlineError:
    """Returns the error for a client that sent nothing for `limit_s` seconds."""
    return DeadlineError(
        f"no message arrived within {limit_s:g} s; send the call again",
        reason="STREAM_IDLE",
        idle_seconds=limit_s,
    )


@dataclass(frozen=True, slots=True)
class Unread:
    """Stands for a message that is not parsed, and says why."""

    error: SmidgenError


def _parsed(message: Any) -> Any:
    if type(message) is not Unread:
        return message
    try:
        raise message.error
    finally:
        del message  # the error knows this frame, which must not know the error


def _tolerant(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Returns a deserializer that does not raise; grpc would send the exception's text out."""
    if deserializer is None:
        return None
    kind: Descriptor = deserializer(b"").DESCRIPTOR

    def deserialize(data: bytes) -> Any:
        try:
            check_field_count(data, kind)
            return deserializer(data)
        except DecodeError:
            return Unread(malformed_message())
        except SmidgenError as error:
            return Unread(error.with_traceback(None))  # whose frames hold the message

    return deserialize


def _code_of(context: Context) -> grpc.StatusCode:
    """Returns the code that a handler aborted a call with."""
    number = context.code()
    return next(
        (code for code in grpc.StatusCode if number in (code, code.value[0])),
        grpc.StatusCode.UNKNOWN,
    )


_FACTORIES: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}
