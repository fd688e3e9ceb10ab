"""Waits for a server by the standard health protocol, grpc.health.v1."""

from __future__ import annotations

import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from smidgen.client.errors import UnavailableError, remote_error

_PAUSE_S = 0.1


def wait_until_serving(channel: grpc.Channel, target: str, timeout_s: float) -> None:
    """Returns when the server as a whole is SERVING.

    Raises: UnavailableError after timeout_s seconds.
    """
    end = time.monotonic() + timeout_s
    stub = health_pb2_grpc.HealthStub(channel)
    while True:
        remaining_s = max(end - time.monotonic(), _PAUSE_S)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=remaining_s)
        except grpc.RpcError as error:
            if time.monotonic() >= end:
                raise remote_error(error, target) from None
        else:
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            if time.monotonic() >= end:
                raise UnavailableError(
                    f"The server at {target} is up and was not ready within {timeout_s:g} s; "
                    "look at its log, or wait longer",
                    code="UNAVAILABLE",
                    reason="SERVER_NOT_READY",
                )
        time.sleep(_PAUSE_S)
