"""Whether the report of a version lets an alias point at it."""

from __future__ import annotations

from smidgen_service import names
from smidgen_service.errors import FailedPreconditionError
from smidgen_service.store.records import VersionRecord

_ROUNDING = 1e-12
"""More than what differences of two shares of samples are off by, and less than a sample makes."""


def measured_drop(version: VersionRecord, *, most: float) -> float:
    """Returns the accuracy that a version loses by its report, below 0 for a gain.

    Args:
        version: The version.
        most: Most accuracy that it may lose, 0 to 1.

    Raises:
        FailedPreconditionError: it loses more, or nothing was measured.
    """
    drop = _recorded_drop(version)
    name = names.version_name(version.model_id, version.version)
    if drop is None:
        raise FailedPreconditionError(
            f"nobody has measured what {name} loses against its float model; convert it again "
            "with an evaluation dataset of labelled samples, or leave the condition out",
            reason="PROMOTION_NOT_MEASURED",
            resource_name=name,
            max_drop=most,
        )
    if drop > most + _ROUNDING:
        raise FailedPreconditionError(
            f"{name} loses {drop:.4f} of the float model's accuracy, {drop - most:.4g} more than "
            f"the {most:g} that it may; train or convert it anew, or allow more",
            reason="PROMOTION_REFUSED",
            resource_name=name,
            drop=drop,
            max_drop=most,
        )
    return drop


def _recorded_drop(version: VersionRecord) -> float | None:
    """Returns what the accuracy gate of the conversion found, or what its two accuracies say."""
    report = version.report
    if report is None:
        return None
    if report.gate is not None and report.gate.drop is not None:
        return report.gate.drop
    if report.float_accuracy is None or report.quantized_accuracy is None:
        return None
    return report.float_accuracy - report.quantized_accuracy
