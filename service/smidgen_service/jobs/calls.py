"""Worker processes for calls that wait for them: Calibrate, plans, and checks of data."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import InternalError
from smidgen_service.jobs.failures import error_of, failure_of_frame
from smidgen_service.jobs.frames import Frame, FrameError
from smidgen_service.jobs.process import LOG_NAME, WorkerProcess
from smidgen_service.logs import log
from smidgen_service.store.records import encode_specs

_LOG_TAIL_BYTES = 4096


class WorkerCall:
    """A running worker and its scratch directory."""

    def __init__(self, process: WorkerProcess, scratch: Path) -> None:
        self._process = process
        self.scratch = scratch

    async def send(self, kind: str, fields: Mapping[str, Any], payload: bytes = b"") -> None:
        """Sends a frame, waiting until the worker has room."""
        await self._process.send(kind, fields, payload)

    async def expect(self, kind: str) -> Frame:
        """Returns the next frame, which must be of this kind.

        Raises:
            SmidgenError: the worker reported an error, or died.
        """
        frame = await self._process.receive()
        if frame.kind != kind:
            raise_reported(frame, self.scratch)
        return frame


class CallWorkers:
    """Starts workers, a bounded number at a time; further calls wait for a place.

    Args:
        root: Where scratch directories are made.
        most: Workers at the same time.
        threads: Of one worker.
        environment: Of the processes.
        admit: Raises where the caller has enough of them; its block is the time of one.
    """

    def __init__(
        self,
        root: Path,
        *,
        most: int,
        threads: int,
        environment: Mapping[str, str],
        admit: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._admit = admit
        self._root = root
        self._threads = threads
        self._environment = environment
        self._places = asyncio.Semaphore(most)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[WorkerCall]:
        """Yields a worker; it ends, and its scratch directory goes, with the block."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self._admit())
            await stack.enter_async_context(self._places)
            scratch = self._root / f"call-{uuid.uuid4().hex}"
            scratch.mkdir(parents=True)
            try:
                process = await WorkerProcess.start(scratch, self._environment)
                try:
                    yield WorkerCall(process, scratch)
                finally:
                    await process.close()
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    async def plan(
        self,
        model: Path,
        profile: bytes | None,
        precision: Mapping[str, Any] | None,
        config: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        """Returns the report of a plan as plain values; a model without profile is quantized.

        Raises:
            InvalidConfigError: precision or config, which is a training's, do not fit the model.
        """
        async with self.open() as call:
            profile_path = call.scratch / "profile.json"
            if profile is not None:
                profile_path.write_bytes(profile)
            fields = {
                "model": str(model),
                "profile": None if profile is None else str(profile_path),
                "precision": precision,
                "config": config,
                "threads": self._threads,
            }
            await call.send("plan", fields)
            frame = await call.expect("result")
        report: Mapping[str, Any] = frame.fields["report"]
        return report

    async def check_data(
        self,
        dataset: Mapping[str, Any],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        config: Mapping[str, Any] | None,
    ) -> None:
        """Checks a dataset for a model with these inputs and outputs, and for training on it.

        Raises:
            InvalidDatasetError: it does not fit.
        """
        fields = {
            **dataset,
            "inputs": encode_specs(tuple(inputs)),
            "outputs": encode_specs(tuple(outputs)),
            "config": config,
        }
        async with self.open() as call:
            await call.send("check_data", fields)
            await call.expect("result")

    async def check_samples(self, dataset: Mapping[str, Any], inputs: Sequence[TensorSpec]) -> None:
        """Checks that a dataset has samples for a model with these inputs, whatever their labels.

        Raises:
            InvalidDatasetError: it has none.
        """
        async with self.open() as call:
            await call.send("check_samples", {**dataset, "inputs": encode_specs(tuple(inputs))})
            await call.expect("result")

    @property
    def threads(self) -> int:
        """Threads of one worker."""
        return self._threads


def raise_reported(frame: Frame, scratch: Path) -> None:
    """Raises what a worker reported in place of the expected frame.

    Raises:
        SmidgenError: the worker's error, by its own class.
        FrameError: the frame is neither an error nor expected.
    """
    if frame.kind == "error":
        raise error_of(failure_of_frame(frame.fields))
    if frame.kind == "fault":
        error_id = str(frame.fields["error_id"])
        log("worker_fault", level=logging.ERROR, error_id=error_id, last_line=_last_line(scratch))
        raise InternalError(error_id)
    raise FrameError(f"unexpected {frame.kind} frame from a worker")


def _last_line(scratch: Path) -> str | None:
    """Returns the last line of a worker's log, which names the exception."""
    try:
        with (scratch / LOG_NAME).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _LOG_TAIL_BYTES, 0))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return None
    return lines[-1] if lines else None
