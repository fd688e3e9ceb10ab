"""The files that a task names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen.config import PrecisionConfig
from smidgen.profile import CalibrationProfile
from smidgen.profile_file import decode_profile


def profile_of(fields: Mapping[str, Any]) -> CalibrationProfile | None:
    """Returns the calibration profile, or None where the task has none."""
    path = fields["profile"]
    return decode_profile(Path(path).read_bytes()) if path is not None else None


def precision_of(fields: Mapping[str, Any]) -> PrecisionConfig | None:
    """Returns the precision, or None where the task has none."""
    precision = fields["precision"]
    return PrecisionConfig.from_dict(precision) if precision is not None else None
