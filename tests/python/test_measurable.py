"""What a conversion cannot measure."""

from __future__ import annotations

import pytest

from smidgen.config import ConversionConfig, GateConfig, MeasurementConfig
from smidgen.errors import InvalidConfigError
from smidgen.measurable import check_measurable
from smidgen.tensor_spec import TensorSpec

CLASSES = (TensorSpec("y", "float32", (None, 4)),)
PIXELS = (TensorSpec("y", "float32", (None, 4, 8, 8)),)
ONE = (TensorSpec("y", "float32", (None, 1)),)


def test_what_can_be_measured_passes() -> None:
    check_measurable(ConversionConfig(), PIXELS, has_evaluation=False)
    timed = ConversionConfig(measurements=MeasurementConfig(latency=True))
    check_measurable(timed, PIXELS, has_evaluation=False)
    full = ConversionConfig(
        gate=GateConfig(max_drop=0.0, min_sqnr_db=1.0),
        measurements=MeasurementConfig(sensitivity_seconds=1.0),
    )
    check_measurable(full, CLASSES, has_evaluation=True)
    check_measurable(ConversionConfig(gate=GateConfig(None, 1.0)), PIXELS, has_evaluation=True)


@pytest.mark.parametrize(
    ("config", "outputs", "has_evaluation", "reason"),
    [
        (ConversionConfig(gate=GateConfig(None, 1.0)), CLASSES, False, "GATE_NEEDS_EVALUATION"),
        (ConversionConfig(gate=GateConfig(0.1)), PIXELS, True, "MAX_DROP_NEEDS_CLASSES"),
        (ConversionConfig(gate=GateConfig(0.1)), ONE, True, "MAX_DROP_NEEDS_CLASSES"),
        (
            ConversionConfig(measurements=MeasurementConfig(sensitivity_seconds=1.0)),
            CLASSES,
            False,
            "SENSITIVITY_NEEDS_SAMPLES",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(
    config: ConversionConfig, outputs: tuple[TensorSpec, ...], has_evaluation: bool, reason: str
) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        check_measurable(config, outputs, has_evaluation=has_evaluation)
    assert caught.value.reason == reason
