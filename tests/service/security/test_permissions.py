"""The table has a row for every method that is served, and no others."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from smidgen_service.security.permissions import (
    NOT_ALWAYS_SERVED,
    PERMISSIONS,
    UnlistedMethodError,
    check_listed,
)
from smidgen_service.security.roles import Role
from tests.service.security.served import registry_of_the_server


async def test_every_served_method_has_a_row() -> None:
    paths = set(registry_of_the_server().methods)
    check_listed(paths)
    assert len(paths) > 20
    stale = {
        path for path in PERMISSIONS if path not in paths and not path.startswith(NOT_ALWAYS_SERVED)
    }
    assert not stale, "rows of methods that are not served"


async def test_a_new_method_without_a_row_is_not_served() -> None:
    registry = registry_of_the_server()
    methods = {"New": grpc.unary_unary_rpc_method_handler(lambda request, context: request)}
    registry.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("smidgen.v1.ModelService", methods),)
    )
    registry.add_registered_method_handlers("smidgen.v1.ModelService", methods)
    with pytest.raises(UnlistedMethodError, match=r"/smidgen\.v1\.ModelService/New has no row"):
        check_listed(registry.methods)


async def test_a_service_cannot_come_without_the_names_of_its_methods() -> None:
    registry = registry_of_the_server()
    registry.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {}),))
    with pytest.raises(UnlistedMethodError, match=r"t\.T was added without the names"):
        _ = registry.methods

    class Anonymous(grpc.GenericRpcHandler):
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            return None

    with pytest.raises(UnlistedMethodError, match="Anonymous does not say"):
        registry.add_generic_rpc_handlers((Anonymous(),))


def test_admins_may_do_everything_and_others_do_not_delete_models() -> None:
    assert all(Role.ADMIN in rule.roles for rule in PERMISSIONS.values())
    changing = ("Upload", "Delete", "Train", "Convert", "Calibrate", "Cancel", "Resume", "Load")
    for path, rule in PERMISSIONS.items():
        if path.rpartition("/")[2].startswith(changing):
            assert not rule.roles & {Role.READER, Role.INFERENCER}, path
    assert PERMISSIONS["/smidgen.v1.ModelService/DeleteModel"].roles == {Role.ADMIN}


def test_only_probes_are_public() -> None:
    public = {path for path, rule in PERMISSIONS.items() if rule.is_public}
    assert public == {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.health.v1.Health/List",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    }
