"""What grpc's server is told beside the limits that test_denial.py tries on a running one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest

from smidgen_service import listening
from smidgen_service.settings import Settings

CALLS = 12
MOST_UNSEEN_S = 1


async def test_calls_that_nobody_has_looked_at_are_dropped_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the loop is held up calls wait in grpc's core, where they would stay for 30 s."""
    monkeypatch.setattr(listening, "_MOST_UNSEEN_S", MOST_UNSEEN_S)
    server = listening.make_grpc_server(Settings(data_dir=tmp_path), shares_port=False)

    async def answer(request: bytes, _context: object) -> bytes:
        if request == b"hold up":
            time.sleep(2.5 * MOST_UNSEEN_S)
        return request

    handlers = {"Call": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Held", handlers),))
    port = listening.bind(server, "127.0.0.1:0", None)
    await server.start()
    try:
        endings = await asyncio.to_thread(call_while_it_is_held_up, port)
    finally:
        await server.stop(None)
    assert endings.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}
    assert endings[grpc.StatusCode.CANCELLED] >= CALLS // 2
    # One is held up, one has been handed to the loop before, and one comes afterwards.
    assert endings[grpc.StatusCode.OK] >= 2


def call_while_it_is_held_up(port: int) -> Counter[grpc.StatusCode]:
    """Returns how calls end of which all but the first find the loop of the server busy."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/test.Held/Call")
        assert call(b"first", timeout=10, wait_for_ready=True) == b"first"
        calls = [call.future(b"hold up", timeout=30)]
        time.sleep(0.2 * MOST_UNSEEN_S)
        calls += [call.future(b"waits", timeout=30) for _ in range(CALLS)]
        endings = Counter(call.code() for call in calls)
        assert call(b"last", timeout=10) == b"last"
    return endings
