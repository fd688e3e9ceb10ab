"""Runs of engines that a test has written in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smidgen.engine import Engine
from smidgen.errors import SmidgenError
from smidgen.run_queue import Arrays, NotFinite, QueuedRunTimes
from smidgen_service.threads import Threads

_NO_TIMES = QueuedRunTimes(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ThreadRun:
    """One that has ended."""

    found: dict[str, Any] | SmidgenError
    isa: str = "portable"
    times: QueuedRunTimes = _NO_TIMES
    not_finite: Sequence[NotFinite] = ()

    def take_outputs(self) -> dict[str, Any]:
        if isinstance(self.found, SmidgenError):
            raise self.found
        return self.found


class ThreadRuns:
    """Computes in Python's threads, as Runs does in the engine's."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def run(self, engine: Engine, requests: Sequence[Arrays]) -> ThreadRun:
        joined = {
            name: np.concatenate([request[name] for request in requests]) for name in requests[0]
        }
        try:
            return ThreadRun(await self._threads.run(engine.run_checked, joined))
        except SmidgenError as error:
            return ThreadRun(error)
