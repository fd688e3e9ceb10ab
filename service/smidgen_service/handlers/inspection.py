"""Reading uploaded models where it cannot hold up the server."""

from __future__ import annotations

from pathlib import Path

from smidgen.errors import InvalidModelError
from smidgen.formats.model_file import ModelFormat
from smidgen_service.errors import WorkerDiedError
from smidgen_service.inspection import ModelFacts, inspect_model
from smidgen_service.jobs.calls import CallWorkers
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
