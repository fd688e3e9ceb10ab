"""SQLite: transactions, migrations and paging over real files."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from smidgen.config import ConversionConfig, GateConfig, MeasurementConfig, QATConfig, TaskLoss
from smidgen.config.documents import from_document
from smidgen.formats.dataset import DatasetFormat
from smidgen_service.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    RequestIdReusedError,
)
from smidgen_service.store import datasets, idempotency, jobs
from smidgen_service.store.database import Database, SchemaTooNewError, migrate
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import PageRequest, PageTokens, Slice, load_or_make_key
from smidgen_service.store.records import DatasetRecord, TrainResult
from smidgen_service.store.schema import MIGRATIONS


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database(tmp_path / "test.db").open()
    yield opened
    await opened.close()


def record(dataset_id: str) -> DatasetRecord:
    return DatasetRecord(dataset_id, DatasetFormat.NPZ, "0" * 64, 1, 1, (), 0)


async def test_writes_are_durable_and_wal(database: Database) -> None:
    def pragmas(tx: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "user_version")
        return [tx.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1, 5000, len(MIGRATIONS)]


async def test_failed_write_leaves_nothing(database: Database) -> None:
    generation = database.generation

    def work(tx: sqlite3.Connection) -> None:
        datasets.insert(tx, record("a"))
        raise KeyError("late")

    with pytest.raises(KeyError):
        await database.write(work)
    assert not await database.read(lambda tx: datasets.exists(tx, "a"))
    assert database.generation == generation


async def test_taken_id_is_refused(database: Database) -> None:
    await database.write(lambda tx: datasets.insert(tx, record("a")))
    with pytest.raises(AlreadyExistsError):
        await database.write(lambda tx: datasets.insert(tx, record("a")))


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        await database.read(lambda tx: datasets.insert(tx, record("a")))


async def test_request_ids_bind_a_body(database: Database) -> None:
    key = RequestKey("Method", "id", "body")
    assert await database.read(lambda tx: idempotency.find(tx, key)) is None
    await database.write(lambda tx: idempotency.record(tx, key, "result", now=5))
    assert await database.read(lambda tx: idempotency.find(tx, key)) == "result"
    other_method = RequestKey("Other", "id", "body")
    assert await database.read(lambda tx: idempotency.find(tx, other_method)) is None
    with pytest.raises(RequestIdReusedError):
        await database.read(lambda tx: idempotency.find(tx, RequestKey("Method", "id", "else")))
    await database.write(lambda tx: idempotency.forget_before(tx, 6))
    assert await database.read(lambda tx: idempotency.find(tx, key)) is None


async def test_pages_cover_everything_once(database: Database) -> None:
    for number in range(7):
        await database.write(lambda tx, n=number: datasets.insert(tx, record(f"d{n}")))
    found: list[str] = []
    before = None
    while True:
        request = PageRequest(size=3, before=before)
        part = await database.read(lambda tx, r=request: datasets.select(tx, r))
        found += [dataset.id for dataset in part.items]
        before = part.next_before
        if before is None:
            break
    assert found == [f"d{number}" for number in reversed(range(7))]


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNewError, match="use a newer server"):
        migrate(connection)
    connection.close()


def test_conversions_keep_what_they_were_asked(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    for number, statements in enumerate(MIGRATIONS[:6]):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number + 1}")
    for name, kind, config in (
        ("asked", "convert", '{"equalize": true}'),
        ("plain", "convert", None),
        ("training", "train_qat", '{"epochs": 2}'),
    ):
        connection.execute(
            "INSERT INTO jobs (id, kind, state, progress, model_id, calibration_id, config,"
            " last_sequence, create_time) VALUES (?, ?, 'queued', 0, 'm', 'c', ?, 0, 5)",
            (name, kind, config),
        )
    migrate(connection)
    assert dict(connection.execute("SELECT id, config FROM jobs").fetchall()) == {
        "asked": '{"post_training":{"equalize":true}}',
        "plain": None,
        "training": '{"epochs": 2}',
    }
    connection.close()


def test_measurements_become_a_part_of_the_config(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    for number, statements in enumerate(MIGRATIONS[:8]):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number + 1}")
    measured = '{"sensitivity_seconds": 2.5, "latency": true}'
    for name, config, measurements in (
        ("both", '{"gate": {"max_drop": 0.5, "min_sqnr_db": null}}', measured),
        ("measured", None, measured),
        ("plain", None, None),
    ):
        connection.execute(
            "INSERT INTO jobs (id, kind, state, progress, model_id, calibration_id, config,"
            " measurements, last_sequence, create_time)"
            " VALUES (?, 'convert', 'queued', 0, 'm', 'c', ?, ?, 0, 5)",
            (name, config, measurements),
        )
    migrate(connection)
    wanted = MeasurementConfig(2.5, latency=True)
    expected = {
        "both": ConversionConfig(gate=GateConfig(max_drop=0.5), measurements=wanted),
        "measured": ConversionConfig(measurements=wanted),
        "plain": ConversionConfig(),
    }
    for name, config in expected.items():
        assert from_document(ConversionConfig, jobs.get(connection, name).config or {}) == config
    connection.close()


def test_jobs_of_the_first_schema_are_read(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(
        "INSERT INTO jobs (id, kind, state, progress, model_id, calibration_id, config, result,"
        " last_sequence, create_time) VALUES ('old', 'train_qat', 'succeeded', 1, 'm', 'c', ?, ?,"
        " 1, 5)",
        (
            '{"epochs": 2, "task_loss": "mse"}',
            '{"float_accuracy": null, "accuracy": null, "task_loss": 0.5, "quantization_loss": 0.1,'
            ' "best_epoch": 1, "step_count": 9}',
        ),
    )
    connection.execute(
        "INSERT INTO job_events (job_id, sequence, time, state, progress, epoch, step, total_steps,"
        " message) VALUES ('old', 1, 6, 'succeeded', 1, 0, 0, 0, '')"
    )
    migrate(connection)
    job = jobs.get(connection, "old")
    assert job.result == TrainResult(None, None, 0.5, 0.1, 1, 9)
    assert not job.saves_checkpoint
    assert from_document(QATConfig, job.config) == QATConfig(epochs=2, task_loss=TaskLoss.MSE)
    (event,) = jobs.events(connection, "old", after=0)
    assert (event.agreement, event.feature_loss) == (None, None)
    connection.close()


def test_tokens_belong_to_their_list_and_key(tmp_path: Path) -> None:
    key = load_or_make_key(tmp_path / "key")
    assert load_or_make_key(tmp_path / "key") == key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    tokens = PageTokens(key)
    token = tokens.page("models", Slice(items=(1,), next_before=42)).next_token
    request = tokens.request("models", page_size=0, page_token=token)
    assert request == PageRequest(size=50, before=42)
    assert tokens.request("models", page_size=5000, page_token="").size == 1000
    for other, collection in ((tokens, "jobs"), (PageTokens(b"other"), "models")):
        with pytest.raises(InvalidArgumentError):
            other.request(collection, page_size=0, page_token=token)
    with pytest.raises(InvalidArgumentError):
        tokens.request("models", page_size=-1, page_token="")
