"""Calibrate: a stream of batches goes through a worker and leaves ranges behind, nothing else."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from smidgen.config import CalibrationConfig, Preprocessing
from smidgen.errors import CalibrationError
from smidgen.extras import require_torch
from smidgen.formats.model_file import FLOAT_FORMATS, ModelFormat
from smidgen.profile import check_derivable
from smidgen.profile_file import decode_profile
from smidgen_service import names
from smidgen_service.clock import Clock
from smidgen_service.errors import FailedPreconditionError, InvalidArgumentError
from smidgen_service.handlers.batches import Batch, digesting, encode_batch
from smidgen_service.handlers.ownership import calibration_of
from smidgen_service.handlers.streams import StreamReader
from smidgen_service.jobs.calls import CallWorkers, WorkerCall
from smidgen_service.jobs.data_fields import dataset_fields
from smidgen_service.quotas import Quotas
from smidgen_service.store import calibrations, datasets, idempotency, models
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import Page, PageTokens
from smidgen_service.store.records import (
    CalibrationRecord,
    DatasetRecord,
    ModelRecord,
)
from smidgen_service.store.store import Store
from smidgen_service.threads import Threads

METHOD = "Calibrate"


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """The header of a calibration.

    Attributes:
        base_ids: Calibrations to merge in.
        header_sha256: Digest of the header; with the batches it makes the digest of the call.
    """

    model_id: str
    config: CalibrationConfig
    dataset_id: str | None
    base_ids: tuple[str, ...]
    request_id: str | None
    header_sha256: str
    validate_only: bool
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a calibration works with: rows, and the whole profiles of its bases."""

    model: ModelRecord
    dataset: DatasetRecord | None
    bases: tuple[bytes, ...]


class CalibrationHandler:
    """Makes and returns calibrations."""

    def __init__(
        self,
        store: Store,
        workers: CallWorkers,
        stream: StreamReader,
        tokens: PageTokens,
        threads: Threads,
        *,
        quotas: Quotas,
        clock: Clock,
    ) -> None:
        self._quotas = quotas
        self._database = store.database
        self._blobs = store.blobs
        self._workers = workers
        self._stream = stream
        self._tokens = tokens
        self._threads = threads
        self._clock = clock

    async def calibrate(
        self, request: CalibrationRequest, batches: AsyncIterator[Batch]
    ) -> CalibrationRecord:
        """Observes the batches, or the stored dataset, merges the bases and stores the ranges.

        Raises:
            NotFoundError: the model, the dataset or a base does not exist.
            FailedPreconditionError: a base is another model's.
            InvalidTensorError: a batch does not fit the model.
            CalibrationError: there was neither a batch nor a base, or bases cannot be merged.
        """
        body = hashlib.sha256(request.header_sha256.encode())
        incoming = digesting(self._stream.read(batches), body)
        if await self._is_repeated(request):
            return await self._repeat(request, incoming, body)
        if request.base_ids:
            check_derivable(request.config)
        inputs = await self._database.read(lambda tx: _inputs(tx, request))
        check_trainable(inputs.model)
        with self._blobs.pinned(inputs.model.sha256):
            whole = await self._observe(request, inputs, incoming)
        return await self._store(request, inputs.model, whole, body.hexdigest())

    async def get(self, calibration_id: str) -> CalibrationRecord:
        """Returns a calibration."""
        return await self._database.read(lambda tx: calibrations.get(tx, calibration_id))

    async def get_whole(self, calibration_id: str) -> CalibrationRecord:
        """Returns a calibration with its statistics, where these were kept."""

        def read(tx: sqlite3.Connection) -> CalibrationRecord:
            record = calibrations.get(tx, calibration_id)
            whole = calibrations.whole_profile(tx, calibration_id)
            return record if whole is None else replace(record, profile=decode_profile(whole))

        return await self._database.read(read)

    async def list(self, *, page_size: int, page_token: str) -> Page[CalibrationRecord]:
        """Returns a page of calibrations."""
        request = self._tokens.request("calibrations", page_size=page_size, page_token=page_token)
        part = await self._database.read(lambda tx: calibrations.select(tx, request))
        return self._tokens.page("calibrations", part)

    async def _is_repeated(self, request: CalibrationRequest) -> bool:
        request_id = request.request_id
        if request_id is None:
            return False
        return await self._database.read(lambda tx: idempotency.is_known(tx, METHOD, request_id))

    async def _repeat(
        self, request: CalibrationRequest, incoming: AsyncIterator[Batch], body: hashlib._Hash
    ) -> CalibrationRecord:
        async for _ in incoming:
            pass
        key = _key(request, body.hexdigest())
        name = await self._database.read(lambda tx: idempotency.find(tx, key))
        assert name is not None  # it was known a moment ago and is never forgotten while running
        return await self.get(names.parse_calibration(name))

    async def _observe(
        self,
        request: CalibrationRequest,
        inputs: _Inputs,
        incoming: AsyncIterator[Batch],
    ) -> bytes:
        """Returns the whole profile, encoded."""
        model_path = await self._threads.run(self._blobs.verify, inputs.model.sha256)
        dataset = inputs.dataset
        fields: dict[str, object] = {
            "threads": self._workers.threads,
            "model": str(model_path),
            "method": request.config.method.value,
            "averaging_constant": request.config.averaging_constant,
            "percentile": request.config.percentile,
            "dataset": None,
        }
        if dataset is not None:
            await _refuse_batches(incoming)
            with self._blobs.pinned(*dataset.digests):
                fields["dataset"] = await self._threads.run(
                    dataset_fields, self._blobs.verify, dataset, request.preprocessing
                )
                async with self._workers.open() as call:
                    await self._begin(call, fields, inputs.bases)
                    return await _whole_profile(call)
        return await self._observe_stream(inputs, fields, incoming)

    async def _observe_stream(
        self, inputs: _Inputs, fields: dict[str, object], incoming: AsyncIterator[Batch]
    ) -> bytes:
        first, frame = await anext(incoming, None), None
        if first is not None:
            # Checked before a worker starts, which takes seconds.
            frame = await self._threads.run(encode_batch, inputs.model, first)
        elif not inputs.bases:
            raise CalibrationError(
                "the stream ended without a batch; send at least one, or name a dataset or "
                "calibrations to merge",
                reason="NO_CALIBRATION_SAMPLES",
            )
        async with self._workers.open() as call:
            await self._begin(call, fields, inputs.bases)
            if frame is not None:
                await _send_batch(call, *frame)
            async for batch in incoming:
                await _send_batch(call, *await self._threads.run(encode_batch, inputs.model, batch))
            await call.send("end", {})
            return await _whole_profile(call)

    async def _begin(
        self, call: WorkerCall, fields: dict[str, object], bases: tuple[bytes, ...]
    ) -> None:
        """Sends the task; the bases go through files of the worker's scratch directory."""
        paths = [call.scratch / f"base-{number}.safetensors" for number in range(len(bases))]
        for path, base in zip(paths, bases, strict=True):
            await self._threads.run(path.write_bytes, base)
        await call.send("calibrate", {**fields, "bases": [str(path) for path in paths]})

    async def _store(
        self,
        request: CalibrationRequest,
        model: ModelRecord,
        whole: bytes,
        body_sha256: str,
    ) -> CalibrationRecord:
        profile = (await self._threads.run(decode_profile, whole)).without_statistics()
        record = CalibrationRecord(
            id=f"c-{uuid.uuid4().hex[:20]}",
            model_id=model.id,
            sha256=hashlib.sha256(profile.to_json()).hexdigest(),
            profile=profile,
            create_time=self._clock(),
            bases=request.base_ids,
        )
        if request.validate_only:
            return record
        key = _key(request, body_sha256)

        def commit(tx: sqlite3.Connection) -> CalibrationRecord:
            earlier = idempotency.find(tx, key)
            if earlier is not None:
                return calibrations.get(tx, names.parse_calibration(earlier))
            self._database.check_room()
            if models.get(tx, model.id).sha256 != model.sha256:
                raise FailedPreconditionError(
                    f"{names.model_name(model.id)} was replaced during calibration; "
                    "calibrate again",
                    reason="MODEL_REPLACED",
                    resource_name=names.model_name(model.id),
                )
            self._quotas.check_bytes(tx, more_bytes=len(whole))
            calibrations.insert(tx, record, whole)
            name = names.calibration_name(record.id)
            idempotency.record(tx, key, name, now=record.create_time)
            return record

        return await self._database.write(commit)


def check_trainable(model: ModelRecord) -> None:
    """Refuses models that came quantized, and all where there is no torch.

    Raises:
        FailedPreconditionError: the model has no float weights.
        MissingExtraError: this server only infers.
    """
    if model.format not in FLOAT_FORMATS:
        name = names.model_name(model.id)
        if model.format is ModelFormat.QUANTIZED_ONNX:
            raise FailedPreconditionError(
                f"{name} is quantized already and keeps the scales and integers of its file; "
                "convert it as it is, or upload the float model to calibrate or train",
                reason="MODEL_IS_QUANTIZED",
                resource_name=name,
            )
        raise FailedPreconditionError(
            f"{name} was uploaded as a finished artifact and has no float weights; "
            "upload the .pt2 or .onnx file to calibrate, train or convert",
            reason="MODEL_HAS_NO_FLOAT_WEIGHTS",
            resource_name=name,
        )
    require_torch()


def _inputs(tx: sqlite3.Connection, request: CalibrationRequest) -> _Inputs:
    model = models.get(tx, request.model_id)
    dataset_id = request.dataset_id
    return _Inputs(
        model=model,
        dataset=datasets.get(tx, dataset_id) if dataset_id is not None else None,
        bases=tuple(_base(tx, model, base_id) for base_id in request.base_ids),
    )


def _base(tx: sqlite3.Connection, model: ModelRecord, calibration_id: str) -> bytes:
    name = names.calibration_name(calibration_of(tx, model, calibration_id).id)
    whole = calibrations.whole_profile(tx, calibration_id)
    if whole is None:
        raise FailedPreconditionError(
            f"{name} has ranges alone and no statistics to merge, as those of earlier versions and "
            "of very large models have; calibrate the model again",
            reason="PROFILE_WITHOUT_STATISTICS",
            resource_name=name,
        )
    return whole


def _key(request: CalibrationRequest, body_sha256: str) -> RequestKey | None:
    if request.request_id is None:
        return None
    return RequestKey(METHOD, request.request_id, body_sha256)


async def _send_batch(call: WorkerCall, tensors: list[dict[str, object]], payload: bytes) -> None:
    """Hands a batch over and waits until it is observed: the back-pressure on the client."""
    await call.send("batch", {"tensors": tensors}, payload)
    await call.expect("observed")


async def _whole_profile(call: WorkerCall) -> bytes:
    return (await call.expect("result")).payload


async def _refuse_batches(incoming: AsyncIterator[Batch]) -> None:
    async for _ in incoming:
        raise InvalidArgumentError(
            "the header names a dataset, and a batch follows; send one or the other",
            field="header.dataset",
            reason="DATASET_AND_BATCHES",
        )
