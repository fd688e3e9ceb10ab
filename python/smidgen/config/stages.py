"""The options of the stages of training."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smidgen.config.checks import check_within


class FineTune(enum.StrEnum):
    """What the final fine-tuning trains.

    FROZEN: the quantized model, with observers and batch norm frozen. WITHOUT_FAKE_QUANTIZATION:
    the float model below it, with batch norm frozen; ranges and rounding come back for evaluation.
    """

    FROZEN = "frozen"
    WITHOUT_FAKE_QUANTIZATION = "without_fake_quantization"


@dataclass(frozen=True, slots=True)
class StageConfig:
    """When what is frozen.

    Attributes:
        warm_up_steps: Steps in which the step size rises evenly to its full value, 0 or more.
        freeze_observers_at: Share of the epochs before fine-tuning after which ranges no longer
            follow the data, 0 to 1.
        freeze_batch_norm_at: The same for the statistics of batch norm, which then is folded.
        fine_tune: What the final fine-tuning trains.
    """

    warm_up_steps: int = 0
    freeze_observers_at: float = 1.0
    freeze_batch_norm_at: float = 1.0
    fine_tune: FineTune = FineTune.FROZEN

    def __post_init__(self) -> None:
        check_within("stages.warm_up_steps", self.warm_up_steps, least=0, most=10**9)
        for name in ("freeze_observers_at", "freeze_batch_norm_at"):
            check_within(f"stages.{name}", getattr(self, name), least=0.0, most=1.0)
