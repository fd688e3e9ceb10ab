"""Reading uploaded models where it cannot hold up the server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen.errors import InvalidDatasetError, InvalidModelError
from smidgen.formats.dataset import DatasetFormat, read_dataset
from smidgen.formats.model_file import ModelFormat
from smidgen_service.dataset_inspection import DatasetFacts, facts_of_arrays
from smidgen_service.errors import WorkerDiedError
from smidgen_service.handlers.checking import checking
from smidgen_service.inspection import ModelFacts, inspect_model
from smidgen_service.jobs.calls import CallWorkers
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.records import DatasetRecord
from smidgen_service.threads import Threads

_MOST_IN_THREAD = 256 << 10


class ModelInspector:
    """Reads small files in a thread and all others in a process of their own.

    Parsing JSON keeps the interpreter's lock: a hostile file of some megabytes would stop the
    event loop for seconds, and take gigabytes of the server's memory.
    """

    def __init__(self, workers: CallWorkers, threads: Threads) -> None:
        self._workers = workers
        self._threads = threads

    async def inspect(self, path: Path, model_format: ModelFormat) -> ModelFacts:
        """Returns what the file holds.

        Raises:
            InvalidModelError: it is no model, or takes too much time or memory to read.
            UnsupportedOperatorError: it has operators that are not supported.
            ArtifactError: it is no artifact.
            MissingExtraError: it is ONNX, and this server cannot read that.
        """
        if path.stat().st_size <= _MOST_IN_THREAD:
            return await self._threads.run(inspect_model, path, model_format)
        try:
            async with self._workers.open() as call:
                await call.send("inspect", {"path": str(path), "format": model_format.value})
                return ModelFacts.from_dict((await call.expect("result")).fields)
        except WorkerDiedError:
            raise InvalidModelError(
                "reading the file takes more time or memory than this server gives it; "
                "export a smaller model",
                reason="MODEL_TOO_COMPLEX",
            ) from None


class DatasetInspector:
    """Reads arrays in a thread, and archives of images in a process of their own.

    An archive has up to half a million members, each of which takes the interpreter's lock.
    """

    def __init__(self, workers: CallWorkers, threads: Threads) -> None:
        self._workers = workers
        self._threads = threads

    async def inspect(self, path: Path, dataset_format: DatasetFormat) -> DatasetFacts:
        """Returns what the file holds.

        Raises:
            InvalidDatasetError: it is no data set, or takes too much time or memory to read.
        """
        if not dataset_format.holds_images:
            return await self._threads.run(_arrays, path, dataset_format)
        fields = {"path": str(path), "format": dataset_format.value}
        return DatasetFacts.from_dict(await self._in_worker("inspect_images", fields))

    async def check_joined(self, blobs: BlobStore, dataset: DatasetRecord) -> None:
        """Checks what only archives of images say: that their classes are the same.

        Args:
            blobs: Has the dataset's files.
            dataset: One of several files, whose facts go together.

        Raises:
            InvalidDatasetError: the classes differ.
            DataLossError: a file is missing or damaged.
        """
        if dataset.format is not DatasetFormat.IMAGE_ZIP or not dataset.shards:
            return
        async with checking(blobs, self._threads, dataset, None) as fields:
            await self._in_worker("join_images", fields)

    async def _in_worker(self, task: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            async with self._workers.open() as call:
                await call.send(task, fields)
                return (await call.expect("result")).fields
        except WorkerDiedError:
            raise InvalidDatasetError(
                "reading the headers of the images takes more time or memory than this server "
                "gives it; split the data set",
                reason="DATASET_TOO_COMPLEX",
            ) from None


def _arrays(path: Path, dataset_format: DatasetFormat) -> DatasetFacts:
    return facts_of_arrays(read_dataset(path, dataset_format))
