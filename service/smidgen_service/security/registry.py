"""Collects the methods that a server serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from smidgen_service.security.permissions import UnlistedMethodError


class Registry:
    """Stands for a server where services are added to it.

    Generated code adds the methods of a service twice, by a handler and by their names; the names
    are what is kept here.
    """

    def __init__(self) -> None:
        self._services: set[str] = set()
        self._methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    @property
    def methods(self) -> Mapping[str, grpc.RpcMethodHandler[Any, Any]]:
        """The handlers of all methods, by path.

        Raises:
            UnlistedMethodError: a handler was added without the names of its methods.
        """
        named = {path.split("/")[1] for path in self._methods}
        if self._services - named:
            raise UnlistedMethodError(
                f"{', '.join(sorted(self._services - named))} was added without the names of its "
                "methods; call add_registered_method_handlers as well"
            )
        return self._methods

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Notes the services of handlers."""
        for handler in handlers:
            if not isinstance(handler, grpc.ServiceRpcHandler):
                raise UnlistedMethodError(
                    f"{type(handler).__name__} does not say which service it is for"
                )
            self._services.add(handler.service_name())

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Adds the methods of a service."""
        for name, handler in method_handlers.items():
            self._methods[f"/{service_name}/{name}"] = handler
