"""`python -m benchmarks.serving.callers TARGET SECONDS < request`: a client of many connections.

It makes Infer calls, one at a time on each connection, and prints how many were answered a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack

from grpc import aio

from benchmarks.serving.calls import INFER, UnaryCall

CONNECTIONS = 16


async def rate(target: str, request: bytes, seconds: float) -> float:
    """Returns the answers a second of CONNECTIONS callers."""
    # Channels with equal options would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with AsyncExitStack() as stack:
        calls: list[UnaryCall] = []
        for _ in range(CONNECTIONS):
            channel = aio.insecure_channel(target, options=options)
            call: UnaryCall = (await stack.enter_async_context(channel)).unary_unary(INFER)
            await call(request)
            calls.append(call)
        started_s = time.perf_counter()

        async def caller(call: UnaryCall) -> int:
            count = 0
            while time.perf_counter() - started_s < seconds:
                await call(request)
                count += 1
            return count

        counts = await asyncio.gather(*map(caller, calls))
        return sum(counts) / (time.perf_counter() - started_s)


if __name__ == "__main__":
    found = asyncio.run(rate(sys.argv[1], sys.stdin.buffer.read(), float(sys.argv[2])))
    sys.stdout.write(f"{found}\n")
