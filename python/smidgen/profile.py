"""The calibration profile: the range of every activation, as calibrate found it. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smidgen.config import ObserverMethod
from smidgen.errors import CalibrationError
from smidgen.qparams import QParams, qparams_from_range

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ActivationRange:
    """Smallest and largest value of one activation, both finite, in order."""

    low: float
    high: float

    @property
    def qparams(self) -> QParams:
        """The uint8 parameters that cover this range."""
        return qparams_from_range(self.low, self.high)


@dataclass(frozen=True, slots=True)
class CalibrationProfile:
    """What calibration learned about one model.

    Attributes:
        model_sha256: Digest of the model file that was calibrated; other models refuse the profile.
        method: How ranges were estimated.
        sample_count: Samples seen, at least 1.
        batch_count: Batches seen, at least 1.
        ranges: One range for each activation by its node in the imported graph, in execution order.
        warnings: What deserves attention, for people.
        averaging_constant: Weight of a new batch in the moving average; None for other methods, and
            in profiles of releases that did not keep it.
    """

    model_sha256: str
    method: ObserverMethod
    sample_count: int
    batch_count: int
    ranges: Mapping[str, ActivationRange]
    warnings: tuple[str, ...] = ()
    averaging_constant: float | None = None

    def to_json(self) -> bytes:
        """Encodes the profile; equal profiles give equal bytes."""
        document: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "model_sha256": self.model_sha256,
            "method": self.method.value,
            "sample_count": self.sample_count,
            "batch_count": self.batch_count,
            "ranges": {name: asdict(entry) for name, entry in self.ranges.items()},
            "warnings": list(self.warnings),
        }
        if self.averaging_constant is not None:
            document["averaging_constant"] = self.averaging_constant
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    @staticmethod
    def from_json(encoded: bytes) -> CalibrationProfile:
        """Decodes what to_json wrote.

        Raises:
            CalibrationError: the bytes are something else.
        """
        try:
            return _decode(json.loads(encoded))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(
                "this is not a calibration profile; calibrate the model again",
                reason="INVALID_PROFILE",
            ) from error


def _decode(document: dict[str, Any]) -> CalibrationProfile:
    version = document["format_version"]
    if version != FORMAT_VERSION:
        raise CalibrationError(
            f"profile has format version {version}, expected {FORMAT_VERSION}",
            reason="INVALID_PROFILE",
            found=version,
        )
    ranges = {
        str(name): ActivationRange(low=float(entry["low"]), high=float(entry["high"]))
        for name, entry in document["ranges"].items()
    }
    constant = document.get("averaging_constant")
    return CalibrationProfile(
        model_sha256=str(document["model_sha256"]),
        method=ObserverMethod(document["method"]),
        sample_count=int(document["sample_count"]),
        batch_count=int(document["batch_count"]),
        ranges=ranges,
        warnings=tuple(str(text) for text in document["warnings"]),
        averaging_constant=None if constant is None else float(constant),
    )
