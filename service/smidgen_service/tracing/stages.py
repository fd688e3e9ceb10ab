"""The spans of one inference, added to that of its call when all their times are known."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from smidgen_service.statistics import StageTimes
from smidgen_service.tracing.current import TimedSpan


class InferenceStages:
    """What is noted of one inference.

    Attributes:
        admitted_s: When it got into the queue, by time.perf_counter; None if it did not need to.
        joined_with: The calls of other requests that are computed together with it.

    Args:
        call: The span of its call.
        arrived_s: When it came.
    """

    __slots__ = ("_arrived_s", "admitted_s", "call", "joined_with")

    def __init__(self, call: TimedSpan, arrived_s: float) -> None:
        self.call = call
        self._arrived_s = arrived_s
        self.admitted_s: float | None = None
        self.joined_with: tuple[TimedSpan, ...] = ()

    def computed(
        self, version: str, samples: int, isa: str, started_s: float, times: StageTimes
    ) -> None:
        """Adds the spans of an inference that was answered.

        Args:
            version: The version that computed.
            samples: Of the request.
            isa: The instruction set.
            started_s: When its computation began, by time.perf_counter.
            times: Of that computation.
        """
        admitted_s = started_s if self.admitted_s is None else self.admitted_s
        input_ends_s = started_s + times.input_s
        compute_ends_s = input_ends_s + times.compute_s
        output_ends_s = compute_ends_s + times.output_s
        attributes: dict[str, str | int] = {
            "smidgen.version": version,
            "smidgen.samples": samples,
            "smidgen.isa": isa,
            "smidgen.batch.requests": len(self.joined_with) + 1,
        }
        self.call.add("admit", self._arrived_s, admitted_s)
        self.call.add("queue", admitted_s, started_s)
        batch = self.call.add(
            "batch", started_s, output_ends_s, attributes=attributes, linked=self.joined_with
        )
        batch.add("input", started_s, input_ends_s)
        batch.add("compute", input_ends_s, compute_ends_s)
        batch.add("output", compute_ends_s, output_ends_s)

    def refused(self, reason: str, now_s: float) -> None:
        """Adds the spans of an inference that did not get its turn."""
        admitted_s = self._arrived_s if self.admitted_s is None else self.admitted_s
        self.call.add("admit", self._arrived_s, admitted_s)
        self.call.add("queue", admitted_s, now_s, error=reason)


CURRENT: ContextVar[InferenceStages | None] = ContextVar("inference_stages", default=None)
"""Those of the inference that is under way; None where it is not traced."""


def join(computed: Iterable[InferenceStages | None]) -> None:
    """Notes that some inferences were one computation, of those that are traced."""
    traced = [stages for stages in computed if stages is not None]
    for stages in traced:
        stages.joined_with = tuple(one.call for one in traced if one is not stages)
