"""Checks that what a conversion is asked to measure can be measured. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.config.conversion import ConversionConfig
from smidgen.config.gate import GateConfig
from smidgen.errors import InvalidConfigError
from smidgen.tensor_spec import TensorSpec


def check_measurable(
    config: ConversionConfig, outputs: Sequence[TensorSpec], *, has_evaluation: bool
) -> None:
    """Checks before a conversion that there is what its gate and its report measure.

    Args:
        config: The options.
        outputs: The model's.
        has_evaluation: Whether there is evaluation data.

    Raises:
        InvalidConfigError: reason GATE_NEEDS_EVALUATION, MAX_DROP_NEEDS_CLASSES where the first
            output is not [N, classes], or SENSITIVITY_NEEDS_SAMPLES.
    """
    _check_gate(config.gate, outputs[0], has_evaluation=has_evaluation)
    if config.measurements.sensitivity_seconds > 0.0 and not has_evaluation:
        raise InvalidConfigError(
            "what layers cost the output is measured on evaluation data, and there is none; name "
            "an evaluation dataset, or leave sensitivity_seconds at 0",
            reason="SENSITIVITY_NEEDS_SAMPLES",
            field="measurements.sensitivity_seconds",
        )


def _check_gate(gate: GateConfig, output: TensorSpec, *, has_evaluation: bool) -> None:
    if gate.is_any and not has_evaluation:
        raise InvalidConfigError(
            "max_drop or min_sqnr_db is set and there is no evaluation data to measure it on; "
            "name an evaluation dataset, or leave the limits out",
            reason="GATE_NEEDS_EVALUATION",
            field="gate",
        )
    shape = output.shape
    if gate.max_drop is not None and (len(shape) != 2 or shape[1] == 1):
        raise InvalidConfigError(
            f"max_drop is set and the first output is {output.describe_shape()}, expected "
            "[N, classes]; set min_sqnr_db in its place",
            reason="MAX_DROP_NEEDS_CLASSES",
            field="gate.max_drop",
        )
