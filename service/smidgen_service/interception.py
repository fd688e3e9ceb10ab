"""How interceptors wrap calls of all four types."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from smidgen_service.errors import DeadlineError, malformed_message

Context = aio.ServicerContext[Any, Any]
Behaviour = Callable[[Any, Context], Any]


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


class CallInterceptor(ABC):
    """Puts an asynchronous context manager around every call, whatever its type."""

    silence_s: float | None = None
    """How long a client's stream may take to its first message; None for as long as it likes."""
    refuses_malformed = False
    """Whether this interceptor is the one that raises for messages that cannot be parsed; it must
    be the innermost."""

    @abstractmethod
    def around(self, method: Method, context: Context) -> AbstractAsyncContextManager[None]:
        """Returns what surrounds one call."""

    def on_received(self, method: Method) -> None:  # noqa: B027 - not all need it
        """Is told of every message that arrives."""

    def on_sent(self, method: Method) -> None:  # noqa: B027 - not all need it
        """Is told of every message that goes out."""

    def wrap(self, handler: Any, path: str) -> grpc.RpcMethodHandler[Any, Any]:
        """Returns the handler of a path with this interceptor around it."""
        method = Method(path, handler.request_streaming, handler.response_streaming)
        name, factory = _FACTORIES[method.is_client_stream, method.is_server_stream]
        behaviour = getattr(handler, name)
        wrapped = (
            self._generating(behaviour, method)
            if inspect.isasyncgenfunction(behaviour)
            else self._answering(behaviour, method)
        )
        result: grpc.RpcMethodHandler[Any, Any] = factory(
            wrapped,
            request_deserializer=_tolerant(handler.request_deserializer)
            if self.refuses_malformed
            else handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return result

    def _answering(self, behaviour: Behaviour, method: Method) -> Behaviour:
        async def call(request: Any, context: Context) -> Any:
            async with self.around(method, context):
                response = await behaviour(self._incoming(request, method), context)
                self.on_sent(method)
                return response

        return call

    def _generating(self, behaviour: Behaviour, method: Method) -> Behaviour:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self.around(method, context):
                async for response in behaviour(self._incoming(request, method), context):
                    self.on_sent(method)
                    yield response

        return call

    def _incoming(self, request: Any, method: Method) -> Any:
        if method.is_client_stream:
            return self._counted(request, method)
        self.on_received(method)
        return self._parsed(request)

    async def _counted(self, messages: AsyncIterator[Any], method: Method) -> AsyncIterator[Any]:
        if self.silence_s is not None:
            messages = begun_in_time(messages, self.silence_s)
        async for message in messages:
            self.on_received(method)
            yield self._parsed(message)

    def _parsed(self, message: Any) -> Any:
        if self.refuses_malformed and isinstance(message, Malformed):
            raise malformed_message()
        return message


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
        raise DeadlineError(
            f"no message arrived within {limit_s:g} s; send the call again",
            reason="STREAM_IDLE",
            idle_seconds=limit_s,
        ) from None
    yield first
    async for message in messages:
        yield message


class Chain(aio.ServerInterceptor):
    """Several interceptors as one, the first outermost: grpc takes time for each that it knows.

    Each path is wrapped once.
    """

    def __init__(self, *interceptors: CallInterceptor) -> None:
        self._interceptors = interceptors
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the handler of the call in all of them; an unknown method has none."""
        path = handler_call_details.method
        handler = self._wrapped.get(path)
        if handler is not None:
            return handler
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # grpc answers UNIMPLEMENTED
        for interceptor in reversed(self._interceptors):
            handler = interceptor.wrap(handler, path)
        self._wrapped[path] = handler
        return handler


class Malformed:
    """Stands for a message that cannot be parsed."""


def _tolerant(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Returns a deserializer that does not raise; grpc would send the exception's text out."""
    if deserializer is None:
        return None

    def deserialize(data: bytes) -> Any:
        try:
            return deserializer(data)
        except DecodeError:
            return Malformed()

    return deserialize


_FACTORIES: dict[tuple[bool, bool], tuple[str, Callable[..., Any]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}
