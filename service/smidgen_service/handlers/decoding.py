"""Decoding images for Infer, in processes apart from the server."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from smidgen.config import Extent, Preprocessing
from smidgen.errors import InvalidTensorError
from smidgen_service.errors import WorkerDiedError
from smidgen_service.jobs.calls import raise_reported
from smidgen_service.jobs.process import WorkerProcess

_MOST_SECONDS = 30.0


class ImageDecoder:
    """Keeps a few processes that decode, and starts them when they are first needed.

    Args:
        root: Where their scratch directories go, right below the data directory.
        most: Processes at a time; further requests wait.
        environment: Variables that they get.
        owner: Begins the names of these directories, where several servers' are in one root.
    """

    def __init__(
        self, root: Path, *, most: int, environment: Mapping[str, str], owner: str = ""
    ) -> None:
        self._root = root
        self._owner = owner
        self._environment = environment
        self._places = asyncio.Semaphore(most)
        self._idle: list[tuple[WorkerProcess, Path]] = []

    def recover(self) -> None:
        """Removes what the processes of an earlier server left."""
        for left in self._root.glob(f"{self._owner}*"):
            shutil.rmtree(left, ignore_errors=True)

    async def decode(
        self, images: Sequence[bytes | memoryview], preprocessing: Preprocessing, extent: Extent
    ) -> bytes:
        """Returns the samples of encoded images as float32, one after the other.

        Raises:
            InvalidTensorError: an image is refused, or takes too much time or memory.
            MissingExtraError: there is no decoder here.
        """
        async with self._places:
            process, scratch = self._idle.pop() if self._idle else await self._start()
            is_kept = False
            try:
                samples = await self._ask(process, scratch, images, preprocessing, extent)
                is_kept = True
                return samples
            except InvalidTensorError as error:
                is_kept = error.reason != "IMAGE_TOO_COMPLEX"
                raise
            finally:
                # Of a request that was given up, the answer is still to come.
                if is_kept:
                    self._idle.append((process, scratch))
                else:
                    await _end(process, scratch)

    async def close(self) -> None:
        """Ends all processes."""
        while self._idle:
            await _end(*self._idle.pop())

    async def _start(self) -> tuple[WorkerProcess, Path]:
        scratch = self._root / f"{self._owner}decoder-{uuid.uuid4().hex}"
        scratch.mkdir(parents=True)
        process = await WorkerProcess.start(scratch, self._environment)
        await process.send("serve_images", {})
        return process, scratch

    async def _ask(
        self,
        process: WorkerProcess,
        scratch: Path,
        images: Sequence[bytes | memoryview],
        preprocessing: Preprocessing,
        extent: Extent,
    ) -> bytes:
        fields = {
            "sizes": [len(image) for image in images],
            "preprocessing": preprocessing.to_document(),
            "extent": (extent.height, extent.width),
        }
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                await process.send("images", fields, b"".join(images))
                frame = await process.receive()
        except (TimeoutError, WorkerDiedError):
            raise InvalidTensorError(
                "decoding the images takes more time or memory than this server gives it; send "
                "fewer or smaller images",
                reason="IMAGE_TOO_COMPLEX",
                field="images",
            ) from None
        if frame.kind != "samples":
            raise_reported(frame, scratch)
        return frame.payload


async def _end(process: WorkerProcess, scratch: Path) -> None:
    await process.close()
    shutil.rmtree(scratch, ignore_errors=True)
