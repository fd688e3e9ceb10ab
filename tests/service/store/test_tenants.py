"""Tenants: each sees its own rows alone, and rows from before there were tenants are not lost."""

from __future__ import annotations

import ast
import base64
import contextvars
import gzip
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import smidgen_service.store
from smidgen.formats.dataset import DatasetFormat
from smidgen.formats.model_file import ModelFormat
from smidgen_service.errors import InvalidArgumentError, NotFoundError
from smidgen_service.store import (
    aliases,
    calibrations,
    curves,
    datasets,
    idempotency,
    jobs,
    models,
    uploads,
)
from smidgen_service.store.database import Database, DatabaseDamagedError, migrate
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import PageRequest, PageTokens, Slice
from smidgen_service.store.records import (
    DatasetRecord,
    JobEvent,
    JobKind,
    JobRecord,
    JobState,
    ModelRecord,
    UploadKey,
    VersionRecord,
)
from smidgen_service.store.schema import MIGRATIONS
from smidgen_service.store.tenancy import acting_for, current_tenant, metric_label

DATA = Path(__file__).parents[2] / "data"
CALIBRATION, CONVERSION, TRAINING = (
    "c-195fefa70f9d4c6b9ded",
    "j-6b2e4713513c4ee9bde4",
    "j-233560144f274b62a913",
)
UPLOADED = "6f1f1c0e-0000-4000-8000-000000000001"
FIRST_PAGE = PageRequest(size=10)


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / "smidgen.db"
    path.write_bytes(gzip.decompress((DATA / "database-v8.db.gz").read_bytes()))
    return path


@pytest.fixture
async def old(old_file: Path) -> AsyncIterator[Database]:
    opened = await Database(old_file).open()
    yield opened
    await opened.close()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    opened.row_factory = sqlite3.Row
    opened.execute("PRAGMA foreign_keys = ON")
    migrate(opened)
    yield opened
    opened.close()


def model(model_id: str, sha256: str = "0" * 64) -> ModelRecord:
    return ModelRecord(model_id, "", ModelFormat.PT2, sha256, 1, (), (), 1, 4, 0)


def version(model_id: str, number: int) -> VersionRecord:
    return VersionRecord(model_id, number, f"{number}" * 64, 1, (), (), 0)


def dataset(dataset_id: str) -> DatasetRecord:
    return DatasetRecord(dataset_id, DatasetFormat.NPZ, "0" * 64, 1, 1, (), 0)


def job(job_id: str, **fields: object) -> JobRecord:
    return replace(JobRecord(job_id, JobKind.CONVERT, "m", "c", 0), **fields)


async def test_an_old_file_keeps_everything(old: Database) -> None:
    def look(tx: sqlite3.Connection) -> None:
        assert tx.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert tx.execute("PRAGMA foreign_key_check").fetchall() == []
        assert tx.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert tx.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        found = models.get(tx, "net")
        assert (found.latest_version, found.parameter_count) == (1, 380)
        assert [entry.id for entry in models.select(tx, FIRST_PAGE).items] == ["net"]
        stored = models.get_version(tx, "net", 1)
        assert (stored.job_id, stored.calibration_id) == (CONVERSION, CALIBRATION)
        assert stored.report is not None
        assert datasets.get(tx, "train").sample_count == 32
        assert calibrations.get(tx, CALIBRATION).model_id == "net"
        assert calibrations.whole_profile(tx, CALIBRATION) is not None
        for job_id in (CONVERSION, TRAINING):
            found_job = jobs.get(tx, job_id)
            assert (found_job.state, found_job.tenant) == (JobState.SUCCEEDED, "default")
            assert len(jobs.events(tx, job_id, after=0)) == found_job.last_sequence
        assert curves.find(tx, TRAINING) is not None
        assert idempotency.is_known(tx, "UploadModel", UPLOADED)

    await old.read(look)


async def test_what_points_at_an_old_model_goes_with_it(old: Database) -> None:
    with acting_for("other"):
        await old.write(lambda tx: models.delete(tx, "net"))
    assert await old.read(lambda tx: models.exists(tx, "net"))
    digests = await old.write(lambda tx: models.delete(tx, "net"))
    assert len(digests) == 3  # the model, its version, what was trained from it

    def counts(tx: sqlite3.Connection) -> list[int]:
        tables = ("models", "versions", "calibrations", "calibration_statistics")
        return [tx.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables]

    assert await old.read(counts) == [0, 0, 0, 0]


async def test_old_rows_are_not_another_tenants(old: Database) -> None:
    with acting_for("other"):
        for look in (
            lambda tx: models.get(tx, "net"),
            lambda tx: models.get_version(tx, "net", 1),
            lambda tx: datasets.get(tx, "train"),
            lambda tx: calibrations.get(tx, CALIBRATION),
            lambda tx: jobs.get(tx, TRAINING),
        ):
            with pytest.raises(NotFoundError):
                await old.read(look)
        assert await old.read(lambda tx: calibrations.whole_profile(tx, CALIBRATION)) is None
        assert await old.read(lambda tx: curves.find(tx, TRAINING)) is None
        assert await old.read(lambda tx: jobs.events(tx, TRAINING, after=0)) == ()
        known = await old.read(lambda tx: idempotency.is_known(tx, "UploadModel", UPLOADED))
        assert not known


def test_an_old_file_with_a_dangling_row_is_not_touched(old_file: Path) -> None:
    connection = sqlite3.connect(old_file, isolation_level=None)
    connection.execute("DELETE FROM models")  # foreign keys are off by default
    message = "a row of (versions|calibrations) in the database points at one of models"
    with pytest.raises(DatabaseDamagedError, match=message):
        migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 8
    assert connection.execute("SELECT COUNT(*) FROM versions").fetchone()[0] == 1
    connection.close()


def test_the_same_ids_are_different_things(connection: sqlite3.Connection) -> None:
    for tenant, sha256 in (("a", "a" * 64), ("b", "b" * 64)):
        with acting_for(tenant):
            models.insert(connection, model("m", sha256))
            models.insert_version(connection, version("m", models.next_version(connection, "m")))
            datasets.insert(connection, dataset("d"))
            key = RequestKey("Method", "id", tenant)
            assert idempotency.find(connection, key) is None
            idempotency.record(connection, key, tenant, now=0)
    with acting_for("a"):
        models.insert_version(connection, version("m", models.next_version(connection, "m")))
        assert models.get(connection, "m").sha256 == "a" * 64
        assert models.get(connection, "m").latest_version == 2
        assert idempotency.find(connection, RequestKey("Method", "id", "a")) == "a"
        datasets.delete(connection, "d")
        assert models.delete(connection, "m") == {"a" * 64, "1" * 64, "2" * 64}
    with acting_for("b"):
        assert models.get(connection, "m").latest_version == 1
        assert datasets.exists(connection, "d")
        assert [entry.id for entry in models.select(connection, FIRST_PAGE).items] == ["m"]
        assert idempotency.find(connection, RequestKey("Method", "id", "b")) == "b"


def test_not_yours_and_not_there_are_told_alike(connection: sqlite3.Connection) -> None:
    def texts() -> list[tuple[str, str, dict[str, str]]]:
        looks: list[Callable[[], object]] = [
            lambda: models.get(connection, "m"),
            lambda: models.get_version(connection, "m", 1),
            lambda: aliases.get(connection, "m", "live"),
            lambda: datasets.get(connection, "d"),
            lambda: jobs.get(connection, "j"),
            lambda: calibrations.get(connection, "c"),
        ]
        found = []
        for look in looks:
            with pytest.raises(NotFoundError) as caught:
                look()
            found.append((caught.value.message, caught.value.reason, caught.value.metadata))
        return found

    with acting_for("a"):
        absent = texts()
        models.insert(connection, model("m"))
        models.insert_version(connection, version("m", 1))
        datasets.insert(connection, dataset("d"))
        jobs.insert(connection, job("j"))
    with acting_for("b"):
        assert texts() == absent
        assert jobs.active_user_of_model(connection, "m") is None
    with acting_for("a"):
        assert jobs.active_user_of_model(connection, "m") == "j"


def test_without_a_tenant_nothing_is_shown(connection: sqlite3.Connection) -> None:
    nobody = contextvars.Context()
    for look in (
        lambda: models.get(connection, "m"),
        lambda: datasets.select(connection, FIRST_PAGE),
        lambda: jobs.get(connection, "j"),
        current_tenant,
    ):
        with pytest.raises(LookupError):
            nobody.run(look)


def test_page_tokens_are_a_tenants_own_and_show_no_counts() -> None:
    tokens = PageTokens(b"k" * 32)
    part: Slice[str] = Slice(("x",), next_before=7)
    with acting_for("a"):
        token = tokens.page("models", part).next_token
        assert tokens.request("models", page_size=1, page_token=token).before == 7
        with pytest.raises(InvalidArgumentError):
            tokens.request("datasets", page_size=1, page_token=token)
    with acting_for("b"):
        with pytest.raises(InvalidArgumentError):
            tokens.request("models", page_size=1, page_token=token)
        assert tokens.page("models", part).next_token != token
    assert base64.urlsafe_b64decode(token)[:8] != (7).to_bytes(8, "little")


def test_tenants_take_turns(connection: sqlite3.Connection) -> None:
    for tenant, ids in (("a", ("a1", "a2", "a3")), ("b", ("b1", "b2")), ("c", ("c1",))):
        with acting_for(tenant):
            for job_id in ids:
                jobs.insert(connection, job(job_id))
    order = []
    for now in range(1, 8):
        claimed = jobs.claim(connection, now=now)
        if claimed is not None:
            order.append((claimed.id, claimed.tenant))
            jobs.cancel(connection, claimed.id, now=now)
    assert [job_id for job_id, _ in order] == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert all(job_id[0] == tenant for job_id, tenant in order)


def test_a_tenant_that_deletes_its_jobs_waits_for_its_turn(connection: sqlite3.Connection) -> None:
    for tenant, ids in (("a", ("a1", "a2", "a3")), ("b", ("b1",)), ("c", ("c1",))):
        with acting_for(tenant):
            for job_id in ids:
                jobs.insert(connection, job(job_id))
    assert run_to_end(connection, now=1) == "a1"
    with acting_for("a"):
        jobs.delete(connection, "a1")
    order = [run_to_end(connection, now=now) for now in range(2, 6)]
    assert order == ["b1", "c1", "a2", "a3"]


def test_a_clock_that_is_put_back_keeps_nobody_from_a_turn(connection: sqlite3.Connection) -> None:
    for tenant, ids in (("a", ("a1", "a2")), ("b", ("b1", "b2"))):
        with acting_for(tenant):
            for job_id in ids:
                jobs.insert(connection, job(job_id))
    order = [run_to_end(connection, now=now) for now in (9_000_000_000, 1, 2, 3)]
    assert order == ["a1", "b1", "a2", "b2"]


def test_turns_of_an_old_file_go_on(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    for statements in MIGRATIONS[:-1]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
    for tenant, start_time in (("a", 5), ("a", 20), ("b", 10), ("c", None)):
        connection.execute(
            "INSERT INTO jobs (tenant, id, kind, state, progress, model_id, calibration_id,"
            " last_sequence, create_time, start_time) VALUES (?, ?, 'convert', 'succeeded', 1,"
            " 'm', 'c', 0, 0, ?)",
            (tenant, f"{tenant}-{start_time}", start_time),
        )
    connection.row_factory = sqlite3.Row
    migrate(connection)
    for tenant in ("a", "b", "c"):
        with acting_for(tenant):
            jobs.insert(connection, job(f"{tenant}1"))
    assert [run_to_end(connection, now=now) for now in range(3)] == ["c1", "b1", "a1"]
    connection.close()


def run_to_end(tx: sqlite3.Connection, *, now: int) -> str:
    claimed = jobs.claim(tx, now=now)
    assert claimed is not None
    jobs.cancel(tx, claimed.id, now=now)
    return claimed.id


def test_interrupted_jobs_of_all_tenants_are_ended(connection: sqlite3.Connection) -> None:
    for tenant in ("a", "b"):
        with acting_for(tenant):
            jobs.insert(connection, job(f"{tenant}1"))
            jobs.append(connection, f"{tenant}1", JobEvent(state=JobState.RUNNING), now=1)
    nobody = contextvars.Context()
    ended = nobody.run(lambda: jobs.lose_active(connection, attempts=1, now=2))
    assert ended == ("a1", "b1")


def test_broken_uploads_do_not_crowd_out_those_of_others(connection: sqlite3.Connection) -> None:
    for tenant, count in (("a", 3), ("b", 1)):
        with acting_for(tenant):
            for number in range(count):
                key = RequestKey("UploadModel", f"id-{number}", "body")
                uploads.begin(connection, key, total_bytes=1, now=number, expire_time=10 + number)
    assert uploads.beyond(connection, 2) == {UploadKey("a", "id-0")}
    assert uploads.beyond(connection, 1) == {UploadKey("a", "id-0"), UploadKey("a", "id-1")}
    with acting_for("b"):
        assert uploads.find(connection, "id-2") is None
        uploads.end(connection, UploadKey("b", "id-0"))
    with acting_for("a"):
        assert uploads.find(connection, "id-0") is not None
    assert uploads.expired(connection, 12) == {UploadKey("a", "id-0"), UploadKey("a", "id-1")}


def test_metrics_tell_models_of_tenants_apart() -> None:
    assert metric_label("default", "m") == "m"
    assert metric_label("acme", "m") == "acme/m"


# What the server does by itself, for all tenants alike.
ACROSS_TENANTS = {
    "aliases.py": set(),
    "calibrations.py": set(),
    "datasets.py": set(),
    "idempotency.py": {"forget_before"},
    "jobs.py": {
        "_of_anyone",
        "append",
        "succeed",
        "fail",
        "cancel",
        "interrupt",
        "resume",
        "set_saves_checkpoint",
        "check_attempt",
        "advance",
        "requeue",
        "lose_active",
        "states",
        "failed",
        "counts",
        "queued",
    },
    "models.py": set(),
    "references.py": set(),
    "uploads.py": {"expired", "forget_expired"},
}
TABLES = (
    "aliases|alias_moves|models|versions|datasets|dataset_files|calibrations|jobs|job_turns|requests"
    "|uploads"
)


def test_statements_name_the_tenant() -> None:
    """Fails where a new statement on a table of tenants does not, unless it is listed here."""
    folder = Path(smidgen_service.store.__file__).parent
    found: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.FunctionDef):
                continue
            text = ast.get_source_segment(source, node) or ""
            if re.search(rf"\b(FROM|INTO|UPDATE) ({TABLES})\b", text):
                names = found.setdefault(path.name, set())
                if "tenant" not in re.sub(r'""".*?"""', "", text, flags=re.DOTALL):
                    names.add(node.name)
    listed = {name: functions for name, functions in ACROSS_TENANTS.items() if functions}
    unscoped = {name: functions for name, functions in found.items() if functions}
    for name, functions in unscoped.items():
        assert functions <= listed.get(name, set()), (name, functions - listed.get(name, set()))
