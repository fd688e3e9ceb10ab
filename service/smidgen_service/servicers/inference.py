"""InferenceService."""

from __future__ import annotations

from typing import Any

from grpc import aio

from smidgen.v1 import inference_service_pb2 as pb
from smidgen.v1 import inference_service_pb2_grpc
from smidgen_service.converters.inference import answer_to_message, inference_request
from smidgen_service.handlers.inference import InferenceHandler

Context = aio.ServicerContext[Any, Any]


class InferenceServicer(inference_service_pb2_grpc.InferenceServiceServicer):
    """Runs converted models."""

    def __init__(self, handler: InferenceHandler) -> None:
        self._handler = handler

    async def Infer(self, request: pb.InferRequest, context: Context) -> pb.InferResponse:
        """Runs one request."""
        deadline_s = context.time_remaining()
        answer = await self._handler.infer(inference_request(request), deadline_s=deadline_s)
        return answer_to_message(answer)
