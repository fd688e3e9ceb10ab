"""A data directory with one of everything that can be stored."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen.config import CalibrationConfig
from smidgen.formats.dataset import DatasetFormat
from smidgen.formats.model_file import ModelFormat
from smidgen.histogram import count_values
from smidgen.profile import CalibrationProfile, make_profile
from smidgen.profile_file import encode_profile
from smidgen.sealed_file import write_sealed
from smidgen.statistics import ActivationStatistics
from smidgen_service.data_dir import DataDir
from smidgen_service.jobs.work import CHECKPOINT_NAME
from smidgen_service.store import aliases, calibrations, datasets, jobs, models
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.paging import load_or_make_key
from smidgen_service.store.records import (
    AliasMove,
    CalibrationRecord,
    DatasetRecord,
    JobFailure,
    JobKind,
    JobRecord,
    ModelRecord,
    TrainResult,
    VersionRecord,
)
from smidgen_service.store.store import Store

MODEL, ARTIFACT, DATASET, TRAINED, CHECKPOINT = (
    name.encode() * 400 for name in ("model", "artifact", "dataset", "trained", "checkpoint")
)
KINDS = {"model": MODEL, "artifact": ARTIFACT, "dataset": DATASET, "trained": TRAINED}
INTERRUPTED = "j-interrupted"


@dataclass(frozen=True, slots=True)
class FilledDirectory:
    """The directory, and what fsck says of it."""

    data_dir: DataDir

    @property
    def root(self) -> Path:
        return self.data_dir.root

    def blob(self, kind: str) -> Path:
        """Returns where the file of a kind is."""
        return BlobStore(self.data_dir.blobs).path(digest(KINDS[kind]))

    def subject(self, path: Path) -> str:
        """Returns what findings call a file."""
        return str(path.relative_to(self.root))

    @property
    def checkpoint(self) -> Path:
        return self.data_dir.jobs / INTERRUPTED / CHECKPOINT_NAME


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def fill(root: Path) -> FilledDirectory:
    """Stores one of everything, and a second training, which was interrupted."""
    data_dir = DataDir(root.resolve())
    with data_dir.locked():
        asyncio.run(_fill(data_dir))
    return FilledDirectory(data_dir)


async def _fill(data_dir: DataDir) -> None:
    database = await Database(data_dir.database).open()
    store = Store(database, BlobStore(data_dir.blobs))
    load_or_make_key(data_dir.key)
    for data in KINDS.values():
        put(store.blobs, data_dir.root, data)
    await database.write(_insert)
    write_checkpoint(data_dir)
    await database.close()


def put(blobs: BlobStore, folder: Path, data: bytes) -> str:
    """Stores bytes as the server does; returns their digest."""
    source = folder / "received"
    source.write_bytes(data)
    blobs.adopt(source, digest(data))
    return digest(data)


def write_checkpoint(data_dir: DataDir) -> None:
    folder = data_dir.jobs / INTERRUPTED
    folder.mkdir(parents=True)
    write_sealed(folder / CHECKPOINT_NAME, CHECKPOINT)


def _insert(tx: sqlite3.Connection) -> None:
    model = ModelRecord("m", "", ModelFormat.PT2, digest(MODEL), 1, (), (), 1, 4, 1)
    models.insert(tx, model)
    models.insert_version(tx, VersionRecord("m", 1, digest(ARTIFACT), 1, (), (), 1))
    aliases.move(tx, "m", "live", AliasMove(1, None, is_rollback=False, time=1))
    datasets.insert(tx, DatasetRecord("d", DatasetFormat.NPZ, digest(DATASET), 1, 1, (), 1))
    whole = profile()
    document = whole.without_statistics()
    record = CalibrationRecord("c", "m", digest(document.to_json()), document, 1)
    calibrations.insert(tx, record, encode_profile(whole))
    for job_id in ("j-trained", INTERRUPTED):
        job = JobRecord(job_id, JobKind.TRAIN_QAT, "m", "c", 1, dataset_id="d")
        jobs.insert(tx, job)
        jobs.claim(tx, now=2)
    result = TrainResult(None, None, 0.5, 0.1, 1, 9)
    jobs.succeed(tx, "j-trained", result, now=3, result_sha256=digest(TRAINED))
    failure = JobFailure("WorkerDiedError", "WORKER_DIED", "it died")
    jobs.interrupt(tx, INTERRUPTED, failure, now=3)


def profile() -> CalibrationProfile:
    values = np.array([-1.0, 0.5, 2.0], np.float32)
    found = ActivationStatistics(-1.0, 2.0, count_values(values, -1.0, 2.0))
    return make_profile("0" * 64, {"x": found}, CalibrationConfig(), 3, 1)
