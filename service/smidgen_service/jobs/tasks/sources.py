"""The files that a task names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen.profile import CalibrationProfile


def profile_of(fields: Mapping[str, Any]) -> CalibrationProfile | None:
    """Returns the calibration profile, or None where the task has none."""
    path = fields["profile"]
    return CalibrationProfile.from_json(Path(path).read_bytes()) if path is not None else None
