"""How the client's channel is set up: limits, keepalive and retries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from smidgen.v1 import (
    dataset_service_pb2,
    inference_service_pb2,
    job_service_pb2,
    model_service_pb2,
    optimization_service_pb2,
)

DEFAULT_TARGET = "127.0.0.1:8001"
"""Where a server listens unless it is told otherwise."""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Largest message sent or received; larger data goes in chunks."""

_RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# Replayed from its first chunk, a broken upload would not meet the offset that the server has
# reached.
_RESUMED_BY_THE_CLIENT = {"UploadModel", "UploadDataset"}

_OPTIONS: dict[str, int] = {
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    # A request larger than this buffer (256 KiB by default) would never be retried.
    "grpc.per_rpc_retry_buffer_size": MAX_MESSAGE_BYTES,
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 5_000,
}


def service_config() -> str:
    """Returns the retry rules as JSON: every method but the uploads, on UNAVAILABLE alone."""
    methods = [
        {"service": service.full_name, "method": method.name}
        for service in _services()
        for method in service.methods
        if method.name not in _RESUMED_BY_THE_CLIENT
    ]
    return json.dumps(
        {
            "methodConfig": [{"name": methods, "retryPolicy": _RETRY_POLICY}],
            "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
        }
    )


def channel_options() -> Sequence[tuple[str, Any]]:
    """Returns the options of every channel of the client."""
    return [*_OPTIONS.items(), ("grpc.service_config", service_config())]


def open_channel(
    target: str, credentials: grpc.ChannelCredentials | None, tls_name: str | None = None
) -> grpc.Channel:
    """Opens a channel; without credentials in plain text. Connects with the first call.

    Args:
        target: The server's address.
        credentials: Those of TLS.
        tls_name: Name in the server's certificate, where it is not the target's host.
    """
    if credentials is None:
        return grpc.insecure_channel(target, options=channel_options())
    options = [*channel_options()]
    if tls_name is not None:
        options.append(("grpc.ssl_target_name_override", tls_name))
    return grpc.secure_channel(target, credentials, options=options)


def _services() -> list[ServiceDescriptor]:
    files = (
        model_service_pb2,
        dataset_service_pb2,
        optimization_service_pb2,
        job_service_pb2,
        inference_service_pb2,
    )
    return [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
