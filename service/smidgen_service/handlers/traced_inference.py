"""Inference that tells where the time of each request went, as spans.

What is not traced runs InferenceHandler, which knows nothing of this and pays nothing for it.
"""

from __future__ import annotations

import time

from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.handlers.computation import Arrays, Computed, Wanted
from smidgen_service.handlers.inference import InferenceAnswer, InferenceHandler, InferenceRequest
from smidgen_service.handlers.versions import Served
from smidgen_service.tracing.current import CALL_SPAN
from smidgen_service.tracing.stages import CURRENT, InferenceStages


class TracedInferenceHandler(InferenceHandler):
    """What InferenceService does, with spans for the calls that have one."""

    async def infer(
        self, request: InferenceRequest, *, deadline_s: float | None
    ) -> InferenceAnswer:
        """Runs one request, as InferenceHandler does."""
        call = CALL_SPAN.get()
        if call is None:
            return await super().infer(request, deadline_s=deadline_s)
        stages = InferenceStages(call, time.perf_counter())
        before = CURRENT.set(stages)
        try:
            return await super().infer(request, deadline_s=deadline_s)
        except (OverloadedError, DeadlineError) as error:
            stages.refused(error.reason, time.perf_counter())
            raise
        finally:
            CURRENT.reset(before)

    async def _run(
        self, request: InferenceRequest, served: Served, deadline_s: float | None
    ) -> tuple[Computed, Arrays | None]:
        computed, arrays = await super()._run(request, served, deadline_s)
        stages = CURRENT.get()
        if stages is not None:
            stages.computed(
                served.name, computed.samples, computed.isa, computed.started_s, computed.times
            )
        return computed, arrays

    async def _compute_in_turn(
        self,
        request: InferenceRequest,
        served: Served,
        arrays: Arrays,
        wanted: Wanted,
        deadline_s: float | None,
    ) -> tuple[Computed, Arrays]:
        stages = CURRENT.get()
        if stages is not None:
            stages.admitted_s = time.perf_counter()
        return await super()._compute_in_turn(request, served, arrays, wanted, deadline_s)
