"""How old the checkpoints of running trainings are: what an interruption would cost."""

from __future__ import annotations

import time
from pathlib import Path

CHECKPOINT_NAME = "training.checkpoint"


class Checkpoints:
    """Knows the running trainings. The event loop's thread tells of them, and any thread asks.

    Args:
        root: Has the directories of jobs.
        interval_s: Time between two checkpoints of a training, in seconds.
    """

    def __init__(self, root: Path, interval_s: float) -> None:
        self._root = root
        self.interval_s = interval_s
        self._since_s: dict[str, float] = {}

    def began(self, job_id: str) -> None:
        """Takes note of a training that begins, or goes on."""
        self._since_s[job_id] = time.time()

    def ended(self, job_id: str) -> None:
        """Takes note that it has ended."""
        self._since_s.pop(job_id, None)

    def oldest_time_s(self) -> float:
        """Returns when the oldest of the newest checkpoints was made, in seconds since 1970.

        Of a training that has made none yet it is when it began; 0 if none runs.
        """
        times = [max(since_s, self._time_s(job)) for job, since_s in self._since_s.copy().items()]
        return min(times, default=0.0)

    def _time_s(self, job_id: str) -> float:
        try:
            return (self._root / job_id / CHECKPOINT_NAME).stat().st_mtime
        except OSError:
            return 0.0
