"""Calls that are refused because there are too many, counted by why."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.errors import SmidgenError
from smidgen_service.metrics import Metrics

REASONS: Mapping[str, str] = {
    "QUEUE_FULL": "queue_full",
    "QUEUE_TIMEOUT": "queue_timeout",
    "DEADLINE_EXCEEDED": "deadline",
    "ENGINE_MEMORY_FULL": "memory",
    "STORAGE_QUOTA_EXCEEDED": "tenant_quota",
    "JOB_QUOTA_EXCEEDED": "tenant_quota",
    "INFERENCE_QUOTA_EXCEEDED": "tenant_quota",
    "WORKER_CALL_QUOTA_EXCEEDED": "tenant_quota",
    "TOO_MANY_CALLS": "calls",
    "TOO_MANY_CALLS_FROM_ADDRESS": "calls",
    "TOO_MANY_WATCHES": "calls",
    "SERVER_STARTING": "starting",
    "SERVER_DRAINING": "draining",
}
"""What metrics say for the reasons of errors."""
_BEFORE_HANDLERS = frozenset(("calls", "starting", "draining"))


class Rejections:
    """Counts them.

    Those of inferences are counted where they are refused: an answer within a stream says so too,
    and is no end of a call.
    """

    def __init__(self, metrics: Metrics) -> None:
        # Found once: finding one by its label takes longer than counting.
        self._counts = {
            reason: metrics.admission_rejected.labels(label) for reason, label in REASONS.items()
        }

    def of_call(self, reason: str, *, is_inference: bool) -> None:
        """Counts a call that ended in an error.

        Args:
            reason: The error's.
            is_inference: Whether inferences are what the call is for.
        """
        found = REASONS.get(reason)
        if found is not None and (not is_inference or found in _BEFORE_HANDLERS):
            self._counts[reason].inc()

    def of_inference(self, error: BaseException) -> None:
        """Counts an inference that its handler did not compute, if it was for this."""
        if not isinstance(error, SmidgenError):
            return
        found = REASONS.get(error.reason)
        if found is not None and found not in _BEFORE_HANDLERS:
            self._counts[error.reason].inc()
