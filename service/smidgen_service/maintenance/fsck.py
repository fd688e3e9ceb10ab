"""Checks everything that a data directory holds, and puts aside what is damaged."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from smidgen.durable_file import sync_folder, write_durably
from smidgen.errors import SmidgenError
from smidgen.sealed_file import BrokenSealError, read_sealed
from smidgen_service import names
from smidgen_service.data_dir import DataDir
from smidgen_service.errors import DataLossError
from smidgen_service.jobs.checkpoints import CHECKPOINT_NAME
from smidgen_service.maintenance.directories import alone, existing, reading
from smidgen_service.maintenance.findings import CheckReport, Finding, Problem
from smidgen_service.store import aliases, calibrations, curves, datasets, jobs, models
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.references import referrers
from smidgen_service.store.tenancy import acting_for, qualified

_BLOB_FOLDER = re.compile(r"[0-9a-f]{2}")
_BLOB_FILE = re.compile(r"[0-9a-f]{62}")
_UNREADABLE = (SmidgenError, sqlite3.Error, ValueError, KeyError, TypeError, AttributeError)


def check(root: Path) -> CheckReport:
    """Checks a data directory. A server may be using it meanwhile.

    Raises:
        DataDirectoryError: there is none, or of another version.
    """
    data_dir = existing(root)
    blobs = BlobStore(data_dir.blobs)
    with blobs.kept():
        return _Check(data_dir, blobs).run()


def repair(root: Path) -> CheckReport:
    """Checks a data directory and moves damaged and stray files to its quarantine.

    Nothing is deleted, and no row is changed: what needs a file that was moved is refused with
    DATA_LOSS until the file comes back, from a backup or by another upload of the same bytes.

    Raises:
        DataDirectoryError: there is none, or of another version, or a server is using it.
    """
    data_dir = existing(root)
    with alone(data_dir):
        report = check(root)
        movable = [finding for finding in report.findings if finding.problem in _MOVABLE]
        if not movable:
            return report
        moved = _quarantine(data_dir, movable)
        findings = tuple(moved.get(finding, finding) for finding in report.findings)
        return replace(report, findings=findings)


_MOVABLE = (Problem.BLOB_DAMAGED, Problem.CHECKPOINT_DAMAGED, Problem.STRAY_FILE)


def _quarantine(data_dir: DataDir, findings: Sequence[Finding]) -> Mapping[Finding, Finding]:
    """Moves the files of findings; returns what became of each finding."""
    target = data_dir.quarantine / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    moved = {}
    for finding in findings:
        source, place = data_dir.root / finding.subject, target / finding.subject
        place.parent.mkdir(parents=True, exist_ok=True)
        source.rename(place)
        for folder in (place.parent, source.parent):
            sync_folder(folder)
        to = str(place.relative_to(data_dir.root))
        moved[finding] = replace(finding, quarantined_to=to)
    document = [asdict(finding) for finding in moved.values()]
    write_durably(target / "findings.json", json.dumps(document, indent=2).encode())
    return moved


@dataclass
class _Check:
    """A check under way."""

    data_dir: DataDir
    blobs: BlobStore
    findings: list[Finding] = field(default_factory=list)
    row_count: int = 0
    blob_count: int = 0
    blob_bytes: int = 0
    checkpoint_count: int = 0

    def run(self) -> CheckReport:
        try:
            with reading(self.data_dir.database) as tx:
                self._check_database(tx)
                needed = self._check_rows(tx)
        except sqlite3.Error as error:
            self._find(Problem.DATABASE_DAMAGED, self.data_dir.database.name, str(error))
            needed = None
        self._check_blobs(needed)
        self._check_checkpoints()
        return CheckReport(
            tuple(self.findings),
            self.blob_count,
            self.blob_bytes,
            self.row_count,
            self.checkpoint_count,
        )

    def _find(
        self, problem: Problem, subject: str, detail: str, needed_by: Sequence[str] = ()
    ) -> None:
        self.findings.append(Finding(problem, subject, detail, tuple(needed_by)))

    def _check_database(self, tx: sqlite3.Connection) -> None:
        file = self.data_dir.database.name
        for row in tx.execute("PRAGMA integrity_check"):
            if row[0] != "ok":
                self._find(Problem.DATABASE_DAMAGED, file, row[0])
        for table, row_id, parent, _ in tx.execute("PRAGMA foreign_key_check"):
            detail = f"row {row_id} of {table} names a row of {parent} that does not exist"
            self._find(Problem.REFERENCE_BROKEN, f"{file}:{table}", detail)

    def _check_rows(self, tx: sqlite3.Connection) -> Mapping[str, Sequence[str]]:
        """Reads every row as the server would; returns what needs which blob."""
        for name, read in _readers(tx):
            self.row_count += 1
            try:
                read(tx)
            except DataLossError as error:
                self._find(Problem.CALIBRATION_DAMAGED, name, error.message, (name,))
            except _UNREADABLE as error:
                detail = f"the row cannot be read: {type(error).__name__}: {error}"
                self._find(Problem.ROW_UNREADABLE, name, detail, (name,))
        needed = defaultdict(list)
        for name, sha256 in referrers(tx):
            needed[sha256].append(name)
        return needed

    def _check_blobs(self, needed: Mapping[str, Sequence[str]] | None) -> None:
        found = set()
        for path in sorted(self.data_dir.blobs.rglob("*")):
            if path.is_dir() or path == self.data_dir.blobs / "lock":
                continue
            sha256 = _digest_of(path)
            if sha256 is None:
                detail = "the file has no name of a blob"
                self._find(Problem.STRAY_FILE, self._below(path), detail)
                continue
            found.add(sha256)
            self._check_blob(path, sha256, needed)
        for sha256 in sorted((needed or {}).keys() - found):
            subject = self._below(self.blobs.path(sha256))
            detail = f"the file with digest {sha256} is missing"
            self._find(Problem.BLOB_MISSING, subject, detail, (needed or {})[sha256])

    def _check_blob(
        self, path: Path, sha256: str, needed: Mapping[str, Sequence[str]] | None
    ) -> None:
        self.blob_count += 1
        self.blob_bytes += path.stat().st_size
        users = () if needed is None else needed.get(sha256, ())
        try:
            self.blobs.verify(sha256)
        except (DataLossError, OSError) as error:
            detail = error.message if isinstance(error, DataLossError) else str(error)
            self._find(Problem.BLOB_DAMAGED, self._below(path), detail, users)
            return
        if needed is not None and not users:
            detail = "no row needs it; a server deletes it after its grace period"
            self._find(Problem.ORPHAN_BLOB, self._below(path), detail)

    def _check_checkpoints(self) -> None:
        for path in sorted(self.data_dir.jobs.glob(f"*/{CHECKPOINT_NAME}")):
            self.checkpoint_count += 1
            try:
                read_sealed(path)
            except (BrokenSealError, OSError) as error:
                job = names.job_name(path.parent.name)
                self._find(Problem.CHECKPOINT_DAMAGED, self._below(path), str(error), (job,))

    def _below(self, path: Path) -> str:
        return str(path.relative_to(self.data_dir.root))


def _digest_of(path: Path) -> str | None:
    """Returns the digest that the path of a blob says; None where it is no such path."""
    is_blob = (
        path.parent.parent.name == "sha256"
        and _BLOB_FOLDER.fullmatch(path.parent.name) is not None
        and _BLOB_FILE.fullmatch(path.name) is not None
    )
    return path.parent.name + path.name if is_blob else None


def _readers(
    tx: sqlite3.Connection,
) -> Iterator[tuple[str, Callable[[sqlite3.Connection], Any]]]:
    """Yields the name of each resource of all tenants, and what reads all rows of it."""
    for tenant, key in tx.execute("SELECT tenant, id FROM models").fetchall():
        yield _reader(tenant, names.model_name(key), partial(models.get, model_id=key))
    versions = tx.execute("SELECT tenant, model_id, version FROM versions").fetchall()
    for tenant, key, version in versions:
        read = partial(models.get_version, model_id=key, version=version)
        yield _reader(tenant, names.version_name(key, version), read)
    for tenant, key, alias in tx.execute("SELECT tenant, model_id, id FROM aliases").fetchall():
        read_alias = partial(aliases.get, model_id=key, alias_id=alias)
        yield _reader(tenant, names.alias_name(key, alias), read_alias)
    for tenant, key in tx.execute("SELECT tenant, id FROM datasets").fetchall():
        yield _reader(tenant, names.dataset_name(key), partial(datasets.get, dataset_id=key))
    for tenant, key in tx.execute("SELECT tenant, id FROM calibrations").fetchall():
        read_calibration = partial(_read_calibration, calibration_id=key)
        yield _reader(tenant, names.calibration_name(key), read_calibration)
    for tenant, key in tx.execute("SELECT tenant, id FROM jobs").fetchall():
        yield _reader(tenant, names.job_name(key), partial(_read_job, job_id=key))


def _reader(
    tenant: str, name: str, read: Callable[[sqlite3.Connection], Any]
) -> tuple[str, Callable[[sqlite3.Connection], Any]]:
    """Returns the name by which the operator knows a resource, and what reads it as its tenant."""

    def read_as_tenant(tx: sqlite3.Connection) -> Any:
        with acting_for(tenant):
            return read(tx)

    return qualified(tenant, name), read_as_tenant


def _read_calibration(tx: sqlite3.Connection, calibration_id: str) -> None:
    calibrations.get(tx, calibration_id)
    calibrations.whole_profile(tx, calibration_id)


def _read_job(tx: sqlite3.Connection, job_id: str) -> None:
    jobs.get(tx, job_id)
    curves.find(tx, job_id)
    after = 0
    while events := jobs.events(tx, job_id, after=after):
        after = events[-1].sequence
