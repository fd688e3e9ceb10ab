"""The options of training with quantization simulated."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smidgen.config.checks import check_within


class TaskLoss(enum.StrEnum):
    """What a model is trained to do."""

    CROSS_ENTROPY = "cross_entropy"
    MSE = "mse"


@dataclass(frozen=True, slots=True)
class QATConfig:
    """How to train with quantization simulated.

    The loss of a step is
    task_loss + quantization_loss_weight * distance(output, float model's output).

    Attributes:
        epochs: Passes over the training split with fake quantization, 1 to 10000.
        fine_tune_epochs: Passes of the final stage with observers and batch norm statistics frozen,
            0 to 10000.
        batch_size: Samples a step, 1 to 65536.
        learning_rate: Step size at the start; falls to 0 by a cosine over the QAT stage.
        fine_tune_learning_rate: Step size of the final stage; None means a tenth of learning_rate.
        task_loss: The task.
        quantization_loss_weight: Weight lambda of the quantization loss, 0 or more.
        evaluation_fraction: Share of the dataset held out for evaluation, 0 to 0.5.
        seed: Seed of everything random.
    """

    epochs: int = 5
    fine_tune_epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 1e-3
    fine_tune_learning_rate: float | None = None
    task_loss: TaskLoss = TaskLoss.CROSS_ENTROPY
    quantization_loss_weight: float = 0.5
    evaluation_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_within("epochs", self.epochs, least=1, most=10_000)
        check_within("fine_tune_epochs", self.fine_tune_epochs, least=0, most=10_000)
        check_within("batch_size", self.batch_size, least=1, most=65_536)
        check_within("learning_rate", self.learning_rate, above=0.0, most=100.0)
        if self.fine_tune_learning_rate is not None:
            check_within(
                "fine_tune_learning_rate", self.fine_tune_learning_rate, above=0.0, most=100.0
            )
        check_within("quantization_loss_weight", self.quantization_loss_weight, least=0.0, most=1e6)
        check_within("evaluation_fraction", self.evaluation_fraction, least=0.0, most=0.5)
        check_within("seed", self.seed, least=-(2**63), most=2**63 - 1)

    @property
    def final_learning_rate(self) -> float:
        """Step size of the final fine-tuning."""
        return self.fine_tune_learning_rate or self.learning_rate / 10
