"""The methods that a server serves, without anything behind them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from grpc_health.v1 import health

from smidgen_service.application import Handlers
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.security.registry import Registry
from smidgen_service.services import register


def registry_of_the_server() -> Registry:
    """Returns them."""
    registry = Registry()
    handlers = cast(Handlers, SimpleNamespace(**dict.fromkeys(Handlers.__slots__)))
    register(registry, handlers, health.aio.HealthServicer(), Lifecycle(), reflects=True)
    return registry
