"""Probes of the Open Inference Protocol while the server starts, serves and stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from grpc import aio

from smidgen_service.admittance import WhileServing
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.metrics import Metrics
from smidgen_service.open_inference import inference_service_pb2 as pb
from smidgen_service.routing import Router
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.gate import Gate
from smidgen_service.security.registry import Registry
from smidgen_service.servicers.open_inference import OpenInferenceServicer
from smidgen_service.servicers.registration import add_service
from smidgen_service.shares import Shares
from smidgen_service.surroundings import Surroundings

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
NOBODY = cast(Any, None)  # no handler is reached here


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
async def channel(lifecycle: Lifecycle) -> AsyncIterator[aio.Channel]:
    server = aio.server()
    servicer = OpenInferenceServicer(NOBODY, NOBODY, NOBODY, lifecycle)
    registry = Registry()
    add_service(
        SERVICE,
        servicer,
        cast(aio.Server, registry),
        encoded={"ModelInfer", "ModelStreamInfer"},
    )
    gate = Gate(Authenticator(None, asks_for_certificates=False), Metrics())
    surroundings = Surroundings((), (WhileServing(lifecycle),))
    router = Router(gate, surroundings, lifecycle, Shares(99), registry.methods, silence_s=60.0)
    server.add_generic_rpc_handlers((router,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)


async def call(channel: aio.Channel, method: str) -> bytes:
    answer: bytes = await channel.unary_unary(f"/{SERVICE.full_name}/{method}")(b"")
    return answer


@pytest.mark.parametrize("phase", Phase)
async def test_probes_answer_at_any_time(
    lifecycle: Lifecycle, channel: aio.Channel, phase: Phase
) -> None:
    lifecycle.phase = phase
    live = pb.ServerLiveResponse.FromString(await call(channel, "ServerLive"))
    ready = pb.ServerReadyResponse.FromString(await call(channel, "ServerReady"))
    assert (live.live, ready.ready) == (True, phase is Phase.SERVING)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING])
@pytest.mark.parametrize("method", ["ModelInfer", "ModelReady", "RepositoryIndex"])
async def test_all_else_is_refused_unless_serving(
    lifecycle: Lifecycle, channel: aio.Channel, phase: Phase, method: str
) -> None:
    lifecycle.phase = phase
    with pytest.raises(aio.AioRpcError) as caught:
        await call(channel, method)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert str(caught.value.details()).startswith("Server not ready: ")


def test_servicer_has_every_method() -> None:
    servicer = OpenInferenceServicer(NOBODY, NOBODY, NOBODY, Lifecycle())
    assert all(callable(getattr(servicer, method.name)) for method in SERVICE.methods)
