"""What a check of a data directory found."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any


class Problem(enum.StrEnum):
    """What is wrong with something."""

    DATABASE_DAMAGED = "database_damaged"
    ROW_UNREADABLE = "row_unreadable"
    REFERENCE_BROKEN = "reference_broken"
    CALIBRATION_DAMAGED = "calibration_damaged"
    BLOB_DAMAGED = "blob_damaged"
    BLOB_MISSING = "blob_missing"
    CHECKPOINT_DAMAGED = "checkpoint_damaged"
    ORPHAN_BLOB = "orphan_blob"
    STRAY_FILE = "stray_file"

    @property
    def is_damage(self) -> bool:
        """Whether something is lost. Orphans and strays only take room."""
        return self not in (Problem.ORPHAN_BLOB, Problem.STRAY_FILE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        problem: What is wrong.
        subject: Resource name, or path below the data directory.
        detail: What was found and what was expected.
        needed_by: Resource names of what cannot be used because of it.
        quarantined_to: Path below the data directory to which the file was moved; None if it was
            left where it is.
    """

    problem: Problem
    subject: str
    detail: str
    needed_by: tuple[str, ...] = ()
    quarantined_to: str | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check looked at, and what it found."""

    findings: tuple[Finding, ...]
    blob_count: int
    blob_bytes: int
    row_count: int
    checkpoint_count: int

    @property
    def is_sound(self) -> bool:
        """Whether nothing is lost."""
        return not any(finding.problem.is_damage for finding in self.findings)

    def to_document(self) -> dict[str, Any]:
        """Returns the report as plain values."""
        return {**asdict(self), "sound": self.is_sound}
