"""`python -m benchmarks.serving.echo`: the least that a grpc.aio server in Python can do.

It answers every call with the bytes of the request, and prints its port on a line of stdout.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import grpc
from grpc import aio

PATH = "/benchmarks.Echo/Echo"


class _Echo(grpc.GenericRpcHandler):
    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Returns the one handler, without a serializer."""
        handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(_answer)
        return handler


async def _answer(request: bytes, _context: aio.ServicerContext[Any, Any]) -> bytes:
    return request


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(_serve())
