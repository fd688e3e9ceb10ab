"""When training ends before its last epoch."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.config.checks import check_within


@dataclass(frozen=True, slots=True)
class BudgetConfig:
    """Limits; whichever is reached first ends the training with the best result so far.

    Attributes:
        steps: Most optimizer steps, 1 or more. None leaves that to the epochs.
        seconds: Longest time of training, above 0; a step or evaluation that has begun is still
            finished. None sets no limit. Results then depend on the speed of the machine.
        patience: Epochs in a row that may bring nothing better, 1 to 10000; after them training
            goes on to the final fine-tuning, or ends there. None lets all epochs run.
    """

    steps: int | None = None
    seconds: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.steps is not None:
            check_within("budget.steps", self.steps, least=1, most=10**12)
        if self.seconds is not None:
            check_within("budget.seconds", self.seconds, above=0.0, most=10**9)
        if self.patience is not None:
            check_within("budget.patience", self.patience, least=1, most=10_000)
