"""Where a program comes from, as the texts of its lineage: digests of its parents, configuration.

Needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from smidgen.config import ObserverMethod, QATConfig
from smidgen.config.documents import to_document
from smidgen.profile import CalibrationProfile


def calibration_origin(profile: CalibrationProfile) -> dict[str, str]:
    """Returns what says how a model was calibrated.

    >>> from smidgen.config import ObserverMethod
    >>> profile = CalibrationProfile("00", ObserverMethod.MOVING_AVERAGE, 64, 2, {}, (), 0.1)
    >>> found = calibration_origin(profile)
    >>> found["calibration_method"], found["calibration_samples"], found["averaging_constant"]
    ('moving_average', '64', '0.1')
    """
    found = {
        "profile_sha256": hashlib.sha256(profile.to_json()).hexdigest(),
        "calibration_method": profile.method.value,
        "calibration_samples": str(profile.sample_count),
        "calibration_batches": str(profile.batch_count),
    }
    if profile.averaging_constant is not None:
        found["averaging_constant"] = repr(profile.averaging_constant)
    if profile.method is ObserverMethod.PERCENTILE:
        found["percentile"] = repr(profile.percentile)
    return found


def training_origin(config: QATConfig | None) -> dict[str, str]:
    """Returns what says how a model was trained, an entry for each option.

    Args:
        config: How, or None if that was not kept.

    >>> training_origin(QATConfig(epochs=3))["qat.epochs"]
    '3'
    """
    if config is None:
        return {}
    options = {**to_document(config), "fine_tune_learning_rate": config.final_learning_rate}
    return dict(_texts("qat", options))


def _texts(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yields each value within nested options by its path, JSON texts but for texts."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _texts(f"{path}.{name}", entry)
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)
