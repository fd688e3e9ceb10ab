"""A client of the whole service but its transport: a fixed list of calls, each with its request id.

A call that was not acknowledged is sent again with the same id, as clients of the service do.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from smidgen.formats.dataset import DatasetFormat
from smidgen.formats.model_file import ModelFormat
from smidgen.profile_file import encode_profile
from smidgen_service import names
from smidgen_service.application import Application
from smidgen_service.clock import now_us
from smidgen_service.data_dir import DataDir
from smidgen_service.errors import NotFoundError
from smidgen_service.handlers import streams
from smidgen_service.handlers.aliases import AliasChange, Expectation
from smidgen_service.handlers.datasets import DatasetUpload
from smidgen_service.handlers.models import ModelUpload
from smidgen_service.handlers.receiving import Chunk, UploadTicket
from smidgen_service.handlers.shards import DatasetCreation
from smidgen_service.jobs import work
from smidgen_service.metrics import Metrics
from smidgen_service.quotas import Quotas, TenantLimits
from smidgen_service.settings import Settings
from smidgen_service.store import calibrations, idempotency, jobs
from smidgen_service.store.database import Database
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import CalibrationRecord, JobKind, JobRecord, JobState
from smidgen_service.store.tenancy import DEFAULT_TENANT, act_for
from tests.service.durability.cheap_worker import ARTIFACT, CheapWorker
from tests.service.maintenance.filled_directory import profile

CHUNK = 2000
_PATIENCE_S = 30.0

Result = Mapping[str, Any]


def dataset_bytes(seed: int) -> bytes:
    """Returns an .npz file of some kilobytes."""
    file = io.BytesIO()
    np.savez(file, inputs=np.full((40, 30), seed, np.float32))
    return file.getvalue()


FIRST, SECOND = dataset_bytes(1), dataset_bytes(2)


class Client:
    """A server in this process, and the calls to it."""

    def __init__(self, data_dir: DataDir, namespace: int) -> None:
        work.WorkerProcess = CheapWorker  # type: ignore[assignment,misc]
        streams._SETTLE_SECONDS = 0.0  # there is no connection that may have dropped
        settings = Settings(
            data_dir=data_dir.root,
            port=0,
            job_workers=1,
            worker_threads=1,
            blob_grace_seconds=0,
        )
        self._namespace = namespace
        act_for(DEFAULT_TENANT)
        quotas = Quotas(lambda tenant: TenantLimits())
        self._application = Application(settings, data_dir, Metrics(), quotas)
        self.database: Database = self._application._database
        self.calls: Sequence[tuple[str, Callable[[], Awaitable[Result]]]] = (
            ("upload twin", lambda: self._upload_dataset("twin", FIRST)),
            ("upload first", lambda: self._upload_dataset("first", FIRST)),
            ("join datasets", self._join_datasets),
            ("upload model", self._upload_model),
            ("break upload", lambda: self._break_upload("second", SECOND)),
            ("continue upload", lambda: self._upload_dataset("second", SECOND)),
            ("calibrate", self._calibrate),
            ("submit training", lambda: self._submit(JobKind.TRAIN_QAT)),
            ("await training", lambda: self._await_job(JobKind.TRAIN_QAT)),
            ("submit conversion", lambda: self._submit(JobKind.CONVERT)),
            ("await conversion", lambda: self._await_job(JobKind.CONVERT)),
            ("make alias", lambda: self._set_alias(1, None)),
            ("move alias", lambda: self._set_alias(2, 1)),
            ("roll back alias", self._roll_back_alias),
            ("delete alias", self._delete_alias),
            ("delete joined", lambda: self._delete_dataset("joined")),
            ("delete twin", lambda: self._delete_dataset("twin")),
            ("delete first", lambda: self._delete_dataset("first")),
            ("upload again", lambda: self._upload_dataset("again", FIRST)),
            ("delete second", lambda: self._delete_dataset("second")),
        )

    async def start(self) -> None:
        """Recovers what is stored, as the server does before it serves."""
        await self._application.start()

    async def stop(self) -> None:
        """Stops as the server does."""
        await self._application.stop()

    async def call(self, number: int) -> Result:
        """Makes a call and returns what the client may rely on from then on."""
        return await self.calls[number][1]()

    def _key(self, method: str, body: str) -> RequestKey:
        request_id = str(uuid.uuid5(uuid.UUID(int=self._namespace), method + body))
        return RequestKey(method, request_id, hashlib.sha256(body.encode()).hexdigest())

    def _header(self, dataset_id: str, data: bytes) -> DatasetUpload:
        sha256 = hashlib.sha256(data).hexdigest()
        key = self._key("UploadDataset", dataset_id)
        ticket = UploadTicket(len(data), sha256, key)
        return DatasetUpload(dataset_id, DatasetFormat.NPZ, ticket, validate_only=False)

    async def _upload_dataset(self, dataset_id: str, data: bytes) -> Result:
        header = self._header(dataset_id, data)
        start = await self._committed(header)
        handler = self._application.handlers.datasets
        record = await handler.upload(header, chunks(data, start))
        return {"dataset": record.id, "sha256": record.sha256}

    async def _join_datasets(self) -> Result:
        key = self._key("CreateDataset", "joined")
        creation = DatasetCreation("joined", ("twin", "first"), key, validate_only=False)
        record = await self._application.handlers.datasets.create(creation)
        return {"dataset": record.id, "files": len(record.digests)}

    async def _break_upload(self, dataset_id: str, data: bytes) -> Result:
        """Sends half of a file, breaks off, and asks how much of it is there for good."""
        header = self._header(dataset_id, data)
        half = len(data) // 2
        if await self._committed(header) < half:
            sent = asyncio.Event()
            start = await self._committed(header)
            messages = chunks(data[:half], start, then=sent)
            upload = self._application.handlers.datasets.upload(header, messages)
            task = asyncio.create_task(upload)
            waiting = asyncio.create_task(sent.wait())
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if task.done():
                await task
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return {"upload": dataset_id, "committed": await self._committed(header)}

    async def _committed(self, header: DatasetUpload) -> int:
        key = header.ticket.key
        assert key is not None
        return await self._committed_of(key)

    async def _committed_of(self, key: RequestKey) -> int:
        try:
            upload = await self._application.handlers.receiver.status(key.request_id)
        except NotFoundError:
            return 0
        return upload.committed_bytes

    async def _upload_model(self) -> Result:
        key = self._key("UploadModel", "m")
        ticket = UploadTicket(len(ARTIFACT), hashlib.sha256(ARTIFACT).hexdigest(), key)
        header = ModelUpload("m", "", ModelFormat.ARTIFACT, ticket, validate_only=False)
        start = await self._committed_of(key)
        record = await self._application.handlers.models.upload(header, chunks(ARTIFACT, start))
        return {"model": record.id, "sha256": record.sha256}

    async def _calibrate(self) -> Result:
        """Stores a calibration in the transaction that Calibrate ends with."""
        key = self._key("Calibrate", "m")
        whole = profile()
        document = whole.without_statistics()
        sha256 = hashlib.sha256(document.to_json()).hexdigest()
        record = CalibrationRecord(f"c-{uuid.uuid4().hex[:8]}", "m", sha256, document, 1)

        def commit(tx: Any) -> str:
            earlier = idempotency.find(tx, key)
            if earlier is None:
                calibrations.insert(tx, record, encode_profile(whole))
                earlier = names.calibration_name(record.id)
                idempotency.record(tx, key, earlier, now=now_us())
            return earlier

        return {"calibration": await self.database.write(commit)}

    async def _submit(self, kind: JobKind, again: str = "") -> Result:
        calibration = (await self._calibrate())["calibration"]
        job = JobRecord(
            id=f"j-{uuid.uuid4().hex[:8]}",
            kind=kind,
            model_id="m",
            calibration_id=names.parse_calibration(calibration),
            create_time=now_us(),
            dataset_id="second" if kind is JobKind.TRAIN_QAT else None,
            config={} if kind is JobKind.CONVERT else {"batch_size": 4},
        )
        key = self._key(f"Submit{again}{kind}", "m")
        stored = await self._application.runner.submit(job, key, lambda _: None)
        return {"job": stored.id}

    async def _await_job(self, kind: JobKind) -> Result:
        """Waits for a job, and does as an operator would.

        One that was interrupted is resumed, one that failed for want of room is sent again.
        """
        job_id = (await self._submit(kind))["job"]
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                job = await self.database.read(partial(jobs.get, job_id=job_id))
                if job.state is JobState.INTERRUPTED:
                    await self._application.runner.resume(job_id, None, lambda _: None)
                elif job.failure is not None and job.failure.reason == "STORAGE_FULL":
                    job_id = (await self._submit(kind, "again-"))["job"]
                elif job.state.is_final:
                    break
                await asyncio.sleep(0.002)
        reason = None if job.failure is None else job.failure.reason
        return {"job": job.id, "state": job.state.value, "reason": reason}

    async def _set_alias(self, version: int, expected: int | None) -> Result:
        handler = self._application.handlers.aliases
        moved = await handler.set(self._change("SetAlias", version, expected))
        return {"alias": moved.id, "moves": version, "version": moved.version}

    async def _roll_back_alias(self) -> Result:
        handler = self._application.handlers.aliases
        moved = await handler.roll_back(self._change("RollbackAlias", None, 2))
        return {"alias": moved.id, "moves": 3, "version": moved.version}

    def _change(self, method: str, version: int | None, expected: int | None) -> AliasChange:
        return AliasChange(
            model_id="m",
            alias_id="live",
            version=version,
            expected=Expectation(expected),
            key=self._key(method, str(version)),
            validate_only=False,
        )

    async def _delete_alias(self) -> Result:
        await self._application.handlers.aliases.delete(self._change("DeleteAlias", None, 1))
        return {"deleted alias": "live"}

    async def _delete_dataset(self, dataset_id: str) -> Result:
        key = self._key("DeleteDataset", dataset_id)
        await self._application.handlers.datasets.delete(dataset_id, key, validate_only=False)
        return {"deleted": dataset_id}


async def chunks(
    data: bytes, start: int = 0, *, then: asyncio.Event | None = None
) -> AsyncIterator[Chunk]:
    """Yields a file from an offset on; with an event the stream falls silent after it."""
    for offset in range(start, len(data), CHUNK):
        yield Chunk(offset, data[offset : offset + CHUNK])
    if then is not None:
        then.set()
        await asyncio.Event().wait()
