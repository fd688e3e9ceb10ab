"""Lineages state the options as they took effect."""

from __future__ import annotations

import dataclasses
import hashlib

from smidgen.config import ObserverMethod, QATConfig, TaskLoss
from smidgen.origin import calibration_origin, training_origin
from smidgen.profile import CalibrationProfile

PROFILE = CalibrationProfile("ab", ObserverMethod.MIN_MAX, 512, 8, {})


def test_a_profile_is_named_by_its_digest_and_how_it_was_made() -> None:
    assert calibration_origin(PROFILE) == {
        "profile_sha256": hashlib.sha256(PROFILE.to_json()).hexdigest(),
        "calibration_method": "min_max",
        "calibration_samples": "512",
        "calibration_batches": "8",
    }


def test_the_constant_of_a_moving_average_is_stated_and_read_back() -> None:
    average = dataclasses.replace(
        PROFILE, method=ObserverMethod.MOVING_AVERAGE, averaging_constant=1 / 3
    )
    assert float(calibration_origin(average)["averaging_constant"]) == 1 / 3
    assert CalibrationProfile.from_json(average.to_json()) == average
    assert b"averaging_constant" not in PROFILE.to_json()


def test_every_option_of_training_has_its_entry() -> None:
    config = QATConfig(task_loss=TaskLoss.MSE, learning_rate=1 / 3)
    found = training_origin(config)
    parts = {name.split(".")[1] for name in found}
    assert parts == {field.name for field in dataclasses.fields(QATConfig)}
    assert found["qat.optimizer.kind"] == "adam"
    assert found["qat.task_loss"] == "mse"
    assert float(found["qat.learning_rate"]) == 1 / 3
    assert float(found["qat.fine_tune_learning_rate"]) == 1 / 30
    assert training_origin(None) == {}
