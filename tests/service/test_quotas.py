"""Quotas of tenants: how use is counted, and how a server refuses more."""

from __future__ import annotations

import asyncio
import contextvars
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from smidgen.formats.dataset import DatasetFormat
from smidgen.formats.model_file import ModelFormat
from smidgen.v1 import dataset_service_pb2, model_service_pb2
from smidgen_service.errors import QuotaExceededError
from smidgen_service.jobs.work import CHECKPOINT_NAME, checkpoint_bytes
from smidgen_service.quotas import Quotas, TenantLimits
from smidgen_service.security import identity_file
from smidgen_service.security.roles import Role
from smidgen_service.store import datasets, jobs, models, uploads, usage
from smidgen_service.store.database import migrate
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import (
    DatasetRecord,
    JobEvent,
    JobKind,
    JobRecord,
    JobState,
    ModelRecord,
    TrainResult,
    VersionRecord,
)
from smidgen_service.store.tenancy import acting_for
from tests.service.running_server import (
    RunningServer,
    details,
    ending,
    sha256,
    start_server,
    tensor,
)

ARTIFACT = (Path(__file__).parents[1] / "data" / "artifact-v4.smidgen").read_bytes()
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    opened.row_factory = sqlite3.Row
    opened.execute("PRAGMA foreign_keys = ON")
    migrate(opened)
    yield opened
    opened.close()


def quotas(**limits: int) -> Quotas:
    return Quotas(lambda tenant: TenantLimits(**limits) if tenant == "a" else TenantLimits())


def store_dataset(tx: sqlite3.Connection, name: str, sha256: str, size: int) -> None:
    datasets.insert(tx, DatasetRecord(name, DatasetFormat.NPZ, sha256, size, 1, (), 0))


def test_files_count_once_a_tenant(tx: sqlite3.Connection) -> None:
    with acting_for("a"):
        models.insert(
            tx, ModelRecord("m", "", ModelFormat.ARTIFACT, "1" * 64, 100, (), (), 1, 4, 0)
        )
        models.insert_version(tx, VersionRecord("m", 1, "1" * 64, 100, (), (), 0))
        models.insert_version(tx, VersionRecord("m", 2, "2" * 64, 20, (), (), 0))
        store_dataset(tx, "d", "3" * 64, 3)
        job = jobs.insert(tx, JobRecord("j", JobKind.TRAIN_QAT, "m", "c", 0))
        result = TrainResult(None, None, 0.0, 0.0, 1, 1)
        jobs.succeed(tx, job.id, result, now=1, result_sha256="4" * 64, result_bytes=1000)
        assert usage.stored_bytes(tx) == 1123
    with acting_for("b"):
        assert usage.stored_bytes(tx) == 0
        store_dataset(tx, "d", "3" * 64, 3)  # that it is there already is no discount
        assert usage.stored_bytes(tx) == 3
    with acting_for("a"):
        models.delete(tx, "m")
        assert usage.stored_bytes(tx) == 3


def test_calibrations_count(tx: sqlite3.Connection) -> None:
    with acting_for("a"):
        models.insert(tx, ModelRecord("m", "", ModelFormat.PT2, "1" * 64, 100, (), (), 1, 4, 0))
        tx.execute(
            "INSERT INTO calibrations (tenant, id, model_id, sha256, profile, create_time, bases)"
            " VALUES ('a', 'c', 'm', '', zeroblob(10), 0, '[]')"
        )
        assert usage.stored_bytes(tx) == 110
        tx.execute("INSERT INTO calibration_statistics VALUES ('c', '', zeroblob(5000))")
        assert usage.stored_bytes(tx) == 5110


def test_uploads_count_from_before_their_first_byte(tx: sqlite3.Connection) -> None:
    held = quotas(stored_bytes=100)
    with acting_for("a"):
        store_dataset(tx, "d", "1" * 64, 40)
        with held.receiving("one", 60):
            held.check_bytes(tx)
            with held.receiving("two", 1), pytest.raises(QuotaExceededError) as caught:
                held.check_bytes(tx)
            with held.receiving("one", 60):  # its client is back before its end was noticed
                held.check_bytes(tx)
            held.check_bytes(tx)
        assert caught.value.reason == "STORAGE_QUOTA_EXCEEDED"
        assert caught.value.metadata == {"most": "100", "stored": "40", "uploading": "61"}
        key = RequestKey("UploadModel", "broken", "body")
        uploads.begin(tx, key, total_bytes=50, now=0, expire_time=1)
        held.check_bytes(tx)
        with pytest.raises(QuotaExceededError):
            held.check_bytes(tx, more_bytes=11)
        with held.receiving("broken", 50):  # it goes on and counts once
            held.check_bytes(tx, more_bytes=10)
    with acting_for("b"), held.receiving("huge", 1 << 60):
        held.check_bytes(tx)


def test_jobs_count_while_they_are_queued_or_run(tx: sqlite3.Connection) -> None:
    held = quotas(jobs=2)
    with acting_for("a"):
        for number, state in enumerate(JobState):
            jobs.insert(tx, JobRecord(f"j{number}", JobKind.CONVERT, "m", "c", 0))
            jobs.append(tx, f"j{number}", JobEvent(state=state), now=0)
            is_full = usage.active_jobs(tx) >= 2
            if is_full:
                with pytest.raises(QuotaExceededError, match=r"has [23]; wait"):
                    held.check_jobs(tx)
        assert usage.active_jobs(tx) == 3
    with acting_for("b"):
        held.check_jobs(tx)


def test_checkpoints_of_interrupted_trainings_count(tx: sqlite3.Connection, tmp_path: Path) -> None:
    limits = TenantLimits(stored_bytes=100)
    held = Quotas(lambda _tenant: limits, partial(checkpoint_bytes, tmp_path))
    for tenant, job_id, state in (
        ("a", "one", JobState.INTERRUPTED),
        ("a", "over", JobState.CANCELLED),
        ("b", "two", JobState.INTERRUPTED),
    ):
        with acting_for(tenant):
            jobs.insert(tx, JobRecord(job_id, JobKind.TRAIN_QAT, "m", "c", 0))
            jobs.append(tx, job_id, JobEvent(state=state), now=0)
        (tmp_path / job_id).mkdir()
        (tmp_path / job_id / CHECKPOINT_NAME).write_bytes(bytes(60))
    with acting_for("a"):
        held.check_bytes(tx, more_bytes=40)
        with pytest.raises(QuotaExceededError) as caught:
            held.check_bytes(tx, more_bytes=41)
        assert caught.value.metadata["stored"] == "60"
        limits = TenantLimits(stored_bytes=60)
        with pytest.raises(QuotaExceededError):
            held.check_jobs(tx)
        held.check_jobs(tx, resumed="one")  # what it has is what it goes on with
        jobs.cancel(tx, "one", now=1)
        held.check_jobs(tx)


def test_inferences_count_while_they_last() -> None:
    held = quotas(inferences=1)
    with acting_for("a"):
        with held.inference():
            with pytest.raises(QuotaExceededError) as caught, held.inference():
                pass
            assert (caught.value.reason, caught.value.retry_after_s) == (
                "INFERENCE_QUOTA_EXCEEDED",
                0.1,
            )
            with acting_for("b"), held.inference(), held.inference():
                pass
        with held.inference():
            pass


def test_calls_of_workers_count_apart_from_inferences() -> None:
    held = quotas(inferences=1, worker_calls=1)
    with acting_for("a"), held.inference(), held.worker_call():
        with pytest.raises(QuotaExceededError, match="1 calls of Calibrate") as caught:
            held.worker_call().__enter__()
        assert caught.value.reason == "WORKER_CALL_QUOTA_EXCEEDED"


async def test_inferences_of_tasks_are_told_apart() -> None:
    held = quotas(inferences=2)

    async def infer() -> bool:
        try:
            with held.inference():
                await asyncio.sleep(0)
        except QuotaExceededError:
            return False
        return True

    def start(tenant: str) -> asyncio.Task[bool]:
        context = contextvars.copy_context()
        with acting_for(tenant):
            context = contextvars.copy_context()
        return asyncio.get_running_loop().create_task(infer(), context=context)

    tasks = [start(tenant) for tenant in "aaabbb"]
    assert await asyncio.gather(*tasks) == [True, True, False, True, True, True]


def test_limits_of_the_file_come_before_those_of_the_settings() -> None:
    own = TenantLimits(stored_bytes=0, jobs=None, inferences=5)
    assert own.or_else(TenantLimits(9, 9, None, 2)) == TenantLimits(0, 9, 5, 2)


@pytest.fixture(scope="module")
def auth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auth") / "auth.json"


@pytest.fixture(scope="module")
def tokens(auth_file: Path) -> dict[str, str]:
    found = {}
    for tenant in ("acme", "other", "patient"):
        token = identity_file.create_token(
            auth_file, tenant=tenant, roles=frozenset({Role.ADMIN}), now=datetime.now(tz=UTC)
        )
        found[tenant] = token.text
    document = json.loads(auth_file.read_text())
    document["tenants"] = {
        "acme": {"stored_bytes": len(ARTIFACT) + 2000, "jobs": 1, "inferences": 0},
        "patient": {"worker_calls": 0},
    }
    auth_file.write_text(json.dumps(document))
    return found


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, auth_file: Path, tokens: dict[str, str]
) -> Iterator[RunningServer]:
    data_dir = tmp_path_factory.mktemp("data") / "store"
    running = start_server(data_dir, "--auth-file", str(auth_file), "--job-workers", "0")
    running.send_as(tokens["acme"])
    yield running
    running.stop()


def quota_failure(error: grpc.RpcError) -> tuple[str, str]:
    status = rpc_status.from_call(error)
    assert status is not None
    found = error_details_pb2.QuotaFailure()
    assert any(entry.Unpack(found) for entry in status.details)
    (violation,) = found.violations
    return violation.subject, violation.description


def dataset_bytes(tmp_path: Path, size: int) -> bytes:
    path = tmp_path / f"{size}.npz"
    np.savez(path, image=np.zeros((size, 2), np.float32))
    return path.read_bytes()


def test_a_server_refuses_what_a_tenant_has_no_room_for(
    server: RunningServer, tokens: dict[str, str], tmp_path: Path
) -> None:
    server.upload_model("net", ARTIFACT, is_artifact=True)
    data = dataset_bytes(tmp_path, 400)
    assert len(data) > 2000
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_dataset("large", data)
    assert ending(caught.value) == (EXHAUSTED, "STORAGE_QUOTA_EXCEEDED")
    subject, description = quota_failure(caught.value)
    assert subject == "tenants/acme"
    assert f"may store {len(ARTIFACT) + 2000} bytes" in description
    metadata = details(caught.value)[error_details_pb2.ErrorInfo].metadata
    assert metadata["stored"] == str(len(ARTIFACT))
    assert metadata["uploading"] == str(len(data))
    assert server.leftovers() == []
    server.send_as(tokens["other"])
    try:
        server.upload_dataset("large", data)
        assert sha256(data) in server.blobs()
    finally:
        server.send_as(tokens["acme"])
    with pytest.raises(
        grpc.RpcError
    ) as caught:  # that another tenant has stored it changes nothing
        server.upload_dataset("large", data)
    assert ending(caught.value) == (EXHAUSTED, "STORAGE_QUOTA_EXCEEDED")
    server.upload_dataset("small", dataset_bytes(tmp_path, 1))
    request = dataset_service_pb2.ListDatasetsRequest()
    assert [d.name for d in server.datasets.ListDatasets(request).datasets] == ["datasets/small"]


def test_a_server_refuses_calibrations_beyond_the_quota(
    server: RunningServer, tokens: dict[str, str], model_file: bytes
) -> None:
    server.send_as(tokens["patient"])
    try:
        server.upload_model("float", model_file)
        with pytest.raises(grpc.RpcError) as caught:
            server.calibrate("models/float", np.zeros((1, 1, 8, 8), np.float32))
    finally:
        server.send_as(tokens["acme"])
    assert ending(caught.value) == (EXHAUSTED, "WORKER_CALL_QUOTA_EXCEEDED")
    assert quota_failure(caught.value)[0] == "tenants/patient"


def test_a_server_refuses_inferences_beyond_the_quota(server: RunningServer) -> None:
    listed = server.models.ListModels(model_service_pb2.ListModelsRequest()).models
    if not listed:
        server.upload_model("net", ARTIFACT, is_artifact=True)
    request = model_service_pb2.GetModelVersionRequest(name="models/net/versions/1")
    inputs = server.models.GetModelVersion(request).inputs
    arrays = [
        tensor(np.zeros([max(extent, 1) for extent in i.shape], np.float32), i.name) for i in inputs
    ]
    with pytest.raises(grpc.RpcError) as caught:
        server.infer("models/net", *arrays)
    assert ending(caught.value) == (EXHAUSTED, "INFERENCE_QUOTA_EXCEEDED")
    found = details(caught.value)
    assert found[error_details_pb2.RetryInfo].retry_delay.ToMilliseconds() == 100
