"""Registering a service by its descriptor."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

_FACTORIES: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def add_service(
    service: ServiceDescriptor, servicer: object, server: aio.Server, *, encoded: Set[str]
) -> None:
    """Adds a service whose methods the servicer has by their names.

    Args:
        service: The service.
        servicer: What answers.
        server: The server.
        encoded: Methods that take and return messages as their bytes.
    """
    handlers = {
        method.name: _handler(method, getattr(servicer, method.name), method.name in encoded)
        for method in service.methods
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service.full_name, handlers),)
    )
    server.add_registered_method_handlers(service.full_name, handlers)


def _handler(
    method: MethodDescriptor, behaviour: Callable[..., Any], is_encoded: bool
) -> grpc.RpcMethodHandler[Any, Any]:
    factory = _FACTORIES[method.client_streaming, method.server_streaming]
    if is_encoded:
        handler: grpc.RpcMethodHandler[Any, Any] = factory(behaviour)
    else:
        handler = factory(
            behaviour,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
    return handler
