"""A running job: follows its worker from frame to frame."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from smidgen.progress import Stage
from smidgen_service.errors import WorkerDiedError
from smidgen_service.jobs.calls import raise_reported
from smidgen_service.jobs.frames import Frame
from smidgen_service.jobs.gauges import JobGauges
from smidgen_service.jobs.process import WorkerProcess
from smidgen_service.store.records import JobEvent, JobRecord, JobState

Commit = Callable[[sqlite3.Connection], None]
Finish = Callable[[Mapping[str, Any]], Awaitable[Commit]]
OnEvent = Callable[[JobEvent], Awaitable[None]]


class Cancelled(Exception):
    """The worker stopped because it was asked to."""


class RunningJob:
    """A job with a worker at it.

    Args:
        job: The job.
        process: Its worker.
        gauges: What to tell of its progress.
        scratch: Directory of the worker.
        silence_s: Longest time without a frame; a worker tells three times in it that it lives.
        finish: Stores what the worker brought and returns the transaction that ends the job.
    """

    def __init__(
        self,
        job: JobRecord,
        process: WorkerProcess,
        gauges: JobGauges,
        *,
        scratch: Path,
        silence_s: float,
        finish: Finish,
    ) -> None:
        self._process = process
        self._silence_s = silence_s
        self._gauges = gauges
        self._scratch = scratch
        self._finish = finish
        self._batch_size = int((job.config or {}).get("batch_size") or 0)
        # Steps before an interruption were counted then.
        self._last_step: int | None = None if job.progress > 0.0 else 0
        self._last_time_s = time.monotonic()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the worker."""
        self._process.signal(number)

    async def follow(self, on_event: OnEvent) -> Commit:
        """Passes events on until the result is there; returns the transaction that stores it.

        Raises:
            Cancelled: the worker stopped because it was asked to.
            SmidgenError: it failed.
        """
        while True:
            frame = await self._receive()
            if frame.kind == "alive":
                continue
            if frame.kind == "progress":
                event = _progress_event(frame.fields)
                self._observe(event)
                await on_event(event)
            elif frame.kind == "stage":
                await on_event(_stage_event(frame.fields))
            elif frame.kind == "stopped":
                raise Cancelled
            elif frame.kind == "result":
                return await self._finish(frame.fields)
            else:
                raise_reported(frame, self._scratch)

    async def _receive(self) -> Frame:
        try:
            async with asyncio.timeout(self._silence_s):
                return await self._process.receive()
        except TimeoutError:
            raise WorkerDiedError(
                f"the worker has not been heard of for {self._silence_s:g} s, as if it were "
                "stopped, and was given up",
                reason="WORKER_SILENT",
            ) from None

    def _observe(self, event: JobEvent) -> None:
        now_s = time.monotonic()
        steps = 0 if self._last_step is None else max(event.step - self._last_step, 0)
        self._gauges.trained(
            event,
            steps=steps,
            samples=steps * self._batch_size,
            seconds=now_s - self._last_time_s,
        )
        self._last_step, self._last_time_s = event.step, now_s


def _stage_event(fields: Mapping[str, Any]) -> JobEvent:
    """Returns an event of a conversion, whose steps are the programs of a search."""
    return JobEvent(
        state=JobState.RUNNING,
        stage=Stage(fields["stage"]),
        progress=float(fields["progress"]),
        step=int(fields["program_count"]),
        total_steps=int(fields["most_programs"]),
        message=str(fields["message"]),
    )


def _progress_event(fields: Mapping[str, Any]) -> JobEvent:
    return JobEvent(
        state=JobState.RUNNING,
        stage=Stage(fields["stage"]),
        progress=float(fields["progress"]),
        epoch=int(fields["epoch"]),
        step=int(fields["step"]),
        total_steps=int(fields["total_steps"]),
        task_loss=fields["task_loss"],
        quantization_loss=fields["quantization_loss"],
        learning_rate=fields["learning_rate"],
        accuracy=fields["accuracy"],
        feature_loss=fields["feature_loss"],
        agreement=fields["agreement"],
    )
