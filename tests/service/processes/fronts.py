"""Connections to single fronts of a server, told apart by its log."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc

from smidgen_service.open_inference import inference_service_pb2 as open_pb
from tests.service.running_server import RunningServer

_MOST_CONNECTIONS = 64


@contextmanager
def channels(
    server: RunningServer, count: int, credentials: grpc.ChannelCredentials | None = None
) -> Iterator[list[grpc.Channel]]:
    """Yields a channel to each of so many fronts, in their order."""
    found: dict[int, grpc.Channel] = {}
    with ExitStack() as stack:
        for _ in range(_MOST_CONNECTIONS):
            channel = stack.enter_context(_connection(server, credentials))
            found.setdefault(front_of(server, channel), channel)
            if len(found) == count:
                break
        assert sorted(found) == list(range(count))
        yield [found[index] for index in range(count)]


def front_of(server: RunningServer, channel: grpc.Channel) -> int:
    """Returns the front that a channel leads to."""
    request_id = uuid.uuid4().hex
    call = channel.unary_unary("/inference.GRPCInferenceService/ServerMetadata")
    request = open_pb.ServerMetadataRequest().SerializeToString()
    with suppress(grpc.RpcError):  # whoever may not ask is logged as well
        call(request, timeout=30, metadata=(("x-request-id", request_id),))
    return next(
        int(entry["front"]) for entry in server.logs() if entry.get("request_id") == request_id
    )


def pids(server: RunningServer) -> list[int]:
    """Returns the processes of the fronts."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return [pid for pid in map(int, children.split()) if "processes.front" in _command(pid)]


def is_running(pid: int) -> bool:
    """Tells whether a process is there, and no zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"


def _command(pid: int) -> str:
    return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())


@contextmanager
def _connection(
    server: RunningServer, credentials: grpc.ChannelCredentials | None
) -> Iterator[grpc.Channel]:
    # Channels with equal options would share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = (
        grpc.insecure_channel(server.target, options)
        if credentials is None
        else grpc.secure_channel(server.target, credentials, options)
    )
    with channel:
        yield channel
