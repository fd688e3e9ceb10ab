"""Rows of the caller's datasets."""

from __future__ import annotations

import sqlite3
from functools import partial

from smidgen.formats.dataset import DatasetFormat
from smidgen_service import names
from smidgen_service.errors import AlreadyExistsError, NotFoundError
from smidgen_service.store.paging import PageRequest, Slice, select_slice
from smidgen_service.store.records import DatasetFile, DatasetRecord, decode_specs, encode_specs
from smidgen_service.store.tenancy import current_tenant


def insert(tx: sqlite3.Connection, dataset: DatasetRecord) -> None:
    """Adds a dataset.

    Raises:
        AlreadyExistsError: the id is taken.
    """
    if exists(tx, dataset.id):
        raise AlreadyExistsError("dataset", names.dataset_name(dataset.id))
    tx.execute(
        "INSERT INTO datasets (tenant, id, format, sha256, size_bytes, sample_count, arrays,"
        " create_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            current_tenant(),
            dataset.id,
            dataset.format.value,
            dataset.sha256,
            dataset.size_bytes,
            dataset.sample_count,
            encode_specs(dataset.arrays),
            dataset.create_time,
        ),
    )
    tx.executemany(
        "INSERT INTO dataset_files (tenant, dataset_id, place, sha256, size_bytes)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            (current_tenant(), dataset.id, place, file.sha256, file.size_bytes)
            for place, file in enumerate(dataset.files)
        ),
    )


def exists(tx: sqlite3.Connection, dataset_id: str) -> bool:
    """Tells whether a dataset is stored."""
    return _row(tx, dataset_id) is not None


def get(tx: sqlite3.Connection, dataset_id: str) -> DatasetRecord:
    """Returns a dataset.

    Raises:
        NotFoundError: there is none.
    """
    dataset = find(tx, dataset_id)
    if dataset is None:
        raise NotFoundError("dataset", names.dataset_name(dataset_id))
    return dataset


def find(tx: sqlite3.Connection, dataset_id: str) -> DatasetRecord | None:
    """Returns a dataset, or None if there is none."""
    row = _row(tx, dataset_id)
    return None if row is None else _decode(tx, row)


def select(tx: sqlite3.Connection, request: PageRequest) -> Slice[DatasetRecord]:
    """Returns a page of datasets."""
    return select_slice(tx, "datasets", request, partial(_decode, tx))


def delete(tx: sqlite3.Connection, dataset_id: str) -> None:
    """Removes a dataset and, by its key, the rows of its files."""
    tx.execute("DELETE FROM datasets WHERE tenant = ? AND id = ?", (current_tenant(), dataset_id))


def _row(tx: sqlite3.Connection, dataset_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = tx.execute(
        "SELECT * FROM datasets WHERE tenant = ? AND id = ?", (current_tenant(), dataset_id)
    ).fetchone()
    return row


def _decode(tx: sqlite3.Connection, row: sqlite3.Row) -> DatasetRecord:
    files = tx.execute(
        "SELECT sha256, size_bytes FROM dataset_files WHERE tenant = ? AND dataset_id = ?"
        " ORDER BY place",
        (row["tenant"], row["id"]),
    ).fetchall()
    return DatasetRecord(
        id=row["id"],
        format=DatasetFormat(row["format"]),
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        sample_count=row["sample_count"],
        arrays=decode_specs(row["arrays"]),
        create_time=row["create_time"],
        shards=tuple(DatasetFile(*file) for file in files) if len(files) > 1 else (),
    )
