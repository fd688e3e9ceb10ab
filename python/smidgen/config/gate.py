"""What a conversion must keep of the float model."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.config.checks import check_within


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Limits that a program is held to on the evaluation data.

    Attributes:
        max_drop: How much accuracy may be lost against the float model, 0 to 1: 0.01 is one
            percentage point. Without class labels, the share of the samples of which program and
            float model may say different classes. None sets no limit.
        min_sqnr_db: Least signal to quantization noise ratio of the first output in dB, -200 to
            200. None sets no limit.
    """

    max_drop: float | None = None
    min_sqnr_db: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop is not None:
            check_within("max_drop", self.max_drop, least=0.0, most=1.0)
        if self.min_sqnr_db is not None:
            check_within("min_sqnr_db", self.min_sqnr_db, least=-200.0, most=200.0)

    @property
    def is_any(self) -> bool:
        """Whether there is a limit."""
        return self.max_drop is not None or self.min_sqnr_db is not None
