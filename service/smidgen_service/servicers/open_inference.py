"""The Open Inference Protocol with Triton's extensions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Never

from grpc import aio

from smidgen.errors import SmidgenError
from smidgen_service.converters.open_inference.answers import answer_to_bytes, failure_to_bytes
from smidgen_service.converters.open_inference.descriptions import (
    PLATFORM,
    config_to_message,
    index_to_message,
    metadata_to_message,
    statistics_to_message,
)
from smidgen_service.converters.open_inference.parameters import shared_memory_unsupported
from smidgen_service.converters.open_inference.repository import (
    check_load,
    check_one_repository,
    check_unload,
    loading_words,
)
from smidgen_service.converters.open_inference.requests import (
    InferCall,
    KnownCalls,
    RawRequest,
    infer_call,
    model_id_of,
    parse_request,
    version_of,
)
from smidgen_service.converters.open_inference.wording import tritons_words
from smidgen_service.errors import UnsupportedRequestError
from smidgen_service.faults import hide
from smidgen_service.handlers.inference import InferenceHandler
from smidgen_service.handlers.repository import RepositoryHandler
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.metrics import package_version
from smidgen_service.open_inference import inference_service_pb2 as pb
from smidgen_service.servicers.streams import in_order
from smidgen_service.threads import Threads

Context = aio.ServicerContext[Any, Any]
_EXTENSIONS = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
)
_MOST_IN_PROGRESS = 8
"""Requests of one stream that wait or are computed; further ones are read as these are answered."""
_STATUS_HEADER = ("triton_grpc_error", "true")


class OpenInferenceServicer:
    """GRPCInferenceService. ModelInfer and ModelStreamInfer take and return encoded messages."""

    def __init__(
        self,
        inference: InferenceHandler,
        repository: RepositoryHandler,
        threads: Threads,
        lifecycle: Lifecycle,
    ) -> None:
        self._inference = inference
        self._repository = repository
        self._threads = threads
        self._lifecycle = lifecycle
        self._known = KnownCalls()

    async def ServerLive(
        self, request: pb.ServerLiveRequest, context: Context
    ) -> pb.ServerLiveResponse:
        """Tells whether the server runs."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(
        self, request: pb.ServerReadyRequest, context: Context
    ) -> pb.ServerReadyResponse:
        """Tells whether the server takes requests."""
        return pb.ServerReadyResponse(ready=self._lifecycle.phase is Phase.SERVING)

    async def ModelReady(
        self, request: pb.ModelReadyRequest, context: Context
    ) -> pb.ModelReadyResponse:
        """Tells whether a model takes requests."""
        version = version_of(request.version)
        return pb.ModelReadyResponse(ready=await self._repository.is_ready(request.name, version))

    async def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: Context
    ) -> pb.ServerMetadataResponse:
        """Returns name, version and extensions."""
        return pb.ServerMetadataResponse(
            name=PLATFORM, version=package_version(), extensions=_EXTENSIONS
        )

    async def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: Context
    ) -> pb.ModelMetadataResponse:
        """Returns inputs and outputs of a model."""
        with tritons_words(request.name):
            model_id, version = model_id_of(request.name), version_of(request.version)
            return metadata_to_message(await self._repository.describe(model_id, version))

    async def ModelConfig(
        self, request: pb.ModelConfigRequest, context: Context
    ) -> pb.ModelConfigResponse:
        """Returns the configuration of a model."""
        with tritons_words(request.name):
            model_id, version = model_id_of(request.name), version_of(request.version)
            return config_to_message(await self._repository.describe(model_id, version))

    async def ModelStatistics(
        self, request: pb.ModelStatisticsRequest, context: Context
    ) -> pb.ModelStatisticsResponse:
        """Returns counts and times."""
        with tritons_words(request.name):
            model_id = model_id_of(request.name) if request.name else None
            version = version_of(request.version)
            return statistics_to_message(await self._repository.statistics(model_id, version))

    async def ModelInfer(self, request: bytes, context: Context) -> bytes:
        """Runs one request."""
        call = self._known.find(request)
        if call is None:
            call = await self._new_call(request, parse_request(request))
        return await self._infer(call, context, is_in_stream=False)

    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Runs the requests of a stream, and answers in their order."""
        ends_at_failure = _STATUS_HEADER in (context.invocation_metadata() or ())

        async def answer(request: bytes) -> bytes:
            request_id = ""
            try:
                call = self._known.find(request)
                if call is None:
                    raw = parse_request(request)
                    request_id = raw.message.id
                    call = await self._new_call(request, raw)
                return await self._infer(call, context, is_in_stream=True)
            except Exception as found:  # whatever it is, the stream goes on
                if ends_at_failure:
                    raise
                error = found if isinstance(found, SmidgenError) else hide(found, "stream_fault")
                return failure_to_bytes(error, request_id)

        answers = in_order(request_iterator, answer, most=_MOST_IN_PROGRESS, reading=self._reading)
        async for encoded in answers:
            yield encoded

    async def RepositoryIndex(
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        """Lists models and versions."""
        check_one_repository(request.repository_name)
        return index_to_message(await self._repository.index(is_ready_only=request.ready))

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """Puts a model into service."""
        check_load(request)
        with loading_words(request.model_name):
            await self._repository.load(model_id_of(request.model_name))
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """Takes a model out of service."""
        check_unload(request)
        with tritons_words(request.model_name):
            await self._repository.unload(model_id_of(request.model_name))
        return pb.RepositoryModelUnloadResponse()

    async def SystemSharedMemoryStatus(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise shared_memory_unsupported()

    async def SystemSharedMemoryRegister(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise shared_memory_unsupported()

    async def SystemSharedMemoryUnregister(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise shared_memory_unsupported()

    async def CudaSharedMemoryStatus(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise shared_memory_unsupported()

    async def CudaSharedMemoryRegister(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise shared_memory_unsupported()

    async def CudaSharedMemoryUnregister(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise shared_memory_unsupported()

    async def TraceSetting(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise UnsupportedRequestError(
            "the server does not support calls that change what it traces; --tracing at its start "
            "makes spans, and its metrics have the times of requests",
            reason="TRACING_UNSUPPORTED",
        )

    async def LogSettings(self, request: object, context: Context) -> Never:
        """Refuses."""
        raise UnsupportedRequestError(
            "the server does not support dynamic logging; set --log-level and --log-format at "
            "its start",
            reason="LOG_SETTINGS_UNSUPPORTED",
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with tritons_words(), self._lifecycle.watch():
            yield

    async def _new_call(self, data: bytes, raw: RawRequest) -> InferCall:
        with tritons_words(raw.message.model_name):
            call = await self._threads.run(infer_call, raw) if raw.is_long else infer_call(raw)
        self._known.remember(data, call)
        return call

    async def _infer(self, call: InferCall, context: Context, *, is_in_stream: bool) -> bytes:
        with tritons_words(call.model_name):
            deadline_s = context.time_remaining()
            if call.timeout_s is not None:
                own_s = call.timeout_s
                deadline_s = own_s if deadline_s is None else min(own_s, deadline_s)
            answer = await self._inference.infer(call.request, deadline_s=deadline_s)
        return answer_to_bytes(call, answer, is_in_stream=is_in_stream)
