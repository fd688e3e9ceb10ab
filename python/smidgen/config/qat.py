"""The options of training with quantization simulated."""

from __future__ import annotations

from dataclasses import dataclass, field

from smidgen.config.activations import RangeSource
from smidgen.config.budget import BudgetConfig
from smidgen.config.checks import check_applies, check_within
from smidgen.config.loss import LossConfig, TaskLoss
from smidgen.config.optimizer import OptimizerConfig
from smidgen.config.stages import FineTune, StageConfig
from smidgen.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class QATConfig:
    """How to train with quantization simulated.

    The loss of a step is
    task_loss + weight * distance(output, float model's output) + the weighted feature distances,
    where weight is quantization_loss_weight once it has warmed up.

    Attributes:
        epochs: Passes over the training split with fake quantization, 1 to 10000.
        fine_tune_epochs: Passes of the final stage with observers and batch norm statistics frozen,
            0 to 10000.
        batch_size: Samples a step, 1 to 65536.
        learning_rate: Step size at the start; falls as optimizer.schedule says until the final
            stage.
        fine_tune_learning_rate: Step size of the final stage, which needs one; None means a tenth
            of learning_rate.
        task_loss: The task.
        quantization_loss_weight: Weight lambda of the quantization loss, 0 or more.
        evaluation_fraction: Share of the dataset held out for evaluation, 0 to 0.5; only without
            an evaluation dataset.
        seed: Seed of everything random.
        loss: The finer points of the loss.
        stages: Warm-up, and when what is frozen.
        optimizer: How weights are moved.
        budget: When training ends early.
        activations: Where the ranges of activations come from.
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
    loss: LossConfig = field(default_factory=LossConfig)
    stages: StageConfig = field(default_factory=StageConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    activations: RangeSource = RangeSource.OBSERVED

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
        self._check_loss()
        self._check_fine_tuning()

    @property
    def final_learning_rate(self) -> float:
        """Step size of the final fine-tuning."""
        return self.fine_tune_learning_rate or self.learning_rate / 10

    def _check_loss(self) -> None:
        has_task = self.task_loss is not TaskLoss.NONE
        if not (has_task or self.quantization_loss_weight > 0.0 or self.loss.features):
            raise InvalidConfigError(
                "there is no task, no quantization loss and no feature to train for; give "
                "quantization_loss_weight a value above 0",
                reason="NOTHING_TO_TRAIN",
                field="quantization_loss_weight",
            )
        if self.loss.label_smoothing > 0.0 and self.task_loss is not TaskLoss.CROSS_ENTROPY:
            raise InvalidConfigError(
                f"label_smoothing is {self.loss.label_smoothing:g} and the task is "
                f"{self.task_loss}, expected cross_entropy",
                reason="SMOOTHING_WITHOUT_CLASSES",
                field="loss.label_smoothing",
            )
        check_applies(
            "loss.weight_warm_up_steps",
            self.loss.weight_warm_up_steps,
            default=0,
            applies=self.loss.weight_start != self.quantization_loss_weight,
            needs="another quantization_loss_weight than loss.weight_start",
        )
        if self.loss.distance is None:
            check_applies(
                "loss.temperature",
                self.loss.temperature,
                default=None,
                applies=self.task_loss in (TaskLoss.CROSS_ENTROPY, TaskLoss.NONE),
                needs="loss.distance kl, which is not the default of this task",
            )

    def _check_fine_tuning(self) -> None:
        for name, value, default in (
            ("fine_tune_learning_rate", self.fine_tune_learning_rate, None),
            ("stages.fine_tune", self.stages.fine_tune, FineTune.FROZEN),
        ):
            check_applies(
                name,
                value,
                default=default,
                applies=self.fine_tune_epochs > 0,
                needs="fine_tune_epochs above 0",
            )
