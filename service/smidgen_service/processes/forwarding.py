"""Calls that a front hands on: their messages as bytes, their endings as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Never, TypeAlias

import grpc
from grpc import aio

from smidgen_service.errors import DrainingError
from smidgen_service.logs import REQUEST_ID
from smidgen_service.processes.callers import HEADER, ForwardedCallers
from smidgen_service.security.authentication import HEADER as CREDENTIALS
from smidgen_service.security.principals import CALLER
from smidgen_service.surroundings import REQUEST_ID_HEADER, Context, Metadata, Method

_OWN = frozenset((CREDENTIALS, HEADER, REQUEST_ID_HEADER, "user-agent"))
"""Metadata of clients that stay here: what they mean, the front says itself."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Forwarder:
    """Hands calls on to the control process.

    Args:
        channel: To the control process.
        callers: Says whose the calls are.
    """

    def __init__(self, channel: aio.Channel, callers: ForwardedCallers) -> None:
        self._channel = channel
        self._callers = callers

    def handlers(self, methods: Iterable[Method]) -> Mapping[str, Handler]:
        """Returns handlers of methods, by their paths."""
        return {method.path: self._handler(method) for method in methods}

    def _handler(self, method: Method) -> Handler:
        factory, make = _KINDS[method.is_client_stream, method.is_server_stream]
        kind = factory.__name__.removesuffix("_rpc_method_handler")
        handler: Handler = factory(make(getattr(self._channel, kind)(method.path), self._terms))
        return handler

    def _terms(self, context: Context) -> Mapping[str, Any]:
        """Returns deadline and metadata of the call to the control process."""
        sent = tuple(context.invocation_metadata() or ())
        metadata = [(key, value) for key, value in sent if not _is_own(key)]
        metadata.append((REQUEST_ID_HEADER, REQUEST_ID.get()))
        caller = CALLER.get()
        if caller is not None:
            metadata.append(self._callers.entry(caller))
        return {"timeout": context.time_remaining(), "metadata": metadata}


Terms = Callable[[Context], Mapping[str, Any]]


def _unary_unary(method: Any, terms: Terms) -> Callable[..., Any]:
    async def forward(request: bytes, context: Context) -> Any:
        call = method(request, **terms(context))
        async with _handed_on(call, context):
            return await call

    return forward


def _unary_stream(method: Any, terms: Terms) -> Callable[..., Any]:
    async def forward(request: bytes, context: Context) -> AsyncIterator[Any]:
        call = method(request, **terms(context))
        async with _handed_on(call, context):
            async for response in call:
                yield response

    return forward


def _stream_unary(method: Any, terms: Terms) -> Callable[..., Any]:
    async def forward(messages: AsyncIterator[bytes], context: Context) -> Any:
        call = method(**terms(context))
        async with _handed_on(call, context), _sending(messages, call):
            return await call

    return forward


def _stream_stream(method: Any, terms: Terms) -> Callable[..., Any]:
    async def forward(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        call = method(**terms(context))
        async with _handed_on(call, context), _sending(messages, call):
            async for response in call:
                yield response

    return forward


@asynccontextmanager
async def _handed_on(call: Any, context: Context) -> AsyncIterator[None]:
    """Ends the client's call as the one to the control process ends, and that with the block."""
    try:
        yield
    except aio.AioRpcError as error:
        await _end(error, context)
    finally:
        call.cancel()


@asynccontextmanager
async def _sending(messages: AsyncIterator[bytes], call: Any) -> AsyncIterator[None]:
    """Sends the client's messages during the block, which gets the error that ends them."""

    async def send() -> None:
        try:
            await call.wait_for_connection()
            async for message in messages:
                # call.write would, where the call has just ended, put an error of its own in place
                # of the status that is on its way.
                await call._cython_call.send_serialized_message(message)
            await call.done_writing()
        except (aio.AioRpcError, aio.InternalError, asyncio.InvalidStateError):
            return  # the call has ended; how, its answer says
        except BaseException:
            call.cancel()
            raise

    sending = asyncio.create_task(send())
    try:
        yield
    except asyncio.CancelledError:
        if sending.done() and not sending.cancelled() and (error := sending.exception()):
            raise error from None
        raise
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _end(error: aio.AioRpcError, context: Context) -> Never:
    """Ends a call as the control process has ended it.

    Raises:
        DrainingError: it is not there any more.
    """
    trailers: Metadata = tuple(error.trailing_metadata() or ())
    if not any(key == REQUEST_ID_HEADER for key, _ in trailers):
        if error.code() is grpc.StatusCode.UNAVAILABLE:  # gRPC's text would name the socket
            raise DrainingError from None
        trailers = (*trailers, (REQUEST_ID_HEADER, REQUEST_ID.get()))
    await context.abort(error.code(), error.details() or "", trailers)


def _is_own(key: str) -> bool:
    return key in _OWN or key.startswith((":", "grpc-"))


_KINDS: Mapping[tuple[bool, bool], tuple[Callable[..., Any], Callable[..., Any]]] = {
    (False, False): (grpc.unary_unary_rpc_method_handler, _unary_unary),
    (False, True): (grpc.unary_stream_rpc_method_handler, _unary_stream),
    (True, False): (grpc.stream_unary_rpc_method_handler, _stream_unary),
    (True, True): (grpc.stream_stream_rpc_method_handler, _stream_stream),
}
