"""From the path of a call to its handler, with a look at its headers on the way.

grpc asks for the handler when only the headers of a call are there: what is refused here makes the
server read none of its messages. grpc's own interceptors would do, and cost coroutines for each
call.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from smidgen.errors import SmidgenError
from smidgen_service.errors import TooLargeError
from smidgen_service.expectation import EXPECTED, Expectation
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.methods import is_always_served
from smidgen_service.security.gate import Gate
from smidgen_service.shares import Share, Shares
from smidgen_service.silence import MessageReader
from smidgen_service.surroundings import Context, Surroundings, Way

MOST_METADATA_BYTES = 8192
"""Most metadata of a client's call: keys, values, and what HTTP/2 adds for each."""
_ENTRY_BYTES = 32
PUBLIC_SILENCE_S = 10.0
"""How long a call that needs no credentials may take to send its message."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


@dataclass(frozen=True, slots=True)
class _Route:
    """Where calls of one path go."""

    handler: Handler
    way: Way
    looks_at_headers: bool


class Router(grpc.GenericRpcHandler):
    """Finds the handlers of calls, and refuses calls with bad credentials or too many headers.

    A call is counted from here to its end, the time that its messages take included. Of a call of
    one message it reads that itself, and gives up in time: grpc would wait as long as the client
    likes, and for ever where the client ends its side without a message.

    Args:
        gate: Decides by the headers.
        surroundings: What calls pass on their way to their handlers.
        lifecycle: Ends streams that have no end of their own.
        shares: How many calls may be in progress.
        handlers: The handlers by path.
        expectation: Refuses inferences before their messages are read; None refuses none so.
        silence_s: How long a call may take to send its message, in seconds; PUBLIC_SILENCE_S where
            it needs no credentials.
        most_metadata_bytes: Most metadata of a call: keys, values, and what HTTP/2 adds for each.
    """

    def __init__(
        self,
        gate: Gate,
        surroundings: Surroundings,
        lifecycle: Lifecycle,
        shares: Shares,
        handlers: Mapping[str, Any],
        *,
        expectation: Expectation | None = None,
        silence_s: float,
        most_metadata_bytes: int = MOST_METADATA_BYTES,
    ) -> None:
        self._gate = gate
        self._most_metadata_bytes = most_metadata_bytes
        self._routes: dict[str, _Route] = {}
        own_reader = MessageReader(silence_s)
        public_reader = MessageReader(min(silence_s, PUBLIC_SILENCE_S))
        for path, handler in handlers.items():
            is_endless = handler.response_streaming and is_always_served(path)
            way = surroundings.way(_watched(handler, lifecycle) if is_endless else handler, path)
            reader = public_reader if gate.is_public(path) else own_reader
            share = shares.of(path)
            guarded = (
                _expected(way, share, reader, path, expectation)
                if expectation is not None and path in EXPECTED
                else _guarded(way.handler, way, share, reader)
            )
            self._routes[path] = _Route(guarded, way, gate.looks_at_headers(path))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Returns the handler of a call, or one that refuses it; an unknown method has none."""
        path = handler_call_details.method
        route = self._routes.get(path)
        if route is None:
            return None  # grpc answers UNIMPLEMENTED
        metadata = handler_call_details.invocation_metadata or ()
        # grpc holds only clients to its limit that have acknowledged it.
        size = _ENTRY_BYTES * len(metadata)
        for key, value in metadata:
            size += len(key) + len(value)
        refusal: SmidgenError | None = None
        if size > self._most_metadata_bytes:
            refusal = _too_large(size, self._most_metadata_bytes)
        elif route.looks_at_headers:
            refusal = self._gate.early_refusal(path, metadata)
        return route.handler if refusal is None else _refusing(route.way, refusal)


def _refusing(way: Way, refusal: SmidgenError) -> Handler:
    async def refuse(_messages: object, context: Context) -> None:
        await way.refuse(refusal, context)

    # As a stream, whatever the method is: of other kinds grpc reads the first message first.
    return grpc.stream_stream_rpc_method_handler(refuse)


def _too_large(size: int, most: int) -> TooLargeError:
    return TooLargeError(
        f"the metadata of the call have {size} bytes, this server takes {most}; send less with it",
        reason="METADATA_TOO_LARGE",
        found=size,
        most=most,
    )


def _watched(handler: Any, lifecycle: Lifecycle) -> Handler:
    """Returns a handler of streams that end when the server stops."""
    behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream

    async def answer(request: Any, context: Context) -> Any:
        with lifecycle.watch():
            return await behaviour(request, context)

    async def generate(request: Any, context: Context) -> AsyncIterator[Any]:
        with lifecycle.watch():
            async for response in behaviour(request, context):
                yield response

    factory: Callable[..., Handler] = (
        grpc.stream_stream_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_stream_rpc_method_handler
    )
    return factory(
        generate if inspect.isasyncgenfunction(behaviour) else answer,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _guarded(handler: Handler, way: Way, share: Share, reader: MessageReader) -> Handler:
    """Returns a handler that counts its calls, and that reads a single message itself, in time."""
    is_stream = handler.request_streaming
    behaviour = getattr(handler, _BEHAVIOURS[is_stream, handler.response_streaming])

    async def answer(messages: object, context: Context) -> Any:
        try:
            address = share.enter(context.peer())
            try:
                request = messages if is_stream else await reader.read(context)
                return await behaviour(request, context)
            finally:
                request = None  # as below
                share.leave(address)
        except SmidgenError as error:  # the behaviour raises none
            return await way.refuse(error, context)

    async def generate(messages: object, context: Context) -> AsyncIterator[Any]:
        try:
            address = share.enter(context.peer())
            try:
                request = messages if is_stream else await reader.read(context)
                async for response in behaviour(request, context):
                    yield response
            finally:
                request = None
                share.leave(address)
        except SmidgenError as error:
            await way.refuse(error, context)

    factory: Callable[..., Handler] = (
        grpc.stream_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )
    return factory(
        generate if inspect.isasyncgenfunction(behaviour) else answer,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _expected(
    way: Way, share: Share, reader: MessageReader, path: str, expectation: Expectation
) -> Handler:
    """Returns a handler as `_guarded` does, of calls that may be refused before their message."""
    behaviour = getattr(way.handler, _BEHAVIOURS[False, False])

    async def answer(_messages: object, context: Context) -> Any:
        try:
            address = share.enter(context.peer())
            try:
                arrival = expectation.of(path, context)
                try:
                    request = await reader.read(context)
                    # Nothing else runs until the request is in the queue, or computed.
                    arrival.arrived()
                finally:
                    arrival.leave()
                return await behaviour(request, context)
            finally:
                # grpc keeps the frames of a call that ends in an error until garbage is collected.
                request = None
                share.leave(address)
        except SmidgenError as error:  # the behaviour raises none
            return await way.refuse(error, context)

    return grpc.stream_unary_rpc_method_handler(
        answer,
        request_deserializer=way.handler.request_deserializer,
        response_serializer=way.handler.response_serializer,
    )


_BEHAVIOURS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
