"""InferenceService."""

from __future__ import annotations

from typing import Any

from grpc import aio

from smidgen_service.converters.inference import InferRequests, answer_to_bytes
from smidgen_service.handlers.inference import InferenceHandler

Context = aio.ServicerContext[Any, Any]


class InferenceServicer:
    """Runs converted models. Takes and returns encoded messages."""

    def __init__(self, handler: InferenceHandler) -> None:
        self._handler = handler
        self._requests = InferRequests()

    async def Infer(self, request: bytes, context: Context) -> bytes:
        """Runs one request."""
        deadline_s = context.time_remaining()
        answer = await self._handler.infer(self._requests.read(request), deadline_s=deadline_s)
        return answer_to_bytes(answer)
