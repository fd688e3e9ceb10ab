"""The interceptors that let calls in: one before a message is read, one with the whole call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from grpc import aio

from smidgen.errors import SmidgenError
from smidgen_service.interception import CallInterceptor, Context, Method
from smidgen_service.security.gate import Gate
from smidgen_service.security.principals import enter


class RefuseEarly(aio.ServerInterceptor):
    """Refuses calls with bad credentials before any of their messages is read.

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
        refusal = self._gate.early_refusal(path, metadata)
        if refusal is None:
            return await continuation(handler_call_details)
        return self._refusing(Method(path, *self._kinds.get(path, (False, False))), refusal)

    def _refusing(self, method: Method, refusal: SmidgenError) -> grpc.RpcMethodHandler[Any, Any]:
        async def refuse(_messages: object, context: Context) -> None:
            async with AsyncExitStack() as stack:
                for interceptor in self._around:
                    await stack.enter_async_context(interceptor.around(method, context))
                raise refusal

        # As a stream, whatever the method is: of other kinds grpc reads the first message first.
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(refuse)
        return handler


class Authorize(CallInterceptor):
    """Finds out who is calling and makes the call that caller's."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    @asynccontextmanager
    async def around(self, method: Method, context: Context) -> AsyncIterator[None]:
        """Lets a call pass that may."""
        metadata = context.invocation_metadata() or ()
        principal = self._gate.admit(method.path, metadata, context.auth_context)
        if principal is not None:
            enter(principal)
        yield
