"""The interceptors that let calls in: one before a message is read, one with the whole call."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import grpc
from grpc import aio

from smidgen.errors import SmidgenError
from smidgen_service.errors import TooLargeError
from smidgen_service.interception import CallInterceptor, Context, Method
from smidgen_service.security.gate import Gate
from smidgen_service.security.principals import enter

MOST_METADATA_BYTES = 8192
"""Most metadata of a call: keys, values, and what HTTP/2 adds for each."""
_ENTRY_BYTES = 32
PUBLIC_SILENCE_S = 10.0
"""How long a call that needs no credentials may take to send its message."""


class RefuseEarly(aio.ServerInterceptor):
    """Refuses calls with bad credentials before any of their messages is read.

    Calls that need no credentials have little time for their message: grpc waits for that of a
    unary call as long as its client likes.

    It is the outermost interceptor, as the others keep what they once wrapped around a method.

    Args:
        gate: Decides.
        around: The interceptors that refused calls pass like all others.
        kinds: Which methods stream, by path: whether the client does, and whether the server.
    """

    def __init__(
        self, gate: Gate, around: Sequence[CallInterceptor], kinds: dict[str, tuple[bool, bool]]
    ) -> None:
        self._gate = gate
        self._around = around
        self._kinds = kinds

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns a handler that refuses, or lets the call go on."""
        path = handler_call_details.method
        metadata = handler_call_details.invocation_metadata or ()
        method = Method(path, *self._kinds.get(path, (False, False)))
        # grpc holds only clients to its limit that have acknowledged it.
        size = sum(len(key) + len(value) + _ENTRY_BYTES for key, value in metadata)
        if size > MOST_METADATA_BYTES:
            return self._refusing(method, _too_large(size))
        if self._gate.is_public(path):
            handler = await continuation(handler_call_details)
            return None if handler is None else _hurried(handler)
        refusal = self._gate.early_refusal(path, metadata)
        if refusal is None:
            return await continuation(handler_call_details)
        return self._refusing(method, refusal)

    def _refusing(self, method: Method, refusal: SmidgenError) -> grpc.RpcMethodHandler[Any, Any]:
        async def refuse(_messages: object, context: Context) -> None:
            async with AsyncExitStack() as stack:
                for interceptor in self._around:
                    await stack.enter_async_context(interceptor.around(method, context))
                raise refusal

        # As a stream, whatever the method is: of other kinds grpc reads the first message first.
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(refuse)
        return handler


def _too_large(size: int) -> TooLargeError:
    return TooLargeError(
        f"the metadata of the call have {size} bytes, this server takes {MOST_METADATA_BYTES}; "
        "send less with it",
        reason="METADATA_TOO_LARGE",
        found=size,
        most=MOST_METADATA_BYTES,
    )


def _hurried(handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
    """Returns a handler that reads the message itself, and gives up in time."""
    if handler.request_streaming:
        return cast("grpc.RpcMethodHandler[Any, Any]", handler)
    behaviour = handler.unary_stream if handler.response_streaming else handler.unary_unary

    async def answer(messages: AsyncIterator[Any], context: Context) -> Any:
        return await behaviour(await _message(messages, context), context)

    async def generate(messages: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        async for response in behaviour(await _message(messages, context), context):
            yield response

    factory: Callable[..., grpc.RpcMethodHandler[Any, Any]] = (
        grpc.stream_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )
    return factory(
        generate if inspect.isasyncgenfunction(behaviour) else answer,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


async def _message(messages: AsyncIterator[Any], context: Context) -> Any:
    try:
        async with asyncio.timeout(PUBLIC_SILENCE_S):
            return await anext(messages)
    except (TimeoutError, StopAsyncIteration):
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the call has sent no message")


class Authorize(CallInterceptor):
    """Finds out who is calling and makes the call that caller's."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Lets a call pass that may."""
        metadata = context.invocation_metadata() or ()
        principal = self._gate.admit(method.path, metadata, context.auth_context)
        if principal is not None:
            enter(principal)
        yield
